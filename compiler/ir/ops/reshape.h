// reshape: the same elements under another shape.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// The same elements in row-major order under another shape, which stands in the type.
struct Reshape {
  static constexpr Traits kTraits{1, ResultType::given, Place::view, 0};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  Ex gradient(const Backward& at, int operand) const;
  bool operator==(const Reshape&) const = default;
};

}  // namespace etch::op
