// Regularisers and constraints against Keras, and how layers, losses and optimizers take them up.
#include "etch/regularizers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/constraints.h"
#include "etch/function.h"
#include "etch/gradient_tape.h"
#include "etch/layers.h"
#include "etch/optimizers.h"
#include "tests/frontend/error_of.h"
#include "tests/keras_file.h"

namespace etch {
namespace {

using testing::HasSubstr;

const KerasCase& keras(const std::string& name) {
  static const auto cases = read_keras_file(ETCH_SOURCE_DIR "/tests/training/expected.txt");
  return cases.at(name);
}

TEST(Regularizers, AreThoseOfKeras) {
  const std::pair<const char*, Regularizer> all[] = {
      {"l1", regularizers::l1()}, {"l2", regularizers::l2(0.1)}, {"l1_l2", regularizers::l1_l2(0.02, 0.03)}};
  for (const auto& [name, regularizer] : all) {
    SCOPED_TRACE(name);
    const KerasCase& expected = keras(std::string("regularizer_") + name);
    expect_near(regularizer(expected.at("w")), expected.at("loss"), 1e-6);
  }
}

TEST(Constraints, AreThoseOfKeras) {
  const std::pair<const char*, Constraint> all[] = {{"max_norm", constraints::max_norm(1.5)},
                                                    {"non_neg", constraints::non_neg()},
                                                    {"unit_norm", constraints::unit_norm(1)},
                                                    {"min_max_norm", constraints::min_max_norm(1.6, 1.9, 0.7)},
                                                    {"of_three_axes", constraints::max_norm(1, {0, 1, 2})}};
  for (const auto& [name, constraint] : all) {
    SCOPED_TRACE(name);
    const KerasCase& expected = keras(std::string("constraint_") + name);
    expect_near(constraint(expected.at("w")), expected.at("result"), 1e-6);
  }
}

struct Model {
  layers::Dense first{.units = 2,
                      .kernel_initializer = initializers::ones(),
                      .bias_initializer = initializers::constant(3),
                      .kernel_regularizer = regularizers::l2(1),
                      .bias_regularizer = regularizers::l1(1)};
  layers::Dense second{.units = 1, .kernel_initializer = initializers::constant(-2), .kernel_regularizer = regularizers::l1(1)};
  Tensor operator()(const Tensor& x) const { return second(first(x)); }
};

TEST(RegularizationLoss, SumsOverAModule) {
  const Model model;
  (void)model(ones({1, 3}));
  EXPECT_EQ(regularization_loss(model).item<float>(), 6 + 6 + 4);
  EXPECT_EQ(regularization_loss(clone(model)).item<float>(), 6 + 6 + 4);
}

TEST(RegularizationLoss, LeavesOutWhatIsFrozen) {
  const Model model;
  (void)model(ones({1, 3}));
  set_trainable(model.first, false);
  EXPECT_EQ(regularization_loss(model).item<float>(), 4);
}

TEST(RegularizationLoss, CountsNormalisationsAndRecurrentLayers) {
  const layers::Sequential model{
      layers::LSTM{.units = 2,
                   .use_bias = false,
                   .recurrent_initializer = initializers::constant(2),
                   .recurrent_regularizer = regularizers::l2(1)},
      layers::LayerNormalization{.gamma_regularizer = regularizers::l1(1)},
      layers::BatchNormalization{.beta_initializer = initializers::constant(3), .beta_regularizer = regularizers::l1(1)}};
  (void)model(ones({1, 2, 3}));
  EXPECT_EQ(regularization_loss(model).item<float>(), 4 * 2 * 8 + 2 + 3 * 2);
}

TEST(RegularizationLoss, OfNothingIsZero) { EXPECT_EQ(regularization_loss(layers::Dense{3}).item<float>(), 0); }

TEST(RegularizationLoss, HasAGradient) {
  const Model model;
  (void)model(ones({1, 3}));
  GradientTape tape;
  const Tensor loss = regularization_loss(model);
  EXPECT_EQ(tape.gradient(loss, model.first.kernel).to_vector<float>(), std::vector<float>(6, 2));
}

TEST(Constraints, OfALayerHoldAfterEachUpdate) {
  const layers::Dense layer{.units = 1, .kernel_initializer = initializers::ones(), .kernel_constraint = constraints::non_neg()};
  const optimizers::SGD sgd(1);
  auto step = function([&](Tensor x) {
    GradientTape tape;
    const Tensor y = sum(layer(x));
    const auto variables = trainable_variables(layer);
    sgd.apply_gradients(tape.gradient(y, variables), variables);
  });
  step(Tensor({{0.25f, 4.f}}));
  EXPECT_EQ(layer.kernel.value().to_vector<float>(), (std::vector<float>{0.75, 0}));
  EXPECT_EQ(layer.bias.value().item<float>(), -1);
}

TEST(Regularizers, AFactorBelowZeroIsAnError) {
  const std::string error = error_of([] { (void)regularizers::l2(-1); });
  EXPECT_THAT(error, HasSubstr("a factor is -1.0; it is finite and not below 0"));
  EXPECT_THAT(error, HasSubstr("regularizers_test.cc:"));
}

}  // namespace
}  // namespace etch
