// ERROR: etch: an axis, an extent, an index or a count is an integer, not a bool
#include <etch/etch.h>

etch::Tensor largest(etch::Tensor x) { return argmax(x, true); }
