// Applies rules to expressions until none has anything to say.
#include "compiler/passes/rules.h"

#include "compiler/ir/checked.h"

namespace etch {

std::optional<Value> Rewriter::better(const Expr& expr) {
  if (steps_left_-- <= 0) return std::nullopt;
  for (Rule rule : rules_) {
    const Ex better = rule(*this, expr);
    if (!better.is_none()) return better.value();
  }
  return std::nullopt;
}

Value Rewriter::improve(const Expr& expr) {
  if (const std::optional<Value> value = better(expr)) return *value;
  return checked(builder_.emit(expr.op, expr.operands, expr.type, origin_));
}

Value Rewriter::make(const AnyOp& op, std::span<const Value> operands, const Type* type) {
  if (place(op) == Place::splat) return checked(builder_.emit(op, {}, *type, origin_));  // nothing is better
  if (type) return improve({op, operands, *type});
  absl::InlinedVector<Type, 3> types;
  for (Value operand : operands) types.push_back(this->type(operand));
  return improve({op, operands, checked(infer(op, types, {}))[0]});
}

absl::StatusOr<Graph> apply_rules(const Graph& graph, std::span<const Rewriter::Rule> rules) {
  return rewrite(graph, [&](GraphBuilder& builder, const Node& node, std::span<const Value> operands) {
    if (node.num_results > 1) return Replacement();
    const Expr expr{node.op, operands, graph.type(node.result())};
    const std::optional<Value> better = Rewriter(builder, rules, node.origin).better(expr);
    return better ? Replacement(*better) : Replacement();
  });
}

}  // namespace etch
