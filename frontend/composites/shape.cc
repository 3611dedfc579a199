// Composites that move elements: tiles, stacks, parts.
#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/composites/parts.h"
#include "frontend/dispatch.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::fail;
using detail::fail_in_op;
using detail::Scope;
using detail::tensor_of;
using detail::tile_axis;

Tensor detail::tile_axis(const Tensor& x, int64_t times, int axis, Location where) {
  if (times == 1) return x;
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < x.rank(); ++i) (i < axis ? outer : inner) *= x.shape()[i];
  Shape result = x.shape();
  if (__builtin_mul_overflow(result[axis], times, &result[axis])) result[axis] = INT64_MAX;
  detail::check_type({x.dtype(), result}, "tile", where);
  const Tensor apart = reshape(Operand(x, where), {outer, 1, inner});
  return reshape(broadcast_to(Operand(apart, where), {outer, times, inner}), result);
}

Tensor tile(const Operand& x, const Dims& repeats) {
  Scope scope("tile", x.where());
  Tensor result = tensor_of(x, "tile");
  const Location where = Scope::place_of(x.where());
  for (int64_t times : repeats) {
    if (times < 0) fail_in_op(where, cat("tile: ", to_string(repeats), " repeats a negative number of times"));
  }
  Shape shape = result.shape();
  while (shape.rank() < repeats.rank()) shape.insert(0, 1);
  result = reshape(Operand(result, where), shape);
  const int before = shape.rank() - repeats.rank();
  for (int i = 0; i < repeats.rank(); ++i) result = tile_axis(result, repeats[i], before + i, where);
  return result;
}

Tensor repeat(const Operand& x, Integer count, Integer axis) {
  Scope scope("repeat", x.where());
  const Tensor& tensor = tensor_of(x, "repeat");
  const Location where = Scope::place_of(x.where());
  const int along = detail::resolve_axis(axis, tensor.rank(), "repeat", where);
  if (count < 0) fail_in_op(where, cat("repeat: the count ", int64_t{count}, " is negative"));
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < tensor.rank(); ++i) {
    if (i != along) (i < along ? outer : inner) *= tensor.shape()[i];
  }
  Shape result = tensor.shape();
  const int64_t n = result[along];
  if (__builtin_mul_overflow(n, int64_t{count}, &result[along])) result[along] = INT64_MAX;
  detail::check_type({tensor.dtype(), result}, "repeat", where);
  const Tensor apart = reshape(Operand(tensor, where), {outer * n, 1, inner});
  return reshape(broadcast_to(Operand(apart, where), {outer * n, count, inner}), result);
}

Tensor stack(const std::vector<Tensor>& tensors, Integer axis, Location where) {
  Scope scope("stack", where);
  if (tensors.empty()) fail(Scope::place_of(where), "stack: there is no tensor to join");
  const int rank = tensor_of(Operand(tensors[0], where), "stack").rank();
  const int along = detail::resolve_axis(axis, rank + 1, "stack", where);
  std::vector<Tensor> expanded;
  for (const Tensor& tensor : tensors) expanded.push_back(expand_dims(Operand(tensor, where), along));
  return concat(expanded, along, where);
}

std::vector<Tensor> split(const Operand& x, const std::vector<int64_t>& sizes, Integer axis) {
  Scope scope("split", x.where());
  const Tensor& tensor = tensor_of(x, "split");
  const int along = detail::resolve_axis(axis, tensor.rank(), "split", x.where());
  int64_t total = 0;
  for (int64_t size : sizes) {
    if (size < 0 || size > tensor.shape()[along]) total = -1;
    if (total >= 0) total += size;
  }
  if (total != tensor.shape()[along]) {
    fail(Scope::place_of(x.where()), cat("split: the sizes do not add up to the extent ", tensor.shape()[along],
                                         " of axis ", along, " of ", to_string(tensor.shape())));
  }
  std::vector<Tensor> parts;
  op::Slice op{Dims::filled(tensor.rank(), 0), Dims::filled(tensor.rank(), 1)};
  for (int64_t size : sizes) {
    Type type{tensor.dtype(), tensor.shape()};
    type.shape[along] = size;
    parts.push_back(detail::apply(op, {x}, &type));
    op.start[along] += size;
  }
  return parts;
}

std::vector<Tensor> split(const Operand& x, Integer count, Integer axis) {
  const Tensor& tensor = tensor_of(x, "split");
  const int along = detail::resolve_axis(axis, tensor.rank(), "split", x.where());
  const int64_t extent = tensor.shape()[along];
  constexpr int64_t kMaxParts = int64_t{1} << 20;
  if (count <= 0 || count > kMaxParts || extent % count != 0) {
    fail(x.where(), cat("split: axis ", along, " of ", to_string(tensor.shape()), " has no ", int64_t{count},
                        " equal parts"));
  }
  return split(x, std::vector<int64_t>(static_cast<size_t>(count), extent / count), axis);
}

Tensor roll(const Operand& x, Integer shift, Integer axis) {
  Scope scope("roll", x.where());
  const Tensor& tensor = tensor_of(x, "roll");
  const int along = detail::resolve_axis(axis, tensor.rank(), "roll", x.where());
  const int64_t extent = tensor.shape()[along];
  if (extent == 0 || shift % extent == 0) return tensor;
  const int64_t moved = (shift % extent + extent) % extent;
  const std::vector<Tensor> parts = split(x, {extent - moved, moved}, along);
  return concat({parts[1], parts[0]}, along, x.where());
}

}  // namespace etch
