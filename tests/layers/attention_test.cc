// MultiHeadAttention against Keras, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/function.h"
#include "etch/gradient_tape.h"
#include "etch/layers.h"
#include "tests/frontend/error_of.h"
#include "tests/keras_file.h"

namespace etch {
namespace {

using layers::AttentionCall;
using layers::MultiHeadAttention;
using testing::HasSubstr;

const KerasCase& keras(const std::string& name) {
  static const auto cases = read_keras_file(ETCH_SOURCE_DIR "/tests/layers/attention_expected.txt");
  return cases.at(name);
}

struct Inputs {
  Tensor query, value, key;
};

/// The output and the gradients, by the names that the file has.
std::map<std::string, Tensor> forward_and_back(const MultiHeadAttention& layer, Inputs inputs, AttentionCall call,
                                               const Tensor& g) {
  call.key = inputs.key;
  GradientTape tape({.persistent = true});
  std::map<std::string, Tensor*> watched{{"query", &inputs.query}, {"value", &inputs.value}};
  if (inputs.key.defined()) watched["key"] = &inputs.key;
  for (const auto& [name, tensor] : watched) tape.watch(*tensor);
  const Tensor y = layer(inputs.query, inputs.value, call);
  std::map<std::string, Tensor> results{{"y", y}};
  for (const auto& [name, tensor] : watched) results["d_" + name] = tape.gradient(y, *tensor, g);
  for (const NamedVariable& v : named_variables(layer)) {
    if (v.variable.trainable()) results["d_" + v.name] = tape.gradient(y, v.variable, g);
  }
  return results;
}

/// Compares output and gradients, eager and traced.
void expect_as_keras(const MultiHeadAttention& layer, const std::string& name, AttentionCall call = {}) {
  const KerasCase& expected = keras(name);
  Inputs inputs{expected.at("query"), expected.at("value"), {}};
  if (expected.contains("key")) inputs.key = expected.at("key");
  if (expected.contains("mask")) call.attention_mask = expected.at("mask") != 0;
  call.key = inputs.key;
  (void)layer(inputs.query, inputs.value, call);
  for (const NamedVariable& v : named_variables(layer)) {
    if (v.variable.trainable() && v.variable.built()) v.variable.assign(expected.at(v.name));
  }
  const auto traced = function([&](Tensor query, Tensor value, Tensor key) {
    return forward_and_back(layer, {query, value, key}, call, expected.at("g"));
  });
  for (const auto& results : {forward_and_back(layer, inputs, call, expected.at("g")),
                              inputs.key.defined() ? traced(inputs.query, inputs.value, inputs.key)
                                                   : function([&](Tensor query, Tensor value) {
                                                       return forward_and_back(layer, {query, value, {}}, call, expected.at("g"));
                                                     })(inputs.query, inputs.value)}) {
    for (const auto& [key, value] : results) {
      SCOPED_TRACE(key);
      expect_near(value, expected.at(key), 2e-5);
    }
  }
}

TEST(MultiHeadAttention, OfItselfIsKeras) { expect_as_keras({.num_heads = 2, .key_dim = 3}, "self"); }
TEST(MultiHeadAttention, WithACausalMaskIsKeras) {
  expect_as_keras({.num_heads = 2, .key_dim = 3}, "causal", {.use_causal_mask = true});
}
TEST(MultiHeadAttention, OfOtherWidthsIsKeras) {
  expect_as_keras({.num_heads = 3, .key_dim = 2, .value_dim = 5, .output_shape = 7}, "cross");
}
TEST(MultiHeadAttention, WithKeysAndWithoutBiasIsKeras) {
  expect_as_keras({.num_heads = 2, .key_dim = 2, .use_bias = false}, "key_without_bias");
}
TEST(MultiHeadAttention, WithAMaskIsKeras) { expect_as_keras({.num_heads = 2, .key_dim = 2}, "masked"); }
TEST(MultiHeadAttention, WithBothMasksIsKeras) {
  expect_as_keras({.num_heads = 1, .key_dim = 2}, "masked_and_causal", {.use_causal_mask = true});
}

TEST(MultiHeadAttention, DropsWeightsWhileTrainingOnly) {
  const MultiHeadAttention layer{.num_heads = 2, .key_dim = 3, .dropout = 0.5};
  const Tensor x = reshape(linspace(-1, 1, 24), {2, 3, 4});
  const Tensor y = layer(x, x);
  EXPECT_TRUE(array_equal(layer(x, x), y).item<bool>());
  EXPECT_FALSE(allclose(layer(x, x, {.training = true}), y).item<bool>());
}

TEST(MultiHeadAttention, WorksOnAnyLeadingAxes) {
  const MultiHeadAttention layer{.num_heads = 2, .key_dim = 3};
  const Tensor x = reshape(linspace(-1, 1, 48), {2, 2, 3, 4});
  const Tensor y = layer(x, x);
  EXPECT_EQ(y.shape(), x.shape());
  EXPECT_TRUE(allclose(layer(x[1][0], x[1][0]), y[1][0]).item<bool>());
}

TEST(MultiHeadAttention, Refuses) {
  const Tensor x = ones({2, 3, 4});
  EXPECT_THAT(error_of([&] { (void)MultiHeadAttention{.num_heads = 2}(x, x); }), HasSubstr("num_heads is 2, key_dim 0"));
  const MultiHeadAttention layer{.num_heads = 2, .key_dim = 3};
  EXPECT_THAT(error_of([&] { (void)layer(cast(x, DType::i32), x); }), HasSubstr("multi_head_attention: takes"));
  EXPECT_THAT(error_of([&] { (void)layer(x, x, {.key = ones({2, 4, 4})}); }),
              HasSubstr("the key is f32[2,4,4] and the value f32[2,3,4]; there is a key for each value"));
  (void)layer(x, x);
  EXPECT_THAT(error_of([&] { (void)layer(ones({2, 3, 5}), x); }), HasSubstr("another width"));
}

}  // namespace
}  // namespace etch
