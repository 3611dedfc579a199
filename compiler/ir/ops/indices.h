// What the ops that take indices share: gather and scatter_add.
#pragma once

#include "compiler/ir/inference.h"
#include "compiler/ir/literal.h"

namespace etch::op {

/// That indices are i32 or i64.
absl::Status check_index_type(const Inference& in, const Type& indices);

/// The shape with the axes of the indices in the place of one axis.
Shape indexed_shape(const Shape& shape, int axis, const Shape& indices);

int64_t index_at(const Literal& indices, int64_t i);

/// OutOfRange for the first index that is not in 0 .. extent - 1.
absl::Status check_indices(const Literal& indices, int64_t extent);

/// A tensor as rows that lie along an axis: [before, extent, behind].
struct Rows {
  Rows(const Shape& shape, int axis);
  int64_t before = 1, behind = 1;
};

}  // namespace etch::op
