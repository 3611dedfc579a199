// transpose: axes in another order.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// The axes in another order.
struct Transpose {
  Dims perm;  // result axis i is operand axis perm[i]

  static constexpr Traits kTraits{1, ResultType::inferred, Place::movement, 0};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  Ex gradient(const Backward& at, int operand) const;
  Movement movement(const Shape& operand, const Shape& result) const;
  bool operator==(const Transpose&) const = default;
};

}  // namespace etch::op
