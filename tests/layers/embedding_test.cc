// Embedding against Keras, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/function.h"
#include "etch/gradient_tape.h"
#include "etch/layers.h"
#include "tests/frontend/error_of.h"
#include "tests/keras_file.h"

namespace etch {
namespace {

using layers::Embedding;
using testing::HasSubstr;

void expect_as_keras(const std::string& name) {
  static const auto cases = read_keras_file(ETCH_SOURCE_DIR "/tests/layers/embedding_expected.txt");
  const KerasCase& expected = cases.at(name);
  const Embedding layer{5, 3};
  (void)layer(expected.at("x"));
  layer.embeddings.assign(expected.at("embeddings"));
  const auto forward_and_back = [&](Tensor x) {
    GradientTape tape;
    const Tensor y = layer(x);
    return std::pair(y, tape.gradient(y, layer.embeddings, expected.at("g")));
  };
  for (const auto& [y, gradient] : {forward_and_back(expected.at("x")), function(forward_and_back)(expected.at("x"))}) {
    EXPECT_TRUE(array_equal(y, expected.at("y")).item<bool>());
    expect_near(gradient, expected.at("d_embeddings"), 1e-6);
  }
}

TEST(Embedding, OfManyIndicesIsKeras) { expect_as_keras("rows"); }
TEST(Embedding, OfOneIndexIsKeras) { expect_as_keras("row"); }

TEST(Embedding, MayBeOfAnotherDtype) {
  const Tensor y = Embedding{.input_dim = 4, .output_dim = 2, .dtype = DType::bf16}(Tensor({1, 3}));
  EXPECT_EQ(y.dtype(), DType::bf16);
  EXPECT_EQ(y.shape(), Shape({2, 2}));
}

TEST(Embedding, Refuses) {
  EXPECT_THAT(error_of([] { (void)Embedding{4, 2}(Tensor({1.f})); }), HasSubstr("embedding: takes integers, not f32[1]"));
  EXPECT_THAT(error_of([] { (void)Embedding{4}(Tensor({1})); }), HasSubstr("input_dim is 4 and output_dim 0"));
  EXPECT_THAT(error_of([] { (void)Embedding{.input_dim = 4, .output_dim = 2, .dtype = DType::i32}(Tensor({1})); }),
              HasSubstr("not i32"));
  EXPECT_THAT(error_of([] { (void)Embedding{4, 2}(Tensor({1, 4})); }),
              HasSubstr("index 4, at [1] of the indices, is not in 0..3"));
}

}  // namespace
}  // namespace etch
