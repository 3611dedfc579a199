// The ops that are written in terms of others. Their names stay on the nodes as scopes.
#include <algorithm>
#include <cmath>

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/dispatch.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::fail;
using detail::fail_in_op;
using detail::Scope;
using detail::tensor_of;

namespace {

void check_floating(const Operand& x, std::string_view op) {
  const Tensor& tensor = tensor_of(x, op);
  if (is_floating(tensor.dtype())) return;
  fail_in_op(x.where(),
             cat(op, " takes ", list_dtypes(is_floating), ", not ", to_string(Type{tensor.dtype(), tensor.shape()}), "; cast first"));
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

Tensor mean(const Operand& x, const Axes& axes, bool keepdims) {
  Scope scope("mean", x.where());
  const Tensor& tensor = tensor_of(x, "mean");
  const DType dtype = tensor.dtype();
  if (!is_numeric(dtype)) {
    fail_in_op(x.where(), cat("mean takes ", list_dtypes(is_numeric), ", not ", name(dtype), "; cast first"));
  }
  const int64_t count = count_along(tensor, detail::resolve_axes(axes, tensor.rank(), "mean", x.where()));
  if (is_floating(dtype)) return sum(tensor, axes, keepdims) / count;
  return cast(trunc_div(sum(cast(tensor, DType::i64), axes, keepdims), count), dtype);
}

Tensor variance(const Operand& x, const Axes& axes, bool keepdims, int64_t ddof) {
  Scope scope("variance", x.where());
  check_floating(x, "variance");
  const Tensor& tensor = *x.tensor();
  const int64_t count = count_along(tensor, detail::resolve_axes(axes, tensor.rank(), "variance", x.where()));
  if (ddof < 0) fail(x.where(), cat("variance: ddof is ", ddof, "; it may not be negative"));
  return sum(square(tensor - mean(tensor, axes, true)), axes, keepdims) / std::max<int64_t>(count - ddof, 0);
}

Tensor stddev(const Operand& x, const Axes& axes, bool keepdims, int64_t ddof) {
  Scope scope("stddev", x.where());
  return sqrt(variance(x, axes, keepdims, ddof));
}

Tensor logsumexp(const Operand& x, const Axes& axes, bool keepdims) {
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

Tensor layer_norm(const Operand& x, const Axes& axes, double epsilon) {
  Scope scope("layer_norm", x.where());
  check_floating(x, "layer_norm");
  const Tensor centred = *x.tensor() - mean(x, axes, true);
  return centred * rsqrt(mean(square(centred), axes, true) + epsilon);
}

Tensor layer_norm(const Operand& x, const Tensor& gamma, const Tensor& beta, const Axes& axes, double epsilon) {
  Scope scope("layer_norm", x.where());
  check_floating(x, "layer_norm");
  const Tensor centred = *x.tensor() - mean(x, axes, true);
  return centred * rsqrt(mean(square(centred), axes, true) + epsilon) * gamma + beta;
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
  Tensor result = detail::apply(Op::dot, {with_batch(left, *batch), with_batch(right, *batch)});
  if (row) result = squeeze(result, -2);
  if (column) result = squeeze(result, -1);
  return result;
}

Tensor stack(const std::vector<Tensor>& tensors, int64_t axis, Location where) {
  Scope scope("stack", where);
  if (tensors.empty()) fail(Scope::place_of(where), "stack: there is no tensor to join");
  const int rank = tensor_of(Operand(tensors[0], where), "stack").rank();
  const int along = detail::resolve_axis(axis, rank + 1, "stack", where);
  std::vector<Tensor> expanded;
  for (const Tensor& tensor : tensors) expanded.push_back(expand_dims(Operand(tensor, where), along));
  return concat(expanded, along, where);
}

std::vector<Tensor> split(const Operand& x, const std::vector<int64_t>& sizes, int64_t axis) {
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
  SliceAttr attr{Dims::filled(tensor.rank(), 0), Dims::filled(tensor.rank(), 1)};
  for (int64_t size : sizes) {
    Type type{tensor.dtype(), tensor.shape()};
    type.shape[along] = size;
    parts.push_back(detail::apply(Op::slice, {x}, attr, &type));
    attr.start[along] += size;
  }
  return parts;
}

std::vector<Tensor> split(const Operand& x, int64_t count, int64_t axis) {
  const Tensor& tensor = tensor_of(x, "split");
  const int along = detail::resolve_axis(axis, tensor.rank(), "split", x.where());
  const int64_t extent = tensor.shape()[along];
  constexpr int64_t kMaxParts = int64_t{1} << 20;
  if (count <= 0 || count > kMaxParts || extent % count != 0) {
    fail(x.where(), cat("split: axis ", along, " of ", to_string(tensor.shape()), " has no ", count, " equal parts"));
  }
  return split(x, std::vector<int64_t>(static_cast<size_t>(count), extent / count), axis);
}

Tensor roll(const Operand& x, int64_t shift, int64_t axis) {
  Scope scope("roll", x.where());
  const Tensor& tensor = tensor_of(x, "roll");
  const int along = detail::resolve_axis(axis, tensor.rank(), "roll", x.where());
  const int64_t extent = tensor.shape()[along];
  if (extent == 0 || shift % extent == 0) return tensor;
  const int64_t moved = (shift % extent + extent) % extent;
  const std::vector<Tensor> parts = split(x, {extent - moved, moved}, along);
  return concat({parts[1], parts[0]}, along, x.where());
}

Tensor range(int64_t n, DType dtype, Location where) {
  if (n < 0) fail(where, cat("range: ", n, " numbers cannot be counted"));
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

Tensor linspace(double start, double stop, int64_t count, DType dtype, Location where) {
  Scope scope("linspace", where);
  where = Scope::place_of(where);
  if (count < 0) fail(where, cat("linspace: ", count, " numbers cannot be counted"));
  if (!is_floating(dtype)) {
    fail(where, cat("linspace gives ", list_dtypes(is_floating), ", not ", name(dtype), "; cast the result"));
  }
  const double step = count > 1 ? (stop - start) / static_cast<double>(count - 1) : 0;
  const Tensor i = iota({count}, 0, DType::f64, where);
  const Tensor even = i * step + start;
  return cast(count > 1 ? etch::where(i == static_cast<double>(count - 1), stop, even) : even, dtype);
}

Tensor eye(int64_t rows, int64_t columns, DType dtype, Location where) {
  Scope scope("eye", where);
  const Shape shape{rows, columns < 0 ? rows : columns};
  if (!is_representable(shape, 8)) fail(Scope::place_of(where), cat("eye: a matrix ", to_string(shape), " cannot be"));
  return cast(iota(shape, 0, DType::i64, where) == iota(shape, 1, DType::i64, where), dtype);
}

}  // namespace etch
