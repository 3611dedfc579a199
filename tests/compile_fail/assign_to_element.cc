// ERROR: etch: this assigns to the result of an op, .* where\(\) or concat\(\)
#include <etch/etch.h>

void set(etch::Tensor x) { x[0] = 5.0f; }
