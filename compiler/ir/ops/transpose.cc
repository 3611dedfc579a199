// transpose: strides in another order.
#include "compiler/ir/ops/transpose.h"

#include "compiler/ir/gradient.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/walk.h"

namespace etch::op {

absl::StatusOr<Type> Transpose::infer(const Inference& in) const {
  const Shape& from = in.operands[0].shape;
  if (absl::Status status = in.check_entries("perm", perm, from.rank()); !status.ok()) return status;
  Shape shape = from;
  for (int i = 0; i < perm.rank(); ++i) {
    if (!perm.contains(i)) return in.error("perm must name each axis of 0..", perm.rank() - 1, " once");
  }
  for (int i = 0; i < perm.rank(); ++i) shape[i] = from[static_cast<int>(perm[i])];
  return Type{in.operands[0].dtype, shape};
}

Literal Transpose::evaluate(Literals operands, const Type& type) const {
  const Dims from = row_major_strides(operands[0]->type.shape);
  Dims strides = from;
  for (int i = 0; i < perm.rank(); ++i) strides[i] = from[static_cast<int>(perm[i])];
  return gather(*operands[0], type, Walk(type.shape, strides));
}

Movement Transpose::movement(const Shape& operand, const Shape&) const {
  const Dims strides = row_major_strides(operand);
  Movement movement;
  for (int64_t axis : perm) movement.strides.push_back(strides[static_cast<int>(axis)]);
  return movement;
}

Ex Transpose::gradient(const Backward& at, int) const {
  Dims inverse = perm;
  for (int i = 0; i < perm.rank(); ++i) inverse[static_cast<int>(perm[i])] = i;
  return etch::transpose(at.cotangents[0], inverse);
}

}  // namespace etch::op
