// The nodes of a graph made again in another one.
#include "compiler/passes/inline_graph.h"

namespace etch {
namespace {

/// The same file and scope among the names of the builder.
Origin renamed(GraphBuilder& builder, const Graph& graph, Origin origin, Origin owner) {
  if (origin.file < 0 && origin.scope < 0) return owner;
  if (origin.file >= 0) origin.file = builder.name(graph.name_of(origin.file));
  if (origin.scope >= 0) origin.scope = builder.name(graph.name_of(origin.scope));
  return origin;
}

}  // namespace

absl::StatusOr<std::vector<Value>> inline_graph(GraphBuilder& builder, const Graph& graph, std::span<const Value> wanted,
                                                std::span<const Value> inputs, Origin owner, InlineFn fn) {
  const std::vector<bool> needed = needed_nodes(graph, wanted);
  std::vector<Value> values(graph.num_values());
  for (size_t i = 0; i < inputs.size(); ++i) values[graph.inputs()[i].id] = inputs[i];
  for (size_t i = inputs.size(); i < graph.nodes().size(); ++i) {
    if (!needed[i]) continue;
    Node node = graph.nodes()[i];
    node.origin = renamed(builder, graph, node.origin, owner);
    absl::InlinedVector<Value, 3> operands;
    for (Value operand : node.operands) operands.push_back(values[operand.id]);
    absl::StatusOr<Replacement> made = fn(graph, node, operands);
    if (!made.ok()) return made.status();
    if (made->values().empty()) {
      absl::StatusOr<Results> kept = builder.emit_all(node.op, operands, graph.result_types(node), node.origin);
      if (!kept.ok()) return kept.status();
      made = Replacement(*kept);
    }
    for (Value result : results(node)) values[result.id] = made->values()[result.id - node.first_result];
  }
  std::vector<Value> outputs;
  for (Value value : wanted) outputs.push_back(values[value.id]);
  return outputs;
}

absl::StatusOr<std::vector<Value>> inline_graph(GraphBuilder& builder, const Graph& graph, std::span<const Value> wanted,
                                                std::span<const Value> inputs, Origin owner) {
  return inline_graph(builder, graph, wanted, inputs, owner,
                      [](const Graph&, const Node&, std::span<const Value>) { return Replacement(); });
}

}  // namespace etch
