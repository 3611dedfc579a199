// The verifier: checks of a finished graph what the builder promises.
#include "absl/container/inlined_vector.h"
#include "compiler/ir/cat.h"
#include "compiler/ir/graph.h"
#include "compiler/ir/text.h"

namespace etch {
namespace {

absl::Status invalid(const std::string& message) { return absl::InvalidArgumentError("invalid graph: " + message); }

bool names_exist(const Graph& graph, const Origin& origin) {
  const auto count = static_cast<int32_t>(graph.names().size());
  return origin.file < count && origin.scope < count;
}

absl::Status verify_node(const Graph& graph, int index) {
  const Node& node = graph.nodes()[index];
  const auto where = [&] { return cat("%", index, " = ", name(node.op), ": "); };
  absl::InlinedVector<Type, 3> types;
  for (Value operand : node.operands) {
    if (operand.node < 0 || operand.node >= index) {
      return invalid(cat(where(), "operand %", operand.node, " does not come before it"));
    }
    types.push_back(graph[operand].type);
  }
  if (absl::StatusOr<Type> type = infer(node.op, types, node.attr, &node.type); !type.ok()) {
    return invalid(where() + std::string(type.status().message()));
  }
  const bool listed = index < static_cast<int>(graph.inputs().size());
  if ((node.op == Op::input) != listed) return invalid(where() + "the inputs are not the first nodes");
  if (listed && std::get<InputAttr>(node.attr).index != index) return invalid(where() + "the input's index is wrong");
  if (!names_exist(graph, node.origin)) return invalid(where() + "the origin names no string of the graph");
  return absl::OkStatus();
}

}  // namespace

absl::Status verify(const Graph& graph) {
  for (int i = 0; i < static_cast<int>(graph.inputs().size()); ++i) {
    if (graph.inputs()[i].node != i || i >= graph.size()) return invalid("the inputs are not the first nodes");
  }
  for (int i = 0; i < graph.size(); ++i) {
    if (absl::Status status = verify_node(graph, i); !status.ok()) return status;
  }
  for (Value output : graph.outputs()) {
    if (output.node < 0 || output.node >= graph.size()) return invalid(cat("output %", output.node, " is no node"));
  }
  return absl::OkStatus();
}

}  // namespace etch
