// ERROR: no match for call to
#include <etch/etch.h>

auto f = etch::function([](etch::Tensor x) { return x; });
auto y = f(std::string("text"));
