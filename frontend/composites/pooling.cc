// Pooling: windows and reductions.
#include <algorithm>
#include <limits>
#include <optional>

#include "compiler/ir/cat.h"
#include "frontend/composites/parts.h"
#include "frontend/composites/windows.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::fail_in_op;
using detail::Scope;
using detail::WindowAxes;

namespace {

WindowAxes pooling_windows(const Operand& x, const Dims& sizes, const PoolOptions& options, std::string_view op) {
  detail::check_floating(x, op);
  const Tensor& tensor = *x.tensor();
  if (tensor.rank() < 3) {
    fail_in_op(x.where(), cat(op, " takes [n, width, channels] or [n, height, width, channels], not ",
                              to_string(Type{tensor.dtype(), tensor.shape()})));
  }
  const Dims strides = options.strides.empty() ? sizes : options.strides;
  return windows_of(tensor, {op, x.where(), sizes, strides, 1, options.padding});
}

/// The axes behind those of the operand.
Axes window_axes(const WindowAxes& axes, int rank) {
  Dims behind;
  for (size_t i = 0; i < axes.size(); ++i) behind.push_back(rank + static_cast<int64_t>(i));
  return Axes(behind);
}

/// How many elements of each window lie within the borders: a number, or a tensor [., ..., 1] that broadcasts.
std::optional<Tensor> counts_of(const WindowAxes& axes, DType dtype, Location where) {
  std::optional<Tensor> counts;
  const auto rank = static_cast<int64_t>(axes.size()) + 1;
  for (size_t i = 0; i < axes.size(); ++i) {
    const detail::WindowAxis& axis = axes[i];
    if (axis.low == 0 && axis.high() <= 0) continue;
    Shape shape = Dims::filled(static_cast<int>(rank), 1);
    shape[static_cast<int>(i)] = axis.count;
    const Tensor start = iota(shape, static_cast<int64_t>(i), DType::i64, where) * axis.stride - axis.low;
    const Tensor inside = minimum(start + axis.size, axis.extent) - maximum(start, 0);
    counts = counts ? *counts * inside : inside;
  }
  if (!counts) return counts;
  for (const detail::WindowAxis& axis : axes) {
    if (axis.low == 0 && axis.high() <= 0) counts = *counts * axis.size;
  }
  return cast(*counts, dtype);
}

}  // namespace

Tensor max_pool(const Operand& x, const Dims& sizes, PoolOptions options) {
  Scope scope("max_pool", x.where());
  const WindowAxes axes = pooling_windows(x, sizes, options, "max_pool");
  const Tensor& tensor = *x.tensor();
  const Tensor whole = padded(tensor, axes, -std::numeric_limits<float>::infinity(), x.where());
  return max(all_windows(whole, axes, x.where()), window_axes(axes, tensor.rank()));
}

Tensor avg_pool(const Operand& x, const Dims& sizes, PoolOptions options) {
  Scope scope("avg_pool", x.where());
  const WindowAxes axes = pooling_windows(x, sizes, options, "avg_pool");
  return detail::rounded_once(*x.tensor(), [&](const Tensor& t) {
    const Tensor whole = padded(t, axes, 0, x.where());
    const Tensor sums = sum(all_windows(whole, axes, x.where()), window_axes(axes, t.rank()));
    if (const std::optional<Tensor> counts = counts_of(axes, t.dtype(), x.where())) return sums / *counts;
    double count = 1;
    for (const detail::WindowAxis& axis : axes) count *= static_cast<double>(axis.size);
    return sums / count;
  });
}

}  // namespace etch
