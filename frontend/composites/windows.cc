// Where windows lie, and what they see beyond the borders.
#include "frontend/composites/windows.h"

#include <algorithm>

#include "compiler/ir/cat.h"
#include "etch/gradient_tape.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch::detail {

Dims one_for_each(const Dims& list, int axes, std::string_view what, std::string_view op, Location where) {
  const Dims all = list.rank() == 1 ? Dims::filled(axes, list[0]) : list;
  if (all.rank() != axes) {
    fail_in_op(where, cat(op, ": ", what, " has ", list.rank(), " entries; give one, or one for each of ", axes, " axes"));
  }
  for (int64_t value : all) {
    if (value < 1) fail_in_op(where, cat(op, ": ", what, " ", value, " is not positive"));
  }
  return all;
}

WindowAxes windows_of(const Tensor& x, const WindowWords& words) {
  const int count = x.rank() - 2;
  const Dims sizes = one_for_each(words.sizes, count, "size", words.op, words.where);
  const Dims strides = one_for_each(words.strides, count, "stride", words.op, words.where);
  const Dims dilations = one_for_each(words.dilations, count, "dilation", words.op, words.where);
  if (words.padding == Padding::causal && !words.may_be_causal) {
    fail_in_op(words.where, cat(words.op, ": only conv1d has Padding::causal"));
  }
  WindowAxes axes;
  for (int i = 0; i < count; ++i) {
    WindowAxis axis{x.shape()[i + 1], sizes[i], strides[i], dilations[i]};
    // By a division, so that nothing overflows.
    const bool fits = axis.extent > 0 && axis.size - 1 <= (axis.extent - 1) / axis.dilation;
    const bool pads = words.padding != Padding::valid;
    if (axis.extent == 0 || (!pads && !fits)) {
      fail_in_op(words.where, cat(words.op, ": a window of ", axis.size, " elements, ", axis.dilation,
                                  " apart, does not fit into axis ", i + 1, " of ", to_string(Type{x.dtype(), x.shape()}),
                                  pads ? "" : "; Padding::same pads"));
    }
    if (axis.size > kMaxBytes / axis.dilation) fail_in_op(words.where, cat(words.op, ": size ", axis.size, " is too large"));
    axis.count = pads ? (axis.extent - 1) / axis.stride + 1 : (axis.extent - axis.span()) / axis.stride + 1;
    axis.stride = std::min(axis.stride, axis.extent);  // beyond it there is one window
    switch (words.padding) {
      case Padding::valid: break;
      case Padding::same: axis.low = std::max<int64_t>(axis.high(), 0) / 2; break;
      case Padding::causal: axis.low = axis.span() - 1; break;
    }
    axes.push_back(axis);
  }
  return axes;
}

WindowAxes windows_of_transpose(const Tensor& x, const Dims& sizes, const ConvTransposeOptions& options, std::string_view op,
                                Location where) {
  const int count = x.rank() - 2;
  const bool is_same = options.padding == Padding::same, is_longer = options.output_padding.rank() > 0;
  if (options.padding == Padding::causal) fail_in_op(where, cat(op, ": only conv1d has Padding::causal"));
  const Dims strides = one_for_each(options.strides, count, "stride", op, where);
  const Dims dilations = one_for_each(options.dilations, count, "dilation", op, where);
  Dims longer = options.output_padding;
  if (longer.rank() == 1) longer = Dims::filled(count, longer[0]);
  if (is_longer && longer.rank() != count) {
    fail_in_op(where, cat(op, ": output_padding has ", longer.rank(), " entries; give one, or one for each of ", count, " axes"));
  }
  WindowAxes axes;
  for (int i = 0; i < count; ++i) {
    WindowAxis axis{0, sizes[i], strides[i], dilations[i], x.shape()[i + 1]};
    if (axis.count == 0) fail_in_op(where, cat(op, ": ", to_string(Type{x.dtype(), x.shape()}), " has no elements"));
    if (axis.stride > kMaxBytes / axis.count) fail_in_op(where, cat(op, ": stride ", axis.stride, " is too large"));
    if (axis.size > kMaxBytes / axis.dilation) fail_in_op(where, cat(op, ": dilation ", axis.dilation, " is too large"));
    const int64_t span = axis.span();
    if (is_longer) {
      const int64_t least = is_same && span % 2 == 0 ? 1 : 0;  // with less the last element would have no window
      if (longer[i] < least || longer[i] >= axis.stride) {
        fail_in_op(where, cat(op, ": output_padding is ", longer[i], "; it must be ", least, " or more, and less than stride ",
                              axis.stride));
      }
      axis.extent = (axis.count - 1) * axis.stride + (is_same ? span % 2 : span) + longer[i];
    } else {
      axis.extent = axis.count * axis.stride + (is_same ? 0 : std::max<int64_t>(span - axis.stride, 0));
    }
    axis.low = is_same ? std::max<int64_t>(axis.high(), 0) / 2 : 0;
    axes.push_back(axis);
  }
  return axes;
}

Tensor padded(const Tensor& x, const WindowAxes& axes, const Operand& value, Location where) {
  std::vector<std::array<int64_t, 2>> paddings(static_cast<size_t>(x.rank()), {0, 0});
  bool any = false;
  for (size_t i = 0; i < axes.size(); ++i) {
    paddings[i + 1] = {axes[i].low, std::max<int64_t>(axes[i].high(), 0)};
    any |= paddings[i + 1] != std::array<int64_t, 2>{0, 0};
  }
  return any ? pad(Operand(x, where), paddings, value) : x;
}

Tensor all_windows(const Tensor& x, const WindowAxes& axes, Location where) {
  Dims sizes, along;
  WindowOptions options;
  for (size_t i = 0; i < axes.size(); ++i) {
    along.push_back(static_cast<int64_t>(i) + 1);
    sizes.push_back(axes[i].size);
    options.steps.push_back(axes[i].stride);
    options.dilations.push_back(axes[i].dilation);
  }
  return window(Operand(x, where), sizes, Axes(along), options);
}

Tensor sum_of_windows(const Tensor& windows, const Shape& shape, const WindowAxes& axes, Location where) {
  GradientTape tape({.watch_accessed_variables = false}, where);
  const Tensor x = zeros(shape, windows.dtype(), where);  // its elements do not matter
  tape.watch(x, where);
  return tape.gradient(all_windows(x, axes, where), x, windows, {}, where);
}

}  // namespace etch::detail
