// Sorting, and indices as flags.
#include <string_view>

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/dispatch.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::Scope;
using detail::tensor_of;

namespace {

/// All elements along an axis in order, and where they stand. Ascending is descending from the end, seen from the end: so
/// equal elements keep their order both ways, and NaN is last.
TopK sorted(const Operand& x, Integer axis, Direction direction, std::string_view op) {
  const Tensor& tensor = tensor_of(x, op);
  const int along = detail::resolve_axis(axis, tensor.rank(), op, x.where());
  const int64_t n = tensor.shape()[along];
  if (direction == Direction::descending) return top_k(x, n, along);
  const Tensor reversed = flip(x, along);
  const auto [values, indices] = top_k(Operand(reversed, x.where()), n, along);
  return {flip(values, along), n - 1 - flip(indices, along)};
}

}  // namespace

Tensor sort(const Operand& x, Integer axis, Direction direction) {
  const Scope scope("sort", x.where());
  return sorted(x, axis, direction, "sort").values;
}

Tensor argsort(const Operand& x, Integer axis, Direction direction) {
  const Scope scope("argsort", x.where());
  return sorted(x, axis, direction, "argsort").indices;
}

Tensor one_hot(const Operand& indices, Integer depth, DType dtype, Integer axis) {
  const Scope scope("one_hot", indices.where());
  const Tensor& tensor = tensor_of(indices, "one_hot");
  if (!is_integer(tensor.dtype())) {
    const Type type{tensor.dtype(), tensor.shape()};
    detail::fail_in_op(indices.where(), cat("one_hot: indices are integers, not ", to_string(type)));
  }
  if (depth < 0) detail::fail_in_op(indices.where(), cat("one_hot: depth is ", int64_t{depth}, ", which is negative"));
  const int at = detail::resolve_axis(axis, tensor.rank() + 1, "one_hot", indices.where());
  const Tensor places = expand_dims(cast(indices, DType::i64), at);
  Shape own = Shape::filled(places.rank(), 1);
  own[at] = depth;
  return cast(places == iota(own, at, DType::i64, indices.where()), dtype);
}

}  // namespace etch
