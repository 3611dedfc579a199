// top_k: the largest elements along the last axis, and where they stand.
#pragma once

#include <span>
#include <vector>

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// [batch..., n] -> the k largest elements [batch..., k], descending, and their indices along the last axis, i64. Of
/// equal elements, as which the two zeros count, the lower index comes first; NaN is the largest.
struct TopK {
  int64_t k = 1;

  static constexpr Traits kTraits{1, ResultType::inferred, Place::call, 0};
  absl::StatusOr<Types> infer(const Inference& in) const;
  std::vector<Literal> evaluate(Literals operands, std::span<const Type> types) const;
  Ex gradient(const Backward& at, int operand) const;
  LibraryCall call(std::span<const Type> operands) const;
  bool operator==(const TopK&) const = default;
};

}  // namespace etch::op
