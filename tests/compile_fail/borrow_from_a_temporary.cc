// ERROR: no matching function|cannot bind
#include <etch/etch.h>

#include <vector>

etch::Tensor x = etch::Tensor::borrow(std::vector<float>(2), {2});
