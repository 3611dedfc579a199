// scatter_add: additions at indices along an axis.
#pragma once

#include <span>

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// Operand 0 with the elements of the updates, operand 2, added where the indices, operand 1 (i32 or i64), say along an
/// axis: the transpose of gather. The updates have the result's shape with the axes of the indices in the place of that
/// axis. Operand 0 has rank 0, for one value everywhere, or the result's shape. What one element gets is added in the
/// order of the indices. An index outside of 0 .. extent - 1 is an error of the run.
struct ScatterAdd {
  int64_t axis = 0;
  int64_t extent = 0;  // of the result along the axis

  static constexpr Traits kTraits{3, ResultType::inferred, Place::call, 0, true};
  absl::StatusOr<Type> infer(const Inference& in) const;
  absl::Status check(Literals operands) const;
  Literal evaluate(Literals operands, const Type& type) const;
  Ex gradient(const Backward& at, int operand) const;
  LibraryCall call(std::span<const Type> operands) const;
  bool operator==(const ScatterAdd&) const = default;
};

}  // namespace etch::op
