// slice: a start and a stride along each axis.
#include "compiler/ir/ops/slice.h"

#include <cstdlib>

#include "compiler/ir/gradient.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/walk.h"

namespace etch::op {
namespace {

absl::Status check_axis(const Inference& in, int64_t start, int64_t step, int axis) {
  const int64_t extent = in.given().shape[axis];
  if (step == 0) return in.error("the step of axis ", axis, " is 0");
  if (extent == 0) return absl::OkStatus();
  const int64_t from = in.operands[0].shape[axis];
  int64_t last = 0;
  const bool overflow = __builtin_mul_overflow(step, extent - 1, &last) || __builtin_add_overflow(last, start, &last);
  if (overflow) return in.error("the indices of axis ", axis, " overflow");
  for (int64_t index : {start, last}) {
    if (index < 0 || index >= from) return in.error("axis ", axis, " reads index ", index, " of extent ", from);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Type> Slice::infer(const Inference& in) const {
  if (absl::Status status = in.check_kept_dtype(); !status.ok()) return status;
  const int rank = in.operands[0].shape.rank();
  if (absl::Status status = in.check_entries("start", start, rank); !status.ok()) return status;
  if (absl::Status status = in.check_entries("step", step, rank); !status.ok()) return status;
  if (absl::Status status = in.check_entries("the result's shape", in.given().shape, rank); !status.ok()) {
    return status;
  }
  for (int i = 0; i < rank; ++i) {
    if (absl::Status status = check_axis(in, start[i], step[i], i); !status.ok()) return status;
  }
  return in.given();
}

Literal Slice::evaluate(Literals operands, const Type& type) const {
  Dims strides = row_major_strides(operands[0]->type.shape);
  int64_t offset = 0;
  for (int i = 0; i < strides.rank(); ++i) {
    offset += start[i] * strides[i];
    strides[i] *= step[i];
  }
  return gather(*operands[0], type, Walk(type.shape, strides, offset));
}

Movement Slice::movement(const Shape& operand, const Shape&) const {
  Movement movement{row_major_strides(operand)};
  for (int i = 0; i < operand.rank(); ++i) {
    movement.offset += movement.strides[i] * start[i];
    movement.strides[i] *= step[i];
  }
  return movement;
}

void Slice::make_canonical(const Type& type) {
  for (int i = 0; i < type.shape.rank(); ++i) {
    if (type.shape[i] <= 1) step[i] = 1;
    if (type.shape[i] == 0) start[i] = 0;
  }
}

Ex Slice::gradient(const Backward& at, int) const {
  const Shape from = at.operands[0].shape();
  Ex g = at.cotangents[0];
  const Shape shape = g.shape();
  const int rank = shape.rank();
  Dims low = Dims::filled(rank, 0), high = low, last = low, reverse = Dims::filled(rank, 1);
  for (int i = 0; i < rank; ++i) {
    if (shape[i] < 2 || step[i] > 0) continue;
    last[i] = shape[i] - 1;
    reverse[i] = -1;
  }
  if (reverse.contains(-1)) g = etch::slice(g, last, reverse, shape);
  for (int i = 0; i < rank; ++i) {
    const int64_t apart = shape[i] < 2 ? 1 : std::abs(step[i]);
    const int64_t first = shape[i] == 0 ? 0 : start[i] + (reverse[i] < 0 ? step[i] * (shape[i] - 1) : 0);
    if (apart > 1) {
      g = spread(g, i, first, apart, from[i]);
    } else {
      low[i] = first;
      high[i] = from[i] - first - shape[i];
    }
  }
  return pad(g, number(g.maker(), g.dtype(), 0), low, high);
}

}  // namespace etch::op
