// Recognises handwritten digits with a multilayer perceptron: weights and pictures come from .npy files, and the whole
// network is one traced function that takes them as a plain struct.
#include <etch/etch.h>

#include <cmath>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

namespace {

using etch::Tensor;

struct Layer {
  Tensor weights;  // [in, out]
  Tensor bias;     // [out]
};

Tensor logits(Tensor x, const std::vector<Layer>& layers) {
  for (size_t i = 0; i < layers.size(); ++i) {
    x = matmul(x, layers[i].weights) + layers[i].bias;
    if (i + 1 < layers.size()) x = relu(x);
  }
  return x;
}

void print_digit(std::span<const float> pixels) {
  for (int row = 0; row < 8; ++row) {
    std::printf("    ");
    for (int column = 0; column < 8; ++column) {
      int level = static_cast<int>(std::lround(pixels[row * 8 + column] * 4));
      std::printf("%c%c", " .:*#"[level], " .:*#"[level]);
    }
    std::printf("\n");
  }
}

void run(const std::string& folder) {
  auto load = [&](const std::string& name) { return etch::load_npy(folder + "/" + name + ".npy"); };
  std::vector<Layer> layers;
  for (const char* n : {"1", "2", "3"}) layers.push_back({load(std::string("w") + n), load(std::string("b") + n)});
  Tensor images = load("images"), labels = load("labels"), expected = load("expected_logits");

  auto classify = etch::function([](Tensor x, const std::vector<Layer>& layers) {
    Tensor y = logits(x, layers);
    return std::pair(argmax(y, 1), softmax(y));
  });
  auto error = etch::function([](Tensor x, const std::vector<Layer>& layers, Tensor expected) {
    return max(abs(logits(x, layers) - expected));
  });

  auto [digits, probabilities] = classify(images, layers);
  std::span<const int64_t> found = digits.data<int64_t>();
  std::span<const int32_t> wanted = labels.data<int32_t>();
  int right = 0;
  for (size_t i = 0; i < found.size(); ++i) right += found[i] == wanted[i];

  for (int i = 0; i < 2; ++i) {
    Tensor row = probabilities[i];
    print_digit(images[i].data<float>());
    std::printf("  is a %lld with probability %.4f\n\n", static_cast<long long>(found[i]),
                row.data<float>()[found[i]]);
  }
  float difference = error(images, layers, expected).item<float>();
  std::printf("%d of %zu digits are right (%.1f %%); logits differ from NumPy's by at most %.2g\n", right, found.size(),
              100.0 * right / found.size(), difference);
  std::printf("%s", classify.concrete(images, layers).text("schedule").c_str());
  if (right < 0.96 * found.size() || difference > 1e-3f) throw std::runtime_error("the network does not do its job");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: digits FOLDER\n");
    return 2;
  }
  try {
    run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "digits: %s\n", error.what());
    return 2;
  }
}
