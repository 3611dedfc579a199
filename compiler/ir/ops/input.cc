// input: what the caller gives.
#include "compiler/ir/ops/input.h"

#include "compiler/ir/inference.h"

namespace etch::op {

absl::StatusOr<Type> Input::infer(const Inference& in) const {
  if (index < 0) return in.error("the index is negative");
  return in.given();
}

/// The argument stands where operands stand else.
Literal Input::evaluate(Literals operands, const Type&) const { return *operands[0]; }

}  // namespace etch::op

namespace etch {

AnyOp input_op(int64_t index) { return op::Input{index}; }

}  // namespace etch
