// Graph: an immutable list of nodes in topological order over numbered values, and the builder that alone makes it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "compiler/ir/any_op.h"
#include "compiler/ir/placing.h"
#include "runtime/flat_map.h"

namespace etch {

/// The number of a value in its graph: %3. A node has one or more of them, in sequence.
struct Value {
  int32_t id = -1;

  bool operator==(const Value&) const = default;
  template <class H>
  friend H AbslHashValue(H h, Value value) {
    return H::combine(std::move(h), value.id);
  }
};

/// The values of one node, in order.
class Results {
 public:
  class Iterator {
   public:
    explicit Iterator(int32_t id) : id_(id) {}
    Value operator*() const { return {id_}; }
    Iterator& operator++() {
      ++id_;
      return *this;
    }
    bool operator==(const Iterator&) const = default;

   private:
    int32_t id_;
  };

  Results(int32_t first, int32_t count) : first_(first), count_(count) {}
  int size() const { return count_; }
  Value operator[](int i) const { return {first_ + i}; }
  Value back() const { return {first_ + count_ - 1}; }
  Iterator begin() const { return Iterator(first_); }
  Iterator end() const { return Iterator(first_ + count_); }

 private:
  int32_t first_;
  int32_t count_;
};

/// Where the user wrote the op and in which composite op it stands; not part of a node's identity. The two names are
/// indices into Graph::names, or -1.
struct Origin {
  int32_t file = -1;
  int32_t line = 0;
  int32_t scope = -1;  // such as `softmax` or `block1/layer_norm`
};

struct Node {
  AnyOp op;
  absl::InlinedVector<Value, 3> operands;
  Origin origin;
  int32_t first_result = 0;
  int32_t num_results = 1;

  /// The first result; of most ops the only one.
  Value result() const { return {first_result}; }
};

inline Results results(const Node& node) { return {node.first_result, node.num_results}; }

/// The nodes of a graph, finished or in the making, and what the numbers of its values stand for.
class Nodes {
 public:
  std::span<const Node> nodes() const { return nodes_; }
  int num_values() const { return static_cast<int>(values_.size()); }
  /// The node that makes a value.
  const Node& node(Value value) const { return nodes_[values_[value.id].node]; }
  /// Its place in nodes().
  int index_of(Value value) const { return values_[value.id].node; }
  const Type& type(Value value) const { return types_[values_[value.id].type]; }
  /// The types of a node's results.
  Types result_types(const Node& node) const;
  /// File and scope names that origins index.
  std::span<const std::string> names() const { return names_; }
  std::string_view name_of(int32_t index) const { return index < 0 ? std::string_view() : names_[index]; }

 protected:
  struct ValueInfo {
    int32_t node;
    int32_t type;  // index into types_
  };
  std::vector<Node> nodes_;
  std::vector<ValueInfo> values_;
  std::vector<Type> types_;  // each once
  std::vector<std::string> names_;
};

/// A pure function from inputs to outputs. Made by GraphBuilder only; a copy shares nothing that changes.
class Graph : public Nodes {
 public:
  /// The input values in order; every input stands here, used or not. They are the graph's first nodes.
  std::span<const Value> inputs() const { return inputs_; }
  std::span<const Value> outputs() const { return outputs_; }

  /// Equal nodes, inputs and outputs; origins do not count.
  friend bool operator==(const Graph& a, const Graph& b);

 private:
  friend class GraphBuilder;
  int32_t type_index_of(Value value) const { return values_[value.id].type; }
  std::vector<Value> inputs_;
  std::vector<Value> outputs_;
};

/// True if the i-th nodes are equal: op, operands and types, whatever the origin.
bool same_node(const Graph& a, const Graph& b, int i);

/// Finds the node that is equal to one in the making: a hash table of the nodes' indices, open addressing with linear
/// probing. It keeps the hashes, so that growing asks nobody.
class NodeTable {
 public:
  /// The index for which `is_same(index)` holds among those added with this hash, or -1.
  template <class IsSame>
  int32_t find(uint32_t hash, IsSame is_same) const {
    if (slots_.empty()) return -1;
    for (size_t at = hash & mask(); slots_[at].node >= 0; at = (at + 1) & mask()) {
      if (slots_[at].hash == hash && is_same(slots_[at].node)) return slots_[at].node;
    }
    return -1;
  }
  void add(uint32_t hash, int32_t node);
  void reserve(size_t nodes);

 private:
  struct Slot {
    uint32_t hash = 0;
    int32_t node = -1;  // or empty
  };
  size_t mask() const { return slots_.size() - 1; }
  void place(Slot slot);
  void resize(size_t slots);

  std::vector<Slot> slots_;  // a power of two, at most half of them taken
  size_t count_ = 0;
};

/// What makes typed nodes: a GraphBuilder, which merges equal ones, and the Events of a trace, which stay apart.
class NodeMaker : public Nodes {
 public:
  /// Adds the next input of the function. Inputs are never merged.
  absl::StatusOr<Value> input(const Type& type, Origin origin = {});

  /// The index of a file or scope name, for Origin.
  int32_t name(std::string_view text);

 protected:
  static constexpr size_t kFewTypes = 8;
  using TypeIndices = absl::InlinedVector<int32_t, 2>;

  NodeMaker() = default;
  /// The types of an op's results on values of this list, inferred and checked.
  absl::StatusOr<TypeIndices> infer_types(const AnyOp& op, std::span<const Value> operands,
                                          std::span<const Type> wanted);
  int32_t type_index(const Type& type);
  int32_t type_index_of(Value value) const { return values_[value.id].type; }
  /// Adds a node whose type indices are known.
  Results append(Node node, std::span<const int32_t> types);

  std::vector<Value> inputs_;
  FlatMap<Type, int32_t> index_of_type_;  // of more than kFewTypes; fewer are searched in order
  FlatMap<std::string, int32_t> name_index_;
};

/// Makes graphs. An equal node (op, operands, types) is made once; its first origin stands.
class GraphBuilder : public NodeMaker {
 public:
  GraphBuilder() = default;

  /// A value with the same bits in every element.
  absl::StatusOr<Value> constant(uint64_t bits, const Type& type, Origin origin = {});

  /// Adds a node with one result whose type follows from its operands: infers and checks it. An illegal node is an
  /// InvalidArgument status that names the op and the operand types.
  absl::StatusOr<Value> emit(const AnyOp& op, std::span<const Value> operands, Origin origin = {});

  /// The same for the ops whose type says what they do (needs_type), such as cast and reshape. For the others the type
  /// must be the inferred one. Equal slices are equal nodes: where the result has extent 0 or 1 the step becomes 1, and
  /// at extent 0 the start 0.
  absl::StatusOr<Value> emit(const AnyOp& op, std::span<const Value> operands, const Type& type, Origin origin = {});

  /// The same with any number of results; `types` may be empty if they follow from the operands.
  absl::StatusOr<Results> emit_all(const AnyOp& op, std::span<const Value> operands, std::span<const Type> types,
                                   Origin origin = {});

  /// Starts with the names and types of a graph, whose nodes `keep` adds. The builder must be empty.
  void start_as(const Graph& graph);

  /// Adds a node of the graph that start_as was given, on operands of this builder. Where they have the types that the
  /// node's operands had, nothing is inferred again.
  absl::StatusOr<Results> keep(const Graph& from, const Node& node, std::span<const Value> operands, Origin origin);

  /// Makes room for this many nodes.
  void reserve(size_t nodes) {
    nodes_.reserve(nodes);
    values_.reserve(nodes);
    table_.reserve(nodes);
  }

  /// Ends the graph; the builder is left empty. Inputs that were added after other nodes move to the front, so values
  /// of the builder are the same values in the graph only where all inputs were added first.
  Graph finish(std::span<const Value> outputs) &&;

 private:
  friend class Events;
  /// The results of this node or of an equal one.
  Results intern(Node node, const TypeIndices& types);
  bool is_same(const Node& node, const Node& other, std::span<const int32_t> types) const;
  void move_inputs_to_front(std::vector<Value>& outputs);
  /// The op on regions that equal ones in this graph share.
  AnyOp share_regions(const AnyOp& op);

  NodeTable table_;
  FlatSet<Region> regions_;
};

/// True if a node owns regions.
bool has_regions(const Graph& graph);

/// NumPy's broadcast of two shapes, or why there is none.
absl::StatusOr<Shape> broadcast_shapes(const Shape& a, const Shape& b);

/// Checks all that GraphBuilder promises, of a graph a pass made: topological order, types, inputs, output range.
absl::Status verify(const Graph& graph);

}  // namespace etch
