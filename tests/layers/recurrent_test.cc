// Recurrent layers and cells against Keras, their masks, states, dropout and misuse.
#include "etch/layers/recurrent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/function.h"
#include "etch/gradient_tape.h"
#include "etch/layers.h"
#include "tests/frontend/error_of.h"
#include "tests/layers/recurrent_as_keras.h"

namespace etch {
namespace {

using layers::WithState;
using testing::ElementsAre;
using testing::HasSubstr;

const KerasCase& keras(const std::string& name) {
  static const auto cases = read_keras_file(ETCH_SOURCE_DIR "/tests/layers/recurrent_expected.txt");
  return cases.at(name);
}

Tensor mask() { return keras("mask").at("mask") != 0; }

template <class L>
void expect_layer_as_keras(const L& layer, const std::string& name, bool is_masked = false) {
  SCOPED_TRACE(name);
  expect_as_keras(layer, keras(name), [&](const L& l, const Tensor& x, const std::vector<Tensor>& initial) {
    return l.return_state(x, {.mask = is_masked ? mask() : Tensor(), .initial_state = initial});
  });
}

template <class L>
class Recurrent : public testing::Test {};
struct OfSimpleRNN {
  using Layer = layers::SimpleRNN;
  using Cell = layers::SimpleRNNCell;
  static constexpr const char* kName = "simple_rnn";
};
struct OfGRU {
  using Layer = layers::GRU;
  using Cell = layers::GRUCell;
  static constexpr const char* kName = "gru";
};
struct OfLSTM {
  using Layer = layers::LSTM;
  using Cell = layers::LSTMCell;
  static constexpr const char* kName = "lstm";
};
using All = testing::Types<OfSimpleRNN, OfGRU, OfLSTM>;
TYPED_TEST_SUITE(Recurrent, All);

TYPED_TEST(Recurrent, GivesTheLastOutputOfKeras) {
  expect_layer_as_keras(typename TypeParam::Layer{.units = 3}, TypeParam::kName);
}
TYPED_TEST(Recurrent, GivesTheSequencesOfKerasFromAnInitialState) {
  expect_layer_as_keras(typename TypeParam::Layer{.units = 3, .return_sequences = true},
                        std::string(TypeParam::kName) + "_sequences");
}
TYPED_TEST(Recurrent, IsMaskedAsInKeras) {
  expect_layer_as_keras(typename TypeParam::Layer{.units = 3, .return_sequences = true},
                        std::string(TypeParam::kName) + "_masked", true);
}
TYPED_TEST(Recurrent, GoesBackwardsAsInKeras) {
  expect_layer_as_keras(typename TypeParam::Layer{.units = 3, .return_sequences = true, .go_backwards = true},
                        std::string(TypeParam::kName) + "_backwards", true);
}
TYPED_TEST(Recurrent, WithoutBiasIsThatOfKeras) {
  expect_layer_as_keras(typename TypeParam::Layer{.units = 3, .use_bias = false},
                        std::string(TypeParam::kName) + "_no_bias", true);
}
TYPED_TEST(Recurrent, HasTheCellOfKeras) {
  using Cell = typename TypeParam::Cell;
  expect_as_keras(Cell{.units = 3}, keras(std::string(TypeParam::kName) + "_cell"),
                  [](const Cell& cell, const Tensor& x, const std::vector<Tensor>& initial) { return cell(x, initial); });
}

TYPED_TEST(Recurrent, IsItsCellOverTime) {
  const typename TypeParam::Layer layer{.units = 3, .return_sequences = true};
  const Tensor x = sin(reshape(range(24, DType::f32), {2, 4, 3}));
  const WithState all = layer.return_state(x);
  const auto cell = layer.cell();
  std::vector<Tensor> states;
  for (int64_t t = 0; t < 4; ++t) {
    const WithState now = cell(x(Slice(), t), states);
    expect_near(now.output, all.output(Slice(), t), 1e-6);
    states = now.states;
  }
  for (size_t i = 0; i < states.size(); ++i) expect_near(states[i], all.states[i], 1e-6);
}

TYPED_TEST(Recurrent, HasVariablesOfTheDtypeOfItsInput) {
  const typename TypeParam::Layer layer{.units = 3};
  EXPECT_EQ(layer(ones({2, 4, 3}, DType::f64)).dtype(), DType::f64);
  EXPECT_EQ(layer.recurrent_kernel.dtype(), DType::f64);
}

TYPED_TEST(Recurrent, HasItsGradientsThroughACallOfATracedFunction) {
  const typename TypeParam::Layer layer{.units = 3};
  const Tensor x = sin(reshape(range(24, DType::f32), {2, 4, 3}));
  const auto gradients = [&](const auto& f) {
    GradientTape tape;
    tape.watch(x);
    const Tensor loss = sum(square(f(x)));
    return tape.gradient(loss, std::pair(x, trainable_variables(layer)));
  };
  (void)layer(x);
  const auto [d_x, d_weights] = gradients([&](const Tensor& x) { return layer(x); });
  const auto [d_x_called, d_weights_called] = gradients(function([&](Tensor x) { return layer(x); }));
  expect_near(d_x_called, d_x, 1e-6);
  for (size_t i = 0; i < d_weights.size(); ++i) expect_near(d_weights_called[i], d_weights[i], 1e-6);
}

TYPED_TEST(Recurrent, HasSecondDerivatives) {
  const typename TypeParam::Layer layer{.units = 2};
  const auto loss = [&](Tensor x) { return sum(square(layer(x))); };
  const Tensor x = sin(reshape(range(12, DType::f64), {2, 3, 2}));
  (void)layer(x);
  EXPECT_LT(check_gradients(grad(loss), x), 1e-5);
}

TYPED_TEST(Recurrent, TakesRegularisersAndConstraints) {
  const typename TypeParam::Layer layer{.units = 2,
                                        .recurrent_regularizer = regularizers::l2(1),
                                        .kernel_constraint = constraints::non_neg()};
  (void)layer(ones({2, 4, 3}));
  EXPECT_NEAR(regularization_loss(layer).template item<float>(), sum(square(layer.recurrent_kernel)).template item<float>(),
              1e-6);
}

TYPED_TEST(Recurrent, DropsTheSameOfEachTimeWhileTraining) {
  const typename TypeParam::Layer layer{.units = 4, .dropout = 0.5, .recurrent_dropout = 0.5};
  const Tensor x = ones({8, 3, 16});
  const Tensor inference = layer(x);
  EXPECT_TRUE(array_equal(layer(x), inference).template item<bool>());
  EXPECT_FALSE(array_equal(layer(x, true), inference).template item<bool>());
  const typename TypeParam::Layer without_input{.units = 4, .dropout = 1};
  const Tensor a = without_input(x, true), b = without_input(x * 2, true);
  EXPECT_TRUE(array_equal(a, b).template item<bool>());
}

TEST(GRU, ResetBeforeTheProductIsThatOfKeras) {
  expect_layer_as_keras(layers::GRU{.units = 3, .reset_after = false}, "gru_reset_before");
}

TEST(LSTM, WithOtherActivationsIsThatOfKeras) {
  expect_layer_as_keras(
      layers::LSTM{.units = 3, .activation = activations::relu, .recurrent_activation = activations::hard_sigmoid},
      "lstm_activations");
}

TEST(LSTM, StartsWithAForgetBiasOfOne) {
  const layers::LSTM lstm{.units = 2};
  (void)lstm(ones({1, 1, 1}));
  EXPECT_EQ(lstm.bias.value().to_vector<float>(), keras("lstm_bias").at("bias").to_vector<float>());
}

TEST(LSTM, StandsInASequential) {
  const layers::Sequential model{layers::LSTM{.units = 4, .return_sequences = true}, layers::GRU{.units = 3},
                                 layers::Dense{2}};
  EXPECT_EQ(model(ones({2, 5, 3})).shape(), Shape({2, 2}));
}

/// The unrolled loop is many equal kernels, five a time: each is compiled once.
TEST(LSTM, OfMoreTimesCompilesNoMoreKernels) {
  const layers::LSTM lstm{.units = 8};
  auto step = function([&](Tensor x) {
    GradientTape tape;
    const Tensor loss = mean(square(lstm(x)));
    return tape.gradient(loss, trainable_variables(lstm));
  });
  const auto of_times = [&](int64_t times) { return step.concrete(ones({4, times, 5})); };
  (void)of_times(8), (void)of_times(16);  // what stands at the ends, short sums and long ones
  const auto twenty = of_times(20), forty = of_times(40);
  EXPECT_EQ(twenty.num_kernels_compiled(), 0);
  EXPECT_EQ(forty.num_kernels_compiled(), 0);
  EXPECT_EQ(forty.num_kernels(), twenty.num_kernels() + 20 * 5);
}

TEST(Recurrent, MisuseIsAnErrorThatNamesTheLayer) {
  const auto says = [](auto f, const char* text) {
    const std::string error = error_of(f);
    EXPECT_THAT(error, HasSubstr(text));
    EXPECT_THAT(error, HasSubstr("recurrent_test.cc:"));
  };
  const layers::LSTM lstm{3};
  says([&] { (void)lstm(ones({2, 4})); }, "lstm: needs 3 axes or more, not f32[2,4]");
  says([&] { (void)lstm(ones({2, 4, 3, 2})); }, "lstm: the input is f32[2,4,3,2]; it has 3 axes, [batch, time, n]");
  says([&] { (void)lstm(ones({2, 0, 3})); }, "lstm: the input is f32[2,0,3], of no time");
  says([&] { (void)lstm(ones({2, 4, 3}), {.mask = ones({2, 4})}); }, "lstm: the mask is f32[2,4], but it must be bool[2,4]");
  says([&] { (void)lstm(ones({2, 4, 3}), {.initial_state = {zeros({2, 3})}}); }, "lstm: 1 states are given, but it has 2");
  says([&] { (void)lstm(ones({2, 4, 3}), {.initial_state = {zeros({2, 3}), zeros({3, 3})}}); },
       "lstm: a state is f32[3,3], but it must be f32[2,3]");
  says([] { (void)layers::GRU{}(ones({2, 4, 3})); }, "gru: units is 0, but a layer has 1 or more");
  says([] { (void)layers::GRU{.units = 2, .dropout = 2}(ones({2, 4, 3})); }, "gru: dropout is 2.0, but it may be 0 to 1");
  (void)lstm(ones({2, 4, 3}));
  says([&] { (void)lstm(ones({2, 4, 5})); }, "lstm: kernel is f32[3,12], made for the first input of the layer");
}

}  // namespace
}  // namespace etch
