// pad: the border first, then the elements.
#include "compiler/ir/ops/pad.h"

#include "compiler/ir/gradient.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/walk.h"

namespace etch::op {

absl::StatusOr<Type> Pad::infer(const Inference& in) const {
  if (absl::Status status = in.check_same_dtype(in.operands); !status.ok()) return status;
  if (!in.operands[1].shape.empty()) return in.error("the padding value needs rank 0");
  Shape shape = in.operands[0].shape;
  if (absl::Status status = in.check_entries("low", low, shape.rank()); !status.ok()) return status;
  if (absl::Status status = in.check_entries("high", high, shape.rank()); !status.ok()) return status;
  for (int i = 0; i < shape.rank(); ++i) {
    if (low[i] < 0 || high[i] < 0) return in.error("axis ", i, " has a negative padding; use slice to crop");
    if (!in_bounds(low[i]) || !in_bounds(high[i])) return in.error("the padding of axis ", i, " is too large");
    shape[i] += low[i] + high[i];
  }
  return Type{in.operands[0].dtype, shape};
}

Literal Pad::evaluate(Literals operands, const Type& type) const {
  const Dims strides = row_major_strides(type.shape);
  int64_t offset = 0;
  for (int i = 0; i < strides.rank(); ++i) offset += low[i] * strides[i];
  Literal result = gather(*operands[1], type, Walk(type.shape, Dims::filled(type.shape.rank(), 0)));
  scatter(*operands[0], result, Walk(operands[0]->type.shape, strides, offset));
  return result;
}

std::vector<Box> Pad::boxes(std::span<const Type> operands, const Type& result) const {
  const Shape& inside = operands[0].shape;
  std::vector<Box> boxes{{0, inside, low}};
  // The border axis by axis: before it stay inside, behind it take the whole extent.
  Shape shape = result.shape;
  Dims start = Dims::filled(shape.rank(), 0);
  for (int axis = 0; axis < shape.rank(); ++axis) {
    for (bool after : {false, true}) {
      Box border{1, shape, start, true};
      border.shape[axis] = after ? high[axis] : low[axis];
      border.start[axis] = after ? result.shape[axis] - high[axis] : 0;
      boxes.push_back(border);
    }
    shape[axis] = inside[axis];
    start[axis] = low[axis];
  }
  return boxes;
}

Ex Pad::gradient(const Backward& at, int operand) const {
  const Ex& g = at.cotangents[0];
  const Dims ones = Dims::filled(low.rank(), 1);
  const Type inside = at.operands[0].type(), padding = at.operands[1].type();
  if (operand == 0) return slice(g, low, ones, inside.shape);
  Ex total;
  for (const Box& box : boxes(std::vector{inside, padding}, Type(g.type()))) {
    if (box.operand == 0 || box.shape.product() == 0) continue;
    const Ex border = sum_to(slice(g, box.start, ones, box.shape), {});
    total = total.is_none() ? border : total + border;
  }
  return total.is_none() ? number(g.maker(), padding.dtype, 0) : total;
}

}  // namespace etch::op
