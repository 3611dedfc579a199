// ERROR: etch: an axis, an extent, an index or a count is an integer, not a bool
#include <etch/etch.h>

etch::Tensor total(etch::Tensor x) { return sum(x, {0, true}); }
