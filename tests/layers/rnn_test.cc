// Layers over any cell, in both directions and behind masks, against Keras.
#include "etch/layers/rnn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/layers.h"
#include "tests/frontend/error_of.h"
#include "tests/layers/recurrent_as_keras.h"

namespace etch {
namespace {

using layers::Bidirectional;
using layers::Merge;
using layers::RNN;
using testing::HasSubstr;

const KerasCase& keras(const std::string& name) {
  static const auto cases = read_keras_file(ETCH_SOURCE_DIR "/tests/layers/recurrent_expected.txt");
  return cases.at(name);
}

/// That of make_recurrent_expected.py: two states, one of another width than the output.
struct ResidualCell {
  int64_t units = 0;
  Variable kernel = Variable::deferred({.name = "kernel"});
  Variable recurrent_kernel = Variable::deferred({.name = "recurrent_kernel"});

  WithState operator()(const Tensor& x, std::vector<Tensor> states) const {
    kernel.build([&] { return ones({x.shape()[1], units}); });
    recurrent_kernel.build([&] { return ones({units, units}); });
    if (states.empty()) states = {zeros({x.shape()[0], units}), zeros({x.shape()[0], 2})};
    const Tensor sums = states[1] + sum(x, 1, true);
    const Tensor h = tanh(matmul(x, kernel) + matmul(states[0], recurrent_kernel) + sum(sums, 1, true));
    return {h * 2 + states[0], {h, sums}};
  }
};

template <class L>
void expect_like(const std::string& name, const L& layer, bool is_masked = false) {
  SCOPED_TRACE(name);
  const Tensor mask = is_masked ? keras("mask").at("mask") != 0 : Tensor();
  expect_as_keras(layer, keras(name), [&](const L& l, const Tensor& x, const std::vector<Tensor>& initial) {
    return l.return_state(x, {.mask = mask, .initial_state = initial});
  });
}

TEST(Rnn, RunsAnyCellOverTime) {
  expect_like("rnn", RNN{ResidualCell{3}});
  expect_like("rnn_masked", RNN{ResidualCell{3}, true}, true);
  expect_like("rnn_backwards", RNN{layers::LSTMCell{3}, false, true}, true);
}

TEST(Rnn, IsTheLayerOfItsCell) {
  const layers::GRU layer{.units = 4, .return_sequences = true};
  const Tensor x = sin(reshape(range(30, DType::f32), {2, 5, 3}));
  const RNN over{layer.cell(), true};
  const Tensor a = layer(x), b = over(x);
  expect_near(a, b, 1e-6);
  EXPECT_EQ(variables(over).size(), 3u);
  EXPECT_EQ(named_variables(over)[0].name, "cell.kernel");
}

TEST(Rnn, MayDropWhileTraining) {
  const RNN over{layers::SimpleRNNCell{.units = 4, .dropout = 0.5}};
  const Tensor x = ones({2, 5, 3});
  EXPECT_TRUE(array_equal(over(x), over(x)).item<bool>());
  EXPECT_FALSE(array_equal(over(x, true), over(x, true)).item<bool>());
}

TEST(Bidirectional, IsKeras) {
  expect_like("bidirectional", Bidirectional{layers::LSTM{3}});
  expect_like("bidirectional_masked", Bidirectional{layers::GRU{.units = 3, .return_sequences = true}}, true);
  expect_like("bidirectional_sum", Bidirectional{layers::SimpleRNN{.units = 3, .return_sequences = true}, Merge::sum});
  expect_like("bidirectional_mul", Bidirectional{layers::SimpleRNN{.units = 3, .return_sequences = true}, Merge::mul});
  expect_like("bidirectional_ave", Bidirectional{layers::SimpleRNN{.units = 3, .return_sequences = true}, Merge::ave});
}

TEST(Bidirectional, HasVariablesForEachDirectionThatCopiesShare) {
  const Bidirectional layer{layers::LSTM{2}};
  const auto copy = layer;
  (void)layer(ones({1, 2, 3}));
  EXPECT_EQ(variables(layer).size(), 6u);
  EXPECT_EQ(variables(std::pair(layer, copy)).size(), 6u);
  const auto own = clone(layer);
  EXPECT_EQ(variables(std::pair(layer, own)).size(), 12u);
  EXPECT_TRUE(own.backward.go_backwards);
}

/// Where Keras' Sequential hands the mask on: through Dropout, Dense and LayerNormalization, to the last GRU.
TEST(Mask, GoesThroughSequentialAsInKeras) {
  const KerasCase& expected = keras("sequential_masked");
  const layers::Sequential model{layers::Embedding{.input_dim = 5, .output_dim = 2, .mask_zero = true},
                                 layers::Dropout{0.5},
                                 layers::Dense{3, activations::tanh},
                                 layers::Sequential{Bidirectional{layers::LSTM{.units = 2, .return_sequences = true}},
                                                    layers::LayerNormalization()},
                                 layers::GRU{3},
                                 layers::Dense{2}};
  const Tensor words = expected.at("x"), g = expected.at("g");
  (void)model(words);
  const std::vector<Variable> weights = trainable_variables(model);
  for (size_t i = 0; i < weights.size(); ++i) weights[i].assign(expected.at("weight" + std::to_string(i)));
  const auto forward_and_back = [&](Tensor x) {
    GradientTape tape;
    const Tensor y = model(x);
    return std::pair(y, tape.gradient(y, weights, g));
  };
  for (const auto& [y, gradients] : {forward_and_back(words), function(forward_and_back)(words)}) {
    expect_near(y, expected.at("y"), 4e-6);
    for (size_t i = 0; i < weights.size(); ++i) expect_near(gradients[i], expected.at("d_weight" + std::to_string(i)), 2e-5);
  }
}

TEST(Mask, IsThereForModelsOfOnesOwn) {
  const layers::Embedding embedding{.input_dim = 4, .output_dim = 2, .mask_zero = true};
  const layers::LSTM lstm{3};
  const Tensor words = Tensor({{1, 2, 0}, {3, 0, 0}});
  const Tensor y = lstm(embedding(words), {.mask = embedding.compute_mask(words)});
  EXPECT_TRUE(array_equal(y, layers::Sequential{embedding, lstm}(words)).item<bool>());
  EXPECT_FALSE(array_equal(y, lstm(embedding(words))).item<bool>());
  EXPECT_FALSE(layers::Embedding({.input_dim = 4, .output_dim = 2}).compute_mask(words).defined());
}

TEST(Mask, EndsWhereTimesMixOrNoneIsLeft) {
  const Tensor words = Tensor({{1, 2, 0}, {3, 0, 0}});
  const layers::Layer embedding = layers::Embedding{.input_dim = 4, .output_dim = 2, .mask_zero = true};
  const auto mask_behind = [&](layers::Layer layer) { return layers::Sequential{embedding, layer}.masked(words, {}).mask; };
  EXPECT_TRUE(mask_behind(layers::Dense{2}).defined());
  EXPECT_TRUE(mask_behind(layers::GRU{.units = 2, .return_sequences = true}).defined());
  EXPECT_FALSE(mask_behind(layers::GRU{2}).defined());
  EXPECT_FALSE(mask_behind(layers::Flatten()).defined());
  EXPECT_FALSE(mask_behind([](const Tensor& x) { return x + 1; }).defined());
}

TEST(RnnErrors, NameTheLayerAndTheWayOut) {
  const auto swaps = [](const Tensor& x, const std::vector<Tensor>& states) {
    return WithState{x, std::vector<Tensor>(states.size() + 1, x)};
  };
  const Tensor x = ones({2, 3, 4});
  const std::pair<std::function<void()>, const char*> all[] = {
      {[&] { (void)RNN{ResidualCell{3}}(ones({2, 3})); }, "rnn: needs 3 axes or more, not f32[2,3]"},
      {[&] { (void)RNN{ResidualCell{3}}(ones({2, 0, 3})); }, "rnn: the input is f32[2,0,3], of no time"},
      {[&] { (void)RNN{ResidualCell{3}}(x, {.mask = ones({2, 3})}); }, "rnn: the mask is f32[2,3], but it must be bool[2,3]"},
      {[&] { (void)RNN{swaps}(x); }, "rnn: the cell takes 1 states, but gives 2"},
      {[&] { (void)Bidirectional{layers::LSTM{2}, Merge::sum, layers::LSTM{2}}(x); },
       "bidirectional: both layers go in one direction; their go_backwards must differ"},
      {[&] { (void)Bidirectional{layers::GRU{2}}(x, {.initial_state = {ones({2, 2})}}); }, "bidirectional: 1 states are given"},
  };
  for (const auto& [misuse, message] : all) {
    EXPECT_THAT(error_of(misuse), HasSubstr(message));
    EXPECT_THAT(error_of(misuse), testing::StartsWith("rnn_test.cc:"));
  }
}

}  // namespace
}  // namespace etch
