// ERROR: etch: a function cannot take or give an aggregate with a C array, a reference or a member without
#include <etch/etch.h>

struct Three {
  etch::Tensor t[3];
};

auto f = etch::function([](Three three) { return three.t[0]; });
