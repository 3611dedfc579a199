// Layers that convolve, and those that prepare or normalise pictures.
#include "etch/layers/convolution.h"

#include <algorithm>
#include <type_traits>

#include "frontend/composites/windows.h"
#include "frontend/layers/parts.h"

namespace etch::layers {

using detail::fail_in_op;
using detail::one_for_each;
using detail::Scope;

namespace {

void check_positive(int64_t value, std::string_view what, std::string_view layer, Location where) {
  if (value <= 0) fail_in_op(where, cat(layer, ": ", what, " is ", value, ", but a layer has 1 or more"));
}

/// The kernel's sizes. Error if these, or how windows move, make no sense for the input: before anything is built.
template <class L>
Dims sizes_of(const L& layer, const Tensor& t, std::string_view name, Location where) {
  const Dims sizes = one_for_each(layer.kernel_size, t.rank() - 2, "kernel_size", name, where);
  const bool may_be_causal = std::is_same_v<L, Conv1D>;
  (void)windows_of(t, {name, where, sizes, layer.strides, layer.dilation_rate, layer.padding, may_be_causal});
  return sizes;
}

/// activation(y + bias), as far as a layer has them.
template <class L>
Tensor finish(const L& layer, Tensor y, std::string_view name, Location where) {
  if (layer.use_bias) {
    build(layer.bias, layer.bias_initializer, y.shape().back(), y, name, where);
    y = y + layer.bias;
  }
  return layer.activation ? layer.activation(y) : y;
}

template <class L, class Convolve>
Tensor convolve(const L& layer, const Operand& x, int axes, std::string_view name, Convolve conv) {
  const Scope scope(name, x.where());
  const Tensor& t = input_of_rank(x, name, axes + 2);
  check_positive(layer.filters, "filters", name, x.where());
  check_positive(layer.groups, "groups", name, x.where());
  const int64_t channels = t.shape().back();
  if (channels % layer.groups != 0 || layer.filters % layer.groups != 0) {
    fail_in_op(x.where(), cat(name, ": ", channels, " channels of ", to_string(Type{t.dtype(), t.shape()}), " and ",
                              layer.filters, " filters are not multiples of ", layer.groups, " groups"));
  }
  Shape shape = sizes_of(layer, t, name, x.where());
  shape.push_back(channels / layer.groups);
  shape.push_back(layer.filters);
  build(layer.kernel, layer.kernel_initializer, shape, t, name, x.where());
  const ConvOptions options{layer.strides, layer.padding, layer.dilation_rate, layer.groups};
  return finish(layer, conv(Operand(t, x.where()), layer.kernel.value(), options), name, x.where());
}

/// The depthwise convolution of a layer, whose variable it builds.
template <class L>
Tensor convolve_depthwise(const L& layer, const Variable& kernel, const Operand& x, std::string_view name) {
  const Tensor& t = input_of_rank(x, name, 4);
  check_positive(layer.depth_multiplier, "depth_multiplier", name, x.where());
  Shape shape = sizes_of(layer, t, name, x.where());
  shape.push_back(t.shape().back());
  shape.push_back(layer.depth_multiplier);
  build(kernel, layer.depthwise_initializer, shape, t, name, x.where());
  return depthwise_conv2d(Operand(t, x.where()), kernel.value(), {layer.strides, layer.padding, layer.dilation_rate});
}

}  // namespace

Tensor Conv1D::operator()(const Operand& x) const {
  return convolve(*this, x, 1, "conv1d", [](const auto&... all) { return conv1d(all...); });
}

Tensor Conv2D::operator()(const Operand& x) const {
  return convolve(*this, x, 2, "conv2d", [](const auto&... all) { return conv2d(all...); });
}

Tensor DepthwiseConv2D::operator()(const Operand& x) const {
  const Scope scope("depthwise_conv2d", x.where());
  return finish(*this, convolve_depthwise(*this, kernel, x, "depthwise_conv2d"), "depthwise_conv2d", x.where());
}

Tensor SeparableConv2D::operator()(const Operand& x) const {
  constexpr std::string_view kName = "separable_conv2d";
  const Scope scope(kName, x.where());
  check_positive(filters, "filters", kName, x.where());
  const Tensor y = convolve_depthwise(*this, depthwise_kernel, x, kName);
  build(pointwise_kernel, pointwise_initializer, {1, 1, y.shape().back(), filters}, y, kName, x.where());
  return finish(*this, conv2d(Operand(y, x.where()), pointwise_kernel.value()), kName, x.where());
}

Tensor Conv2DTranspose::operator()(const Operand& x) const {
  constexpr std::string_view kName = "conv2d_transpose";
  const Scope scope(kName, x.where());
  const Tensor& t = input_of_rank(x, kName, 4);
  check_positive(filters, "filters", kName, x.where());
  Shape shape = one_for_each(kernel_size, 2, "kernel_size", kName, x.where());
  const ConvTransposeOptions options{strides, padding, output_padding, dilation_rate};
  (void)windows_of_transpose(t, shape, options, kName, x.where());
  shape.push_back(filters);
  shape.push_back(t.shape().back());
  build(kernel, kernel_initializer, shape, t, kName, x.where());
  return finish(*this, conv2d_transpose(Operand(t, x.where()), kernel.value(), options), kName, x.where());
}

Tensor UpSampling2D::operator()(const Operand& x) const {
  constexpr std::string_view kName = "up_sampling2d";
  const Scope scope(kName, x.where());
  const Tensor& t = input_of_rank(x, kName, 4);
  const Dims times = one_for_each(size, 2, "size", kName, x.where());
  Dims sizes;
  for (int i = 0; i < 2; ++i) {
    const int64_t extent = t.shape()[i + 1];
    if (times[i] > kMaxBytes / std::max<int64_t>(extent, 1)) {
      fail_in_op(x.where(), cat(kName, ": size ", times[i], " is too large"));
    }
    sizes.push_back(extent * times[i]);
  }
  return resize(Operand(t, x.where()), sizes, interpolation);
}

Tensor ZeroPadding2D::operator()(const Operand& x) const {
  const Scope scope("zero_padding2d", x.where());
  const Tensor& t = input_of_rank(x, "zero_padding2d", 4);
  return pad(Operand(t, x.where()), {{0, 0}, padding[0], padding[1], {0, 0}});
}

Tensor Permute::operator()(const Operand& x) const {
  const Tensor& t = detail::tensor_in(x, "permute");
  Dims order = 0;
  for (int64_t axis : dims) order.push_back(axis);
  bool fits = order.rank() == t.rank();
  for (int axis = 1; axis < t.rank(); ++axis) fits = fits && dims.contains(axis);
  if (fits) return transpose(Operand(t, x.where()), order);
  fail_in_op(x.where(), cat("permute: dims are ", to_string(dims), ", but ", to_string(Type{t.dtype(), t.shape()}),
                            " needs each of 1 to ", t.rank() - 1, " once"));
}

Tensor GroupNormalization::operator()(const Operand& x) const {
  constexpr std::string_view kName = "group_normalization";
  const Scope scope(kName, x.where());
  const Location place = x.where();
  const Tensor& t = input_of(x, kName, 2);
  const int own = axis_of(axis, t, kName, place);
  if (own == 0) fail_in_op(place, cat(kName, ": axis ", axis, " is that of the examples"));
  const int64_t extent = t.shape()[own], parts = groups == -1 ? extent : groups;
  if (parts < 1 || extent % parts != 0) {
    fail_in_op(place, cat(kName, ": axis ", own, " of ", to_string(Type{t.dtype(), t.shape()}), " is not a multiple of ", groups,
                          " groups"));
  }
  Shape split = t.shape();
  split[own] = parts;
  split.insert(own + 1, extent / parts);
  Dims reduced;
  for (int i = 1; i < split.rank(); ++i) {
    if (i != own) reduced.push_back(i);
  }
  Shape beside = Dims::filled(t.rank(), 1);
  beside[own] = extent;
  Tensor y = reshape(layer_norm(Operand(reshape(t, split), place), Axes(reduced), epsilon), t.shape());
  if (scale) {
    build(gamma, gamma_initializer, extent, t, kName, place);
    y = y * reshape(gamma.value(), beside);
  }
  if (center) {
    build(beta, beta_initializer, extent, t, kName, place);
    y = y + reshape(beta.value(), beside);
  }
  return y;
}

}  // namespace etch::layers
