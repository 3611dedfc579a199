// A trunk with two heads, of which one is trained: nothing of the trunk's gradients is left in the compiled step.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "etch/etch.h"
#include "etch/layers.h"
#include "etch/model.h"

namespace etch {
namespace {

using testing::HasSubstr;

struct Trunk {
  layers::Dense first{7, activations::tanh}, second{5, activations::tanh};
  Tensor operator()(const Tensor& x) const { return second(first(x)); }
};

struct Net {
  Trunk trunk;
  layers::Dense first{3}, second{2};

  std::pair<Tensor, Tensor> operator()(const Tensor& x) const {
    const Tensor features = trunk(x);
    return {first(features), second(features)};
  }
};

Tensor samples() { return sin(reshape(range(24 * 11, DType::f32), {24, 11})); }
Tensor first_labels() { return range(24) % 3; }
Tensor second_labels() { return range(24) % 2; }

Tensor loss_of(const Tensor& y, const Tensor& logits) {
  return losses::sparse_categorical_crossentropy(y, logits, {.from_logits = true});
}

/// How many nodes of a graph have the shape of a gradient of the trunk's weights: [11,7], [7], [7,5] and [5].
int count_trunk_gradients(const std::string& graph) {
  int count = 0;
  std::istringstream lines(graph);
  for (std::string line; std::getline(lines, line);) {
    for (const char* type : {" : f32[11,7]", " : f32[7]", " : f32[7,5]", " : f32[5]"}) {
      count += line.find(" = ") != std::string::npos && line.find(type) != std::string::npos;
    }
  }
  return count;
}

/// The step that trains both heads, and the trunk with an optimizer of its own; and that of the second head alone.
struct Steps {
  Net net;
  optimizers::SGD slow{0.01, {.momentum = 0.9}};
  optimizers::Adam fast{0.05};

  void both(const Tensor& x, const Tensor& y_first, const Tensor& y_second) const {
    GradientTape tape;
    const auto [first, second] = net(x);
    const Tensor loss = loss_of(y_first, first) + loss_of(y_second, second);
    const auto of_trunk = trainable_variables(net.trunk), of_heads = trainable_variables(std::pair(net.first, net.second));
    const auto [d_trunk, d_heads] = tape.gradient(loss, std::pair(of_trunk, of_heads));
    slow.apply_gradients(d_trunk, of_trunk);
    fast.apply_gradients(d_heads, of_heads);
  }
  Tensor second(const Tensor& x, const Tensor& y) const {
    GradientTape tape;
    const Tensor loss = loss_of(y, net(x).second);
    const auto of_head = trainable_variables(net.second);
    fast.apply_gradients(tape.gradient(loss, of_head), of_head);
    return loss;
  }
};

TEST(Transfer, TheTrunkStaysAsItIsToTheBit) {
  const Steps steps;
  auto both = function([&](Tensor x, Tensor y, Tensor z) { steps.both(x, y, z); });
  auto second = function([&](Tensor x, Tensor y) { return steps.second(x, y); });
  for (int i = 0; i < 3; ++i) both(samples(), first_labels(), second_labels());
  const std::vector<Tensor> trunk = get_weights(steps.net.trunk), head = get_weights(steps.net.first);
  const float before = second(samples(), second_labels()).item<float>();
  for (int i = 0; i < 20; ++i) (void)second(samples(), second_labels());
  EXPECT_LT(second(samples(), second_labels()).item<float>(), before);
  const std::vector<Tensor> trunk_after = get_weights(steps.net.trunk), head_after = get_weights(steps.net.first);
  for (size_t i = 0; i < trunk.size(); ++i) EXPECT_TRUE(array_equal(trunk[i], trunk_after[i]).item<bool>()) << i;
  for (size_t i = 0; i < head.size(); ++i) EXPECT_TRUE(array_equal(head[i], head_after[i]).item<bool>()) << i;
}

TEST(Transfer, TheStepOfOneHeadHoldsNoGradientOfTheTrunk) {
  const Steps steps;
  auto both = function([&](Tensor x, Tensor y, Tensor z) { steps.both(x, y, z); });
  auto second = function([&](Tensor x, Tensor y) { return steps.second(x, y); });
  EXPECT_GE(count_trunk_gradients(both.concrete(samples(), first_labels(), second_labels()).text("graph")), 4);
  EXPECT_EQ(count_trunk_gradients(second.concrete(samples(), second_labels()).text("graph")), 0);
  EXPECT_EQ(count_trunk_gradients(second.concrete(samples(), second_labels()).text("trace")), 0);
}

TEST(Transfer, TheOtherPathIsPrunedAndExplainSaysSo) {
  const Steps steps;
  auto second = function([&](Tensor x, Tensor y) { return steps.second(x, y); });
  const auto concrete = second.concrete(samples(), second_labels());
  EXPECT_THAT(concrete.text("trace"), HasSubstr("f32[24,3]"));
  EXPECT_THAT(concrete.text("graph"), testing::Not(HasSubstr("f32[24,3]")));
  EXPECT_THAT(second.explain(samples(), second_labels()), testing::ContainsRegex("pruned 2 nodes: %[0-9]+ dot .*, %[0-9]+ add "));
}

TEST(Transfer, OptimizersOverPartsOfOneModelKeepTheirState) {
  const Steps steps;
  steps.both(samples(), first_labels(), second_labels());
  EXPECT_EQ(variables(steps.slow).size(), 2 + 4);      // iterations, learning rate, a momentum for each of the trunk
  EXPECT_EQ(variables(steps.fast).size(), 2 + 2 * 4);  // two for each of the heads
}

/// The same by two models over one trunk.
TEST(Transfer, TwoModelsShareATrunk) {
  const Net net;
  (void)net(samples());
  Model first([net](const Tensor& x) { return net(x).first; }, std::pair(net.trunk, net.first));
  Model second([net](const Tensor& x) { return net(x).second; }, net.second);
  first.compile(optimizers::Adam(0.05), {losses::sparse_categorical_crossentropy, {.from_logits = true}});
  second.compile(optimizers::Adam(0.05), {losses::sparse_categorical_crossentropy, {.from_logits = true}});
  first.fit(samples(), first_labels(), {.verbose = Verbose::silent});
  const std::vector<Tensor> trunk = get_weights(net.trunk);
  second.fit(samples(), second_labels(), {.verbose = Verbose::silent});
  const std::vector<Tensor> after = get_weights(net.trunk);
  for (size_t i = 0; i < trunk.size(); ++i) EXPECT_TRUE(array_equal(trunk[i], after[i]).item<bool>()) << i;
  EXPECT_EQ(count_trunk_gradients(second.train_function().concrete(samples(), second_labels(), {}).text("graph")), 0);
}

}  // namespace
}  // namespace etch
