// Padding by what stands in the tensor itself: edges, reflections, turns.
#include <algorithm>

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/composites/parts.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::fail;
using detail::Scope;
using detail::tensor_of;
using detail::tile_axis;

namespace {

/// The elements of an axis that come round again and again around a padded x, beginning with those of x.
Tensor period_of(const Tensor& x, int axis, PadMode mode, Location where) {
  const int64_t n = x.shape()[axis];
  if (mode == PadMode::wrap || (mode == PadMode::reflect && n == 1)) return x;
  std::vector<Slice> back(static_cast<size_t>(axis) + 1);
  back[axis] = mode == PadMode::symmetric ? Slice().by(-1) : Slice(-2, 0, -1);
  return concat({x, x[Slices(back, where)]}, axis, where);
}

Tensor part_of(const Tensor& x, int axis, int64_t start, int64_t stop, Location where) {
  std::vector<Slice> part(static_cast<size_t>(axis) + 1);
  part[axis] = Slice(start, stop);
  return x[Slices(part, where)];
}

Tensor pad_edges(const Tensor& x, int axis, int64_t low, int64_t high, Location where) {
  const int64_t n = x.shape()[axis];
  const auto edge = [&](int64_t at, int64_t times) {
    Shape shape = x.shape();
    shape[axis] = times;
    const Tensor one = part_of(x, axis, at, at + 1, where);
    return broadcast_to(Operand(one, where), shape);
  };
  return concat({edge(0, low), x, edge(n - 1, high)}, axis, where);
}

Tensor pad_periods(const Tensor& x, int axis, int64_t low, int64_t high, PadMode mode, Location where) {
  Tensor period = period_of(x, axis, mode, where);
  int64_t length = period.shape()[axis];
  const int64_t total = low + x.shape()[axis] + high;
  const int64_t first = (length - low % length) % length;  // where in the period the result begins
  int64_t turns = (first + total + length - 1) / length;
  constexpr int64_t kFewTurns = 16;
  if (turns > kFewTurns) {
    period = tile_axis(period, turns, axis, where);
    length *= turns;
    turns = 1;
  }
  std::vector<Tensor> parts;
  for (int64_t turn = 0; turn < turns; ++turn) {
    const int64_t start = turn == 0 ? first : 0;
    parts.push_back(part_of(period, axis, start, std::min(length, first + total - turn * length), where));
  }
  return concat(parts, axis, where);
}

}  // namespace

Tensor pad(const Operand& x, const std::vector<std::array<int64_t, 2>>& paddings, PadMode mode) {
  Scope scope("pad", x.where());
  Tensor result = tensor_of(x, "pad");
  const Location where = Scope::place_of(x.where());
  if (mode > PadMode::wrap) fail(where, cat("pad: the value ", static_cast<int>(mode), " is no PadMode"));
  detail::check_paddings(paddings, result.rank(), where);
  for (int axis = 0; axis < result.rank(); ++axis) {
    const auto [low, high] = paddings[axis];
    if (low == 0 && high == 0) continue;
    const int64_t n = result.shape()[axis];
    if (n == 0) fail(where, cat("pad: axis ", axis, " of ", to_string(result.shape()), " has no elements to repeat"));
    Shape padded = result.shape();
    padded[axis] = n + low + high;
    detail::check_type({result.dtype(), padded}, "pad", where);
    result = mode == PadMode::edge ? pad_edges(result, axis, low, high, where)
                                   : pad_periods(result, axis, low, high, mode, where);
  }
  return result;
}

}  // namespace etch
