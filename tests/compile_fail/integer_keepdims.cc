// ERROR: (cannot|could not) convert|no matching function|no known conversion
#include <etch/etch.h>

etch::Tensor v(etch::Tensor x) { return variance(x, 0, 1); }
