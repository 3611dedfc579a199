// A library whose constructor compiles and runs on several threads, as plugins do while `dlopen` loads them.
#include <etch/etch.h>

#include <utility>

namespace {

using etch::Tensor;

/// Two kernels to compile, long enough for two threads, and loops that split.
std::pair<Tensor, Tensor> work(Tensor x) {
  Tensor y = x;
  for (int i = 0; i < 40; ++i) y = tanh(y * 1.5f + x);
  return {sum(y), cumsum(exp(x - y), 0)};
}

struct OnLoad {
  OnLoad() {
    const etch::ScopedFlags flags("threads=2");
    result = etch::function(work)(etch::ones({1 << 20})).first.item<float>();
  }
  float result = 0;
};

const OnLoad on_load;

}  // namespace

extern "C" float result_of_loading();
float result_of_loading() { return on_load.result; }
