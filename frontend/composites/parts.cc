// What composites check of their operands.
#include "frontend/composites/parts.h"

#include "compiler/ir/cat.h"
#include "frontend/shape_args.h"
#include "frontend/shape_args.h"
#include "frontend/trace.h"

namespace etch::detail {

void check_floating(const Operand& x, std::string_view op) {
  const Tensor& tensor = tensor_of(x, op);
  if (is_floating(tensor.dtype())) return;
  fail_in_op(x.where(), cat(op, " takes ", list_dtypes(is_floating), ", not ",
                            to_string(Type{tensor.dtype(), tensor.shape()}), "; cast first"));
}

Pair::Pair(const Operand& x, const Operand& y, std::string_view op) {
  if (!x.tensor() && !y.tensor()) tensor_of(x, op);
  const DType dtype = tensor_of(x.tensor() ? x : y, op).dtype();
  a = x.tensor() ? *x.tensor() : full({}, x.number(), dtype, x.where());
  b = y.tensor() ? *y.tensor() : full({}, y.number(), dtype, y.where());
}

}  // namespace etch::detail
