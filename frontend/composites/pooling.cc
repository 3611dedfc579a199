// Pooling: windows and reductions.
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "compiler/ir/cat.h"
#include "etch/custom_gradient.h"
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

/// True if the windows are few elements that lie one behind the other, and cover all of x.
bool tiles_all(const WindowAxes& axes) {
  constexpr int64_t kFewElements = 16;
  int64_t elements = 1;
  for (const detail::WindowAxis& axis : axes) {
    if (axis.stride != axis.size || axis.low != 0 || axis.count * axis.size != axis.extent) return false;
    if (axis.size > kFewElements) return false;
    elements *= axis.size;
  }
  return elements <= kFewElements;
}

/// Where windows tile x, whose axes become [n, windows, size, ..., c]: g where an element is the first of its window that is y.
Tensor to_first_of_tiles(const WindowAxes& axes, const Tensor& x, const Tensor& y, const Tensor& g, Location where) {
  Shape split = x.shape()[0], beside = split;
  int64_t elements = 1;
  for (const detail::WindowAxis& axis : axes) {
    for (int64_t extent : {axis.count, axis.size}) split.push_back(extent);
    for (int64_t extent : {axis.count, int64_t{1}}) beside.push_back(extent);
    elements *= axis.size;
  }
  split.push_back(x.shape().back());
  beside.push_back(x.shape().back());
  const Tensor tiles = reshape(x, split), largest = reshape(y, beside);
  const auto element = [&](int64_t number) {
    std::vector<Slice> part(static_cast<size_t>(split.rank()));
    for (auto i = static_cast<int64_t>(axes.size()) - 1; i >= 0; --i) {
      const int64_t index = number % axes[i].size;
      part[2 * i + 2] = Slice(index, index + 1);
      number /= axes[i].size;
    }
    return tiles[Slices(part, where)];
  };
  // The first of several is looked for last.
  Tensor first = full(beside, elements - 1, DType::u8, where);
  for (int64_t i = elements - 2; i >= 0; --i) first = etch::where(element(i) == largest, full({}, i, DType::u8, where), first);
  Shape one = Dims::filled(split.rank(), 1);
  Tensor number = full(one, 0, DType::u8, where);
  for (size_t i = 0; i < axes.size(); ++i) {
    one[static_cast<int>(2 * i + 2)] = axes[i].size;
    number = number * static_cast<int>(axes[i].size) + iota(one, static_cast<int64_t>(2 * i + 2), DType::u8, where);
    one[static_cast<int>(2 * i + 2)] = 1;
  }
  return reshape(etch::where(first == number, reshape(g, beside), 0), x.shape());
}

/// The same for all windows.
Tensor to_first_of_windows(const WindowAxes& axes, const Tensor& x, const Tensor& g, Location where) {
  const Tensor windows = all_windows(x, axes, where);
  Shape flat = g.shape(), sizes = windows.shape();
  flat.push_back(-1);
  for (int i = 0; i < g.rank(); ++i) sizes[i] = 1;
  const Tensor elements = reshape(windows, flat);
  const Tensor number = reshape(iota(elements.shape().back(), 0, DType::i64, where), sizes);
  Shape beside = g.shape();
  for (size_t i = 0; i < axes.size(); ++i) beside.push_back(1);
  const Tensor first = reshape(argmax(elements, -1), beside);
  return sum_of_windows(etch::where(first == number, reshape(g, beside), 0), x.shape(), axes, where);
}

}  // namespace

Tensor max_pool(const Operand& x, const Dims& sizes, PoolOptions options) {
  Scope scope("max_pool", x.where());
  const WindowAxes axes = pooling_windows(x, sizes, options, "max_pool");
  const Location where = Scope::place_of(x.where());
  const auto with_gradient = custom_gradient([axes, where](const Tensor& x) {
    const Tensor y = max(all_windows(x, axes, where), window_axes(axes, x.rank()));
    return std::pair(y, [=](const Tensor& g) {
      const Scope scope("max_pool_gradient", where);
      return tiles_all(axes) ? to_first_of_tiles(axes, x, y, g, where) : to_first_of_windows(axes, x, g, where);
    });
  }, where);
  return with_gradient(padded(*x.tensor(), axes, -std::numeric_limits<float>::infinity(), x.where()));
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
