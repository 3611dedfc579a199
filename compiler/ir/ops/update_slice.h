// update_slice: a tensor with another one in the place of a stretch of an axis.
#pragma once

#include <span>

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// Operand 0 with operand 1 in its place from an index along an axis on, operand 2 (i32 or i64, a scalar). Operand 1 has
/// the same extents but for that axis, where it is no longer. The index is clamped, so that all of operand 1 fits. The
/// result may lie where operand 0 lay.
struct UpdateSlice {
  int64_t axis = 0;

  static constexpr Traits kTraits{3, ResultType::inferred, Place::call, 0};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  Ex gradient(const Backward& at, int operand) const;
  LibraryCall call(std::span<const Type> operands) const;
  bool operator==(const UpdateSlice&) const = default;
};

}  // namespace etch::op
