// What the passes fold and simplify are made of: rules that replace one expression by a better one.
#pragma once

#include <optional>
#include <span>
#include <variant>

#include "compiler/passes/pass.h"

namespace etch {

/// A node that is not made yet.
struct Expr {
  AnyOp op;
  absl::InlinedVector<Value, 3> operands;
  Type type;
};

/// What a rule says of an expression: nothing, the value that it equals, or a better expression for it.
using Better = std::variant<std::monostate, Value, Expr>;

/// Makes expressions in a graph, each as good as the rules know. The rules of one node take a bounded number of steps,
/// however deep the graph is, so that a pass stays linear.
class Rewriter {
 public:
  using Rule = Better (*)(Rewriter& graph, const Expr& expr);

  Rewriter(GraphBuilder& builder, std::span<const Rule> rules, Origin origin)
      : builder_(builder), rules_(rules), origin_(origin) {}

  /// The node of a value, and its type; the references hold until something is made.
  const Node& node(Value value) const { return builder_.node(value); }
  const Type& type(Value value) const { return builder_.type(value); }

  /// The expression after all rules. An ill-typed expression is a bug of a rule: throws absl::BadStatusOrAccess.
  Value make(Expr expr);

  /// A constant of this type.
  Value constant(uint64_t bits, const Type& type);

  /// The bits of the elements if the value is a constant.
  std::optional<uint64_t> constant_bits(Value value) const;

 private:
  Better improve(const Expr& expr);

  GraphBuilder& builder_;
  std::span<const Rule> rules_;
  Origin origin_;
  int steps_left_ = 32;
};

/// The graph with every node of one result replaced by what the rules, asked in order until none has anything to say, make of it.
absl::StatusOr<Graph> apply_rules(const Graph& graph, std::span<const Rewriter::Rule> rules);

}  // namespace etch
