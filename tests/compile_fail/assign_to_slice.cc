// ERROR: etch: this assigns to the result of an op, .* where\(\) or concat\(\)
#include <etch/etch.h>

void set(etch::Tensor x, etch::Tensor y) { x.slice({{0, 2}}) = y; }
