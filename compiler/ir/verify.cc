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

absl::Status verify_node(const Graph& graph, int index, int first_value) {
  const Node& node = graph.nodes()[index];
  const auto where = [&] { return cat("%", node.first_result, " = ", name(node.op), ": "); };
  if (node.first_result != first_value || node.num_results < 1) {
    return invalid(where() + "the results are not numbered in order");
  }
  for (Value result : results(node)) {
    if (result.id >= graph.num_values() || graph.index_of(result) != index) {
      return invalid(where() + cat("%", result.id, " belongs to another node"));
    }
  }
  absl::InlinedVector<Type, 3> operands;
  for (Value operand : node.operands) {
    if (operand.id < 0 || operand.id >= node.first_result) {
      return invalid(cat(where(), "operand %", operand.id, " does not come before it"));
    }
    operands.push_back(graph.type(operand));
  }
  const Types types = graph.result_types(node);
  if (absl::StatusOr<Types> inferred = infer(node.op, operands, types); !inferred.ok()) {
    return invalid(where() + std::string(inferred.status().message()));
  }
  for (const auto& [name, region] : regions_of(node.op)) {
    if (absl::Status status = verify(region.graph()); !status.ok()) {
      return invalid(where() + cat(name, ": ", std::string(status.message())));
    }
  }
  const bool listed = index < static_cast<int>(graph.inputs().size());
  if ((place(node.op) == Place::input) != listed) return invalid(where() + "the inputs are not the first nodes");
  if (listed && !(node.op == input_op(index))) return invalid(where() + "the input's index is wrong");
  if (!names_exist(graph, node.origin)) return invalid(where() + "the origin names no string of the graph");
  return absl::OkStatus();
}

}  // namespace

absl::Status verify(const Graph& graph) {
  const int num_nodes = static_cast<int>(graph.nodes().size());
  for (int i = 0; i < static_cast<int>(graph.inputs().size()); ++i) {
    if (graph.inputs()[i].id != i || i >= num_nodes) return invalid("the inputs are not the first nodes");
  }
  int values = 0;
  for (int i = 0; i < num_nodes; ++i) {
    if (absl::Status status = verify_node(graph, i, values); !status.ok()) return status;
    values += graph.nodes()[i].num_results;
  }
  if (values != graph.num_values()) return invalid(cat("there are ", graph.num_values(), " values, not ", values));
  for (Value output : graph.outputs()) {
    if (output.id < 0 || output.id >= values) return invalid(cat("output %", output.id, " is no value"));
  }
  return absl::OkStatus();
}

}  // namespace etch
