// Layers against Keras, and what building, freezing, sharing and cloning do.
#include "etch/layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "etch/function.h"
#include "etch/gradient_tape.h"
#include "etch/options.h"
#include "tests/frontend/error_of.h"
#include "tests/layers/as_keras.h"

namespace etch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const KerasCase& keras(const std::string& name) {
  static const auto cases = read_keras_file(ETCH_SOURCE_DIR "/tests/layers/expected.txt");
  return cases.at(name);
}

// ---- Values of Keras -----------------------------------------------------------------------------------------------

template <class L>
void expect_as_keras(const L& layer, const std::string& name, bool training = false) {
  expect_as_keras(layer, keras(name), training);
}

TEST(Keras, Dense) { expect_as_keras(layers::Dense{5, activations::relu}, "dense"); }
TEST(Keras, DenseWithoutBiasOnThreeAxes) { expect_as_keras(layers::Dense{.units = 5, .use_bias = false}, "dense_3d_no_bias"); }
TEST(Keras, LayerNormalization) { expect_as_keras(layers::LayerNormalization(), "layer_normalization"); }
TEST(Keras, LayerNormalizationOfTwoAxes) {
  expect_as_keras(layers::LayerNormalization{.axes = {1, 2}}, "layer_normalization_axes");
}
TEST(Keras, LayerNormalizationWithoutParameters) {
  expect_as_keras(layers::LayerNormalization{.epsilon = 0.1, .center = false, .scale = false}, "layer_normalization_plain");
}
TEST(Keras, BatchNormalizationWhileTraining) {
  expect_as_keras(layers::BatchNormalization(), "batch_normalization_training", true);
}
TEST(Keras, BatchNormalizationForInference) {
  expect_as_keras(layers::BatchNormalization(), "batch_normalization_inference", false);
}
TEST(Keras, BatchNormalizationOverAnotherAxis) {
  expect_as_keras(layers::BatchNormalization{.axis = 1, .momentum = 0.5}, "batch_normalization_axis", true);
}
TEST(Keras, BatchNormalizationFrozenWhileTraining) {
  layers::BatchNormalization layer;
  set_trainable(layer, false);
  expect_as_keras(layer, "batch_normalization_frozen", true);
}

TEST(Keras, Activations) {
  const std::pair<const char*, Activation> all[] = {
      {"relu", activations::relu},           {"relu6", activations::relu6},
      {"leaky_relu", activations::leaky_relu}, {"elu", activations::elu},
      {"selu", activations::selu},           {"gelu", activations::gelu},
      {"silu", activations::silu},           {"sigmoid", activations::sigmoid},
      {"hard_sigmoid", activations::hard_sigmoid}, {"tanh", activations::tanh},
      {"softplus", activations::softplus},   {"softsign", activations::softsign},
      {"exponential", activations::exponential}, {"softmax", activations::softmax},
      {"log_softmax", activations::log_softmax}};
  for (const auto& [name, activation] : all) {
    SCOPED_TRACE(name);
    const KerasCase& expected = keras(std::string("activation_") + name);
    expect_near(activation(expected.at("x")), expected.at("y"), 1e-6);
  }
}

TEST(Keras, InitializersSpreadAlike) {
  const std::pair<const char*, Initializer> all[] = {
      {"normal", initializers::normal(0, 0.05, 5)},
      {"truncated_normal", initializers::truncated_normal(0, 0.05, 5)},
      {"uniform", initializers::uniform(-0.05, 0.05, 5)},
      {"glorot_uniform", initializers::glorot_uniform(5)},
      {"glorot_normal", initializers::glorot_normal(5)},
      {"he_uniform", initializers::he_uniform(5)},
      {"he_normal", initializers::he_normal(5)},
      {"lecun_uniform", initializers::lecun_uniform(5)},
      {"lecun_normal", initializers::lecun_normal(5)}};
  const std::pair<const char*, Shape> shapes[] = {{"300x500", {300, 500}}, {"3x3x64x256", {3, 3, 64, 256}}, {"200000", 200000}};
  for (const auto& [name, initializer] : all) {
    for (const auto& [text, shape] : shapes) {
      SCOPED_TRACE(std::string(name) + " " + text);
      const KerasCase& expected = keras(std::string("initializer_") + name + "_" + text);
      const Tensor values = initializer(shape, DType::f32);
      const auto expected_stddev = expected.at("stddev").item<float>();
      EXPECT_NEAR(stddev(values).item<float>(), expected_stddev, 0.01 * expected_stddev);
      EXPECT_NEAR(mean(values).item<float>(), 0, 0.02 * expected_stddev);
      const auto largest = expected.at("largest").item<float>();
      if (std::string_view(name) != "normal") {
        EXPECT_NEAR(max(abs(values)).item<float>(), largest, 0.002 * largest);
      }
    }
  }
}

TEST(Initializers, OrthogonalGivesOrthonormalVectors) {
  const auto initializer = initializers::orthogonal(2, 5);
  const Tensor tall = initializer({30, 20}, DType::f32), wide = initializer({4, 5, 30}, DType::f32);
  expect_near(matmul(tall, tall, {.transpose_a = true}), eye(20) * 4, 1e-5);
  const Tensor rows = reshape(wide, {20, 30});
  expect_near(matmul(rows, rows, {.transpose_b = true}), eye(20) * 4, 1e-5);
}

TEST(Initializers, WithASeedGiveTheSameNumbers) {
  const auto initializer = initializers::he_normal(5);
  EXPECT_TRUE(array_equal(initializer({3, 4}, DType::f32), initializer({3, 4}, DType::f32)).item<bool>());
}

TEST(Initializers, WithoutASeedFollowSetSeed) {
  const auto draw = [] {
    random::set_seed(8);
    const auto initializer = initializers::glorot_uniform();
    return std::pair(initializer({2, 2}, DType::f32).to_vector<float>(), initializer({2, 2}, DType::f32).to_vector<float>());
  };
  const auto [first, second] = draw();
  EXPECT_EQ(draw(), std::pair(first, second));
  EXPECT_NE(first, second);
}

// ---- Building ------------------------------------------------------------------------------------------------------

struct Mlp {
  layers::Dense hidden{8, activations::relu};
  layers::Dropout drop{0.1f};
  layers::Dense logits{3};
  Tensor operator()(Tensor x, bool training) { return logits(drop(hidden(x), training)); }
};

std::vector<std::string> names(const auto& module) {
  std::vector<std::string> names;
  for (const NamedVariable& variable : named_variables(module)) names.push_back(variable.name);
  return names;
}

TEST(Building, HappensAtTheFirstCall) {
  Mlp model;
  EXPECT_TRUE(variables(model).empty());
  (void)model(ones({2, 4}), false);
  EXPECT_THAT(names(model), ElementsAre("hidden.kernel", "hidden.bias", "logits.kernel", "logits.bias"));
  EXPECT_EQ(model.hidden.kernel.shape(), Shape({4, 8}));
}

TEST(Building, InATraceHappensOnce) {
  Mlp model;
  auto f = function([&](Tensor x) { return model(x, true); });
  (void)f(ones({2, 4}));
  const Tensor kernel = model.hidden.kernel;
  (void)f(ones({2, 4}));
  EXPECT_TRUE(array_equal(model.hidden.kernel, kernel).item<bool>());
  EXPECT_EQ(f.stats().traces, 1);
  EXPECT_THAT(names(model), ElementsAre("hidden.kernel", "hidden.bias", "drop.generator.state", "logits.kernel",
                                        "logits.bias"));
}

TEST(Building, ByAMemberFunctionKeepsItsSignature) {
  struct Model {
    layers::Dense dense{3};
    Tensor call(Tensor x) { return dense(x); }
  };
  Model model;
  auto f = function(&Model::call, &model);
  (void)f(ones({2, 4}));
  (void)f(ones({2, 4}));
  EXPECT_EQ(f.stats().traces, 1);
  EXPECT_EQ(f.stats().hits, 1);
}

TEST(Building, ACopyOfALayerSharesItsVariablesBuiltOrNot) {
  const layers::Dense layer{3};
  const layers::Dense copy = layer;
  (void)layer(ones({2, 4}));
  EXPECT_TRUE(copy.kernel.built());
  copy.kernel.assign(zeros({4, 3}));
  EXPECT_EQ(sum(layer.kernel).item<float>(), 0);
}

TEST(Building, ACloneOfALayerIsBuiltByItself) {
  const layers::Dense layer{3};
  const layers::Dense copy = clone(layer);
  (void)layer(ones({2, 4}));
  EXPECT_FALSE(copy.kernel.built());
}

TEST(Building, ASeededModelRepeatsToTheBit) {
  const auto outputs = [] {
    random::set_seed(4);
    Mlp model;
    auto f = function([&](Tensor x) { return model(x, true); });
    std::vector<float> all;
    for (int i = 0; i < 3; ++i) {
      for (float y : f(ones({2, 4})).to_vector<float>()) all.push_back(y);
    }
    return all;
  };
  EXPECT_EQ(outputs(), outputs());
}

TEST(Building, EagerAndTracedDrawTheSameMasks) {
  const auto masks = [](bool eager) {
    const ScopedFlags flags(eager ? "eager" : "");
    const layers::Dropout drop{0.5, Generator(3)};
    auto f = function([&](Tensor x) { return drop(x, true); });
    return std::pair(f(ones(64)).to_vector<float>(), f(ones(64)).to_vector<float>());
  };
  EXPECT_EQ(masks(true), masks(false));
}

TEST(Building, FreezingRetracesAStepWithBatchNormalization) {
  const layers::BatchNormalization layer;
  auto f = function([&](Tensor x) { return layer(x, true); });
  const Tensor x({{1.f, 2.f}, {3.f, 6.f}});
  (void)f(x);
  const auto moving = layer.moving_mean.value().to_vector<float>();
  set_trainable(layer, false);
  (void)f(x);
  EXPECT_EQ(layer.moving_mean.value().to_vector<float>(), moving);
  EXPECT_EQ(f.stats().traces, 2);
}

// ---- Dropout -------------------------------------------------------------------------------------------------------

TEST(Dropout, DropsItsShareAndScalesTheRest) {
  const layers::Dropout drop{0.25, Generator(3)};
  const Tensor y = drop(ones(100000), true);
  EXPECT_NEAR(mean(cast(y == 0.f, DType::f32)).item<float>(), 0.25, 0.01);
  EXPECT_EQ(max(y).item<float>(), 1 / 0.75f);
}

TEST(Dropout, IsTheIdentityForInference) {
  const layers::Dropout drop{0.5};
  EXPECT_EQ(drop(ones(9)).to_vector<float>(), std::vector<float>(9, 1));
}

TEST(Dropout, OfRateOneDropsAll) {
  const layers::Dropout drop{1};
  EXPECT_EQ(drop(ones(9), true).to_vector<float>(), std::vector<float>(9, 0));
}

// ---- Shapes and lists ----------------------------------------------------------------------------------------------

TEST(Layers, FlattenKeepsTheFirstAxis) {
  EXPECT_EQ(layers::Flatten()(ones({2, 3, 4})).shape(), Shape({2, 12}));
  EXPECT_EQ(layers::Flatten()(ones({2})).shape(), Shape({2, 1}));
  EXPECT_EQ(layers::Flatten()(ones({0, 3, 4})).shape(), Shape({0, 12}));
}

TEST(Layers, ReshapeKeepsTheFirstAxis) {
  EXPECT_EQ((layers::Reshape{{4, -1}}(ones({2, 3, 4})).shape()), Shape({2, 4, 3}));
}

TEST(Layers, AddMultiplyAndConcatenate) {
  const Tensor a({{1.f, 2.f}}), b({{3.f, 5.f}});
  EXPECT_THAT(layers::Add()({a, b, b}).to_vector<float>(), ElementsAre(7, 12));
  EXPECT_THAT(layers::Multiply()({a, b}).to_vector<float>(), ElementsAre(3, 10));
  EXPECT_THAT(layers::Concatenate()({a, b}).to_vector<float>(), ElementsAre(1, 2, 3, 5));
}

TEST(Layers, ActivationIsAFunctionAsALayer) {
  EXPECT_THAT(layers::Activation{activations::relu}(Tensor({-1.f, 2.f})).to_vector<float>(), ElementsAre(0, 2));
}

// ---- Sequential ----------------------------------------------------------------------------------------------------

TEST(Sequential, CallsItsLayersInOrder) {
  const layers::Sequential model{layers::Flatten(), layers::Dense{.units = 3, .kernel_initializer = initializers::ones()},
                                 layers::Activation{[](const Tensor& x) { return x * 2; }}};
  EXPECT_THAT(model(ones({1, 2, 2})).to_vector<float>(), ElementsAre(8, 8, 8));
}

TEST(Sequential, HandsTrainingOnWhereItIsTaken) {
  const layers::Sequential model{layers::Dropout{1}, layers::Sequential{layers::Dropout{1}}};
  EXPECT_EQ(sum(model(ones(4), true)).item<float>(), 0);
  EXPECT_EQ(sum(model(ones(4))).item<float>(), 4);
}

TEST(Sequential, NamesVariablesByNumbers) {
  struct Model {
    layers::Sequential body{layers::Dense{3}, layers::Sequential{layers::Dense{2}}};
    Tensor operator()(const Tensor& x) { return body(x); }
  };
  Model model;
  (void)model(ones({1, 4}));
  EXPECT_THAT(names(model), ElementsAre("body[0].kernel", "body[0].bias", "body[1][0].kernel", "body[1][0].bias"));
}

TEST(Sequential, IsIndexedAndSliced) {
  const layers::Sequential model{layers::Dense{3}, layers::Dropout{0.1}, layers::Dense{2}};
  EXPECT_EQ(model[0].get<layers::Dense>()->units, 3);
  EXPECT_EQ(model[-1].get<layers::Dense>()->units, 2);
  EXPECT_EQ(model[1].get<layers::Dense>(), nullptr);
  const layers::Sequential head = model.slice(1);
  EXPECT_EQ(head.size(), 2);
  EXPECT_EQ(head[1].get<layers::Dense>(), model[2].get<layers::Dense>());
  EXPECT_EQ(model.slice(0, -1).size(), 2);
}

TEST(Sequential, IsClonedWithWhatItHolds) {
  const layers::Sequential model{layers::Dense{3}};
  (void)model(ones({1, 2}));
  const layers::Sequential copy = clone(model);
  model[0].get<layers::Dense>()->kernel.assign(zeros({2, 3}));
  EXPECT_NE(sum(abs(copy[0].get<layers::Dense>()->kernel)).item<float>(), 0);
}

TEST(Sequential, TakesModulesOfUsers) {
  struct Twice {
    Tensor operator()(Tensor x) { return x * 2; }
  };
  const layers::Sequential model{Twice(), Mlp()};
  EXPECT_EQ(model(ones({2, 4})).shape(), Shape({2, 3}));
}

TEST(Sequential, SummaryOfAModel) {
  Mlp model;
  (void)model(ones({2, 4}), true);
  EXPECT_EQ(summarize(model), R"(Mlp
module          type       variables                     parameters
hidden          Dense      kernel f32[4,8], bias f32[8]          40
drop            Dropout                                           0
drop.generator  Generator                                         0
logits          Dense      kernel f32[8,3], bias f32[3]          27
total 67, trainable 67, not trainable 0
)");
}

// ---- Misuse --------------------------------------------------------------------------------------------------------

TEST(Layers, MisuseIsAnErrorThatNamesTheLayer) {
  const auto says = [](auto f, const char* text) {
    const std::string error = error_of(f);
    EXPECT_THAT(error, HasSubstr(text));
    EXPECT_THAT(error, HasSubstr("layers_test.cc:"));
  };
  const layers::Dense dense{3};
  (void)dense(ones({2, 4}));
  says([&] { (void)dense(ones({2, 5})); },
       "dense: kernel is f32[4,3], made for the first input of the layer, but f32[2,5] needs f32[5,3]");
  says([&] { (void)dense(ones({2, 4}, DType::f64)); }, "but f64[2,4] needs f64[4,3]");
  says([&] { (void)dense(ones({2, 4}, DType::i32)); }, "dense: takes f16, bf16, f32 or f64, not i32[2,4]; cast first");
  says([&] { (void)layers::Dense{}(ones({2, 4})); }, "dense: units is 0, but a layer has 1 or more");
  says([&] { (void)layers::Dropout{1.5}(ones(2)); }, "dropout: rate is 1.5, but it may be 0 to 1");
  says([&] { (void)layers::BatchNormalization{.axis = 2}(ones({2, 4})); },
       "batch_normalization: axis 2 is out of range for f32[2,4]");
  says([&] { (void)layers::Add()({}); }, "add: there is no tensor");
}

}  // namespace
}  // namespace etch
