// The elementwise ops, expanded from the op table, and the ops that are one node.
#include "etch/ops.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "compiler/ir/cat.h"
#include "frontend/dispatch.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::apply;
using detail::apply_to;
using detail::fail;
using detail::fail_in_op;
using detail::tensor_of;

// A row of the table is a function of its name, but for `min` and `max`, whose names the reductions have.
#define ETCH_NAME_min ~, minimum
#define ETCH_NAME_max ~, maximum
#define ETCH_SECOND(a, b, ...) b
#define ETCH_FUNCTION_NAME(...) ETCH_SECOND(__VA_ARGS__, ~)
#define ETCH_FUNCTION_1(function, row) \
  Tensor function(const Operand& x) { return apply_to(Op::row, x); }
#define ETCH_FUNCTION_2(function, row) \
  Tensor function(const Operand& a, const Operand& b) { return apply_to(Op::row, a, b); }
#define ETCH_FUNCTION_3(function, row) \
  Tensor function(const Operand& a, const Operand& b, const Operand& c) { return apply_to(Op::row, a, b, c); }
#define ETCH_OP(row, arity, ...) ETCH_FUNCTION_##arity(ETCH_FUNCTION_NAME(ETCH_NAME_##row, row), row)
#include "compiler/ir/ops.def"
#undef ETCH_FUNCTION_1
#undef ETCH_FUNCTION_2
#undef ETCH_FUNCTION_3
#undef ETCH_FUNCTION_NAME
#undef ETCH_SECOND
#undef ETCH_NAME_min
#undef ETCH_NAME_max

namespace {

bool is_bool(const Operand& a, const Operand& b) {
  const Tensor* tensor = a.tensor() ? a.tensor() : b.tensor();
  return tensor && tensor->defined() && tensor->dtype() == DType::boolean;
}

}  // namespace

Tensor detail::and_of(const Operand& a, const Operand& b) {
  return is_bool(a, b) ? logical_and(a, b) : bitwise_and(a, b);
}
Tensor detail::or_of(const Operand& a, const Operand& b) { return is_bool(a, b) ? logical_or(a, b) : bitwise_or(a, b); }
Tensor detail::xor_of(const Operand& a, const Operand& b) {
  return is_bool(a, b) ? logical_xor(a, b) : bitwise_xor(a, b);
}
Tensor detail::not_of(const Operand& x) { return is_bool(x, x) ? logical_not(x) : bitwise_not(x); }

Tensor detail::unary_plus(const Operand& x) {
  const Tensor& tensor = tensor_of(x, "unary +");
  if (tensor.dtype() == DType::boolean) fail_in_op(x.where(), "unary + takes numbers, not bool; cast first");
  return tensor;
}

Tensor detail::truth_not(const Tensor& x) {
  if (!x.defined()) fail({}, cat("!x: the tensor ", kHoldsNothing));
  return logical_not(Operand(x, {}));
}

#define ETCH_ASSIGNMENT(assignment, function)                    \
  Tensor& Tensor::operator assignment(const Operand& other)& {   \
    return *this = function(Operand(*this, other.where()), other); \
  }
ETCH_ASSIGNMENT(+=, add)
ETCH_ASSIGNMENT(-=, sub)
ETCH_ASSIGNMENT(*=, mul)
ETCH_ASSIGNMENT(/=, div)
ETCH_ASSIGNMENT(%=, floor_mod)
ETCH_ASSIGNMENT(&=, detail::and_of)
ETCH_ASSIGNMENT(|=, detail::or_of)
ETCH_ASSIGNMENT(^=, detail::xor_of)
ETCH_ASSIGNMENT(<<=, shift_left)
ETCH_ASSIGNMENT(>>=, shift_right)
#undef ETCH_ASSIGNMENT

Tensor cast(const Operand& x, DType dtype) {
  const Tensor& tensor = tensor_of(x, "cast");
  detail::check_dtype(dtype, "cast", x.where());
  if (tensor.dtype() == dtype) return tensor;
  const Type type{dtype, tensor.shape()};
  return apply(op::Cast{}, {x}, &type);
}

Tensor bitcast(const Operand& x, DType dtype) {
  const Tensor& tensor = tensor_of(x, "bitcast");
  detail::check_dtype(dtype, "bitcast", x.where());
  if (tensor.dtype() == dtype) return tensor;
  const Type type{dtype, tensor.shape()};
  return apply(op::Bitcast{}, {x}, &type);
}

DType result_type(DType a, DType b) {
  for (DType dtype : {a, b}) detail::check_dtype(dtype, "result_type", {});
  if (a == b) return a;
  const bool is_float = is_floating(a) || is_floating(b);
  DType smallest = DType::f64;  // also where none holds both, as of i64 and f64
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    const bool fits = holds(dtype, a) && holds(dtype, b) && is_float == is_floating(dtype);
    if (fits && size_of(dtype) <= size_of(smallest)) smallest = dtype;
  }
  return smallest;
}

namespace {

Tensor reduce(const Operand& x, ReduceKind kind, std::string_view op, const Axes& axes, bool keepdims) {
  const Tensor& tensor = tensor_of(x, op);
  const Dims reduced = detail::resolve_axes(axes, tensor.rank(), op, x.where());
  if (reduced.empty()) return tensor;
  Tensor result = apply(op::Reduce{kind, reduced}, {x});
  return keepdims ? reshape(Operand(result, x.where()), detail::kept_shape(tensor.shape(), reduced)) : result;
}

}  // namespace

Tensor sum(const Operand& x, const Axes& axes, Flag keepdims) {
  return reduce(x, ReduceKind::sum, "sum", axes, keepdims);
}
Tensor prod(const Operand& x, const Axes& axes, Flag keepdims) {
  return reduce(x, ReduceKind::prod, "prod", axes, keepdims);
}
Tensor max(const Operand& x, const Axes& axes, Flag keepdims) {
  return reduce(x, ReduceKind::max, "max", axes, keepdims);
}
Tensor min(const Operand& x, const Axes& axes, Flag keepdims) {
  return reduce(x, ReduceKind::min, "min", axes, keepdims);
}
Tensor any(const Operand& x, const Axes& axes, Flag keepdims) {
  return reduce(x, ReduceKind::any, "any", axes, keepdims);
}
Tensor all(const Operand& x, const Axes& axes, Flag keepdims) {
  return reduce(x, ReduceKind::all, "all", axes, keepdims);
}
Tensor argmax(const Operand& x, Integer axis, Flag keepdims) {
  return reduce(x, ReduceKind::argmax, "argmax", Axes{axis}, keepdims);
}
Tensor argmin(const Operand& x, Integer axis, Flag keepdims) {
  return reduce(x, ReduceKind::argmin, "argmin", Axes{axis}, keepdims);
}

TopK top_k(const Operand& x, Integer k, Integer axis) {
  const Tensor& tensor = tensor_of(x, "top_k");
  const int rank = tensor.rank();
  const int along = rank == 0 ? -1 : detail::resolve_axis(axis, rank, "top_k", x.where());
  const auto swapped = [&](const Tensor& of) {
    return along == rank - 1 ? of : swapaxes(Operand(of, x.where()), along, rank - 1);
  };
  const Tensor moved = swapped(tensor);
  const Operand operand(moved, x.where());
  const Operand* const operands[] = {&operand};
  const detail::Tensors results = detail::apply_all(op::TopK{k}, operands, {}, x.where());
  return {swapped(results[0]), swapped(results[1])};
}

namespace {

/// Indices in a dtype that the graph takes.
Tensor indices_of(const Operand& indices, std::string_view op) {
  const Tensor& tensor = tensor_of(indices, op);
  if (!is_integer(tensor.dtype())) {
    fail_in_op(indices.where(), cat(op, ": indices are integers, not ", to_string(Type{tensor.dtype(), tensor.shape()})));
  }
  const bool fits = tensor.dtype() == DType::i32 || tensor.dtype() == DType::i64;
  if (fits) return tensor;
  const bool may_be_larger = tensor.dtype() == DType::u64;  // than any i64, and so negative as one
  constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();
  const Tensor bounded = may_be_larger ? minimum(Operand(tensor, indices.where()), kLargest) : tensor;
  return cast(Operand(bounded, indices.where()), DType::i64);
}

}  // namespace

Tensor gather(const Operand& x, const Operand& indices, Integer axis) {
  const int rank = tensor_of(x, "gather").rank();
  const int64_t along = rank == 0 ? int64_t{axis} : detail::resolve_axis(axis, rank, "gather", x.where());
  const Tensor places = indices_of(indices, "gather");
  return apply(op::Gather{along}, {x, Operand(places, x.where())});
}

Tensor scatter_add(const Operand& x, const Operand& indices, const Operand& updates, Integer axis) {
  const Tensor& tensor = tensor_of(x, "scatter_add");
  if (tensor.rank() == 0) fail_in_op(x.where(), "scatter_add: the tensor has rank 0, so there is no axis to add along");
  const int along = detail::resolve_axis(axis, tensor.rank(), "scatter_add", x.where());
  const Tensor places = indices_of(indices, "scatter_add");
  return apply(op::ScatterAdd{along, tensor.shape()[along]}, {x, Operand(places, x.where()), updates});
}

namespace {

int along_axis(const Operand& x, Integer axis, std::string_view op) {
  const Tensor& tensor = tensor_of(x, op);
  if (tensor.rank() == 0) fail_in_op(x.where(), cat(op, ": the tensor has rank 0, so there is no axis"));
  return detail::resolve_axis(axis, tensor.rank(), op, x.where());
}

/// A scalar index in a dtype that the graph takes.
Tensor index_of(const Operand& index, std::string_view op) {
  const Tensor number = index.tensor() ? *index.tensor() : full(Shape{}, index.number(), index.where());
  const Tensor place = indices_of(Operand(number, index.where()), op);
  if (place.rank() == 0) return place;
  fail_in_op(index.where(), cat(op, ": the index is ", to_string(Type{place.dtype(), place.shape()}), ", not a scalar"));
}

}  // namespace

Tensor dynamic_slice(const Operand& x, const Operand& index, Integer count, Integer axis) {
  const int along = along_axis(x, axis, "dynamic_slice");
  const Location where = x.where();
  const int64_t extent = tensor_of(x, "dynamic_slice").shape()[along];
  if (count < 0 || count > extent) {
    fail_in_op(where, cat("dynamic_slice: takes ", int64_t{count}, " elements of axis ", along, ", which has ", extent));
  }
  const detail::Scope scope("dynamic_slice", where);
  const Tensor first = clip(index_of(index, "dynamic_slice"), 0, extent - int64_t{count});
  return gather(x, first + range(int64_t{count}, first.dtype()), along);
}

Tensor update_slice(const Operand& x, const Operand& update, const Operand& index, Integer axis) {
  const int along = along_axis(x, axis, "update_slice");
  const Tensor place = index_of(index, "update_slice");
  return apply(op::UpdateSlice{along}, {x, update, Operand(place, x.where())});
}

Tensor cumsum(const Operand& x, Integer axis, CumsumOptions options) {
  const int rank = tensor_of(x, "cumsum").rank();
  const int64_t along = rank == 0 ? int64_t{axis} : detail::resolve_axis(axis, rank, "cumsum", x.where());
  return apply(op::Cumsum{along, options.exclusive, options.reverse}, {x});
}

Tensor reshape(const Operand& x, const Shape& shape) {
  const Tensor& tensor = tensor_of(x, "reshape");
  const Type type{tensor.dtype(), detail::complete_shape(tensor.shape(), shape, x.where())};
  if (type.shape == tensor.shape()) return tensor;
  return apply(op::Reshape{}, {x}, &type);
}

Tensor transpose(const Operand& x, const Dims& perm) {
  const Tensor& tensor = tensor_of(x, "transpose");
  Dims axes = perm;
  for (int64_t& axis : axes) axis += axis < 0 ? tensor.rank() : 0;
  return apply(op::Transpose{axes}, {x});
}

Tensor transpose(const Operand& x) {
  Dims perm;
  for (int axis = tensor_of(x, "transpose").rank() - 1; axis >= 0; --axis) perm.push_back(axis);
  return apply(op::Transpose{perm}, {x});
}

Tensor swapaxes(const Operand& x, Integer a, Integer b) {
  const int rank = tensor_of(x, "swapaxes").rank();
  Dims perm;
  for (int axis = 0; axis < rank; ++axis) perm.push_back(axis);
  std::swap(perm[detail::resolve_axis(a, rank, "swapaxes", x.where())],
            perm[detail::resolve_axis(b, rank, "swapaxes", x.where())]);
  return apply(op::Transpose{perm}, {x});
}

Tensor broadcast_to(const Operand& x, const Shape& shape) {
  const Tensor& tensor = tensor_of(x, "broadcast_to");
  if (tensor.shape() == shape) return tensor;
  const Type type{tensor.dtype(), shape};
  return apply(op::Broadcast{}, {x}, &type);
}

Tensor expand_dims(const Operand& x, Integer axis) {
  const Tensor& tensor = tensor_of(x, "expand_dims");
  if (tensor.rank() == kMaxRank) {
    detail::fail_in_op(x.where(), "expand_dims: the tensor has rank 8, the most there is, already");
  }
  Shape shape = tensor.shape();
  shape.insert(detail::resolve_axis(axis, tensor.rank() + 1, "expand_dims", x.where()), 1);
  return reshape(x, shape);
}

Tensor squeeze(const Operand& x, const Axes& axes) {
  const Tensor& tensor = tensor_of(x, "squeeze");
  const Dims named = detail::resolve_axes(axes, tensor.rank(), "squeeze", x.where());
  Shape shape;
  for (int axis = 0; axis < tensor.rank(); ++axis) {
    const int64_t extent = tensor.shape()[axis];
    if (!named.contains(axis) || (axes.all() && extent != 1)) {
      shape.push_back(extent);
    } else if (extent != 1) {
      fail(x.where(), cat("squeeze: axis ", axis, " of ", to_string(tensor.shape()), " has extent ", extent,
                          ", not 1"));
    }
  }
  return reshape(x, shape);
}

Tensor slice(const Operand& x, const Slices& slices) {
  const Tensor& tensor = tensor_of(x, "slice");
  const detail::SlicePlan plan = detail::plan_slices(tensor.shape(), slices.list(), x.where());
  Tensor result = tensor;
  if (!plan.is_whole) {
    const Type type{tensor.dtype(), plan.shape};
    result = apply(plan.op, {x}, &type);
  }
  return reshape(Operand(result, x.where()), plan.result);
}

Tensor concat(const std::vector<Tensor>& tensors, Integer axis, Location where) {
  if (tensors.empty()) fail(where, "concat: there is no tensor to join");
  std::vector<Operand> operands;
  for (const Tensor& tensor : tensors) operands.emplace_back(tensor, where);
  const int rank = tensors[0].defined() ? tensors[0].rank() : 0;
  const int64_t along = axis + (axis < 0 ? rank : 0);
  return apply(op::Concat{along}, operands, nullptr, where);
}

Tensor pad(const Operand& x, const std::vector<std::array<int64_t, 2>>& paddings, const Operand& value) {
  const Tensor& tensor = tensor_of(x, "pad");
  detail::check_paddings(paddings, tensor.rank(), x.where());
  op::Pad op;
  for (const auto& [low, high] : paddings) {
    op.low.push_back(low);
    op.high.push_back(high);
  }
  return apply(op, {x, value});
}

Tensor window(const Operand& x, const Dims& sizes, const Axes& axes, WindowOptions options) {
  const int rank = tensor_of(x, "window").rank();
  Dims along;
  for (int64_t axis : axes.axes()) along.push_back(detail::resolve_axis(axis, rank, "window", x.where()));
  for (int axis = 0; axes.all() && axis < rank; ++axis) along.push_back(axis);
  const auto or_ones = [&](const Dims& list) { return list.empty() ? Dims::filled(sizes.rank(), 1) : list; };
  return apply(op::Window{along, sizes, or_ones(options.steps), or_ones(options.dilations)}, {x});
}

Tensor flip(const Operand& x, const Axes& axes) {
  const Tensor& tensor = tensor_of(x, "flip");
  const Dims flipped = detail::resolve_axes(axes, tensor.rank(), "flip", x.where());
  if (flipped.empty()) return tensor;
  const Type type{tensor.dtype(), tensor.shape()};
  op::Slice op{Dims::filled(tensor.rank(), 0), Dims::filled(tensor.rank(), 1)};
  for (Integer axis : flipped) {
    const int i = static_cast<int>(axis);
    op.start[i] = std::max<int64_t>(type.shape[i] - 1, 0);
    op.step[i] = -1;
  }
  return apply(op, {x}, &type);
}

namespace {

/// `op` is what the user called.
Tensor filled(const Shape& shape, Number value, DType dtype, std::string_view op, Location where) {
  detail::check_dtype(dtype, op, where);
  detail::check_type({dtype, shape}, op, where);
  return detail::constant({dtype, shape}, detail::number_bits(value, dtype, where, op), op, where);
}

}  // namespace

Tensor full(const Shape& shape, Number value, DType dtype, Location where) {
  return filled(shape, value, dtype, "full", where);
}
Tensor full(const Shape& shape, Number value, Location where) { return full(shape, value, value.dtype(), where); }
Tensor zeros(const Shape& shape, DType dtype, Location where) { return filled(shape, false, dtype, "zeros", where); }
Tensor ones(const Shape& shape, DType dtype, Location where) { return filled(shape, true, dtype, "ones", where); }

Tensor full_like(const Operand& x, Number value) {
  const Tensor& tensor = tensor_of(x, "full_like");
  return filled(tensor.shape(), value, tensor.dtype(), "full_like", x.where());
}
Tensor zeros_like(const Operand& x) { return full_like(x, false); }
Tensor ones_like(const Operand& x) { return full_like(x, true); }

Tensor iota(const Shape& shape, Integer axis, DType dtype, Location where) {
  detail::check_dtype(dtype, "iota", where);
  const Type type{dtype, shape};
  const int64_t resolved = detail::resolve_axis(axis, shape.rank(), "iota", where);
  return apply(op::Iota{resolved}, detail::OperandPointers(), &type, where);
}

}  // namespace etch
