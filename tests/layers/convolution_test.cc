// Layers that convolve and pool against Keras, and what they say of bad input.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/layers.h"
#include "etch/regularizers.h"
#include "tests/frontend/error_of.h"
#include "tests/layers/as_keras.h"

namespace etch {
namespace {

using testing::HasSubstr;

const std::map<std::string, KerasCase>& keras() {
  static const auto cases = read_keras_file(ETCH_SOURCE_DIR "/tests/layers/convolution_expected.txt");
  return cases;
}

constexpr Padding kSame = Padding::same;

template <class L>
void expect_like(const std::string& name, const L& layer) {
  SCOPED_TRACE(name);
  expect_as_keras(layer, keras().at(name));
}

TEST(KerasConvolution, ConvolvesSequences) {
  expect_like("conv1d", layers::Conv1D{4, 3, activations::relu});
  expect_like("conv1d_options", layers::Conv1D{.filters = 4, .kernel_size = 2, .padding = kSame, .dilation_rate = 2, .groups = 2,
                                               .use_bias = false});
}

TEST(KerasConvolution, ConvolvesPictures) {
  expect_like("conv2d", layers::Conv2D{4, 3, activations::relu});
  expect_like("conv2d_options", layers::Conv2D{.filters = 4, .kernel_size = {3, 2}, .strides = {2, 1}, .padding = kSame,
                                               .groups = 2, .use_bias = false});
}

TEST(KerasConvolution, ConvolvesEveryChannelByItself) {
  expect_like("depthwise_conv2d", layers::DepthwiseConv2D{2});
  expect_like("depthwise_conv2d_options", layers::DepthwiseConv2D{.kernel_size = 3, .activation = activations::tanh, .strides = 2,
                                                                  .padding = kSame, .depth_multiplier = 2});
}

TEST(KerasConvolution, ConvolvesChannelsAndThenPoints) {
  expect_like("separable_conv2d", layers::SeparableConv2D{4, 3});
  expect_like("separable_conv2d_options", layers::SeparableConv2D{.filters = 3, .kernel_size = 2, .padding = kSame,
                                                                  .depth_multiplier = 2, .use_bias = false});
}

TEST(KerasConvolution, TransposesConvolutions) {
  expect_like("conv2d_transpose", layers::Conv2DTranspose{3, 3});
  expect_like("conv2d_transpose_stride", layers::Conv2DTranspose{3, {2, 3}, activations::relu, {3, 2}});
  expect_like("conv2d_transpose_same", layers::Conv2DTranspose{.filters = 2, .kernel_size = 3, .strides = 2, .padding = kSame});
}

TEST(KerasConvolution, SeesOnlyWhatCameBefore) {
  expect_like("conv1d_causal", layers::Conv1D{.filters = 4, .kernel_size = 3, .padding = Padding::causal, .dilation_rate = 2});
  expect_like("conv1d_causal_stride", layers::Conv1D{.filters = 3, .kernel_size = 4, .activation = activations::tanh, .strides = 2,
                                                     .padding = Padding::causal});
}

TEST(KerasConvolution, TransposesConvolutionsThatLeaveElementsOut) {
  expect_like("conv2d_transpose_longer",
              layers::Conv2DTranspose{.filters = 3, .kernel_size = {2, 3}, .strides = {3, 2}, .output_padding = {2, 1}});
  expect_like("conv2d_transpose_longer_same", layers::Conv2DTranspose{.filters = 2, .kernel_size = {3, 4}, .strides = 2,
                                                                      .padding = kSame, .output_padding = 1});
}

TEST(KerasConvolution, TransposesConvolutionsThatDilate) {
  expect_like("conv2d_transpose_dilated", layers::Conv2DTranspose{.filters = 3, .kernel_size = {3, 2},
                                                                  .activation = activations::relu, .dilation_rate = 2});
  expect_like("conv2d_transpose_dilated_same",
              layers::Conv2DTranspose{.filters = 6, .kernel_size = 3, .padding = kSame, .dilation_rate = 2});
}

TEST(KerasPooling, TakesTheLargest) {
  expect_like("max_pooling1d", layers::MaxPooling1D());
  expect_like("max_pooling1d_options", layers::MaxPooling1D{3, 1, kSame});
  expect_like("max_pooling2d", layers::MaxPooling2D());
  expect_like("max_pooling2d_options", layers::MaxPooling2D{{3, 2}, 2, kSame});
  expect_like("global_max_pooling1d", layers::GlobalMaxPooling1D());
  expect_like("global_max_pooling2d", layers::GlobalMaxPooling2D{.keepdims = true});
}

TEST(KerasPooling, TakesTheMean) {
  expect_like("average_pooling1d", layers::AveragePooling1D{2});
  expect_like("average_pooling1d_options", layers::AveragePooling1D{3, 2, kSame});
  expect_like("average_pooling2d", layers::AveragePooling2D{2});
  expect_like("average_pooling2d_options", layers::AveragePooling2D{{3, 2}, {2, 1}, kSame});
  expect_like("global_average_pooling1d", layers::GlobalAveragePooling1D());
  expect_like("global_average_pooling2d", layers::GlobalAveragePooling2D{.keepdims = true});
}

TEST(KerasPictures, AreEnlargedPaddedAndTurned) {
  expect_like("up_sampling2d", layers::UpSampling2D());
  expect_like("up_sampling2d_bilinear", layers::UpSampling2D{{2, 3}, ResizeMethod::bilinear});
  expect_like("zero_padding2d", layers::ZeroPadding2D());
  expect_like("zero_padding2d_sides", layers::ZeroPadding2D{{{{1, 2}, {0, 3}}}});
  expect_like("permute", layers::Permute{{3, 1, 2}});
}

TEST(KerasPictures, AreNormalisedInGroups) {
  expect_like("group_normalization", layers::GroupNormalization{2});
  expect_like("group_normalization_options",
              layers::GroupNormalization{.groups = -1, .axis = 1, .epsilon = 0.1, .scale = false});
}

TEST(Convolution, VariablesHaveTheRegularisersOfTheirLayer) {
  const layers::Conv2D conv{.filters = 2, .kernel_size = 2, .kernel_regularizer = regularizers::l2(1)};
  const layers::SeparableConv2D separable{.filters = 2, .kernel_size = 2, .pointwise_regularizer = regularizers::l2(1)};
  const layers::GroupNormalization norm{.groups = 1, .gamma_regularizer = regularizers::l2(1)};
  const Tensor x = ones({1, 3, 3, 2});
  (void)conv(x), (void)separable(x), (void)norm(x);
  const auto loss = [](const auto& layer) { return regularization_loss(layer).template item<float>(); };
  EXPECT_NEAR(loss(conv), sum(square(conv.kernel)).item<float>(), 1e-6);
  EXPECT_NEAR(loss(separable), sum(square(separable.pointwise_kernel)).item<float>(), 1e-6);
  EXPECT_NEAR(loss(norm), 2, 1e-6);
}

TEST(ConvolutionErrors, NameTheLayerAndTheWayOut) {
  const Tensor x = ones({2, 5, 5, 4});
  const layers::Conv2D built{2, 3};
  (void)built(x);
  const std::pair<std::function<void()>, const char*> all[] = {
      {[&] { (void)layers::Conv2D{2, 3}(ones({5, 5, 4})); }, "conv2d: takes [n, height, width, channels], not f32[5,5,4]"},
      {[&] { (void)layers::Conv1D{2, 3}(x); }, "conv1d: takes [n, width, channels], not f32[2,5,5,4]"},
      {[&] { (void)layers::Conv2D{2, 3}(cast(x, DType::i32)); }, "conv2d: takes f16, bf16, f32 or f64, not i32[2,5,5,4]"},
      {[&] { (void)layers::Conv2D{.kernel_size = 3}(x); }, "conv2d: filters is 0, but a layer has 1 or more"},
      {[&] { (void)layers::Conv2D{2}(x); }, "conv2d: kernel_size has 0 entries; give one, or one for each of 2 axes"},
      {[&] { (void)layers::Conv2D{2, {3, 0}}(x); }, "conv2d: kernel_size 0 is not positive"},
      {[&] { (void)layers::Conv2D{.filters = 3, .kernel_size = 3, .groups = 2}(x); },
       "conv2d: 4 channels of f32[2,5,5,4] and 3 filters are not multiples of 2 groups"},
      {[&] { (void)layers::Conv2D{2, 7}(x); }, "conv2d: a window of 7 elements, 1 apart, does not fit into axis 1"},
      {[&] { (void)built(ones({2, 5, 5, 3})); },
       "conv2d: kernel is f32[3,3,4,2], made for the first input of the layer, but f32[2,5,5,3] needs f32[3,3,3,2]"},
      {[&] { (void)layers::DepthwiseConv2D{.kernel_size = 2, .depth_multiplier = 0}(x); }, "depth_multiplier is 0"},
      {[&] { (void)layers::SeparableConv2D{0, 2}(x); }, "separable_conv2d: filters is 0"},
      {[&] { (void)layers::Conv2D{.filters = 2, .kernel_size = 2, .padding = Padding::causal}(x); },
       "conv2d: only conv1d has Padding::causal"},
      {[&] { (void)layers::MaxPooling2D{.padding = Padding::causal}(x); }, "max_pool: only conv1d has Padding::causal"},
      {[&] { (void)layers::Conv2DTranspose{.filters = 2, .kernel_size = 2, .strides = 2, .output_padding = 2}(x); },
       "conv2d_transpose: output_padding is 2; it must be 0 or more, and less than stride 2"},
      {[&] { (void)layers::Conv2DTranspose{.filters = 2, .kernel_size = 2, .strides = 2, .padding = kSame, .output_padding = 0}(x); },
       "conv2d_transpose: output_padding is 0; it must be 1 or more, and less than stride 2"},
      {[&] { (void)layers::Conv2DTranspose{.filters = 2, .kernel_size = 2, .output_padding = {0, 0, 0}}(x); },
       "conv2d_transpose: output_padding has 3 entries; give one, or one for each of 2 axes"},
      {[&] { (void)layers::MaxPooling2D()(ones({5, 5, 4})); }, "max_pooling2d: takes [n, height, width, channels], not"},
      {[&] { (void)layers::MaxPooling2D{6}(x); }, "a window of 6 elements, 1 apart, does not fit into axis 1"},
      {[&] { (void)layers::AveragePooling2D()(x); }, "avg_pool: size has 0 entries; give one, or one for each of 2 axes"},
      {[&] { (void)layers::UpSampling2D{{2, 0}}(x); }, "up_sampling2d: size 0 is not positive"},
      {[&] { (void)layers::Permute{{1, 2}}(x); }, "permute: dims are [1,2], but f32[2,5,5,4] needs each of 1 to 3 once"},
      {[&] { (void)layers::GroupNormalization()(x); }, "axis 3 of f32[2,5,5,4] is not a multiple of 32 groups"},
      {[&] { (void)layers::GroupNormalization{.groups = 1, .axis = 0}(x); }, "axis 0 is that of the examples"},
  };
  for (const auto& [misuse, message] : all) {
    EXPECT_THAT(error_of(misuse), HasSubstr(message));
    EXPECT_THAT(error_of(misuse), testing::StartsWith("convolution_test.cc:"));
  }
}

TEST(ConvolutionErrors, LeaveALayerAsItWas) {
  const layers::Conv2D layer{2, 7};
  EXPECT_THAT(error_of([&] { (void)layer(ones({2, 5, 5, 4})); }), HasSubstr("does not fit"));
  EXPECT_FALSE(layer.kernel.built());
  const layers::Conv2DTranspose transpose{.filters = 2, .kernel_size = 3, .output_padding = 1};
  EXPECT_THAT(error_of([&] { (void)transpose(ones({2, 5, 5, 4})); }), HasSubstr("less than stride 1"));
  EXPECT_FALSE(transpose.kernel.built());
}

}  // namespace
}  // namespace etch
