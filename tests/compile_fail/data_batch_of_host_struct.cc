// ERROR: etch: a struct with host values has no batch of its own type; map it to a struct of tensors or to a std::tuple first
#include <etch/data.h>

struct Sample {
  etch::Tensor image;
  int label = 0;
};

int main() {
  etch::data::range(3).map([](int64_t) { return Sample(); }).batch(2);
}
