// while_loop: a region again and again, as long as another one says so.
#pragma once

#include "compiler/ir/ops/region_op.h"

namespace etch {
class Nodes;
struct Node;
}  // namespace etch

namespace etch::op {

/// The operands are first what the loop carries, as many as `body` gives, then invariants. `test` takes all of them and
/// gives first a bool scalar, whether to go on, then what it hands on: to `body`, or out as the results. `body` takes
/// what was handed on and the invariants, and gives what is carried into the next turn.
struct WhileLoop {
  Region test;
  Region body;

  static constexpr Traits kTraits{kAnyArityOrNone, ResultType::inferred, Place::region, 0};
  absl::StatusOr<Types> infer(const Inference& in) const;
  absl::StatusOr<std::vector<Literal>> run(Literals operands, const RunRegion& run_region) const;
  /// Of a loop whose number of turns is known: it runs again and keeps what it carries into each turn, then another loop
  /// goes back.
  Ex gradient(const Backward& at, int operand) const;
  /// Why a loop has no gradient, after the op's name; empty if it has.
  std::string_view why_no_gradient(const Nodes& nodes, const Node& node) const;
  std::vector<Channel> channels(int num_operands) const;
  int num_leading() const;
  std::optional<Taken> taken(std::span<const std::optional<uint64_t>> constants) const;
  bool operator==(const WhileLoop&) const = default;

 private:
  int num_carried() const;
  int num_handed() const;
};

}  // namespace etch::op
