// cond: one of two regions, by a predicate.
#pragma once

#include "compiler/ir/ops/region_op.h"

namespace etch::op {

/// The first operand is the predicate, a bool scalar. Both regions take the other operands and give the results: `then`
/// where the predicate is true.
struct Cond {
  Region then;
  Region otherwise;

  static constexpr Traits kTraits{kAnyArity, ResultType::inferred, Place::region, 0};
  absl::StatusOr<Types> infer(const Inference& in) const;
  absl::StatusOr<std::vector<Literal>> run(Literals operands, const RunRegion& run_region) const;
  /// What each arm adds to the cotangents, by another cond: an arm is computed again where its derivative needs it.
  std::vector<Ex> gradients(const Backward& at) const;
  std::vector<Channel> channels(int num_operands) const;
  int num_leading() const;
  std::optional<Taken> taken(std::span<const std::optional<uint64_t>> constants) const;
  bool operator==(const Cond&) const = default;
};

}  // namespace etch::op
