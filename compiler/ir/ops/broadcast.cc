// broadcast: strides of 0.
#include "compiler/ir/ops/broadcast.h"

#include "compiler/ir/gradient.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/walk.h"

namespace etch::op {

absl::StatusOr<Type> Broadcast::infer(const Inference& in) const {
  if (absl::Status status = in.check_kept_dtype(); !status.ok()) return status;
  const Shape& from = in.operands[0].shape;
  const Shape& to = in.given().shape;
  const int lead = to.rank() - from.rank();
  if (lead < 0) return in.error("the result needs rank ", from.rank(), " or more");
  for (int i = 0; i < from.rank(); ++i) {
    if (from[i] == to[lead + i] || from[i] == 1) continue;
    return in.error("axis ", lead + i, " of the result is ", to[lead + i], " against ", from[i],
                    "; only extents of 1 repeat");
  }
  return in.given();
}

Literal Broadcast::evaluate(Literals operands, const Type& type) const {
  return gather(*operands[0], type, Walk(type.shape, broadcast_strides(operands[0]->type.shape, type.shape)));
}

Movement Broadcast::movement(const Shape& operand, const Shape& result) const {
  const Dims strides = row_major_strides(operand);
  const int lead = result.rank() - operand.rank();
  Movement movement{Dims::filled(result.rank(), 0)};
  for (int i = 0; i < operand.rank(); ++i) movement.strides[lead + i] = operand[i] == 1 ? 0 : strides[i];
  return movement;
}

Ex Broadcast::gradient(const Backward& at, int) const { return sum_to(at.cotangents[0], at.operands[0].shape()); }

}  // namespace etch::op
