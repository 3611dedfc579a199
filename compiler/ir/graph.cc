// The graph builder: hash-consing over inferred types.
#include "compiler/ir/graph.h"

#include <algorithm>
#include <numeric>

#include "absl/hash/hash.h"
#include <boost/pfr/core.hpp>
#include "compiler/ir/cat.h"

namespace etch {
namespace {

/// Equality of nodes: everything but the origin.
bool same(const Node& a, const Node& b) {
  return a.op == b.op && a.operands == b.operands && a.type == b.type && a.attr == b.attr;
}

size_t hash(const Node& node) {
  size_t seed = absl::HashOf(node.op, node.operands, node.type);
  std::visit(
      [&](const auto& attr) {
        boost::pfr::for_each_field(attr, [&](const auto& field) { seed = absl::HashOf(seed, field); });
      },
      node.attr);
  return seed;
}

/// Where an axis yields at most one element the step says nothing; where it yields none the start neither.
void make_canonical(SliceAttr& slice, const Shape& result) {
  for (int i = 0; i < result.rank(); ++i) {
    if (result[i] <= 1) slice.step[i] = 1;
    if (result[i] == 0) slice.start[i] = 0;
  }
}

/// Moves inputs to the front, in order, and renames operands; returns the new index of each node.
std::vector<int32_t> move_inputs_to_front(std::vector<Node>& nodes) {
  std::vector<int32_t> order(nodes.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_partition(order.begin(), order.end(), [&](int32_t i) { return nodes[i].op == Op::input; });
  std::vector<int32_t> renamed(nodes.size());
  std::vector<Node> moved;
  moved.reserve(nodes.size());
  for (int32_t old : order) {
    renamed[old] = static_cast<int32_t>(moved.size());
    moved.push_back(std::move(nodes[old]));
    for (Value& operand : moved.back().operands) operand.node = renamed[operand.node];
  }
  nodes = std::move(moved);
  return renamed;
}

}  // namespace

std::string to_string(const Type& type) { return cat(name(type.dtype), to_string(type.shape)); }

bool operator==(const Graph& a, const Graph& b) {
  return a.inputs_ == b.inputs_ && a.outputs_ == b.outputs_ &&
         std::equal(a.nodes_.begin(), a.nodes_.end(), b.nodes_.begin(), b.nodes_.end(), same);
}

absl::StatusOr<Value> GraphBuilder::input(const Type& type, Origin origin) {
  const InputAttr attr{static_cast<int64_t>(inputs_.size())};
  if (absl::StatusOr<Type> legal = infer(Op::input, {}, attr, &type); !legal.ok()) return legal.status();
  const Value value{size()};
  nodes_.push_back({Op::input, {}, attr, type, origin});
  inputs_.push_back(value);
  return value;
}

absl::StatusOr<Value> GraphBuilder::emit(Op op, std::span<const Value> operands, const Attr& attr, Origin origin) {
  return add(op, operands, attr, nullptr, origin);
}

absl::StatusOr<Value> GraphBuilder::emit(Op op, std::span<const Value> operands, const Attr& attr, const Type& type,
                                         Origin origin) {
  return add(op, operands, attr, &type, origin);
}

absl::StatusOr<Value> GraphBuilder::add(Op op, std::span<const Value> operands, const Attr& attr, const Type* wanted,
                                        Origin origin) {
  if (op == Op::input) return absl::InvalidArgumentError("input: inputs are added by GraphBuilder::input");
  absl::InlinedVector<Type, 3> types;
  for (Value operand : operands) {
    if (operand.node < 0 || operand.node >= size()) {
      return absl::InvalidArgumentError(cat(etch::name(op), ": operand ", types.size(), " is no value of this graph"));
    }
    types.push_back(nodes_[operand.node].type);
  }
  absl::StatusOr<Type> type = infer(op, types, attr, wanted);
  if (!type.ok()) return type.status();

  Node node{op, {operands.begin(), operands.end()}, attr, *type, origin};
  if (op == Op::slice) make_canonical(std::get<SliceAttr>(node.attr), type->shape);
  absl::InlinedVector<int32_t, 1>& candidates = nodes_by_hash_[hash(node)];
  for (int32_t candidate : candidates) {
    if (same(nodes_[candidate], node)) return Value{candidate};
  }
  const Value value{size()};
  candidates.push_back(value.node);
  nodes_.push_back(std::move(node));
  return value;
}

int32_t GraphBuilder::name(std::string_view text) {
  const auto [entry, is_new] = name_index_.try_emplace(std::string(text), static_cast<int32_t>(names_.size()));
  if (is_new) names_.emplace_back(text);
  return entry->second;
}

Graph GraphBuilder::finish(std::span<const Value> outputs) && {
  Graph graph;
  graph.outputs_.assign(outputs.begin(), outputs.end());
  const bool inputs_first = inputs_.empty() || inputs_.back().node + 1 == static_cast<int32_t>(inputs_.size());
  if (!inputs_first) {
    const std::vector<int32_t> renamed = move_inputs_to_front(nodes_);
    for (Value& input : inputs_) input.node = renamed[input.node];
    for (Value& output : graph.outputs_) output.node = renamed[output.node];
  }
  graph.nodes_ = std::move(nodes_);
  graph.inputs_ = std::move(inputs_);
  graph.names_ = std::move(names_);
  *this = GraphBuilder();
  return graph;
}

}  // namespace etch
