// Applies rules to expressions until none has anything to say.
#include "compiler/passes/rules.h"

#include "compiler/ir/checked.h"

namespace etch {

Better Rewriter::improve(const Expr& expr) {
  for (Rule rule : rules_) {
    Better better = rule(*this, expr);
    if (!std::holds_alternative<std::monostate>(better)) return better;
  }
  return std::monostate();
}

Value Rewriter::make(Expr expr) {
  while (steps_left_-- > 0) {
    Better better = improve(expr);
    if (const Value* value = std::get_if<Value>(&better)) return *value;
    if (std::holds_alternative<std::monostate>(better)) break;
    expr = std::get<Expr>(std::move(better));
  }
  return checked(builder_.emit(expr.op, expr.operands, expr.type, origin_));
}

Value Rewriter::constant(uint64_t bits, const Type& type) {
  return checked(builder_.constant(bits, type, origin_));
}

std::optional<uint64_t> Rewriter::constant_bits(Value value) const {
  return splat_bits(builder_.node(value).op);
}

absl::StatusOr<Graph> apply_rules(const Graph& graph, std::span<const Rewriter::Rule> rules) {
  return rewrite(graph, [&](GraphBuilder& builder, const Node& node, std::span<const Value> operands) {
    if (node.num_results > 1) return Replacement();
    const Type& type = graph.type(node.result());
    return Replacement(
        Rewriter(builder, rules, node.origin).make({node.op, {operands.begin(), operands.end()}, type}));
  });
}

}  // namespace etch
