// ERROR: a function cannot take or give this type; it may be Tensor, a number
#include <etch/etch.h>

#include <unordered_map>

auto f = etch::function([](std::unordered_map<int, etch::Tensor> m) { return m.at(0); });
