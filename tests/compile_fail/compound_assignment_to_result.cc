// ERROR: etch: this assigns to the result of an op, .* where\(\) or concat\(\)
#include <etch/etch.h>

void add(etch::Tensor a, etch::Tensor b) { (a + b) += 1; }
