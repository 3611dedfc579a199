// ERROR: constraints not satisfied|no matching function
#include <etch/etch.h>

auto x = etch::Tensor(1).item<long double>();
