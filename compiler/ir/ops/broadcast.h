// broadcast: elements repeated along axes.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// NumPy's broadcast_to; the shape stands in the type.
struct Broadcast {
  static constexpr Traits kTraits{1, ResultType::given, Place::movement, 0};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  Ex gradient(const Backward& at, int operand) const;
  Movement movement(const Shape& operand, const Shape& result) const;
  bool operator==(const Broadcast&) const = default;
};

}  // namespace etch::op
