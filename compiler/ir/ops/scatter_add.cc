// scatter_add: one update after the other.
#include "compiler/ir/ops/scatter_add.h"

#include <algorithm>

#include "compiler/ir/gradient.h"
#include "compiler/ir/ops/indices.h"
#include "compiler/ir/oracle.h"
#include "compiler/ir/walk.h"

namespace etch::op {
namespace {

/// The updates' shape with one axis of this extent in the place of those of the indices.
Shape scattered_shape(const Shape& updates, int axis, int index_rank, int64_t extent) {
  Shape shape = updates;
  for (int i = 0; i < index_rank; ++i) shape.erase(axis);
  shape.insert(axis, extent);
  return shape;
}

}  // namespace

absl::StatusOr<Type> ScatterAdd::infer(const Inference& in) const {
  const Type &operand = in.operands[0], &indices = in.operands[1], &updates = in.operands[2];
  const Type added[] = {operand, updates};
  if (absl::Status status = in.check_same_dtype(added); !status.ok()) return status;
  if (!is_numeric(operand.dtype)) return in.error("takes ", list_dtypes(is_numeric), ", not bool; cast first");
  if (absl::Status status = check_index_type(in, indices); !status.ok()) return status;
  if (extent < 0 || !in_bounds(extent)) return in.error("the extent ", extent, " is not one of a tensor");
  const int index_rank = indices.shape.rank();
  const int rank = updates.shape.rank() - index_rank + 1;
  if (rank < 1) return in.error("the updates need the ", index_rank, " axes of the indices");
  if (rank > kMaxRank) return in.error("the result would have rank ", rank, "; 8 is the most");
  if (absl::Status status = in.check_axis(axis, rank); !status.ok()) return status;
  const int along = static_cast<int>(axis);
  for (int i = 0; i < index_rank; ++i) {
    if (updates.shape[along + i] == indices.shape[i]) continue;
    return in.error("axis ", along + i, " of the updates has extent ", updates.shape[along + i], ", axis ", i,
                    " of the indices ", indices.shape[i], "; they must be equal");
  }
  const Shape shape = scattered_shape(updates.shape, along, index_rank, extent);
  if (!operand.shape.empty() && operand.shape != shape) {
    return in.error("the updates are those of ", to_string(Type{operand.dtype, shape}), ", not of ", to_string(operand));
  }
  if (extent == 0 && indices.size() > 0) return in.error("axis ", axis, " has extent 0, so no index is in range");
  return Type{operand.dtype, shape};
}

absl::Status ScatterAdd::check(Literals operands) const {
  const Type& updates = operands[2]->type;
  return updates.size() == 0 ? absl::OkStatus() : check_indices(*operands[1], extent);
}

Literal ScatterAdd::evaluate(Literals operands, const Type& type) const {
  const Literal &operand = *operands[0], &indices = *operands[1], &updates = *operands[2];
  const Rows rows(type.shape, static_cast<int>(axis));
  Literal result = etch::gather(operand, type, Walk(type.shape, broadcast_strides(operand.type.shape, type.shape)));
  dispatch_computed(type.dtype, [&]<class T>() {
    if constexpr (!std::is_same_v<T, bool>) {
      int64_t source = 0;
      for (int64_t before = 0; before < rows.before; ++before) {
        for (int64_t i = 0; i < indices.type.size(); ++i) {
          const int64_t row = before * extent + index_at(indices, i);
          for (int64_t behind = 0; behind < rows.behind; ++behind) {
            const int64_t target = row * rows.behind + behind;
            store(result, target, oracle::add(load<T>(result, target), load<T>(updates, source++)));
          }
        }
      }
    }
  });
  return result;
}

LibraryCall ScatterAdd::call(std::span<const Type> operands) const {
  const Type &operand = operands[0], &indices = operands[1], &updates = operands[2];
  const Shape shape =
      scattered_shape(updates.shape, static_cast<int>(axis), indices.shape.rank(), extent);
  const Rows rows(shape, static_cast<int>(axis));
  const int64_t count = indices.size();
  const int64_t num_rows = rows.before * extent;
  // Each piece of the work looks at all indices.
  const int64_t work = rows.behind * (1 + count / std::max<int64_t>(extent, 1)) + 1;
  return {Library::scatter_add, operand.dtype,
          {extent, rows.behind, count, size_of(indices.dtype), operand.shape.empty()}, num_rows, work,
          extent};
}

Ex ScatterAdd::gradient(const Backward& at, int operand) const {
  const Ex& g = at.cotangents[0];
  if (operand == 2) return gather(g, at.operands[1], axis);
  return sum_to(g, Shape(at.operands[0].shape()));
}

}  // namespace etch::op
