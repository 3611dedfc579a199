// ERROR: (cannot|could not) convert|no matching function|no known conversion
#include <etch/etch.h>

etch::Tensor part(etch::Tensor x) { return roll(x, 0.5, 0); }
