// ERROR: cannot convert .*etch::Tensor.* to .*int
#include <etch/etch.h>

int value = etch::Tensor(1);
