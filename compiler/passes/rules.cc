// Applies rules to expressions until none has anything to say.
#include "compiler/passes/rules.h"

#include "compiler/ir/checked.h"
#include "compiler/passes/inline_graph.h"
#include "compiler/passes/region_rules.h"

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
  return checked(builder_.emit(expr.op, expr.operands, expr.type, origin()));
}

Value Rewriter::make(const AnyOp& op, std::span<const Value> operands, const Type* type) {
  if (place(op) == Place::splat) return checked(builder_.emit(op, {}, *type, origin()));  // nothing is better
  if (type) return improve({op, operands, *type});
  absl::InlinedVector<Type, 3> types;
  for (Value operand : operands) types.push_back(this->type(operand));
  return improve({op, operands, checked(infer(op, types, {}))[0]});
}

Results Rewriter::make_all(const AnyOp& op, std::span<const Value> operands) {
  return checked(builder_.emit_all(op, operands, {}, origin()));
}

namespace {

/// What rules make of the nodes of a graph, and of those of regions that take the place of their op.
class Application {
 public:
  Application(GraphBuilder& builder, std::span<const Rewriter::Rule> rules, bool looks_at_channels)
      : builder_(builder), rules_(rules), looks_at_channels_(looks_at_channels) {}

  absl::StatusOr<Replacement> operator()(const Graph& graph, const Node& node, std::span<const Value> operands) const {
    if (place(node.op) == Place::region) return replace_region(graph, node, operands);
    if (node.num_results > 1) return Replacement();
    const Expr expr{node.op, operands, graph.type(node.result())};
    const std::optional<Value> better = Rewriter(builder_, rules_, node.origin).better(expr);
    return better ? Replacement(*better) : Replacement();
  }

 private:
  /// The region that runs, if that is known, without the op around it.
  absl::StatusOr<Replacement> replace_region(const Graph& graph, const Node& node, std::span<const Value> operands) const {
    std::vector<std::optional<uint64_t>> constants;
    for (Value operand : operands) constants.push_back(splat_bits(builder_.node(operand).op));
    const std::optional<Taken> taken = taken_region(node.op, constants);
    if (!taken && !looks_at_channels_) return Replacement();
    if (!taken) {
      const auto improve = [this](Graph region) { return apply_rules(std::move(region), rules_, true); };
      return region_rule({builder_, graph, node, operands, *this, improve});
    }
    const Region region = regions_of(node.op)[taken->region].region;
    std::vector<Value> inputs;
    for (int operand : taken->operands) inputs.push_back(operands[operand]);
    const std::span<const Value> outputs = region.graph().outputs().subspan(taken->first_output);
    absl::StatusOr<std::vector<Value>> values =
        inline_graph(builder_, region.graph(), outputs, inputs, node.origin, *this);
    if (!values.ok()) return values.status();
    Replacement replacement;
    for (Value value : *values) replacement.add(value);
    return replacement;
  }

  GraphBuilder& builder_;
  std::span<const Rewriter::Rule> rules_;
  bool looks_at_channels_;
};

}  // namespace

absl::StatusOr<Graph> apply_rules(Graph graph, std::span<const Rewriter::Rule> rules, bool looks_at_channels) {
  return rewrite(std::move(graph), [&](GraphBuilder& builder, const Node& node, std::span<const Value> operands) {
    return Application(builder, rules, looks_at_channels)(graph, node, operands);
  });
}

}  // namespace etch
