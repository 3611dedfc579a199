// The graph builder: hash-consing over inferred types.
#include "compiler/ir/graph.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "absl/hash/hash.h"
#include "compiler/ir/cat.h"

namespace etch {

std::string to_string(const Type& type) { return cat(name(type.dtype), to_string(type.shape)); }

Types Nodes::result_types(const Node& node) const {
  Types types;
  for (Value result : results(node)) types.push_back(type(result));
  return types;
}

bool same_node(const Graph& a, const Graph& b, int i) {
  const Node& x = a.nodes()[i];
  const Node& y = b.nodes()[i];
  if (x.first_result != y.first_result || x.num_results != y.num_results) return false;
  if (!(x.op == y.op) || x.operands != y.operands) return false;
  for (Value result : results(x)) {
    if (a.type(result) != b.type(result)) return false;
  }
  return true;
}

bool operator==(const Graph& a, const Graph& b) {
  if (a.nodes_.size() != b.nodes_.size() || a.inputs_ != b.inputs_ || a.outputs_ != b.outputs_) return false;
  for (int i = 0; i < static_cast<int>(a.nodes_.size()); ++i) {
    if (!same_node(a, b, i)) return false;
  }
  return true;
}

bool has_regions(const Graph& graph) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(),
                     [](const Node& node) { return place(node.op) == Place::region; });
}

int32_t NodeMaker::type_index(const Type& type) {
  // Neighbours often have one type.
  if (!values_.empty() && types_[values_.back().type] == type) return values_.back().type;
  const auto next = static_cast<int32_t>(types_.size());
  if (types_.size() <= kFewTypes) {
    const auto index = static_cast<int32_t>(std::ranges::find(types_, type) - types_.begin());
    if (index == next) types_.push_back(type);
    return index;
  }
  while (index_of_type_.size() < types_.size()) {
    const auto i = static_cast<int32_t>(index_of_type_.size());
    index_of_type_.emplace(types_[i], i);
  }
  const auto [entry, is_new] = index_of_type_.try_emplace(type, next);
  if (is_new) types_.push_back(type);
  return entry->second;
}

Results NodeMaker::append(Node node, std::span<const int32_t> types) {
  node.first_result = num_values();
  node.num_results = static_cast<int32_t>(types.size());
  const Results made = results(node);
  for (int32_t type : types) values_.push_back({static_cast<int32_t>(nodes_.size()), type});
  nodes_.push_back(std::move(node));
  return made;
}

absl::StatusOr<Value> NodeMaker::input(const Type& type, Origin origin) {
  const AnyOp op = input_op(static_cast<int64_t>(inputs_.size()));
  if (absl::StatusOr<Types> legal = infer(op, {}, {&type, 1}); !legal.ok()) return legal.status();
  const int32_t index = type_index(type);
  inputs_.push_back(append({op, {}, origin}, {&index, 1})[0]);
  return inputs_.back();
}

absl::StatusOr<Value> GraphBuilder::constant(uint64_t bits, const Type& type, Origin origin) {
  return emit(splat_op(bits), {}, type, origin);
}

absl::StatusOr<Value> GraphBuilder::emit(const AnyOp& op, std::span<const Value> operands, Origin origin) {
  absl::StatusOr<Results> values = emit_all(op, operands, {}, origin);
  if (!values.ok()) return values.status();
  return (*values)[0];
}

absl::StatusOr<Value> GraphBuilder::emit(const AnyOp& op, std::span<const Value> operands, const Type& type,
                                         Origin origin) {
  absl::StatusOr<Results> values = emit_all(op, operands, {&type, 1}, origin);
  if (!values.ok()) return values.status();
  return (*values)[0];
}

absl::StatusOr<Results> GraphBuilder::emit_all(const AnyOp& op, std::span<const Value> operands,
                                               std::span<const Type> wanted, Origin origin) {
  absl::StatusOr<TypeIndices> types = infer_types(op, operands, wanted);
  if (!types.ok()) return types.status();
  return intern({op, {operands.begin(), operands.end()}, origin}, *types);
}

void GraphBuilder::start_as(const Graph& graph) {
  types_ = graph.types_;
  names_ = graph.names_;
}

absl::StatusOr<Results> GraphBuilder::keep(const Graph& from, const Node& node, std::span<const Value> operands,
                                           Origin origin) {
  const auto same_type = [&](Value now, Value before) { return type_index_of(now) == from.type_index_of(before); };
  if (!std::ranges::equal(operands, node.operands, same_type)) {
    return emit_all(node.op, operands, from.result_types(node), origin);
  }
  TypeIndices types;
  for (Value result : results(node)) types.push_back(from.type_index_of(result));
  return intern({node.op, {operands.begin(), operands.end()}, origin}, types);
}

absl::StatusOr<NodeMaker::TypeIndices> NodeMaker::infer_types(const AnyOp& op, std::span<const Value> operands,
                                                              std::span<const Type> wanted) {
  if (place(op) == Place::input) {
    return absl::InvalidArgumentError("input: inputs are added by GraphBuilder::input");
  }
  absl::InlinedVector<Type, 3> operand_types;
  for (Value operand : operands) {
    if (operand.id < 0 || operand.id >= num_values()) {
      return absl::InvalidArgumentError(
          cat(etch::name(op), ": operand ", operand_types.size(), " is no value of this graph"));
    }
    operand_types.push_back(type(operand));
  }
  absl::StatusOr<Types> inferred = infer(op, operand_types, wanted);
  if (!inferred.ok()) return inferred.status();
  TypeIndices types;
  for (const Type& type : *inferred) types.push_back(type_index(type));
  return types;
}

void NodeTable::reserve(size_t nodes) {
  const size_t slots = std::bit_ceil(std::max<size_t>(2 * nodes, 16));
  if (slots > slots_.size()) resize(slots);
}

void NodeTable::resize(size_t slots) {
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots));
  for (Slot slot : old) {
    if (slot.node >= 0) place(slot);
  }
}

void NodeTable::place(Slot slot) {
  size_t at = slot.hash & mask();
  while (slots_[at].node >= 0) at = (at + 1) & mask();
  slots_[at] = slot;
}

void NodeTable::add(uint32_t hash, int32_t node) {
  reserve(++count_);
  place({hash, node});
}

AnyOp GraphBuilder::share_regions(const AnyOp& op) {
  std::vector<Region> regions;
  for (const NamedRegion& region : regions_of(op)) regions.push_back(*regions_.insert(region.region).first);
  return with_regions(op, regions);
}

Results GraphBuilder::intern(Node node, const TypeIndices& types) {
  if (place(node.op) == Place::region) node.op = share_regions(node.op);
  if (types.size() == 1) {
    node.op = canonical(std::move(node.op), {&types_[types[0]], 1});
  } else {
    Types of_results;
    for (int32_t type : types) of_results.push_back(types_[type]);
    node.op = canonical(std::move(node.op), of_results);
  }
  const auto hash = static_cast<uint32_t>(absl::HashOf(node.op, node.operands, types));
  const int32_t known = table_.find(hash, [&](int32_t other) { return is_same(nodes_[other], node, types); });
  if (known >= 0) return results(nodes_[known]);
  table_.add(hash, static_cast<int32_t>(nodes_.size()));
  return append(std::move(node), types);
}

/// Equality of a node with one in the making: everything but the origin.
bool GraphBuilder::is_same(const Node& node, const Node& other, std::span<const int32_t> types) const {
  if (!(node.op == other.op) || node.operands != other.operands) return false;
  return std::equal(types.begin(), types.end(), values_.begin() + node.first_result,
                    [](int32_t type, const ValueInfo& value) { return type == value.type; });
}

int32_t NodeMaker::name(std::string_view text) {
  // Those that another graph brought along are entered when the first one is asked for.
  for (size_t i = name_index_.size(); i < names_.size(); ++i) name_index_.emplace(names_[i], static_cast<int32_t>(i));
  const auto [entry, is_new] = name_index_.try_emplace(std::string(text), static_cast<int32_t>(names_.size()));
  if (is_new) names_.emplace_back(text);
  return entry->second;
}

/// Moves inputs to the front, in order, and renumbers all values.
void GraphBuilder::move_inputs_to_front(std::vector<Value>& outputs) {
  std::vector<int32_t> order(nodes_.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_partition(order.begin(), order.end(),
                        [&](int32_t i) { return place(nodes_[i].op) == Place::input; });
  std::vector<Value> renamed(values_.size());
  std::vector<Node> nodes = std::exchange(nodes_, {});
  const std::vector<ValueInfo> values = std::exchange(values_, {});
  nodes_.reserve(nodes.size());
  values_.reserve(values.size());
  for (int32_t i : order) {
    Node& node = nodes[i];
    const Results before = results(node);
    absl::InlinedVector<int32_t, 2> types;
    for (Value result : before) types.push_back(values[result.id].type);
    for (Value& operand : node.operands) operand = renamed[operand.id];
    const Results after = append(std::move(node), types);
    for (int r = 0; r < before.size(); ++r) renamed[before[r].id] = after[r];
  }
  for (Value& input : inputs_) input = renamed[input.id];
  for (Value& output : outputs) output = renamed[output.id];
}

Graph GraphBuilder::finish(std::span<const Value> outputs) && {
  Graph graph;
  graph.outputs_.assign(outputs.begin(), outputs.end());
  const bool inputs_first = inputs_.empty() || inputs_.back().id + 1 == static_cast<int32_t>(inputs_.size());
  if (!inputs_first) move_inputs_to_front(graph.outputs_);
  graph.nodes_ = std::move(nodes_);
  graph.values_ = std::move(values_);
  graph.types_ = std::move(types_);
  graph.inputs_ = std::move(inputs_);
  graph.names_ = std::move(names_);
  *this = GraphBuilder();
  return graph;
}

}  // namespace etch
