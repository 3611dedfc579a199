// ERROR: a function takes its arguments by value or const&
#include <etch/etch.h>

auto f = etch::function([](etch::Tensor& x) { return x; });
