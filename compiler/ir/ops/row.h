// The elementwise ops of the table, in the form of the structural ones.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch {

/// A row of ops.def as an op: it has no fields.
struct Row {
  Op op;

  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  /// Why there is no gradient in an operand, after the op's name; empty if there is one.
  std::string_view why_no_gradient(int operand) const;
  Ex gradient(const Backward& at, int operand) const;
  bool operator==(const Row&) const = default;
};

}  // namespace etch
