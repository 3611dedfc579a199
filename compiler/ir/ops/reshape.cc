// reshape: the bytes stay.
#include "compiler/ir/ops/reshape.h"

#include "compiler/ir/gradient.h"
#include "compiler/ir/inference.h"

namespace etch::op {

absl::StatusOr<Type> Reshape::infer(const Inference& in) const {
  if (absl::Status status = in.check_kept_dtype(); !status.ok()) return status;
  if (in.operands[0].size() != in.given().size()) {
    return in.error(in.operands[0].size(), " elements cannot become ", in.given().size());
  }
  return in.given();
}

Literal Reshape::evaluate(Literals operands, const Type& type) const { return {type, operands[0]->bytes}; }

Ex Reshape::gradient(const Backward& at, int) const { return etch::reshape(at.cotangents[0], at.operands[0].shape()); }

}  // namespace etch::op

namespace etch {

AnyOp reshape_op() { return op::Reshape{}; }

}  // namespace etch
