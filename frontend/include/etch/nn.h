// Convolution, pooling and resizing: what networks do with sequences and pictures.
//
// The rules of etch/ops.h hold. Tensors have their channels last: [n, width, channels] for sequences, [n, height, width,
// channels] for pictures. Names and conventions are TensorFlow's. A convolution is `window` and a product, pooling is
// `window` and a reduction, so they fuse as these do, and derivatives of any order are convolutions again. All take floats;
// sizes, strides and dilations are one number for all axes in between, or one for each.
#pragma once

#include <cstdint>

#include "etch/ops.h"

namespace [[gnu::visibility("default")]] etch {

/// What a window sees beyond the borders, as TensorFlow has it.
enum class Padding : uint8_t {
  valid,  // nothing: only whole windows count
  same,   // as much that there are ceil(extent / stride) windows; of an odd number the larger half comes behind
  causal, // of sequences in conv1d: as many windows, but all of it comes before, so that no result sees what follows
};

struct ConvOptions {
  Dims strides = 1;  // elements from one window to the next
  Padding padding = Padding::valid;
  Dims dilations = 1;  // elements from one of a window to the next
  Integer groups = 1;  // channels in so many equal parts: each part of the result sees only its part of the input
};

// --- Convolution ---------------------------------------------------------------------------------------------------

/// The product of every window of a sequence with the kernel, which is not turned round, as in TensorFlow and Keras. f[n, w, c] and
/// f[size, c / groups, filters] give f[n, windows, filters]; 0 stands beyond the borders. Error for other ranks or
/// dtypes, and for channels that do not fit.
[[nodiscard]] Tensor conv1d(const Operand& x, const Operand& kernel, ConvOptions options = {});
/// The same for pictures. f[n, h, w, c] and f[rows, columns, c / groups, filters] give f[n, ., ., filters].
[[nodiscard]] Tensor conv2d(const Operand& x, const Operand& kernel, ConvOptions options = {});

struct DepthwiseConvOptions {
  Dims strides = 1;
  Padding padding = Padding::valid;
  Dims dilations = 1;
};
/// A convolution of every channel by itself with `m` kernels of its own. f[n, h, w, c] and f[rows, columns, c, m] give
/// f[n, ., ., c * m], in which the m results of one channel stand beside each other (TensorFlow's depthwise_conv2d).
[[nodiscard]] Tensor depthwise_conv2d(const Operand& x, const Operand& kernel, DepthwiseConvOptions options = {});

struct ConvTransposeOptions {
  Dims strides = 1;
  Padding padding = Padding::valid;
  Dims output_padding{};  // elements that the result is longer than the windows of all elements; none is given if empty
  Dims dilations = 1;
};
/// The transpose of conv2d, which is its gradient in x. f[n, h, w, c] and f[rows, columns, filters, c] give
/// f[n, ., ., filters]. With `size` elements of the kernel spanning s = (size - 1) * dilation + 1, an extent e becomes
/// e * stride, and with Padding::valid max(s - stride, 0) more; with an output padding p, which is below the stride,
/// (e - 1) * stride + s + p, and with Padding::same (e - 1) * stride + s % 2 + p, as in Keras.
[[nodiscard]] Tensor conv2d_transpose(const Operand& x, const Operand& kernel, ConvTransposeOptions options = {});

// --- Pooling -------------------------------------------------------------------------------------------------------

struct PoolOptions {
  Dims strides{};  // from one window to the next; as large as the windows if empty
  Padding padding = Padding::valid;
};
/// The largest element of every window along the axes between the first and the last, of f[n, w, c] or f[n, h, w, c]. What
/// is beyond the borders does not count. Of equal elements the first one has the gradient, as in TensorFlow.
[[nodiscard]] Tensor max_pool(const Operand& x, const Dims& sizes, PoolOptions options = {});
/// The mean of every window, of what lies within the borders.
[[nodiscard]] Tensor avg_pool(const Operand& x, const Dims& sizes, PoolOptions options = {});

// --- Resizing ------------------------------------------------------------------------------------------------------

/// How a resized picture gets its elements (TensorFlow's names).
enum class ResizeMethod : uint8_t {
  bilinear,  // between the nearest two along each axis
  nearest,
};
/// Pictures f[n, h, w, c] as f[n, rows, columns, c] for sizes {rows, columns}. The middle of element i of a new axis stands at
/// (i + 1/2) * extent / size - 1/2 of the old one (TensorFlow's image.resize, without antialiasing); beyond its ends are
/// its first and last element. Error for a size or an extent of 0.
[[nodiscard]] Tensor resize(const Operand& x, const Dims& sizes, ResizeMethod method = ResizeMethod::bilinear);

}  // namespace etch
