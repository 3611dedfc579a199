// pad: a border around the elements.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// Operand 1, of rank 0, around the elements of operand 0.
struct Pad {
  Dims low;   // elements put before; not negative
  Dims high;  // elements put after; not negative

  static constexpr Traits kTraits{2, ResultType::inferred, Place::boxes, 0};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  Ex gradient(const Backward& at, int operand) const;
  std::vector<Box> boxes(std::span<const Type> operands, const Type& result) const;
  bool operator==(const Pad&) const = default;
};

}  // namespace etch::op
