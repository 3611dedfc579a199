// gather: elements at indices along an axis.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// Operand 0 with the axes of the indices, operand 1 (i32 or i64), in the place of one of its axes: what stands at that
/// index along it. An index outside of 0 .. extent - 1 is an error of the run.
struct Gather {
  int64_t axis = 0;

  static constexpr Traits kTraits{2, ResultType::inferred, Place::indexed, 4};
  absl::StatusOr<Type> infer(const Inference& in) const;
  absl::Status check(Literals operands) const;
  Literal evaluate(Literals operands, const Type& type) const;
  Ex gradient(const Backward& at, int operand) const;
  int indexed_axis() const { return static_cast<int>(axis); }
  bool operator==(const Gather&) const = default;
};

}  // namespace etch::op
