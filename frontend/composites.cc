// The ops that are written in terms of others. Their names stay on the nodes as scopes.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/dispatch.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::fail;
using detail::fail_in_op;
using detail::number_text;
using detail::Scope;
using detail::tensor_of;

namespace {

void check_floating(const Operand& x, std::string_view op) {
  const Tensor& tensor = tensor_of(x, op);
  if (is_floating(tensor.dtype())) return;
  fail_in_op(x.where(), cat(op, " takes ", list_dtypes(is_floating), ", not ",
                            to_string(Type{tensor.dtype(), tensor.shape()}), "; cast first"));
}

/// Both operands as tensors: a number takes the dtype of the tensor beside it.
struct Pair {
  Pair(const Operand& x, const Operand& y, std::string_view op) {
    if (!x.tensor() && !y.tensor()) tensor_of(x, op);
    const DType dtype = tensor_of(x.tensor() ? x : y, op).dtype();
    a = x.tensor() ? *x.tensor() : full({}, x.number(), dtype, x.where());
    b = y.tensor() ? *y.tensor() : full({}, y.number(), dtype, y.where());
  }
  Tensor a, b;
};

int64_t count_along(const Tensor& x, const Dims& axes) {
  int64_t count = 1;
  for (int64_t axis : axes) count *= x.shape()[static_cast<int>(axis)];
  return count;
}

/// The largest element along axes, kept, for subtracting: 0 where it is not finite, so that nothing becomes inf - inf.
Tensor finite_max(const Tensor& x, const Axes& axes) {
  const Tensor largest = max(x, axes, true);
  return where(is_finite(largest), largest, 0);
}

}  // namespace

Tensor clip(const Operand& x, const Operand& low, const Operand& high) {
  Scope scope("clip", x.where());
  tensor_of(x, "clip");
  return minimum(maximum(x, low), high);
}

Tensor clip(const Operand& x, Bounds bounds) {
  Scope scope("clip", x.where());
  Tensor result = tensor_of(x, "clip");
  if (!bounds.low && !bounds.high) {
    fail_in_op(x.where(), "clip: neither bound is given; write {.low = 0} or {.high = 1}");
  }
  const auto operand = [&](const Number& bound) { return full({}, bound, result.dtype(), x.where()); };
  if (bounds.low) result = maximum(result, operand(*bounds.low));
  if (bounds.high) result = minimum(result, operand(*bounds.high));
  return result;
}

Tensor square(const Operand& x) {
  Scope scope("square", x.where());
  tensor_of(x, "square");
  return mul(x, x);
}

Tensor squared_difference(const Operand& a, const Operand& b) {
  Scope scope("squared_difference", a.where());
  return square(sub(a, b));
}

Tensor reciprocal(const Operand& x) {
  Scope scope("reciprocal", x.where());
  check_floating(x, "reciprocal");
  return div(1, x);
}

Tensor divide_no_nan(const Operand& a, const Operand& b) {
  Scope scope("divide_no_nan", a.where());
  const Pair pair(a, b, "divide_no_nan");
  return where(pair.b == 0, 0, pair.a / pair.b);
}

Tensor multiply_no_nan(const Operand& a, const Operand& b) {
  Scope scope("multiply_no_nan", a.where());
  const Pair pair(a, b, "multiply_no_nan");
  check_floating(pair.a, "multiply_no_nan");
  return where(pair.b == 0, 0, pair.a * pair.b);
}

Tensor xlogy(const Operand& a, const Operand& b) {
  Scope scope("xlogy", a.where());
  const Pair pair(a, b, "xlogy");
  return where(pair.a == 0, 0, pair.a * log(pair.b));
}

Tensor xlog1py(const Operand& a, const Operand& b) {
  Scope scope("xlog1py", a.where());
  const Pair pair(a, b, "xlog1py");
  return where(pair.a == 0, 0, pair.a * log1p(pair.b));
}

Tensor xdivy(const Operand& a, const Operand& b) {
  Scope scope("xdivy", a.where());
  const Pair pair(a, b, "xdivy");
  return where(pair.a == 0, 0, pair.a / pair.b);
}

Tensor mean(const Operand& x, const Axes& axes, Flag keepdims) {
  Scope scope("mean", x.where());
  const Tensor& tensor = tensor_of(x, "mean");
  const DType dtype = tensor.dtype();
  if (!is_numeric(dtype)) {
    fail_in_op(x.where(), cat("mean takes ", list_dtypes(is_numeric), ", not ", name(dtype), "; cast first"));
  }
  const int64_t count = count_along(tensor, detail::resolve_axes(axes, tensor.rank(), "mean", x.where()));
  if (is_floating(dtype)) return sum(tensor, axes, keepdims) / static_cast<double>(count);
  return cast(trunc_div(sum(cast(tensor, DType::i64), axes, keepdims), count), dtype);
}

Tensor variance(const Operand& x, const Axes& axes, Flag keepdims, Integer ddof) {
  Scope scope("variance", x.where());
  check_floating(x, "variance");
  const Tensor& tensor = *x.tensor();
  const int64_t count = count_along(tensor, detail::resolve_axes(axes, tensor.rank(), "variance", x.where()));
  if (ddof < 0) fail_in_op(x.where(), cat("variance: ddof is ", int64_t{ddof}, "; it may not be negative"));
  const auto divisor = static_cast<double>(std::max<int64_t>(count - ddof, 0));
  return sum(square(tensor - mean(tensor, axes, true)), axes, keepdims) / divisor;
}

Tensor stddev(const Operand& x, const Axes& axes, Flag keepdims, Integer ddof) {
  Scope scope("stddev", x.where());
  return sqrt(variance(x, axes, keepdims, ddof));
}

Tensor logsumexp(const Operand& x, const Axes& axes, Flag keepdims) {
  Scope scope("logsumexp", x.where());
  check_floating(x, "logsumexp");
  const Tensor& tensor = *x.tensor();
  const Tensor largest = finite_max(tensor, axes);
  const Tensor result = log(sum(exp(tensor - largest), axes, true)) + largest;
  const Dims reduced = detail::resolve_axes(axes, tensor.rank(), "logsumexp", x.where());
  if (keepdims || reduced.empty()) return result;
  return squeeze(result, Axes(reduced));
}

Tensor softmax(const Operand& x, const Axes& axes) {
  Scope scope("softmax", x.where());
  check_floating(x, "softmax");
  const Tensor powers = exp(*x.tensor() - max(x, axes, true));
  // As TensorFlow: one division a row instead of one an element.
  return powers * (1.0 / sum(powers, axes, true));
}

Tensor log_softmax(const Operand& x, const Axes& axes) {
  Scope scope("log_softmax", x.where());
  check_floating(x, "log_softmax");
  const Tensor shifted = *x.tensor() - max(x, axes, true);
  return shifted - log(sum(exp(shifted), axes, true));
}

namespace {

/// (x - mean) / sqrt(variance + epsilon), in the scope of layer_norm.
Tensor normalised(const Operand& x, const Axes& axes, double epsilon) {
  check_floating(x, "layer_norm");
  if (!(epsilon >= 0)) {
    fail_in_op(x.where(), cat("layer_norm: epsilon is ", number_text(epsilon), "; it may not be below 0"));
  }
  const Tensor centred = *x.tensor() - mean(x, axes, true);
  return centred * rsqrt(mean(square(centred), axes, true) + epsilon);
}

}  // namespace

Tensor layer_norm(const Operand& x, const Axes& axes, double epsilon) {
  Scope scope("layer_norm", x.where());
  return normalised(x, axes, epsilon);
}

Tensor layer_norm(const Operand& x, const Tensor& gamma, const Tensor& beta, const Axes& axes, double epsilon) {
  Scope scope("layer_norm", x.where());
  return normalised(x, axes, epsilon) * gamma + beta;
}

Tensor relu(const Operand& x) {
  Scope scope("relu", x.where());
  return maximum(x, 0);
}

Tensor relu6(const Operand& x) {
  Scope scope("relu6", x.where());
  return minimum(maximum(x, 0), 6);
}

Tensor leaky_relu(const Operand& x, double alpha) {
  Scope scope("leaky_relu", x.where());
  check_floating(x, "leaky_relu");
  return where(greater(x, 0), x, mul(alpha, x));
}

Tensor elu(const Operand& x, double alpha) {
  Scope scope("elu", x.where());
  check_floating(x, "elu");
  return where(greater(x, 0), x, alpha * expm1(x));
}

Tensor selu(const Operand& x) {
  Scope scope("selu", x.where());
  check_floating(x, "selu");
  constexpr double kScale = 1.0507009873554804934193349852946;
  constexpr double kAlpha = 1.6732632423543772848170429916717;
  return kScale * where(greater(x, 0), x, kAlpha * expm1(x));
}

Tensor gelu(const Operand& x, Gelu form) {
  Scope scope("gelu", x.where());
  check_floating(x, "gelu");
  const Tensor& t = *x.tensor();
  if (form > Gelu::tanh) fail_in_op(x.where(), cat("gelu: the value ", static_cast<int>(form), " is no Gelu form"));
  if (form == Gelu::exact) return 0.5 * t * (1 + erf(t * std::sqrt(0.5)));
  constexpr double kSqrt2OverPi = 0.79788456080286535587989211986876;
  return 0.5 * t * (1 + tanh(kSqrt2OverPi * (t + 0.044715 * (t * t * t))));
}

Tensor silu(const Operand& x) {
  Scope scope("silu", x.where());
  return mul(x, sigmoid(x));
}

Tensor swish(const Operand& x, double beta) {
  Scope scope("swish", x.where());
  return mul(x, sigmoid(mul(beta, x)));
}

Tensor hard_sigmoid(const Operand& x) {
  Scope scope("hard_sigmoid", x.where());
  check_floating(x, "hard_sigmoid");
  return relu6(add(x, 3)) / 6;
}

Tensor softsign(const Operand& x) {
  Scope scope("softsign", x.where());
  check_floating(x, "softsign");
  return div(x, abs(x) + 1);
}

namespace {

Tensor swap_last_axes(const Tensor& x) {
  Dims perm;
  for (int i = 0; i < x.rank(); ++i) perm.push_back(i);
  std::swap(perm[x.rank() - 1], perm[x.rank() - 2]);
  return transpose(x, perm);
}

/// `x` with these axes before its last two.
Tensor with_batch(const Tensor& x, const Shape& batch) {
  Shape shape = batch;
  shape.push_back(x.shape()[x.rank() - 2]);
  shape.push_back(x.shape()[x.rank() - 1]);
  return broadcast_to(x, shape);
}

Shape batch_of(const Tensor& x) {
  Shape batch = x.shape();
  batch.pop_back();
  batch.pop_back();
  return batch;
}

}  // namespace

Tensor matmul(const Operand& a, const Operand& b, MatmulOptions options) {
  Scope scope("matmul", a.where());
  Tensor left = tensor_of(a, "matmul");
  Tensor right = tensor_of(b, "matmul");
  const std::string types = cat("matmul of ", to_string(Type{left.dtype(), left.shape()}), " and ",
                                to_string(Type{right.dtype(), right.shape()}), ": ");
  if (left.rank() == 0 || right.rank() == 0) {
    fail(Scope::place_of(a.where()), types + "operands need rank 1 or more; use * to scale");
  }
  const bool row = left.rank() == 1;
  const bool column = right.rank() == 1;
  if ((row && options.transpose_a) || (column && options.transpose_b)) {
    fail(Scope::place_of(a.where()), types + "an operand of rank 1 has no axes to transpose");
  }
  if (row) left = expand_dims(left, 0);
  if (column) right = expand_dims(right, 1);
  if (options.transpose_a) left = swap_last_axes(left);
  if (options.transpose_b) right = swap_last_axes(right);
  const int64_t inner = left.shape()[left.rank() - 1];
  if (inner != right.shape()[right.rank() - 2]) {
    fail(Scope::place_of(a.where()),
         cat(types, "inner extents are ", inner, " and ", right.shape()[right.rank() - 2],
             "; columns of the first must equal rows of the second"));
  }
  absl::StatusOr<Shape> batch = broadcast_shapes(batch_of(left), batch_of(right));
  if (!batch.ok()) fail(Scope::place_of(a.where()), types + "batch " + std::string(batch.status().message()));
  Tensor result = detail::apply(op::Dot{}, {with_batch(left, *batch), with_batch(right, *batch)});
  if (row) result = squeeze(result, -2);
  if (column) result = squeeze(result, -1);
  return result;
}

Tensor is_close(const Operand& a, const Operand& b, Closeness closeness) {
  Scope scope("is_close", a.where());
  const Pair pair(a, b, "is_close");
  check_floating(pair.a, "is_close");
  for (double tolerance : {closeness.rtol, closeness.atol}) {
    if (!(tolerance >= 0)) fail_in_op(a.where(), cat("is_close: a tolerance is ", number_text(tolerance), ", below 0"));
  }
  const Tensor near = abs(pair.a - pair.b) <= closeness.atol + closeness.rtol * abs(pair.b);
  const Tensor close = etch::where(is_finite(pair.a) & is_finite(pair.b), near, pair.a == pair.b);
  return closeness.equal_nan ? close | (is_nan(pair.a) & is_nan(pair.b)) : close;
}

Tensor allclose(const Operand& a, const Operand& b, Closeness closeness) {
  Scope scope("allclose", a.where());
  return all(is_close(a, b, closeness));
}

Tensor array_equal(const Operand& a, const Operand& b) {
  Scope scope("array_equal", a.where());
  const bool same = tensor_of(a, "array_equal").shape() == tensor_of(b, "array_equal").shape();
  if (!same && a.tensor()->dtype() == b.tensor()->dtype()) return full({}, false, DType::boolean, a.where());
  return all(equal(a, b));
}

Tensor norm(const Operand& x, const Axes& axes, Flag keepdims, double order) {
  Scope scope("norm", x.where());
  check_floating(x, "norm");
  if (!(order > 0)) fail_in_op(x.where(), cat("norm: the order is ", number_text(order), ", not above 0"));
  const Tensor& tensor = *x.tensor();
  if (order == 2) return sqrt(sum(square(tensor), axes, keepdims));
  if (order == 1) return sum(abs(tensor), axes, keepdims);
  if (std::isinf(order)) return maximum(max(abs(tensor), axes, keepdims), 0);
  return pow(sum(pow(abs(tensor), order), axes, keepdims), 1 / order);
}

namespace {

/// The matrices of x where `keeps(row + k, column)` holds, else 0.
template <class F>
Tensor triangle(const Operand& x, int64_t k, std::string_view op, F keeps) {
  const Tensor& tensor = tensor_of(x, op);
  if (tensor.rank() < 2) {
    const Type type{tensor.dtype(), tensor.shape()};
    fail_in_op(x.where(), cat(op, ": a matrix has rank 2 or more, not ", to_string(type)));
  }
  const int64_t rows = tensor.shape()[tensor.rank() - 2], columns = tensor.shape()[tensor.rank() - 1];
  k = std::clamp(k, -rows, columns);  // beyond, nothing changes any more
  const Shape matrix{rows, columns};
  const Tensor row = iota(matrix, 0, DType::i64, x.where()) + k, column = iota(matrix, 1, DType::i64, x.where());
  return etch::where(keeps(row, column), tensor, Operand(0, x.where()));
}

}  // namespace

Tensor tril(const Operand& x, Integer k) {
  Scope scope("tril", x.where());
  return triangle(x, k, "tril", [](const Tensor& row, const Tensor& column) { return row >= column; });
}

Tensor triu(const Operand& x, Integer k) {
  Scope scope("triu", x.where());
  return triangle(x, k, "triu", [](const Tensor& row, const Tensor& column) { return row <= column; });
}

namespace {

Tensor diagonal(const Tensor& matrix, int64_t k, Location where) {
  const int64_t rows = matrix.shape()[0], columns = matrix.shape()[1];
  k = std::clamp(k, -rows, columns);
  const int64_t top = std::max<int64_t>(-k, 0), left = std::max<int64_t>(k, 0);
  const int64_t length = std::min(rows - top, columns - left);
  const Tensor part = slice(Operand(matrix, where), {{top, top + length}, {left, columns}});
  const Tensor row_major = reshape(Operand(part, where), -1);
  return slice(Operand(row_major, where), {Slice::to(length == 0 ? 0 : kOpen).by(columns - left + 1)});
}

Tensor diagonal_matrix(const Tensor& vector, int64_t k, Location where) {
  const int64_t beside = std::clamp(k, -kMaxBytes, kMaxBytes);
  const int64_t n = vector.shape()[0] + std::abs(beside);
  detail::check_type({vector.dtype(), {n, n}}, "diag", where);
  const Tensor row = iota({n, n}, 0, DType::i64, where), column = iota({n, n}, 1, DType::i64, where);
  const bool is_above = beside >= 0;  // then element i stands in row i, else in column i
  const Tensor padded = pad(Operand(vector, where), {{0, n - vector.shape()[0]}});
  return etch::where(row + beside == column, expand_dims(padded, is_above ? 1 : 0), 0);
}

}  // namespace

Tensor diag(const Operand& x, Integer k) {
  Scope scope("diag", x.where());
  const Tensor& tensor = tensor_of(x, "diag");
  const Location where = Scope::place_of(x.where());
  if (tensor.rank() == 1) return diagonal_matrix(tensor, k, where);
  if (tensor.rank() == 2) return diagonal(tensor, k, where);
  fail_in_op(x.where(), cat("diag takes a vector or a matrix, not ", to_string(Type{tensor.dtype(), tensor.shape()})));
}

namespace {

/// x side by side with itself along one axis.
Tensor tile_axis(const Tensor& x, int64_t times, int axis, Location where) {
  if (times == 1) return x;
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < x.rank(); ++i) (i < axis ? outer : inner) *= x.shape()[i];
  Shape result = x.shape();
  if (__builtin_mul_overflow(result[axis], times, &result[axis])) result[axis] = INT64_MAX;
  detail::check_type({x.dtype(), result}, "tile", where);
  const Tensor apart = reshape(Operand(x, where), {outer, 1, inner});
  return reshape(broadcast_to(Operand(apart, where), {outer, times, inner}), result);
}

}  // namespace

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

Tensor range(Integer n, DType dtype, Location where) {
  if (n < 0) fail(where, cat("range: ", int64_t{n}, " numbers cannot be counted"));
  return iota({n}, 0, dtype, where);
}

namespace {

double as_double(Number number) {
  return number.kind() == Number::Kind::floating ? number.floating() : static_cast<double>(number.integer());
}

/// Element i is start + i * step, computed in `wide`, i64 or f64, and cast.
Tensor steps(int64_t count, Number start, Number step, DType wide, DType dtype, Location where) {
  return cast(iota({count}, 0, wide, where) * full({}, step, wide, where) + full({}, start, wide, where), dtype);
}

}  // namespace

Tensor range(Number start, Number stop, Number step, Location where) {
  Scope scope("range", where);
  where = Scope::place_of(where);
  bool is_float = false;
  DType dtype = DType::i32;
  for (const Number& number : {start, stop, step}) {
    if (number.too_large()) fail(where, "range: a number is beyond i64");
    is_float |= number.kind() == Number::Kind::floating;
  }
  for (const Number& number : {start, stop, step}) {
    if (number.dtype() == DType::f64 || (!is_float && number.dtype() == DType::i64)) dtype = number.dtype();
  }
  if (is_float && dtype != DType::f64) dtype = DType::f32;
  if (as_double(step) == 0) fail(where, "range: the step is 0");
  double count = 0;
  if (is_float) {
    count = std::ceil((as_double(stop) - as_double(start)) / as_double(step));
  } else {
    const __int128 distance = static_cast<__int128>(stop.integer()) - start.integer();
    const __int128 stride = step.integer();
    const __int128 whole = distance / stride;
    count = static_cast<double>(whole + (distance % stride != 0 && (distance < 0) == (stride < 0) ? 1 : 0));
  }
  if (!(count < 0x1p46)) fail(where, "range: there are too many numbers between start and stop");
  const auto extent = static_cast<int64_t>(std::max(count, 0.0));
  return steps(extent, start, step, is_float ? DType::f64 : DType::i64, dtype, where);
}

Tensor linspace(double start, double stop, Integer count, DType dtype, Location where) {
  Scope scope("linspace", where);
  where = Scope::place_of(where);
  if (count < 0) fail(where, cat("linspace: ", int64_t{count}, " numbers cannot be counted"));
  detail::check_dtype(dtype, "linspace", where);
  if (!is_floating(dtype)) {
    fail(where, cat("linspace gives ", list_dtypes(is_floating), ", not ", name(dtype), "; cast the result"));
  }
  for (double end : {start, stop}) detail::number_bits(end, dtype, where, "linspace");
  const double last = static_cast<double>(count) - 1;
  const double step = count > 1 ? (stop - start) / last : 0;
  const Tensor i = iota({count}, 0, DType::f64, where);
  const Tensor even = i * step + start;
  return cast(count > 1 ? etch::where(i == last, stop, even) : even, dtype);
}

Tensor eye(Integer rows, Integer columns, DType dtype, Location where) {
  Scope scope("eye", where);
  where = Scope::place_of(where);
  detail::check_dtype(dtype, "eye", where);
  const Shape shape{rows, columns};
  for (DType counted : {dtype, DType::i64}) detail::check_type({counted, shape}, "eye", where);
  return cast(iota(shape, 0, DType::i64, where) == iota(shape, 1, DType::i64, where), dtype);
}

Tensor eye(Integer n, DType dtype, Location where) { return eye(n, n, dtype, where); }

}  // namespace etch
