// ERROR: tensors hold bool, integers of 8 to 64 bits, etch::float16, etch::bfloat16, float or double
#include <etch/etch.h>

etch::Tensor x = etch::Tensor::from(std::vector<long double>{1, 2}, {2});
