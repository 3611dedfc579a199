// The optimizer's updates of many small variables go out as one parallel loop.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "etch/layers.h"
#include "etch/optimizers.h"
#include "runtime/parallel.h"
#include "tests/training/training.h"

namespace etch {
namespace {

constexpr int kLayers = 8;

/// Layers of equal width, one behind the other.
struct Deep {
  std::vector<layers::Dense> hidden;
  layers::Dense logits{4};
  Tensor operator()(Tensor x) const {
    for (const layers::Dense& layer : hidden) x = layer(x);
    return logits(x);
  }
};

Deep deep(int64_t units) {
  Deep model;
  for (int i = 0; i < kLayers; ++i) model.hidden.push_back({units, activations::tanh});
  return model;
}

Tensor samples(int64_t width) { return sin(reshape(range(16 * width, DType::f32), {16, width})); }
Tensor labels() { return range(16) % 4; }

/// The numbers behind these words.
std::vector<int> numbers_behind(const std::string& text, const std::string& words) {
  std::vector<int> numbers;
  const std::regex pattern(words + "(\\d+)");
  for (std::sregex_iterator i(text.begin(), text.end(), pattern), end; i != end; ++i) numbers.push_back(std::stoi((*i)[1]));
  return numbers;
}

int count(const std::string& text, const std::string& words) {
  int found = 0;
  for (size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) ++found;
  return found;
}

struct Step {
  explicit Step(const std::string& text, FunctionOptions options = {})
      : flags(text), step(classifier_step(model, adam, options)) {
    (void)step.concrete(samples(24), labels());
  }
  std::string text(const std::string& stage) const { return step.concrete(samples(24), labels()).text(stage); }

  ScopedFlags flags;
  Deep model = deep(24);
  optimizers::Adam adam{1e-2f};
  decltype(classifier_step(model, adam)) step;
};

TEST(Groups, HoldTheUpdatesOfEightEqualBiases) {
  const Step step("");
  const std::string steps = step.text("steps");
  EXPECT_THAT(numbers_behind(steps, "group of "), testing::Contains(testing::Ge(kLayers))) << steps;
  EXPECT_THAT(Step("group=0").text("steps"), testing::Not(testing::HasSubstr("group of")));
}

TEST(Groups, TakeNoMoreMemoryAndKeepUpdatesInPlace) {
  const Step together(""), apart("group=0");
  const auto arena = [](const Step& step) { return numbers_behind(step.text("buffers"), "scratch memory: ").at(0); };
  EXPECT_LE(arena(together), arena(apart));
  const auto in_place = [](const Step& step) { return count(step.text("signature"), "assigned, in place"); };
  EXPECT_EQ(in_place(together), in_place(apart));
  EXPECT_GE(in_place(together), 3 * 2 * (kLayers + 1)) << "a weight and its two moments, of kernels and biases";
}

Trained train(const std::string& flags, FunctionOptions options = {}) {
  random::set_seed(3);
  const Step step(flags, options);
  Trained trained;
  for (int i = 0; i < 10; ++i) trained.losses.push_back(step.step(samples(24), labels()).item<float>());
  trained.weights = get_weights(step.model);
  return trained;
}

TEST(Groups, ChangeNoBits) {
  const Trained apart = train("group=0", {.threads = 1});
  EXPECT_LT(apart.losses.back(), apart.losses.front());
  expect_same(train("", {.threads = 1}), apart);
  for (const char* grain : {"", "grain=1", "grain=16", "grain=64"}) expect_same(train(grain, {.threads = 2}), apart);
  expect_same(train("grain=16", {.fuse = false, .threads = 2}), apart);
}

TEST(Groups, AreOneLoop) {
  const auto loops = [](const char* flags) {
    const Step step(flags, {.threads = 2});
    (void)step.step(samples(24), labels());
    const int64_t before = num_split_loops();
    (void)step.step(samples(24), labels());
    return num_split_loops() - before;
  };
  EXPECT_LE(loops("grain=1"), loops("grain=1,group=0") - (kLayers - 1));
}

TEST(Groups, TakeNoFreshMemoryInAWarmRun) {
  const Step step("grain=16", {.threads = 2});
  const Tensor x = samples(24), y = labels();
  for (int i = 0; i < 3; ++i) (void)step.step(x, y);
  const int64_t copied = memory_stats().copied_bytes, allocations = memory_stats().allocations;
  for (int i = 0; i < 10; ++i) (void)step.step(x, y);
  EXPECT_EQ(memory_stats().copied_bytes, copied);
  EXPECT_EQ(memory_stats().allocations, allocations);
}

}  // namespace
}  // namespace etch
