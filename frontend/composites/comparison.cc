// Comparisons of tensors: closeness and equality.
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
using detail::Pair;
using detail::Scope;
using detail::tensor_of;

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

}  // namespace etch
