// ERROR: etch: a shape is made of integers, not of a bool
#include <etch/etch.h>

etch::Tensor x = etch::zeros(true);
