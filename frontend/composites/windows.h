// What convolution and pooling share: where windows lie along the axes between the first and the last.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "etch/nn.h"

namespace etch::detail {

/// Windows along one axis.
struct WindowAxis {
  int64_t extent = 0;  // of the axis
  int64_t size = 1, stride = 1, dilation = 1;
  int64_t count = 0;  // of windows
  int64_t low = 0;    // elements that the first one sees before the axis

  int64_t span() const { return (size - 1) * dilation + 1; }
  /// Elements that the last window sees behind the axis; below 0 if it does not reach the end.
  int64_t high() const { return (count - 1) * stride + span() - low - extent; }
};

using WindowAxes = std::vector<WindowAxis>;

/// What a user says of the windows of an op.
struct WindowWords {
  std::string_view op;
  Location where;
  Dims sizes, strides, dilations;
  Padding padding = Padding::valid;
  bool may_be_causal = false;
};

/// A list of one for each of `axes` axes. Error for another number of entries and for one below 1.
Dims one_for_each(const Dims& list, int axes, std::string_view what, std::string_view op, Location where);

/// The windows along the axes of x between the first and the last. Error for words that make no sense, and if there is no
/// window.
WindowAxes windows_of(const Tensor& x, const WindowWords& words);

/// The windows along those axes of a convolution of which x is the result and kernels have these sizes, and the extents of its
/// input: what a transposed convolution computes. Error as above.
WindowAxes windows_of_transpose(const Tensor& x, const Dims& sizes, const ConvTransposeOptions& options, std::string_view op,
                                Location where);

/// x with `value` where windows look beyond its axes.
Tensor padded(const Tensor& x, const WindowAxes& axes, const Operand& value, Location where);

/// All windows of a padded x: its axes, whose extents are the numbers of windows, and behind them one for each size.
Tensor all_windows(const Tensor& x, const WindowAxes& axes, Location where);

/// The transpose of that: what windows give to the elements of an x of this shape that they see, summed.
Tensor sum_of_windows(const Tensor& windows, const Shape& shape, const WindowAxes& axes, Location where);

}  // namespace etch::detail
