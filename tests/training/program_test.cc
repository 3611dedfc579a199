// A model, an optimizer and a training step as a user writes them: the same weights in every way of running.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/batches.h"
#include "etch/etch.h"
#include "etch/layers.h"
#include "etch/optimizers.h"
#include "runtime/parallel.h"
#include "tests/training/training.h"

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

struct Classified : Trained {
  int64_t traces = 0;
  float accuracy = 0;
};

/// Trains a model for some epochs.
template <class Model>
Classified train(Model model, const Tensor& images, const Tensor& labels, int epochs, FunctionOptions options) {
  optimizers::Adam adam{1e-2f};
  options.name = "step";
  auto step = classifier_step(model, adam, options);
  Classified result;
  Batches shuffled = batches(images, labels, 32, /*seed=*/1);
  for (int epoch = 0; epoch < epochs; ++epoch) {
    for (auto [x, y] : shuffled) {
      const Tensor loss = step(x, y);
      result.losses.push_back(loss.item<float>());
    }
  }
  result.weights = get_weights(model);
  result.traces = step.stats().traces;
  const Tensor is_right = argmax(model(images, false), -1) == cast(labels, DType::i64);
  const Tensor accuracy = mean(cast(is_right, DType::f32));
  result.accuracy = accuracy.item<float>();
  return result;
}

Classified train(FunctionOptions options = {}) {
  random::set_seed(3);
  const auto [images, labels] = corners(256);
  return train(Mlp(), images, labels, 4, options);
}

/// Tells by the last output of an LSTM in which of four places a wave has its peak.
struct Reader {
  layers::LSTM lstm{.units = 12, .dropout = 0.1, .recurrent_dropout = 0.1};
  layers::Dense logits{4};
  Tensor operator()(Tensor x, bool training) { return logits(lstm(x, training)); }
};

Classified train_reader(FunctionOptions options = {}) {
  random::set_seed(3);
  const Tensor seed(uint64_t{9});
  const Tensor labels = random::uniform_int(seed, {96}, 0, 4);
  const Tensor distance = range(8, DType::f32) - expand_dims(cast(labels, DType::f32) * 2 + 0.5f, 1);
  const Tensor waves = expand_dims(exp(-square(distance)), 2) + random::normal(seed, {96, 8, 3}, {.stddev = 0.1});
  return train(Reader(), waves, labels, 10, options);
}

TEST(Program, LearnsInOneTrace) {
  const Classified trained = train();
  EXPECT_EQ(trained.traces, 1);
  EXPECT_LT(trained.losses.back(), 0.5f * trained.losses.front());
  EXPECT_GT(trained.accuracy, 0.9f);
  EXPECT_EQ(trained.weights.size(), 4);
}

TEST(Program, RepeatsToTheBit) { expect_same(train(), train()); }

TEST(Program, HasTheSameBitsEagerAndTraced) {
  const Classified traced = train();
  const ScopedFlags flags("eager");
  expect_same(train(), traced);
}

TEST(Program, HasTheSameBitsFusedAndUnfused) { expect_same(train({.fuse = false}), train()); }

TEST(Program, HasTheSameBitsOnTwoThreads) {
  const Classified one = train({.threads = 1});
  const ScopedFlags flags("grain=16");
  expect_same(train({.threads = 2}), one);
}

TEST(ProgramWithAnLstm, LearnsInOneTrace) {
  const Classified trained = train_reader();
  EXPECT_EQ(trained.traces, 1);
  EXPECT_GT(trained.accuracy, 0.8f);
  EXPECT_EQ(trained.weights.size(), 5);
}

TEST(ProgramWithAnLstm, HasTheSameBitsEagerAndTraced) {
  const Classified traced = train_reader();
  const ScopedFlags flags("eager");
  expect_same(train_reader(), traced);
}

TEST(ProgramWithAnLstm, HasTheSameBitsFusedAndUnfused) { expect_same(train_reader({.fuse = false}), train_reader()); }

TEST(ProgramWithAnLstm, HasTheSameBitsOnTwoThreads) {
  const Classified one = train_reader({.threads = 1});
  const ScopedFlags flags("grain=16");
  const int64_t split_before = num_split_loops();
  expect_same(train_reader({.threads = 2}), one);
  EXPECT_GT(num_split_loops(), split_before);
}

TEST(Program, CopiesNoBytesForItsVariables) {
  random::set_seed(3);
  const auto [images, labels] = corners(64);
  Mlp model;
  optimizers::Adam adam{1e-2f};
  auto step = classifier_step(model, adam);
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
  auto step = classifier_step(model, sgd);
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
