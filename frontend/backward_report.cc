// What a concrete function keeps for derivatives, as explain() tells it.
#include "frontend/backward_report.h"

#include <algorithm>
#include <optional>

#include "absl/hash/hash.h"
#include "compiler/ir/cat.h"
#include "compiler/passes/run_passes.h"
#include "compiler/schedule/explain_kept.h"
#include "frontend/recorded_call.h"
#include "runtime/flat_map.h"

namespace etch::detail {
namespace {

constexpr Value kNone{-1};

/// The values of one graph among those of another one that has the same nodes and more, or others.
std::vector<Value> values_in(const Graph& from, const Graph& to) {
  const auto structure = [](const Node& node, const auto& operands) { return absl::HashOf(node.op, operands); };
  FlatMap<size_t, std::vector<int>> nodes;
  for (size_t i = 0; i < to.nodes().size(); ++i) {
    const Node& node = to.nodes()[i];
    nodes[structure(node, node.operands)].push_back(static_cast<int>(i));
  }
  std::vector<Value> values(from.num_values(), kNone);
  for (size_t i = 0; i < std::min(from.inputs().size(), to.inputs().size()); ++i) values[from.inputs()[i].id] = to.inputs()[i];
  for (const Node& node : from.nodes()) {
    if (values[node.first_result] != kNone) continue;
    auto operands = node.operands;
    for (Value& operand : operands) operand = values[operand.id];
    if (std::ranges::find(operands, kNone) != operands.end()) continue;
    for (const int candidate : nodes[structure(node, operands)]) {
      const Node& other = to.nodes()[candidate];
      const bool is_same = other.op == node.op && other.operands == operands && other.num_results == node.num_results &&
                           to.type(other.result()) == from.type(node.result());
      if (!is_same) continue;
      for (int r = 0; r < node.num_results; ++r) values[node.first_result + r] = {other.first_result + r};
    }
  }
  return values;
}

/// These values, and all that they are computed from.
std::vector<bool> ancestors(const Graph& graph, std::span<const Value> values) {
  std::vector<bool> found(graph.num_values(), false);
  std::vector<Value> open(values.begin(), values.end());
  while (!open.empty()) {
    const Value value = open.back();
    open.pop_back();
    if (found[value.id]) continue;
    found[value.id] = true;
    const Node& node = graph.node(value);
    open.insert(open.end(), node.operands.begin(), node.operands.end());
  }
  return found;
}

/// True if the call asks for the gradients, and no backward function of one of its ops does.
bool is_of_call(const TraceResult& trace, const AskedGradients& asked) {
  const auto is_recorded = [&](Value value) { return trace.events.index_of(value) < trace.num_events; };
  return std::ranges::all_of(asked.targets, is_recorded) && std::ranges::all_of(asked.gradients, is_recorded);
}

/// What belongs to the passes of a function's gradients. The passes of the compiler keep no track of values: they run once more, with
/// targets and gradients as outputs, and the graph that was compiled is compared with what comes out.
/// None if no gradient is asked for.
std::optional<PassesOfGradient> passes_of(const Concrete& concrete) {
  const TraceResult& trace = concrete.trace;
  std::vector<Value> outputs;
  size_t num_targets = 0;
  for (const AskedGradients& asked : trace.custom_events.asked) {
    if (!is_of_call(trace, asked)) continue;
    outputs.insert(outputs.begin(), asked.targets.begin(), asked.targets.end());
    outputs.insert(outputs.end(), asked.gradients.begin(), asked.gradients.end());
    num_targets += asked.targets.size();
  }
  const size_t num_asked = outputs.size();
  if (num_asked == 0) return std::nullopt;
  outputs.insert(outputs.end(), trace.outputs.begin(), trace.outputs.end());
  const Graph recorded = trace.events.close(outputs, trace.num_events);
  const absl::StatusOr<Graph> lowered = run_passes(recorded, pass_options(concrete.options));
  if (!lowered.ok()) return std::nullopt;

  const Graph& compiled = concrete.compiled.graph;
  const std::vector<Value> values = values_in(*lowered, compiled);
  const std::span<const Value> asked = lowered->outputs().first(num_asked);
  const std::vector<bool> forward = ancestors(*lowered, asked.first(num_targets));
  const std::vector<bool> all = ancestors(*lowered, asked);
  PassesOfGradient passes{std::vector<bool>(compiled.num_values(), false), std::vector<bool>(compiled.num_values(), false)};
  std::vector<Value> backward;
  for (size_t v = 0; v < values.size(); ++v) {
    if (values[v] == kNone) continue;
    if (forward[v]) passes.forward[values[v].id] = true;
    else if (all[v]) backward.push_back(values[v]);
  }
  passes.backward = ancestors(compiled, backward);
  for (size_t v = 0; v < passes.backward.size(); ++v) passes.backward[v] = passes.backward[v] && !passes.forward[v];
  return passes;
}

/// `args[0] and the variable w f32[2]`: in what the derivative is taken.
std::string sources_text(const Concrete& concrete, const Forward& forward) {
  std::string text;
  const auto add = [&](const std::string& source) { text += cat(text.empty() ? "" : ", ", source); };
  for (size_t i = 0; i < forward.inputs.size(); ++i) {
    if (forward.inputs[i]) add(cat("input ", i));
  }
  for (size_t i = 0; i < forward.variables.size(); ++i) {
    if (forward.variables[i]) add(description(*concrete.trace.variables[i].cell));
  }
  return text;
}

/// What the code gives that runs where a tape records a call.
std::string forward_text(const Concrete& concrete, const Forward& forward) {
  const TraceResult& trace = concrete.trace;
  const Compiled& compiled = forward.concrete->compiled;
  int64_t bytes = 0;
  std::string lines;
  const std::vector<KeptValue> kept = find_kept(trace, forward.inputs, forward.variables);
  for (size_t i = 0; i < kept.size(); ++i) {
    const Value value = compiled.graph.outputs()[trace.num_results + i];
    bytes += compiled.graph.type(value).bytes();
    lines += cat("  ", describe_kept(compiled.graph, value), ", read by ", kept[i].reader, " of the derivative of what stands at",
                 place_text(trace.events, kept[i].origin), cost_of_keeping(compiled.graph, value), "\n");
  }
  return cat("recorded by a tape, for the gradient in ", sources_text(concrete, forward), ": keeps ", kept.size(),
             kept.size() == 1 ? " value, " : " values, ", bytes, " bytes, and moves elements again\n", lines);
}

}  // namespace

std::string backward_text(const Concrete& concrete) {
  std::string text;
  if (const std::optional<PassesOfGradient> passes = passes_of(concrete)) {
    text += explain_kept(concrete.compiled.schedule, concrete.compiled.graph, *passes);
  }
  for (const Forward* forward = concrete.forwards.first(); forward; forward = forward->next) {
    text += forward_text(concrete, *forward);
  }
  return text;
}

}  // namespace etch::detail
