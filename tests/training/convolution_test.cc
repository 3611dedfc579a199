// A small convolutional network learns for 100 steps: the same weights to the bit in every way of running.
#include <gtest/gtest.h>

#include "etch/batches.h"
#include "etch/etch.h"
#include "etch/layers.h"
#include "etch/optimizers.h"
#include "tests/training/training.h"

namespace etch {
namespace {

struct Cnn {
  layers::Conv2D edges{.filters = 6, .kernel_size = 3, .activation = activations::relu, .padding = Padding::same};
  layers::MaxPooling2D pool;
  layers::DepthwiseConv2D spread{3};
  layers::GroupNormalization norm{2};
  layers::Conv2D shapes{.filters = 8, .kernel_size = 2, .activation = activations::relu, .strides = 2};
  layers::Conv2DTranspose back{3, 2, activations::tanh};
  layers::AveragePooling2D mean{2, 1};
  layers::Flatten flatten;
  layers::Dropout drop{0.1};
  layers::Dense logits{4};
  Tensor operator()(Tensor x, bool training) {
    x = shapes(norm(spread(pool(edges(x)))));
    return logits(drop(flatten(mean(back(x))), training));
  }
};

/// Noisy pictures of 12 x 12 pixels, bright in the quarter of their label.
std::pair<Tensor, Tensor> quarters(int64_t n) {
  const Tensor seed(uint64_t{9});
  const Tensor labels = random::uniform_int(seed, {n}, 0, 4), own = reshape(labels, {n, 1, 1, 1});
  const Tensor row = floor_div(iota({1, 12, 12, 1}, 1), 6), column = floor_div(iota({1, 12, 12, 1}, 2), 6);
  const Tensor bright = cast(row * 2 + column == own, DType::f32);
  return {bright + random::normal(seed, {n, 12, 12, 1}, {.stddev = 0.5}), labels};
}

Trained train(FunctionOptions options = {}) {
  random::set_seed(3);
  const auto [images, labels] = quarters(80);
  Cnn model;
  optimizers::Adam adam{5e-3f};
  auto step = classifier_step(model, adam, options);
  Trained result;
  Batches shuffled = batches(images, labels, 8, /*seed=*/1);
  for (int epoch = 0; epoch < 10; ++epoch) {
    for (auto [x, y] : shuffled) result.losses.push_back(step(x, y).item<float>());
  }
  result.weights = get_weights(model);
  return result;
}

const Trained& traced() {
  static const Trained trained = train({.threads = 1});
  return trained;
}

TEST(Convolution, Learns) {
  ASSERT_EQ(traced().losses.size(), 100);
  EXPECT_GT(traced().losses.front(), 1);
  EXPECT_LT(traced().losses.back(), 0.2f);
}

TEST(Convolution, HasTheSameBitsEagerAndTraced) {
  (void)traced();
  const ScopedFlags flags("eager");
  expect_same(train(), traced());
}

TEST(Convolution, HasTheSameBitsFusedAndUnfused) { expect_same(train({.fuse = false}), traced()); }

TEST(Convolution, HasTheSameBitsOnTwoThreads) {
  (void)traced();
  const ScopedFlags flags("grain=16");
  expect_same(train({.threads = 2}), traced());
}

TEST(Convolution, HasTheSameBitsUnfusedOnTwoThreads) {
  (void)traced();
  const ScopedFlags flags("grain=16");
  expect_same(train({.fuse = false, .threads = 2}), traced());
}

}  // namespace
}  // namespace etch
