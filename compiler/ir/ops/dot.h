// dot: matrix products.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// [batch..., m, k] x [batch..., k, n] -> [batch..., m, n], with equal batch extents.
struct Dot {
  static constexpr Traits kTraits{2, ResultType::inferred, Place::product, 1};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  Ex gradient(const Backward& at, int operand) const;
  bool operator==(const Dot&) const = default;
};

}  // namespace etch::op
