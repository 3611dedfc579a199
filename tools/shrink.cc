// A shrinker that makes a failing graph small.
#include "tools/shrink.h"

#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "compiler/passes/inline_graph.h"
#include "compiler/passes/prune.h"
#include "runtime/check.h"

namespace etch {
namespace {

/// What may change of a graph.
enum class Interface : uint8_t {
  free,   // inputs and outputs too
  fixed,  // a region's: what is between them
};

using Take = absl::FunctionRef<bool(const Graph&)>;

int64_t num_nodes(const Graph& graph) {
  auto count = static_cast<int64_t>(graph.nodes().size());
  for (const Node& node : graph.nodes()) {
    for (const NamedRegion& region : regions_of(node.op)) count += region.region.num_nodes();
  }
  return count;
}

/// Per value: do the outputs need it, where `replaced` stands for `by`?
std::vector<bool> needed_values(const Graph& graph, std::span<const Value> outputs, Value replaced, Value by) {
  std::vector<bool> needed(graph.num_values(), false);
  for (Value output : outputs) needed[output.id] = true;
  for (size_t i = graph.nodes().size(); i-- > 0;) {
    const Node& node = graph.nodes()[i];
    bool needs_operands = false;
    for (Value result : results(node)) {
      if (!needed[result.id]) continue;
      if (result == replaced && by.id >= 0) needed[by.id] = true;
      needs_operands |= result != replaced;
    }
    if (!needs_operands) continue;
    for (Value operand : node.operands) needed[operand.id] = true;
  }
  return needed;
}

/// The graph with other outputs, pruned. One value may be replaced: by another one, or, if that is none, by a new input,
/// where the inputs are fixed by zeros. Inputs that nothing uses go too, unless they are fixed.
std::optional<Graph> rebuild(const Graph& graph, Interface interface, std::span<const Value> outputs, Value replaced,
                             Value by) {
  GraphBuilder builder;
  const bool is_fixed = interface == Interface::fixed;
  const std::vector<bool> needed = needed_values(graph, outputs, replaced, by);
  std::vector<Value> made(graph.num_values());
  const auto nothing = [&](const Type& type) { return is_fixed ? builder.constant(0, type) : builder.input(type); };
  for (const Node& node : graph.nodes()) {
    const bool is_input = place(node.op) == Place::input;
    absl::StatusOr<Results> values = Results(0, 0);
    bool computes = false;
    for (Value result : results(node)) computes |= needed[result.id] && result != replaced;
    if (computes && !is_input) {
      std::vector<Value> operands;
      for (Value operand : node.operands) operands.push_back(made[operand.id]);
      values = builder.emit_all(node.op, operands, graph.result_types(node));
      if (!values.ok()) return std::nullopt;
    }
    for (Value result : results(node)) {
      if (!needed[result.id] && !(is_input && is_fixed)) continue;
      if (result == replaced && by.id >= 0) {
        made[result.id] = made[by.id];
      } else if (is_input || result == replaced) {
        absl::StatusOr<Value> value = is_input ? builder.input(graph.type(result)) : nothing(graph.type(result));
        if (!value.ok()) return std::nullopt;
        made[result.id] = *value;
      } else {
        made[result.id] = (*values)[result.id - node.first_result];
      }
    }
  }
  std::vector<Value> new_outputs;
  for (Value output : outputs) new_outputs.push_back(made[output.id]);
  return std::move(builder).finish(new_outputs);
}

/// The graph with what `make` makes in the place of a node.
using Make = absl::FunctionRef<absl::StatusOr<Replacement>(GraphBuilder& builder, std::span<const Value> operands)>;
std::optional<Graph> replace_node(const Graph& graph, const Node& replaced, Make make) {
  GraphBuilder builder;
  std::vector<Value> made(graph.num_values());
  for (const Node& node : graph.nodes()) {
    absl::InlinedVector<Value, 3> operands;
    for (Value operand : node.operands) operands.push_back(made[operand.id]);
    Replacement values;
    if (place(node.op) == Place::input) {
      values = *builder.input(graph.type(node.result()));
    } else if (&node == &replaced) {
      absl::StatusOr<Replacement> by = make(builder, operands);
      if (!by.ok() || by->values().empty()) return std::nullopt;
      values = *std::move(by);
    } else {
      values = Replacement(builder.emit_all(node.op, operands, graph.result_types(node)).value());
    }
    for (Value result : results(node)) made[result.id] = values.values()[result.id - node.first_result];
  }
  std::vector<Value> outputs;
  for (Value output : graph.outputs()) outputs.push_back(made[output.id]);
  return std::move(builder).finish(outputs);
}

/// The graph with one run of a region in the place of the op that owns it, where operands and results say what it takes
/// and gives.
std::optional<Graph> inline_region(const Graph& graph, const Node& node, int region) {
  const Graph inside = regions_of(node.op)[region].region.graph();
  const auto make = [&](GraphBuilder& builder, std::span<const Value> operands) -> absl::StatusOr<Replacement> {
    std::vector<Value> inputs(inside.inputs().size()), outputs(node.num_results);
    for (const Channel& channel : channels_of(node.op, static_cast<int>(operands.size()))) {
      for (Port port : channel.inputs) {
        if (port.region == region && channel.operand >= 0) inputs[port.index] = operands[channel.operand];
      }
      for (Port port : channel.outputs) {
        if (port.region == region && channel.result >= 0) outputs[channel.result] = inside.outputs()[port.index];
      }
    }
    for (Value output : outputs) {
      if (output.id < 0) return Replacement();
    }
    absl::StatusOr<std::vector<Value>> made = inline_graph(builder, inside, outputs, inputs);
    if (!made.ok()) return made.status();
    Replacement replacement;
    for (Value value : *made) replacement.add(value);
    return replacement;
  };
  return replace_node(graph, node, make);
}

/// The graph without what nobody needs; none if that is what fails.
std::optional<Graph> pruned(const Graph& graph) {
  try {
    absl::StatusOr<Graph> after = prune(graph);
    return after.ok() ? std::optional(*std::move(after)) : std::nullopt;
  } catch (const InternalError&) {
    return std::nullopt;
  }
}

bool try_smaller(const Graph& graph, Interface interface, Take take);

/// With regions inlined or smaller ones.
bool try_regions(const Graph& graph, const Node& node, Take take) {
  const std::vector<NamedRegion> regions = regions_of(node.op);
  for (size_t r = 0; r < regions.size(); ++r) {
    std::optional<Graph> inlined = inline_region(graph, node, static_cast<int>(r));
    if (inlined && take(*inlined)) return true;
    const bool found = try_smaller(regions[r].region.graph(), Interface::fixed, [&](const Graph& inside) {
      std::optional<Graph> candidate = replace_node(
          graph, node, [&](GraphBuilder& builder, std::span<const Value> operands) -> absl::StatusOr<Replacement> {
            std::vector<Region> changed;
            for (const NamedRegion& region : regions) changed.push_back(region.region);
            changed[r] = Region(inside);
            absl::StatusOr<Results> made = builder.emit_all(with_regions(node.op, changed), operands, {});
            if (!made.ok()) return made.status();
            return Replacement(*made);
          });
      return candidate && take(*candidate);
    });
    if (found) return true;
  }
  return false;
}

/// Shows `take` one smaller graph after another until it takes one; false if it takes none.
bool try_smaller(const Graph& graph, Interface interface, Take take) {
  const bool is_free = interface == Interface::free;
  const auto attempt = [&](std::span<const Value> outputs, Value replaced, Value by) {
    std::optional<Graph> candidate = rebuild(graph, interface, outputs, replaced, by);
    return candidate && take(*candidate);
  };
  std::vector<Value> outputs(graph.outputs().begin(), graph.outputs().end());
  if (is_free && attempt(outputs, {}, {})) return true;  // without inputs that nothing uses
  for (size_t i = 0; is_free && outputs.size() > 1 && i < outputs.size(); ++i) {
    std::vector<Value> fewer = outputs;
    fewer.erase(fewer.begin() + i);
    if (attempt(fewer, {}, {})) return true;
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    for (Value operand : graph.node(outputs[i]).operands) {
      if (!is_free && graph.type(operand) != graph.type(outputs[i])) continue;
      std::vector<Value> earlier = outputs;
      earlier[i] = operand;
      if (attempt(earlier, {}, {})) return true;
    }
  }
  if (std::optional<Graph> candidate = pruned(graph); candidate && take(*candidate)) return true;
  for (const Node& node : graph.nodes()) {
    if (place(node.op) == Place::input) continue;
    for (const NamedRegion& region : regions_of(node.op)) {
      if (is_free && take(region.region.graph())) return true;
    }
    if (place(node.op) == Place::region && try_regions(graph, node, take)) return true;
    for (Value result : results(node)) {
      for (Value operand : node.operands) {
        if (!(graph.type(operand) == graph.type(result))) continue;
        if (attempt(outputs, result, operand)) return true;
      }
      if (place(node.op) == Place::splat) continue;
      if (attempt(outputs, result, {})) return true;
    }
  }
  return false;
}

}  // namespace

Graph shrink(const Graph& graph, const std::function<bool(const Graph&)>& fails) {
  Graph smallest = graph;
  for (int round = 0; round < 1000; ++round) {
    std::optional<Graph> next;
    const auto take = [&](const Graph& candidate) {
      if (num_nodes(candidate) > num_nodes(smallest) || candidate == smallest || !fails(candidate)) return false;
      next = candidate;
      return true;
    };
    if (!try_smaller(smallest, Interface::free, take)) break;
    smallest = *std::move(next);
  }
  return smallest;
}

}  // namespace etch
