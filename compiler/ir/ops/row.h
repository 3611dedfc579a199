// The elementwise ops of the table, in the form of the structural ones.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch {

/// A row of ops.def as an op: it has no fields.
struct Row {
  Op op;

  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  bool operator==(const Row&) const = default;
};

}  // namespace etch
