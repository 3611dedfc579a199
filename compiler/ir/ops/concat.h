// concat: operands joined along an axis.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// Any number of operands, at least one, joined along an axis.
struct Concat {
  int64_t axis = 0;

  static constexpr Traits kTraits{kAnyArity, ResultType::inferred, Place::boxes, 0};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  Ex gradient(const Backward& at, int operand) const;
  std::vector<Box> boxes(std::span<const Type> operands, const Type& result) const;
  bool operator==(const Concat&) const = default;
};

}  // namespace etch::op
