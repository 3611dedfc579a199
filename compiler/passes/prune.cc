// prune: one walk from the outputs back; what an op with regions needs is found along its channels (placing.h).
#include "compiler/passes/prune.h"

#include <algorithm>
#include <memory>

#include "compiler/passes/inline_graph.h"
#include "runtime/flat_map.h"

namespace etch {
namespace {

using Flags = std::vector<bool>;

void add(Flags& to, const Flags& from) {
  for (size_t i = 0; i < to.size(); ++i) to[i] = to[i] || from[i];
}

bool all(const Flags& flags) { return std::find(flags.begin(), flags.end(), false) == flags.end(); }

/// What of ops with regions is needed.
class Needs {
 public:
  /// Per channel: do the results with a flag depend on it?
  Flags channels(const AnyOp& op, const std::vector<Channel>& channels, const Flags& results) {
    const std::vector<NamedRegion> regions = regions_of(op);
    std::vector<std::vector<int>> of_input;  // per region and input: its channel
    for (const NamedRegion& region : regions) of_input.emplace_back(region.region.graph().inputs().size());
    Flags needed(channels.size());
    std::vector<int> open;
    for (int c = 0; c < static_cast<int>(channels.size()); ++c) {
      for (Port input : channels[c].inputs) of_input[input.region][input.index] = c;
      needed[c] = channels[c].decides || (channels[c].result >= 0 && results[channels[c].result]);
      if (needed[c]) open.push_back(c);
    }
    while (!open.empty()) {
      const Channel& channel = channels[open.back()];
      open.pop_back();
      for (Port output : channel.outputs) {
        const Flags& inputs = (*of(regions[output.region].region))[output.index];
        for (size_t i = 0; i < inputs.size(); ++i) {
          const int source = of_input[output.region][i];
          if (!inputs[i] || needed[source]) continue;
          needed[source] = true;
          open.push_back(source);
        }
      }
    }
    return needed;
  }

 private:
  using PerOutput = std::shared_ptr<const std::vector<Flags>>;

  /// Per output of a region: which of its inputs it depends on. Found once for each region.
  PerOutput of(const Region& region) {
    if (const auto known = known_.find(region); known != known_.end()) return known->second;
    const Graph& graph = region.graph();
    std::vector<Flags> values(graph.num_values(), Flags(graph.inputs().size()));
    for (const Node& node : graph.nodes()) {
      if (place(node.op) == Place::input) values[node.first_result][node.first_result] = true;
      for (Value result : results(node)) {
        for (Value operand : operands_of(node, result)) add(values[result.id], values[operand.id]);
      }
    }
    std::vector<Flags> outputs;
    for (Value output : graph.outputs()) outputs.push_back(values[output.id]);
    return known_[region] = std::make_shared<const std::vector<Flags>>(std::move(outputs));
  }

  /// The operands that one result of a node depends on.
  std::vector<Value> operands_of(const Node& node, Value result) {
    if (place(node.op) != Place::region) return {node.operands.begin(), node.operands.end()};
    Flags wanted(node.num_results);
    wanted[result.id - node.first_result] = true;
    const std::vector<Channel> all = channels_of(node.op, static_cast<int>(node.operands.size()));
    const Flags needed = channels(node.op, all, wanted);
    std::vector<Value> operands;
    for (size_t c = 0; c < all.size(); ++c) {
      if (needed[c] && all[c].operand >= 0) operands.push_back(node.operands[all[c].operand]);
    }
    return operands;
  }

  FlatMap<Region, PerOutput> known_;
};

/// The graph with some of its inputs, which are all that the outputs need, and other outputs.
absl::StatusOr<Graph> select(const Graph& graph, const Flags& inputs, std::span<const Value> outputs);

class Prune {
 public:
  absl::StatusOr<Graph> run(Graph graph) {
    FlatMap<int32_t, Flags> kept;  // by the first result: the channels of an op that loses some
    if (!find_unneeded(graph, kept)) return graph;
    return rewrite(std::move(graph), [&](GraphBuilder& builder, const Node& node,
                              std::span<const Value> operands) -> absl::StatusOr<Replacement> {
      const auto found = kept.find(node.first_result);
      if (found == kept.end()) return Replacement();
      return restrict(builder, graph, node, operands, found->second);
    });
  }

 private:
  /// True if there is anything to drop.
  bool find_unneeded(const Graph& graph, FlatMap<int32_t, Flags>& kept) {
    bool found = false;
    Flags needed(graph.num_values());
    for (Value output : graph.outputs()) needed[output.id] = true;
    for (size_t i = graph.nodes().size(); i-- > 0;) {
      const Node& node = graph.nodes()[i];
      const auto first = needed.begin() + node.first_result, end = first + node.num_results;
      const Place kind = place(node.op);
      if (std::find(first, end, true) == end) {
        found |= kind != Place::input;
      } else if (kind == Place::region) {
        found |= find_unneeded_channels(node, Flags(first, end), needed, kept);
      } else {
        for (Value operand : node.operands) needed[operand.id] = true;
      }
    }
    return found;
  }

  /// True if some channels of an op are not needed; marks the operands that are.
  bool find_unneeded_channels(const Node& node, const Flags& wanted, Flags& needed,
                              FlatMap<int32_t, Flags>& kept) {
    const std::vector<Channel> channels = channels_of(node.op, static_cast<int>(node.operands.size()));
    Flags of_channels = needs_.channels(node.op, channels, wanted);
    for (size_t c = 0; c < channels.size(); ++c) {
      if (of_channels[c] && channels[c].operand >= 0) needed[node.operands[channels[c].operand].id] = true;
    }
    if (all(of_channels)) return false;
    kept.emplace(node.first_result, std::move(of_channels));
    return true;
  }

  /// The op with its kept channels. What stands for a result that nobody reads is dropped afterwards.
  absl::StatusOr<Replacement> restrict(GraphBuilder& builder, const Graph& graph, const Node& node,
                                       std::span<const Value> operands, const Flags& kept) {
    const std::vector<Channel> channels = channels_of(node.op, static_cast<int>(operands.size()));
    const std::vector<NamedRegion> regions = regions_of(node.op);
    Flags operand_stays(operands.size()), result_stays(node.num_results);
    std::vector<Flags> inputs, outputs;
    for (const NamedRegion& region : regions) {
      inputs.emplace_back(region.region.graph().inputs().size());
      outputs.emplace_back(region.region.graph().outputs().size());
    }
    for (size_t c = 0; c < channels.size(); ++c) {
      if (!kept[c]) continue;
      if (channels[c].operand >= 0) operand_stays[channels[c].operand] = true;
      if (channels[c].result >= 0) result_stays[channels[c].result] = true;
      for (Port input : channels[c].inputs) inputs[input.region][input.index] = true;
      for (Port output : channels[c].outputs) outputs[output.region][output.index] = true;
    }
    std::vector<Region> smaller;
    for (size_t r = 0; r < regions.size(); ++r) {
      absl::StatusOr<Region> region = restrict(regions[r].region, inputs[r], outputs[r]);
      if (!region.ok()) return region.status();
      smaller.push_back(*std::move(region));
    }
    absl::InlinedVector<Value, 3> left;
    for (size_t i = 0; i < operands.size(); ++i) {
      if (operand_stays[i]) left.push_back(operands[i]);
    }
    absl::StatusOr<Results> made = builder.emit_all(with_regions(node.op, smaller), left, {}, node.origin);
    if (!made.ok()) return made.status();
    Replacement replacement;
    int next = 0;
    for (Value result : results(node)) {
      if (result_stays[result.id - node.first_result]) {
        replacement.add((*made)[next++]);
        continue;
      }
      absl::StatusOr<Value> nothing = builder.constant(0, graph.type(result), node.origin);
      if (!nothing.ok()) return nothing.status();
      replacement.add(*nothing);
    }
    return replacement;
  }

  absl::StatusOr<Region> restrict(const Region& region, const Flags& inputs, const Flags& outputs) {
    const Graph& graph = region.graph();
    std::vector<Value> left;
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i]) left.push_back(graph.outputs()[i]);
    }
    absl::StatusOr<Graph> selected = select(graph, Flags(inputs.size(), true), left);
    if (selected.ok()) selected = run(*std::move(selected));  // regions inside let go of the inputs
    if (selected.ok()) selected = select(*selected, inputs, {selected->outputs().begin(), selected->outputs().end()});
    if (!selected.ok()) return selected.status();
    return Region(*std::move(selected));
  }

  Needs needs_;
};

absl::StatusOr<Graph> select(const Graph& graph, const Flags& inputs, std::span<const Value> outputs) {
  GraphBuilder whole;
  for (const std::string& name : graph.names()) whole.name(name);
  std::vector<Value> values;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Value input = graph.inputs()[i];
    if (!inputs[i]) {
      values.push_back({});
      continue;
    }
    absl::StatusOr<Value> made = whole.input(graph.type(input), graph.node(input).origin);
    if (!made.ok()) return made.status();
    values.push_back(*made);
  }
  absl::StatusOr<std::vector<Value>> made = inline_graph(whole, graph, outputs, values);
  if (!made.ok()) return made.status();
  return std::move(whole).finish(*made);
}

}  // namespace

absl::StatusOr<Graph> prune(Graph graph) { return Prune().run(std::move(graph)); }

}  // namespace etch
