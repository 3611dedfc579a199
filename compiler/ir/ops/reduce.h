// reduce: sums, extremes and the like along axes.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// Combines the elements along axes, which the result no longer has.
struct Reduce {
  ReduceKind kind = ReduceKind::sum;
  Dims axes;  // ascending, distinct, not negative; exactly one for argmax and argmin

  static constexpr Traits kTraits{1, ResultType::inferred, Place::reduction, 1};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  Ex gradient(const Backward& at, int operand) const;
  Reduction reduction() const { return {kind, axes}; }
  bool operator==(const Reduce&) const = default;
};

}  // namespace etch::op
