// What the ops that take indices share: gather and scatter_add.
#include "compiler/ir/ops/indices.h"

#include "compiler/ir/walk.h"

namespace etch::op {

absl::Status check_index_type(const Inference& in, const Type& indices) {
  if (indices.dtype == DType::i32 || indices.dtype == DType::i64) return absl::OkStatus();
  return in.error("indices are i32 or i64, not ", name(indices.dtype), "; cast first");
}

Shape indexed_shape(const Shape& shape, int axis, const Shape& indices) {
  Shape result = shape;
  result.erase(axis);
  for (int i = 0; i < indices.rank(); ++i) result.insert(axis + i, indices[i]);
  return result;
}

int64_t index_at(const Literal& indices, int64_t i) {
  return indices.type.dtype == DType::i32 ? load<int32_t>(indices, i) : load<int64_t>(indices, i);
}

absl::Status check_indices(const Literal& indices, int64_t extent) {
  for (int64_t i = 0; i < indices.type.size(); ++i) {
    const int64_t index = index_at(indices, i);
    if (index >= 0 && index < extent) continue;
    return absl::OutOfRangeError(cat("index ", index, " is not in 0..", extent - 1));
  }
  return absl::OkStatus();
}

Rows::Rows(const Shape& shape, int axis) {
  for (int i = 0; i < shape.rank(); ++i) {
    if (i != axis) (i < axis ? before : behind) *= shape[i];
  }
}

}  // namespace etch::op
