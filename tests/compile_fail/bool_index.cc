// ERROR: etch: an index is an integer, not a bool
#include <etch/etch.h>

etch::Tensor part(etch::Tensor x) { return x[true]; }
