// slice: every step-th element from a start on.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// Result index i reads operand index start + i * step along each axis; the extents stand in the type.
struct Slice {
  Dims start;
  Dims step;  // not zero; may be negative

  static constexpr Traits kTraits{1, ResultType::given, Place::movement, 0};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  Ex gradient(const Backward& at, int operand) const;
  Movement movement(const Shape& operand, const Shape& result) const;
  /// Where an axis yields at most one element the step says nothing; where it yields none the start neither.
  void make_canonical(const Type& type);
  bool operator==(const Slice&) const = default;
};

}  // namespace etch::op
