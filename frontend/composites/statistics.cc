// Composites of reductions: means, variances, norms.
#include <algorithm>
#include <cmath>

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/composites/parts.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::check_floating;
using detail::fail_in_op;
using detail::number_text;
using detail::rounded_once;
using detail::Scope;
using detail::tensor_of;

namespace {

int64_t count_along(const Tensor& x, const Dims& axes) {
  int64_t count = 1;
  for (int64_t axis : axes) count *= x.shape()[static_cast<int>(axis)];
  return count;
}

/// The largest element along axes, kept, for subtracting what the result does not depend on: 0 where it is not finite, so
/// that nothing becomes inf - inf.
Tensor finite_max(const Tensor& x, const Axes& axes) {
  const Tensor largest = max(x, axes, true);
  return stop_gradient(where(is_finite(largest), largest, 0));
}

}  // namespace

Tensor mean(const Operand& x, const Axes& axes, Flag keepdims) {
  Scope scope("mean", x.where());
  const Tensor& tensor = tensor_of(x, "mean");
  const DType dtype = tensor.dtype();
  if (!is_numeric(dtype)) {
    fail_in_op(x.where(), cat("mean takes ", list_dtypes(is_numeric), ", not ", name(dtype), "; cast first"));
  }
  const int64_t count = count_along(tensor, detail::resolve_axes(axes, tensor.rank(), "mean", x.where()));
  if (is_floating(dtype)) {
    return rounded_once(tensor, [&](const Tensor& t) { return sum(t, axes, keepdims) / static_cast<double>(count); });
  }
  const DType wide = holds(DType::i64, dtype) ? DType::i64 : DType::u64;
  return cast(trunc_div(sum(cast(tensor, wide), axes, keepdims), count), dtype);
}

Tensor variance(const Operand& x, const Axes& axes, Flag keepdims, Integer ddof) {
  Scope scope("variance", x.where());
  check_floating(x, "variance");
  const Tensor& tensor = *x.tensor();
  const int64_t count = count_along(tensor, detail::resolve_axes(axes, tensor.rank(), "variance", x.where()));
  if (ddof < 0) fail_in_op(x.where(), cat("variance: ddof is ", int64_t{ddof}, "; it may not be negative"));
  const auto divisor = static_cast<double>(std::max<int64_t>(count - ddof, 0));
  return rounded_once(tensor, [&](const Tensor& t) {
    return sum(square(t - mean(t, axes, true)), axes, keepdims) / divisor;
  });
}

Tensor stddev(const Operand& x, const Axes& axes, Flag keepdims, Integer ddof) {
  Scope scope("stddev", x.where());
  check_floating(x, "stddev");
  return rounded_once(*x.tensor(), [&](const Tensor& t) { return sqrt(variance(t, axes, keepdims, ddof)); });
}

Tensor logsumexp(const Operand& x, const Axes& axes, Flag keepdims) {
  Scope scope("logsumexp", x.where());
  check_floating(x, "logsumexp");
  const Tensor& tensor = *x.tensor();
  const Tensor result = rounded_once(tensor, [&](const Tensor& t) {
    const Tensor largest = finite_max(t, axes);
    return log(sum(exp(t - largest), axes, true)) + largest;
  });
  const Dims reduced = detail::resolve_axes(axes, tensor.rank(), "logsumexp", x.where());
  if (keepdims || reduced.empty()) return result;
  return squeeze(result, Axes(reduced));
}

Tensor norm(const Operand& x, const Axes& axes, Flag keepdims, double order) {
  Scope scope("norm", x.where());
  check_floating(x, "norm");
  if (!(order > 0)) fail_in_op(x.where(), cat("norm: the order is ", number_text(order), ", not above 0"));
  return rounded_once(*x.tensor(), [&](const Tensor& t) {
    if (order == 2) return sqrt(sum(square(t), axes, keepdims));
    if (order == 1) return sum(abs(t), axes, keepdims);
    if (std::isinf(order)) return maximum(max(abs(t), axes, keepdims), 0);
    return pow(sum(pow(abs(t), order), axes, keepdims), 1 / order);
  });
}

}  // namespace etch
