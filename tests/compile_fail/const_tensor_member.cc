// A const Tensor in an argument cannot be replaced by the traced one.
// ERROR: a const Tensor cannot be replaced while tracing
#include <etch/etch.h>

struct Params {
  const etch::Tensor weights;
};

auto f = etch::function([](Params p) { return p.weights + 1; });
