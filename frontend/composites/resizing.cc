// Resizing pictures, one axis after the other.
//
// With g the greatest common divisor of an extent and a new size, the positions of the new elements repeat g times: new
// element p of each of g equal stretches lies at the same place of the old stretch. So a resized axis is a few slices of the
// old one, side by side.
#include <cmath>
#include <numeric>

#include "compiler/ir/cat.h"
#include "frontend/composites/parts.h"
#include "frontend/composites/windows.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::fail_in_op;
using detail::Scope;

namespace {

/// Elements start, start + step, ..., `count` of them, with an axis of extent 1 behind `axis`.
Tensor every(const Tensor& x, int axis, int64_t start, int64_t step, int64_t count, Location where) {
  std::vector<Slice> part(static_cast<size_t>(axis) + 1);
  part[axis] = Slice(start, start + (count - 1) * step + 1, step);
  return expand_dims(x[Slices(part, where)], axis + 1);
}

/// A resized axis from what its stretches have at their new elements 0, 1, ...
template <class F>
Tensor resized_axis(const Tensor& x, int axis, int64_t stretches, int64_t size, Location where, F part_of) {
  std::vector<Tensor> parts;
  for (int64_t p = 0; p < size / stretches; ++p) parts.push_back(part_of(p));
  Shape shape = x.shape();
  shape[axis] = size;
  return reshape(parts.size() == 1 ? parts[0] : concat(parts, axis + 1, where), shape);
}

Tensor resize_nearest(const Tensor& x, int axis, int64_t size, Location where) {
  const int64_t extent = x.shape()[axis];
  if (size % extent == 0) return repeat(Operand(x, where), size / extent, axis);
  const int64_t stretches = std::gcd(extent, size), step = extent / stretches;
  return resized_axis(x, axis, stretches, size, where, [&](int64_t p) {
    return every(x, axis, (2 * p + 1) * extent / (2 * size), step, stretches, where);
  });
}

Tensor resize_linear(const Tensor& x, int axis, int64_t size, Location where) {
  const int64_t extent = x.shape()[axis], stretches = std::gcd(extent, size), step = extent / stretches;
  std::vector<std::array<int64_t, 2>> paddings(static_cast<size_t>(x.rank()), {0, 0});
  paddings[axis] = {1, 1};
  const Tensor edged = pad(Operand(x, where), paddings, PadMode::edge);
  return resized_axis(x, axis, stretches, size, where, [&](int64_t p) {
    // The position in units of 1 / (2 size), moved by the padding.
    const int64_t position = (2 * p + 1) * extent + size, unit = 2 * size;
    const double share = static_cast<double>(position % unit) / static_cast<double>(unit);
    const Tensor before = every(edged, axis, position / unit, step, stretches, where);
    if (share == 0) return before;
    return before + (every(edged, axis, position / unit + 1, step, stretches, where) - before) * share;
  });
}

}  // namespace

Tensor resize(const Operand& x, const Dims& sizes, ResizeMethod method) {
  Scope scope("resize", x.where());
  detail::check_floating(x, "resize");
  Tensor result = *x.tensor();
  const Type type{result.dtype(), result.shape()};
  if (type.shape.rank() != 4) {
    fail_in_op(x.where(), cat("resize takes [n, height, width, channels], not ", to_string(type)));
  }
  if (method > ResizeMethod::nearest) {
    fail_in_op(x.where(), cat("resize: the value ", static_cast<int>(method), " is no ResizeMethod"));
  }
  const Dims wanted = detail::one_for_each(sizes, 2, "size", "resize", x.where());
  const Location where = Scope::place_of(x.where());
  return detail::rounded_once(result, [&](Tensor t) {
    for (int i = 0; i < 2; ++i) {
      const int axis = i + 1;
      if (t.shape()[axis] == 0) fail_in_op(x.where(), cat("resize: axis ", axis, " of ", to_string(type), " has no elements"));
      if (wanted[i] > kMaxBytes) fail_in_op(x.where(), cat("resize: size ", wanted[i], " is too large"));
      if (t.shape()[axis] == wanted[i]) continue;
      t = method == ResizeMethod::nearest ? resize_nearest(t, axis, wanted[i], where)
                                          : resize_linear(t, axis, wanted[i], where);
    }
    return t;
  });
}

}  // namespace etch
