// Layers that convolve sequences and pictures, whose channels stand last (etch/nn.h).
#pragma once

#include <array>
#include <cstdint>

#include "etch/activations.h"
#include "etch/constraints.h"
#include "etch/initializers.h"
#include "etch/module.h"
#include "etch/nn.h"
#include "etch/regularizers.h"
#include "etch/variable.h"

namespace [[gnu::visibility("default")]] etch {

// Names and defaults are Keras'; what all layers have in common stands in etch/layers.h. Sizes, strides and dilations are
// one number for all axes, or one for each: `layers::Conv2D{32, 3}`, `layers::Conv2D{.filters = 32, .kernel_size = {3, 5}}`.
namespace layers {

/// activation(conv1d(x, kernel) + bias): f[n, width, c] -> f[n, ., filters].
struct Conv1D {
  int64_t filters = 0;
  Dims kernel_size{};
  Activation activation{};
  Dims strides = 1;
  Padding padding = Padding::valid;
  Dims dilation_rate = 1;
  int64_t groups = 1;
  bool use_bias = true;
  Initializer kernel_initializer = initializers::glorot_uniform();
  Initializer bias_initializer = initializers::zeros();
  Regularizer kernel_regularizer{};
  Regularizer bias_regularizer{};
  Constraint kernel_constraint{};
  Constraint bias_constraint{};

  // f[size, c / groups, filters]
  Variable kernel = Variable::deferred(
      {.name = "kernel", .regularizer = kernel_regularizer, .constraint = kernel_constraint});
  // f[filters]
  Variable bias = Variable::deferred(
      {.name = "bias", .regularizer = bias_regularizer, .constraint = bias_constraint});

  Tensor operator()(const Operand& x) const;
};

/// activation(conv2d(x, kernel) + bias): f[n, height, width, c] -> f[n, ., ., filters].
struct Conv2D {
  int64_t filters = 0;
  Dims kernel_size{};
  Activation activation{};
  Dims strides = 1;
  Padding padding = Padding::valid;
  Dims dilation_rate = 1;
  int64_t groups = 1;
  bool use_bias = true;
  Initializer kernel_initializer = initializers::glorot_uniform();
  Initializer bias_initializer = initializers::zeros();
  Regularizer kernel_regularizer{};
  Regularizer bias_regularizer{};
  Constraint kernel_constraint{};
  Constraint bias_constraint{};

  // f[rows, columns, c / groups, filters]
  Variable kernel = Variable::deferred(
      {.name = "kernel", .regularizer = kernel_regularizer, .constraint = kernel_constraint});
  // f[filters]
  Variable bias = Variable::deferred(
      {.name = "bias", .regularizer = bias_regularizer, .constraint = bias_constraint});

  Tensor operator()(const Operand& x) const;
};

/// activation(depthwise_conv2d(x, kernel) + bias): f[n, height, width, c] -> f[n, ., ., c * depth_multiplier].
struct DepthwiseConv2D {
  Dims kernel_size{};
  Activation activation{};
  Dims strides = 1;
  Padding padding = Padding::valid;
  int64_t depth_multiplier = 1;
  Dims dilation_rate = 1;
  bool use_bias = true;
  Initializer depthwise_initializer = initializers::glorot_uniform();
  Initializer bias_initializer = initializers::zeros();
  Regularizer depthwise_regularizer{};
  Regularizer bias_regularizer{};
  Constraint depthwise_constraint{};
  Constraint bias_constraint{};

  // f[rows, columns, c, depth_multiplier]
  Variable kernel = Variable::deferred(
      {.name = "kernel", .regularizer = depthwise_regularizer, .constraint = depthwise_constraint});
  // f[c * depth_multiplier]
  Variable bias = Variable::deferred(
      {.name = "bias", .regularizer = bias_regularizer, .constraint = bias_constraint});

  Tensor operator()(const Operand& x) const;
};

/// A depthwise convolution and a dense layer on its channels: f[n, height, width, c] -> f[n, ., ., filters] (Chollet,
/// "Xception", 2017).
struct SeparableConv2D {
  int64_t filters = 0;
  Dims kernel_size{};
  Activation activation{};
  Dims strides = 1;
  Padding padding = Padding::valid;
  Dims dilation_rate = 1;
  int64_t depth_multiplier = 1;
  bool use_bias = true;
  Initializer depthwise_initializer = initializers::glorot_uniform();
  Initializer pointwise_initializer = initializers::glorot_uniform();
  Initializer bias_initializer = initializers::zeros();
  Regularizer depthwise_regularizer{};
  Regularizer pointwise_regularizer{};
  Regularizer bias_regularizer{};
  Constraint depthwise_constraint{};
  Constraint pointwise_constraint{};
  Constraint bias_constraint{};

  // f[rows, columns, c, depth_multiplier]
  Variable depthwise_kernel = Variable::deferred(
      {.name = "depthwise_kernel", .regularizer = depthwise_regularizer, .constraint = depthwise_constraint});
  // f[1, 1, c * depth_multiplier, filters]
  Variable pointwise_kernel = Variable::deferred(
      {.name = "pointwise_kernel", .regularizer = pointwise_regularizer, .constraint = pointwise_constraint});
  // f[filters]
  Variable bias = Variable::deferred(
      {.name = "bias", .regularizer = bias_regularizer, .constraint = bias_constraint});

  Tensor operator()(const Operand& x) const;
};

/// activation(conv2d_transpose(x, kernel) + bias): f[n, height, width, c] -> f[n, ., ., filters].
struct Conv2DTranspose {
  int64_t filters = 0;
  Dims kernel_size{};
  Activation activation{};
  Dims strides = 1;
  Padding padding = Padding::valid;
  Dims output_padding{};
  Dims dilation_rate = 1;
  bool use_bias = true;
  Initializer kernel_initializer = initializers::glorot_uniform();
  Initializer bias_initializer = initializers::zeros();
  Regularizer kernel_regularizer{};
  Regularizer bias_regularizer{};
  Constraint kernel_constraint{};
  Constraint bias_constraint{};

  // f[rows, columns, filters, c]
  Variable kernel = Variable::deferred(
      {.name = "kernel", .regularizer = kernel_regularizer, .constraint = kernel_constraint});
  // f[filters]
  Variable bias = Variable::deferred(
      {.name = "bias", .regularizer = bias_regularizer, .constraint = bias_constraint});

  Tensor operator()(const Operand& x) const;
};

/// Rows and columns repeated `size` times, or what lies between them: f[n, height, width, c].
struct UpSampling2D {
  Dims size = 2;
  ResizeMethod interpolation = ResizeMethod::nearest;

  Tensor operator()(const Operand& x) const;
};

/// Zeros around pictures f[n, height, width, c]: `padding` before and behind the rows, and the columns.
struct ZeroPadding2D {
  std::array<std::array<int64_t, 2>, 2> padding{{{1, 1}, {1, 1}}};

  Tensor operator()(const Operand& x) const;
};

/// The axes but the first in another order, counted from 1: {2, 1} exchanges the two of f[n, a, b].
struct Permute {
  Dims dims{};

  Tensor operator()(const Operand& x) const;
};

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta, with mean and variance of each example over all axes and, along
/// one, over each of so many equal parts (Wu and He, "Group Normalization", 2018). -1 groups are as many as there are channels.
struct GroupNormalization {
  int64_t groups = 32;
  int64_t axis = -1;
  double epsilon = 1e-3;
  bool center = true;  // has beta
  bool scale = true;   // has gamma
  Initializer beta_initializer = initializers::zeros();
  Initializer gamma_initializer = initializers::ones();
  Regularizer beta_regularizer{};
  Regularizer gamma_regularizer{};
  Constraint beta_constraint{};
  Constraint gamma_constraint{};

  Variable gamma = Variable::deferred(
      {.name = "gamma", .regularizer = gamma_regularizer, .constraint = gamma_constraint});  // of the extent of the axis
  Variable beta = Variable::deferred(
      {.name = "beta", .regularizer = beta_regularizer, .constraint = beta_constraint});

  Tensor operator()(const Operand& x) const;
};

}  // namespace layers
}  // namespace etch
