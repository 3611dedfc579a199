// ERROR: tensors hold float, double, int32_t, int64_t, uint8_t or bool
#include <etch/etch.h>

etch::Tensor x = etch::Tensor::from(std::vector<short>{1, 2}, {2});
