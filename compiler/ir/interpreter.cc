// The oracle's walk over a graph: every op, one after the other.
#include "compiler/ir/interpreter.h"

#include <new>

#include "compiler/ir/cat.h"
#include "etch/error.h"

namespace etch {
namespace {

absl::Status check_inputs(const Graph& graph, std::span<const Literal> inputs) {
  if (inputs.size() != graph.inputs().size()) {
    return absl::InvalidArgumentError(cat("the graph takes ", graph.inputs().size(), " inputs, not ", inputs.size()));
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Type& wanted = graph.type(graph.inputs()[i]);
    if (inputs[i].type != wanted) {
      return absl::InvalidArgumentError(
          cat("input ", i, " is ", to_string(wanted), ", not ", to_string(inputs[i].type)));
    }
    if (static_cast<int64_t>(inputs[i].bytes.size()) != wanted.bytes()) {
      return absl::InvalidArgumentError(
          cat("input ", i, " needs ", wanted.bytes(), " bytes, not ", inputs[i].bytes.size()));
    }
  }
  return absl::OkStatus();
}

bool is_used(const Node& node, std::span<const int32_t> uses) {
  for (Value result : results(node)) {
    if (uses[result.id] > 0) return true;
  }
  return false;
}

/// How often each value is read by nodes that outputs need and by outputs; no result of a node that none needs is read.
std::vector<int32_t> count_uses(const Graph& graph) {
  std::vector<int32_t> uses(graph.num_values());
  for (Value output : graph.outputs()) ++uses[output.id];
  for (size_t i = graph.nodes().size(); i-- > 0;) {
    const Node& node = graph.nodes()[i];
    if (!is_used(node, uses)) continue;
    for (Value operand : node.operands) ++uses[operand.id];
  }
  return uses;
}

/// One evaluation, with all regions inside.
class Run {
 public:
  explicit Run(const InterpretOptions& options) : options_(options) {}

  absl::StatusOr<std::vector<Literal>> operator()(const Graph& graph, Literals inputs) {
    std::vector<int32_t> uses = count_uses(graph);
    std::vector<Literal> values(graph.num_values());
    absl::InlinedVector<const Literal*, 3> operands;
    for (const Node& node : graph.nodes()) {
      if (!is_used(node, uses)) continue;
      operands.clear();
      // The arguments of the graph are the first nodes.
      if (place(node.op) == Place::input) operands.push_back(inputs[node.first_result]);
      for (Value operand : node.operands) operands.push_back(&values[operand.id]);
      absl::StatusOr<std::vector<Literal>> made = results_of(graph, node, operands);
      if (!made.ok()) return made;
      for (Value operand : node.operands) {
        if (--uses[operand.id] == 0) values[operand.id] = {};
      }
      for (Value result : results(node)) {
        if (uses[result.id] > 0) values[result.id] = std::move((*made)[result.id - node.first_result]);
      }
    }
    std::vector<Literal> outputs;
    for (Value output : graph.outputs()) outputs.push_back(values[output.id]);
    return outputs;
  }

 private:
  absl::StatusOr<std::vector<Literal>> results_of(const Graph& graph, const Node& node, Literals operands) {
    if (absl::Status status = check_operands(node.op, operands); !status.ok()) return status;
    if (place(node.op) == Place::host) return act(graph, node, operands);
    if (place(node.op) != Place::region) return evaluate(node.op, operands, graph.result_types(node));
    return evaluate_regions(node.op, operands, [&](const Region& region, Literals inputs) {
      return run_region(node.op, region, inputs);
    });
  }

  absl::StatusOr<std::vector<Literal>> act(const Graph& graph, const Node& node, Literals operands) {
    try {
      return evaluate(node.op, operands, graph.result_types(node));
    } catch (const Error& error) {
      return absl::AbortedError(error.what());
    }
  }

  absl::StatusOr<std::vector<Literal>> run_region(Op owner, const Region& region, Literals inputs) {
    if (num_region_runs_++ < options_.max_region_runs) return (*this)(region.graph(), inputs);
    return absl::ResourceExhaustedError(
        cat("interpret: regions ran ", options_.max_region_runs, " times without an end, at last one of ", name(owner)));
  }

  const InterpretOptions& options_;
  int64_t num_region_runs_ = 0;
};

}  // namespace

absl::StatusOr<std::vector<Literal>> interpret(const Graph& graph, std::span<const Literal> inputs,
                                               const InterpretOptions& options) {
  if (absl::Status status = check_inputs(graph, inputs); !status.ok()) return status;
  try {
    std::vector<const Literal*> pointers;
    for (const Literal& input : inputs) pointers.push_back(&input);
    return Run(options)(graph, pointers);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("interpret: out of memory");
  }
}

}  // namespace etch
