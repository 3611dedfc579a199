// A model, an optimizer and a training step as a user writes them: the same weights in every way of running.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/batches.h"
#include "etch/etch.h"
#include "etch/layers.h"
#include "etch/losses.h"
#include "etch/optimizers.h"

namespace etch {
namespace {

struct Mlp {
  layers::Dense hidden{24, activations::relu};
  layers::Dropout drop{0.1f};
  layers::Dense logits{4};
  Tensor operator()(Tensor x, bool training) { return logits(drop(hidden(x), training)); }
};

/// Points around four corners of a cube of 8 dimensions, with the number of the corner.
std::pair<Tensor, Tensor> corners(int64_t n) {
  const Tensor seed(uint64_t{9});
  const Tensor labels = random::uniform_int(seed, {n}, 0, 4);
  const Tensor digits = shift_right(expand_dims(labels, 1), range(8) % 2) & 1;
  return {cast(digits, DType::f32) * 2 - 1 + random::normal(seed, {n, 8}, {.stddev = 0.4}), labels};
}

struct Trained {
  std::vector<float> losses;
  std::vector<Tensor> weights;
  int64_t traces = 0;
  float accuracy = 0;
};

Trained train(FunctionOptions options = {}) {
  random::set_seed(3);
  const auto [images, labels] = corners(256);
  Mlp model;
  optimizers::Adam adam{1e-2f};
  options.name = "step";
  auto step = etch::function(
      [&](Tensor x, Tensor y) {
        GradientTape tape;
        Tensor loss = losses::sparse_categorical_crossentropy(y, model(x, true), {.from_logits = true});
        auto variables = trainable_variables(model);
        adam.apply_gradients(tape.gradient(loss, variables), variables);
        return loss;
      },
      options);
  Trained result;
  Batches shuffled = batches(images, labels, 32, /*seed=*/1);
  for (int epoch = 0; epoch < 4; ++epoch) {
    for (auto [x, y] : shuffled) result.losses.push_back(step(x, y).item<float>());
  }
  result.weights = get_weights(model);
  result.traces = step.stats().traces;
  result.accuracy = mean(cast(argmax(model(images, false), -1) == cast(labels, DType::i64), DType::f32)).item<float>();
  return result;
}

TEST(Program, LearnsInOneTrace) {
  const Trained trained = train();
  EXPECT_EQ(trained.traces, 1);
  EXPECT_LT(trained.losses.back(), 0.5f * trained.losses.front());
  EXPECT_GT(trained.accuracy, 0.9f);
  EXPECT_EQ(trained.weights.size(), 4);
}

void expect_same(const Trained& a, const Trained& b) {
  EXPECT_EQ(a.losses, b.losses);
  ASSERT_EQ(a.weights.size(), b.weights.size());
  for (size_t i = 0; i < a.weights.size(); ++i) EXPECT_TRUE(array_equal(a.weights[i], b.weights[i]).item<bool>()) << i;
}

TEST(Program, RepeatsToTheBit) { expect_same(train(), train()); }

TEST(Program, HasTheSameBitsEagerAndTraced) {
  const Trained traced = train();
  const ScopedFlags flags("eager");
  expect_same(train(), traced);
}

TEST(Program, HasTheSameBitsFusedAndUnfused) { expect_same(train({.fuse = false}), train()); }

TEST(Program, HasTheSameBitsOnTwoThreads) {
  const Trained one = train({.threads = 1});
  const ScopedFlags flags("grain=16");
  expect_same(train({.threads = 2}), one);
}

TEST(Program, CopiesNoBytesForItsVariables) {
  random::set_seed(3);
  const auto [images, labels] = corners(64);
  Mlp model;
  optimizers::Adam adam{1e-2f};
  auto step = etch::function([&](Tensor x, Tensor y) {
    GradientTape tape;
    Tensor loss = losses::sparse_categorical_crossentropy(y, model(x, true), {.from_logits = true});
    auto variables = trainable_variables(model);
    adam.apply_gradients(tape.gradient(loss, variables), variables);
    return loss;
  });
  (void)step(images, labels);
  const int64_t before = memory_stats().copied_bytes;
  for (int i = 0; i < 100; ++i) (void)step(images, labels);
  EXPECT_EQ(memory_stats().copied_bytes, before);
}

TEST(Program, AFrozenLayerStaysAsItIs) {
  random::set_seed(3);
  const auto [images, labels] = corners(64);
  Mlp model;
  optimizers::SGD sgd{0.1};
  auto step = etch::function([&](Tensor x, Tensor y) {
    GradientTape tape;
    Tensor loss = losses::sparse_categorical_crossentropy(y, model(x, true), {.from_logits = true});
    auto variables = trainable_variables(model);
    sgd.apply_gradients(tape.gradient(loss, variables), variables);
    return loss;
  });
  (void)step(images, labels);
  set_trainable(model.hidden, false);
  const Tensor hidden = model.hidden.kernel, logits = model.logits.kernel;
  (void)step(images, labels);
  EXPECT_TRUE(array_equal(model.hidden.kernel, hidden).item<bool>());
  EXPECT_FALSE(array_equal(model.logits.kernel, logits).item<bool>());
  EXPECT_EQ(step.stats().traces, 2);
}

}  // namespace
}  // namespace etch
