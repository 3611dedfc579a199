// The program of README.md: one small function at every stage of its compilation.
#include <etch/etch.h>

#include <cstdio>
#include <exception>

using etch::Tensor;

int main() try {
  auto layer = etch::function([](Tensor x, Tensor scale) {
    Tensor unused = exp(x);
    Tensor y = x * scale * 1.0f + 0.5f;
    return maximum(y, 0);
  });

  Tensor x({{-1.0f, 0.0f, 1.0f}, {2.0f, 3.0f, 4.0f}});
  Tensor scale({1.0f, 10.0f, 100.0f});
  std::printf("== result\n%s\n", to_string(layer(x, scale)).c_str());

  auto concrete = layer.concrete(x, scale);
  for (const char* stage : {"trace", "graph", "schedule", "loops", "llvm", "times"}) {
    std::printf("== %s\n%s\n", stage, concrete.text(stage).c_str());
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "tour: %s\n", error.what());
  return 2;
}
