// Composites of arithmetic: clipping, squares, and quotients and products that have a value at 0.
#include "etch/ops.h"
#include "frontend/composites/parts.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::check_floating;
using detail::fail_in_op;
using detail::Pair;
using detail::Scope;
using detail::tensor_of;

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

// Where these give 0 whatever the formula says, it is taken at 1: its derivative there must be finite.
Tensor divide_no_nan(const Operand& a, const Operand& b) {
  Scope scope("divide_no_nan", a.where());
  const Pair pair(a, b, "divide_no_nan");
  const Tensor is_zero = pair.b == 0;
  return where(is_zero, 0, pair.a / where(is_zero, 1, pair.b));
}

Tensor xlogy(const Operand& a, const Operand& b) {
  Scope scope("xlogy", a.where());
  const Pair pair(a, b, "xlogy");
  const Tensor is_zero = pair.a == 0;
  return where(is_zero, 0, pair.a * log(where(is_zero, 1, pair.b)));
}

Tensor xlog1py(const Operand& a, const Operand& b) {
  Scope scope("xlog1py", a.where());
  const Pair pair(a, b, "xlog1py");
  const Tensor is_zero = pair.a == 0;
  return where(is_zero, 0, pair.a * log1p(where(is_zero, 1, pair.b)));
}

Tensor xdivy(const Operand& a, const Operand& b) {
  Scope scope("xdivy", a.where());
  const Pair pair(a, b, "xdivy");
  const Tensor is_zero = pair.a == 0;
  return where(is_zero, 0, pair.a / where(is_zero, 1, pair.b));
}

}  // namespace etch
