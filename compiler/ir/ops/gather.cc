// gather: one row of the operand for each index.
#include "compiler/ir/ops/gather.h"

#include "compiler/ir/gradient.h"
#include "compiler/ir/ops/indices.h"
#include "compiler/ir/walk.h"

namespace etch::op {

absl::StatusOr<Type> Gather::infer(const Inference& in) const {
  const auto& [dtype, shape] = in.operands[0];
  const Type& indices = in.operands[1];
  if (absl::Status status = check_index_type(in, indices); !status.ok()) return status;
  if (shape.empty()) return in.error("the operand has rank 0, so there is no axis to take elements along");
  if (absl::Status status = in.check_axis(axis, shape.rank()); !status.ok()) return status;
  const int rank = shape.rank() - 1 + indices.shape.rank();
  if (rank > kMaxRank) return in.error("the result would have rank ", rank, "; 8 is the most");
  const int along = static_cast<int>(axis);
  if (shape[along] == 0 && indices.size() > 0) return in.error("axis ", axis, " has extent 0, so no index is in range");
  return Type{dtype, indexed_shape(shape, along, indices.shape)};
}

absl::Status Gather::check(Literals operands) const {
  const Shape& shape = operands[0]->type.shape;
  const bool is_empty = Rows(shape, indexed_axis()).before * Rows(shape, indexed_axis()).behind == 0;
  return is_empty ? absl::OkStatus() : check_indices(*operands[1], shape[indexed_axis()]);
}

Literal Gather::evaluate(Literals operands, const Type& type) const {
  const Literal& x = *operands[0];
  const Literal& indices = *operands[1];
  const Rows rows(x.type.shape, indexed_axis());
  const int64_t extent = x.type.shape[indexed_axis()];
  Literal result = make_literal(type);
  int64_t target = 0;
  for (int64_t before = 0; before < rows.before; ++before) {
    for (int64_t i = 0; i < indices.type.size(); ++i) {
      const int64_t row = before * extent + index_at(indices, i);
      for (int64_t behind = 0; behind < rows.behind; ++behind) {
        copy_element(x, row * rows.behind + behind, result, target++);
      }
    }
  }
  return result;
}

Ex Gather::gradient(const Backward& at, int) const {
  const Ex& g = at.cotangents[0];
  const int64_t extent = at.operands[0].shape()[indexed_axis()];
  return scatter_add(number(g.maker(), g.dtype(), 0), at.operands[1], g, axis, extent);
}

}  // namespace etch::op
