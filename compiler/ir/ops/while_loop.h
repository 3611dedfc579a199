// while_loop: a region again and again, as long as another one says so.
#pragma once

#include "compiler/ir/ops/region_op.h"

namespace etch::op {

/// The operands are first what the loop carries, as many as `body` gives, then invariants. `test` takes all of them and
/// gives first a bool scalar, whether to go on, then what it hands on: to `body`, or out as the results. `body` takes
/// what was handed on and the invariants, and gives what is carried into the next turn.
struct WhileLoop {
  Region test;
  Region body;
  int64_t checkpoint = 0;  // its derivative keeps what is carried into each turn of so many; 0: as many turns as fit
  Mark guarded = {};  // a run may end it before it ends by itself: it takes no more turns than the run allows

  static constexpr Traits kTraits{kAnyArityOrNone, ResultType::inferred, Place::region, 0};
  absl::StatusOr<Types> infer(const Inference& in) const;
  absl::StatusOr<std::vector<Literal>> run(Literals operands, const RunRegion& run_region) const;
  /// The loop runs again and keeps what its derivative reads of the values that it carries, then other loops go back. See
  /// while_gradient.cc.
  std::vector<Ex> gradients(const Backward& at) const;
  std::vector<Channel> channels(int num_operands) const;
  int num_leading() const;
  std::optional<Taken> taken(std::span<const std::optional<uint64_t>> constants) const;
  bool operator==(const WhileLoop&) const = default;

 private:
  int num_carried() const;
  int num_handed() const;
};

}  // namespace etch::op
