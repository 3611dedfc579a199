// ERROR: etch: use std::vector<uint8_t> or a Tensor
#include <etch/data/example.h>

struct Sample {
  std::vector<bool> bits;
};
auto samples = etch::data::examples<Sample>("a.tfrecord");
