// ERROR: ignoring return value of .*nodiscard
#include <etch/etch.h>

#pragma GCC diagnostic error "-Wunused-result"

void drop(etch::Tensor x) { x[0]; }
