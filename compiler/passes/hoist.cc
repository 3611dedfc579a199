// hoist: what stands on invariants only, region by region.
#include "compiler/passes/hoist.h"

#include <algorithm>

#include "compiler/passes/inline_graph.h"
#include "compiler/passes/prune.h"
#include "compiler/passes/region_edit.h"

namespace etch {
namespace {

bool is_loop(std::span<const Channel> channels) {
  return std::ranges::any_of(channels, [](const Channel& channel) { return channel.decides && channel.operand < 0; });
}

bool may_move(const Graph& graph, const Node& node) {
  const Place kind = place(node.op);
  if (kind != Place::elementwise && kind != Place::reduction && !is_movement(node.op)) return false;
  int64_t read = 0;
  for (Value operand : node.operands) read = std::max(read, graph.type(operand).size());
  return graph.type(node.result()).size() <= read;
}

/// Per value of a region: whether it can be computed outside. `steady` are its inputs that no turn changes.
std::vector<bool> movable_values(const Graph& region, const std::vector<bool>& steady) {
  std::vector<bool> movable(region.num_values());
  for (size_t i = 0; i < steady.size(); ++i) movable[region.inputs()[i].id] = steady[i];
  for (const Node& node : region.nodes()) {
    if (place(node.op) == Place::input) continue;
    if (place(node.op) == Place::splat) movable[node.first_result] = true;
    if (!may_move(region, node)) continue;
    movable[node.first_result] = std::ranges::all_of(node.operands, [&](Value operand) { return movable[operand.id]; });
  }
  return movable;
}

/// What the nodes that stay use of those that move, as far as it was computed: a movement alone is nothing to save.
std::vector<Value> moved_values(const Graph& region, const std::vector<bool>& movable) {
  std::vector<bool> computes(region.num_values()), used(region.num_values());
  for (const Node& node : region.nodes()) {
    const bool is_work = place(node.op) == Place::elementwise || place(node.op) == Place::reduction;
    bool any = is_work;
    for (Value operand : node.operands) any |= computes[operand.id];
    if (movable[node.first_result]) computes[node.first_result] = any;
    const bool stays = !movable[node.first_result];
    for (Value operand : node.operands) {
      if (stays) used[operand.id] = true;
    }
  }
  for (Value output : region.outputs()) used[output.id] = true;
  std::vector<Value> moved;
  for (int i = 0; i < region.num_values(); ++i) {
    if (used[i] && movable[i] && computes[i]) moved.push_back({i});
  }
  return moved;
}

absl::StatusOr<Replacement> hoist_from(GraphBuilder& builder, const Graph& graph, const Node& node,
                                       std::span<const Value> operands) {
  RegionEdit edit(node);
  if (!is_loop(edit.channels)) return Replacement();
  const std::vector<NamedRegion> regions = regions_of(node.op);
  const std::vector<std::vector<int>> of_input = channels_of_inputs(regions, edit.channels);
  bool is_better = false;
  for (size_t r = 0; r < regions.size(); ++r) {
    const Graph& region = regions[r].region.graph();
    std::vector<bool> steady;
    std::vector<Value> outside;
    for (int c : of_input[r]) {
      steady.push_back(is_invariant(edit.channels[c]));
      outside.push_back(steady.back() ? operands[edit.channels[c].operand] : Value{});
    }
    const std::vector<Value> wanted = moved_values(region, movable_values(region, steady));
    absl::StatusOr<std::vector<Value>> made = inline_graph(builder, region, wanted, outside, node.origin);
    if (!made.ok()) return made.status();
    std::vector<Moved>& moved = edit.moved.emplace_back();
    for (size_t i = 0; i < wanted.size(); ++i) moved.push_back({wanted[i], (*made)[i]});
    is_better |= !moved.empty();
  }
  if (!is_better) return Replacement();
  return edit_regions(builder, graph, node, operands, edit, [](Graph region) { return region; });
}

}  // namespace

absl::StatusOr<Graph> hoist(Graph graph) {
  if (!has_regions(graph)) return graph;
  bool is_better = false;
  absl::StatusOr<Graph> hoisted = rewrite(
      std::move(graph),
      [&](GraphBuilder& builder, const Node& node, std::span<const Value> operands) -> absl::StatusOr<Replacement> {
        if (place(node.op) != Place::region) return Replacement();
        absl::StatusOr<Replacement> made = hoist_from(builder, graph, node, operands);
        is_better |= made.ok() && !made->values().empty();
        return made;
      });
  if (!hoisted.ok() || !is_better) return hoisted;
  return prune(*std::move(hoisted));  // operands that were read by what has moved
}

}  // namespace etch
