// Finds chains of additions of padded parts, and writes each as one concat.
#include "compiler/passes/join_pads.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "compiler/ir/ex.h"

namespace etch {
namespace {

/// The node if it puts zeros around its operand; those of floats are +0.
const op::Pad* zero_pad(const Nodes& nodes, Value value) {
  const Node& node = nodes.node(value);
  const op::Pad* pad = node.op.as<op::Pad>();
  return pad && splat_bits(nodes.node(node.operands[1]).op) == uint64_t{0} ? pad : nullptr;
}

/// True if the value has all elements of a sum: it is not broadcast.
bool is_whole(const Graph& graph, Value value, const Node& sum) { return graph.type(value) == graph.type(sum.result()); }

bool adds_a_pad(const Graph& graph, const Node& node) {
  return node.op == Op::add && zero_pad(graph, node.operands[1]) != nullptr && is_whole(graph, node.operands[1], node);
}

/// Per value: how many padded parts the chain adds that ends with it; 0 for what ends none, or goes on.
std::vector<int> chains(const Graph& graph) {
  const std::vector<int> readers = readers_of(graph);
  std::vector<int> parts(graph.num_values());
  for (const Node& node : graph.nodes()) {
    if (!adds_a_pad(graph, node)) continue;
    const Value sum = node.result(), before = node.operands[0];
    parts[sum.id] = 1;
    if (!is_whole(graph, before, node)) continue;
    if (zero_pad(graph, before)) ++parts[sum.id];
    if (readers[before.id] == 1) parts[sum.id] += std::exchange(parts[before.id], 0);
  }
  return parts;
}

/// A part of a sum: its elements, and where they lie in it.
struct Part {
  Ex elements;
  Dims low;

  int64_t begin(int axis) const { return low[axis]; }
  int64_t end(int axis) const { return low[axis] + elements.shape()[axis]; }
};

struct Chain {
  std::vector<Part> parts;
  std::optional<Ex> before;  // what the parts are added to
};

/// The chain of so many parts that a sum of these operands ends.
Chain chain_of(ExMaker& maker, std::span<const Value> operands, int num_parts) {
  Chain chain;
  const auto add = [&](Value value) {
    const Node& node = maker.node(value);
    chain.parts.push_back({{maker, node.operands[0]}, node.op.as<op::Pad>()->low});
  };
  Value before = operands[0], part = operands[1];
  while (true) {
    add(part);
    const int left = num_parts - static_cast<int>(chain.parts.size());
    if (left == 0) break;
    if (left == 1 && zero_pad(maker.nodes(), before)) {
      add(before);
      return chain;
    }
    const Node& node = maker.node(before);
    before = node.operands[0];
    part = node.operands[1];
  }
  chain.before = Ex(maker, before);
  return chain;
}

/// The axis along which the parts can lie beside each other: along all others they have the same place.
std::optional<int> common_axis(const std::vector<Part>& parts) {
  std::optional<int> found;
  const Part& first = parts[0];
  for (const Part& part : parts) {
    for (int axis = 0; axis < part.low.rank(); ++axis) {
      const bool same = part.begin(axis) == first.begin(axis) && part.end(axis) == first.end(axis);
      if (same || found == axis) continue;
      if (found) return std::nullopt;
      found = axis;
    }
  }
  return found;
}

bool overlap(const std::vector<Part>& ordered, int axis) {
  for (size_t i = 1; i < ordered.size(); ++i) {
    if (ordered[i].begin(axis) < ordered[i - 1].end(axis)) return true;
  }
  return false;
}

/// The sum of the parts, which are in order along the axis.
Ex joined(const std::vector<Part>& ordered, int axis, const Type& type) {
  ExMaker& maker = ordered[0].elements.maker();
  const auto zeros = [&](int64_t extent) {
    Type gap{type.dtype, ordered[0].elements.shape()};
    gap.shape[axis] = extent;
    return constant(maker, 0, gap);
  };
  std::vector<Ex> pieces;
  int64_t end = ordered[0].begin(axis);
  for (const Part& part : ordered) {
    if (part.begin(axis) > end) pieces.push_back(zeros(part.begin(axis) - end));
    pieces.push_back(is_floating(type.dtype) ? part.elements + 0.0 : part.elements);
    end = part.end(axis);
  }
  Dims low = ordered[0].low, high = low;
  const Ex row = concat(pieces, axis);
  for (int i = 0; i < low.rank(); ++i) high[i] = type.shape[i] - low[i] - row.shape()[i];
  return row.type() == type ? row : pad(row, constant(maker, 0, {type.dtype, {}}), low, high);
}

}  // namespace

absl::StatusOr<Graph> join_pads(Graph graph) {
  const auto adds = [&](const Node& node) { return adds_a_pad(graph, node); };
  if (std::ranges::none_of(graph.nodes(), adds)) return graph;
  const std::vector<int> parts = chains(graph);
  return rewrite(std::move(graph), [&](GraphBuilder& builder, const Node& node, std::span<const Value> operands) {
    const int num_parts = node.num_results == 1 ? parts[node.first_result] : 0;
    if (num_parts < 2) return Replacement();
    Emitter emitter(builder, node.origin);
    Chain chain = chain_of(emitter, operands, num_parts);
    const std::optional<int> axis = common_axis(chain.parts);
    if (!axis) return Replacement();
    std::ranges::sort(chain.parts, {}, [&](const Part& part) { return part.begin(*axis); });
    if (overlap(chain.parts, *axis)) return Replacement();
    const Ex sum = joined(chain.parts, *axis, graph.type(node.result()));
    return Replacement((chain.before ? *chain.before + sum : sum).value());
  });
}

}  // namespace etch
