// What explain tells of the values that a backward pass keeps: compared with kept.txt, which ETCH_UPDATE_GOLDENS=1 rewrites.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "etch/layers.h"
#include "etch/nn.h"
#include "etch/optimizers.h"
#include "tests/training/training.h"

namespace etch {
namespace {

struct Perceptron {
  layers::Dense hidden{64, activations::gelu};
  layers::Dense logits{10};
  Tensor operator()(const Tensor& x) const { return logits(hidden(x)); }
};

Tensor samples() { return sin(reshape(range(32 * 20, DType::f32), {32, 20})); }
Tensor labels() { return range(32) % 10; }

/// A section of kept.txt: the lines behind `== name`.
void expect_golden(const std::string& name, const std::string& text) {
  const std::string path = ETCH_SOURCE_DIR "/tests/training/kept.txt";
  std::ifstream file(path);
  std::ostringstream whole;
  whole << file.rdbuf();
  const std::string before = whole.str(), head = "== " + name + "\n";
  const size_t begin = before.find(head);
  const size_t end = begin == std::string::npos ? begin : before.find("== ", begin + 1);
  if (std::getenv("ETCH_UPDATE_GOLDENS") != nullptr) {
    const std::string rest = end == std::string::npos ? "" : before.substr(end);
    std::ofstream(path) << before.substr(0, begin) << head << text << rest;
    return;
  }
  ASSERT_NE(begin, std::string::npos) << name << " is missing in kept.txt";
  EXPECT_EQ(text, before.substr(begin + head.size(), end == std::string::npos ? end : end - begin - head.size()));
}

TEST(Kept, ByTheStepOfAPerceptron) {
  Perceptron model;
  const optimizers::SGD sgd(0.1);
  const auto step = classifier_step(model, sgd);
  const std::string text = step.concrete(samples(), labels()).text("kept");
  expect_golden("step of a perceptron", text);
  EXPECT_THAT(step.explain(samples(), labels()), testing::HasSubstr("Kept for the backward pass\n  keeps "));
}

TEST(Kept, ByTheForwardFunctionOfATape) {
  const Perceptron model;
  const auto predict = function([&](Tensor x) { return model(x); });
  GradientTape tape;
  const Tensor loss = sum(predict(samples()));
  (void)tape.gradient(loss, trainable_variables(model));
  expect_golden("forward function of a perceptron", predict.concrete(samples()).text("kept"));
}

TEST(Kept, IsNothingWhereNoGradientIsAskedFor) {
  const auto f = function([](Tensor x) { return tanh(x); });
  EXPECT_EQ(f.concrete(samples()).text("kept"), "nothing: no gradient was asked for\n");
  EXPECT_THAT(f.explain(samples()), testing::Not(testing::HasSubstr("Kept for")));
}

TEST(Kept, IsNothingWhereOnlyTheBackwardFunctionOfAnOpAsksForGradients) {
  const auto f = function([](Tensor x, Tensor kernel) { return conv2d(x, kernel); });
  const Tensor x = zeros({1, 8, 8, 2}), kernel = zeros({3, 3, 2, 4});
  EXPECT_EQ(f.concrete(x, kernel).text("kept"), "nothing: no gradient was asked for\n");
}

/// What is cheap to compute again is not kept, whatever the loss is.
TEST(Kept, LeavesOutWhatIsComputedAgain) {
  const auto f = function([](Tensor x, Tensor w) {
    GradientTape tape;
    tape.watch(w);
    const Tensor loss = sum(square(relu(x + 1) * w));
    return tape.gradient(loss, w);
  });
  expect_golden("cheap values", f.concrete(samples(), ones(20)).text("kept"));
}

}  // namespace
}  // namespace etch
