// update_slice: the operand's elements, but for those of the stretch.
#include "compiler/ir/ops/update_slice.h"

#include <algorithm>

#include "compiler/ir/gradient.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/ops/indices.h"
#include "compiler/ir/walk.h"

namespace etch::op {

absl::StatusOr<Type> UpdateSlice::infer(const Inference& in) const {
  const Type &operand = in.operands[0], &update = in.operands[1], &index = in.operands[2];
  const Type both[] = {operand, update};
  if (absl::Status status = in.check_same_dtype(both); !status.ok()) return status;
  if (absl::Status status = check_index_type(in, index); !status.ok()) return status;
  if (!index.shape.empty()) return in.error("the index is ", to_string(index), ", not a scalar");
  if (operand.shape.empty()) return in.error("the operand has rank 0, so there is no axis to update along");
  if (absl::Status status = in.check_axis(axis, operand.shape.rank()); !status.ok()) return status;
  if (update.shape.rank() != operand.shape.rank()) {
    return in.error("the update has rank ", update.shape.rank(), " and the operand ", operand.shape.rank());
  }
  for (int i = 0; i < operand.shape.rank(); ++i) {
    const bool fits = i == axis ? update.shape[i] <= operand.shape[i] : update.shape[i] == operand.shape[i];
    if (fits) continue;
    return in.error("axis ", i, " of the update has extent ", update.shape[i], ", that of the operand ", operand.shape[i]);
  }
  return operand;
}

Literal UpdateSlice::evaluate(Literals operands, const Type& type) const {
  const Literal &update = *operands[1], &index = *operands[2];
  const int along = static_cast<int>(axis);
  const Rows rows(type.shape, along);
  const int64_t extent = type.shape[along], count = update.type.shape[along];
  const int64_t start = std::clamp<int64_t>(index_at(index, 0), 0, extent - count);
  Literal result = *operands[0];
  int64_t source = 0;
  for (int64_t before = 0; before < rows.before; ++before) {
    for (int64_t i = 0; i < count * rows.behind; ++i) {
      copy_element(update, source++, result, (before * extent + start) * rows.behind + i);
    }
  }
  return result;
}

LibraryCall UpdateSlice::call(std::span<const Type> operands) const {
  const Type &operand = operands[0], &update = operands[1], &index = operands[2];
  const int along = static_cast<int>(axis);
  const Rows rows(operand.shape, along);
  const int64_t bytes = update.size() + 16;
  return {.function = Library::update_slice,
          .dtype = operand.dtype,
          .sizes = {rows.before, operand.shape[along], update.shape[along], rows.behind, size_of(index.dtype)},
          .iterations = 1,
          .work = bytes,
          .overwrites = 0};
}

Ex UpdateSlice::gradient(const Backward& at, int operand) const {
  const Ex &g = at.cotangents[0], &update = at.operands[1], &index = at.operands[2];
  if (operand == 0) {
    const Ex zeros = constant(g.maker(), 0, {g.dtype(), update.shape()});
    return update_slice(g, zeros, index, axis);
  }
  // The stretch where the update lay.
  const int along = static_cast<int>(axis);
  const int64_t count = update.shape()[along], extent = g.shape()[along];
  const Ex first = min(max(index, 0), extent - count);
  return gather(g, first + iota(g.maker(), 0, {index.dtype(), {count}}), axis);
}

}  // namespace etch::op
