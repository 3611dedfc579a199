// ERROR: etch: a function cannot take or give an aggregate with a C array, a reference or a member without
#include <etch/etch.h>

struct Two {
  etch::Tensor t[2];
};

auto f = etch::function([](etch::Tensor x) { return Two{{x, x}}; });
