// concat: one operand behind the other.
#include "compiler/ir/ops/concat.h"

#include "compiler/ir/gradient.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/walk.h"

namespace etch::op {

absl::StatusOr<Type> Concat::infer(const Inference& in) const {
  if (absl::Status status = in.check_same_dtype(in.operands); !status.ok()) return status;
  Shape shape = in.operands[0].shape;
  if (shape.empty()) return in.error("operands need rank 1 or more; reshape scalars to [1]");
  if (absl::Status status = in.check_axis(axis, shape.rank()); !status.ok()) return status;
  int64_t& joined = shape[static_cast<int>(axis)];
  for (const Type& operand : in.operands.subspan(1)) {
    if (operand.shape.rank() != shape.rank()) {
      return in.error("operands have ranks ", shape.rank(), " and ", operand.shape.rank(), ", which must be equal");
    }
    for (int i = 0; i < shape.rank(); ++i) {
      if (i == axis || operand.shape[i] == shape[i]) continue;
      return in.error("axis ", i, " is ", shape[i], " against ", operand.shape[i], "; only axis ", axis,
                      " may differ");
    }
    joined += operand.shape[static_cast<int>(axis)];
    if (!in_bounds(joined)) break;
  }
  return Type{in.operands[0].dtype, shape};
}

Literal Concat::evaluate(Literals operands, const Type& type) const {
  const Dims strides = row_major_strides(type.shape);
  Literal result = make_literal(type);
  int64_t offset = 0;
  for (const Literal* operand : operands) {
    scatter(*operand, result, Walk(operand->type.shape, strides, offset));
    offset += operand->type.shape[static_cast<int>(axis)] * strides[static_cast<int>(axis)];
  }
  return result;
}

std::vector<Box> Concat::boxes(std::span<const Type> operands, const Type& result) const {
  std::vector<Box> boxes;
  Dims start = Dims::filled(result.shape.rank(), 0);
  for (size_t i = 0; i < operands.size(); ++i) {
    boxes.push_back({static_cast<int>(i), operands[i].shape, start});
    start[static_cast<int>(axis)] += operands[i].shape[static_cast<int>(axis)];
  }
  return boxes;
}

Ex Concat::gradient(const Backward& at, int operand) const {
  const int along = static_cast<int>(axis);
  const Shape shape = at.operands[operand].shape();
  Dims start = Dims::filled(shape.rank(), 0);
  for (int i = 0; i < operand; ++i) start[along] += at.operands[i].shape()[along];
  return slice(at.cotangents[0], start, Dims::filled(shape.rank(), 1), shape);
}

}  // namespace etch::op
