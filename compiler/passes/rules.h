// What the passes fold and simplify are made of: rules that replace one expression by a better one.
#pragma once

#include <optional>
#include <span>

#include "compiler/ir/ex.h"
#include "compiler/passes/pass.h"

namespace etch {

/// A node that is not made yet, on operands that are.
struct Expr {
  const AnyOp& op;
  std::span<const Value> operands;
  const Type& type;
};

/// Makes expressions in a graph, each as good as the rules know. The rules of one node take a bounded number of steps,
/// however deep the graph is, so that a pass stays linear.
class Rewriter final : public ExMaker {
 public:
  /// What a rule says of an expression: what is equal and better, made by the same Rewriter, or none.
  using Rule = Ex (*)(Rewriter& graph, const Expr& expr);

  Rewriter(GraphBuilder& builder, std::span<const Rule> rules, Origin origin)
      : ExMaker(builder, origin), builder_(builder), rules_(rules) {}

  /// What the rules make of the expression, if any of them has something to say.
  std::optional<Value> better(const Expr& expr);
  /// The same, or the expression as it is.
  Value improve(const Expr& expr);
  Value make(const AnyOp& op, std::span<const Value> operands, const Type* type) override;
  Results make_all(const AnyOp& op, std::span<const Value> operands) override;

  /// The bits of the elements if the value is a constant.
  std::optional<uint64_t> constant_bits(Value value) const { return splat_bits(node(value).op); }

 private:
  GraphBuilder& builder_;
  std::span<const Rule> rules_;
  int steps_left_ = 32;
};

/// The graph with every node of one result replaced by what the rules, asked in order until none has anything to say,
/// make of it. Where it is known which of its regions an op runs, and that once, the region takes the op's place; with
/// `looks_at_channels` region_rule() is asked too.
absl::StatusOr<Graph> apply_rules(Graph graph, std::span<const Rewriter::Rule> rules, bool looks_at_channels = false);

}  // namespace etch
