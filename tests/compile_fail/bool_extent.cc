// ERROR: etch: an axis, an extent, an index or a count is an integer, not a bool
#include <etch/etch.h>

etch::Tensor x = etch::zeros({2, true});
