// ERROR: a function cannot take or give this type; it may be Tensor, a number
#include <etch/etch.h>

auto f = etch::function([](etch::Tensor x, const int* p) { return x * *p; });
