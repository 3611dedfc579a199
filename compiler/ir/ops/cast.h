// cast: the value in another dtype.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// The value in another dtype, which stands in the type; the rules are those of oracle::cast.
struct Cast {
  static constexpr Traits kTraits{1, ResultType::given, Place::elementwise, 1};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  Ex gradient(const Backward& at, int operand) const;
  bool operator==(const Cast&) const = default;
};

}  // namespace etch::op
