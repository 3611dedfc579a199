// A stranger's program against the installed library: a traced function, its value and an error.
#include <etch/etch.h>

#include <cstdio>

using etch::Tensor;

int main() {
  auto f = etch::function([](Tensor x, Tensor w) {
    Tensor y = tanh(matmul(x, w));
    y += 1;
    return y;
  });
  Tensor y = f(Tensor({{1.0f, 2.0f}}), Tensor({{0.5f}, {-0.25f}}));
  std::printf("%.6f\n", y.item<float>());
  try {
    f(Tensor({{1.0f, 2.0f}}), Tensor({{0.5f}}));
  } catch (const etch::Error& error) {
    std::printf("error: %s\n", error.what());
    return y.item<float>() == 1.0f ? 0 : 1;
  }
  return 1;
}
