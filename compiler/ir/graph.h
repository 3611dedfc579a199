// Graph: an immutable list of typed nodes in topological order, and the builder that alone makes it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "compiler/ir/op.h"

namespace etch {

/// The type of a value: element type and extents.
struct Type {
  DType dtype = DType::f32;
  Shape shape;

  int64_t size() const { return shape.product(); }
  int64_t bytes() const { return size() * size_of(dtype); }
  bool operator==(const Type&) const = default;
  template <class H>
  friend H AbslHashValue(H h, const Type& type) {
    return H::combine(std::move(h), type.dtype, type.shape);
  }
};

/// `f32[8,4]`.
std::string to_string(const Type& type);

/// The result of a node: its index in the graph.
struct Value {
  int32_t node = -1;

  bool operator==(const Value&) const = default;
  template <class H>
  friend H AbslHashValue(H h, Value value) {
    return H::combine(std::move(h), value.node);
  }
};

/// Where the user wrote the op and in which composite op it stands; not part of a node's identity. The two names are
/// indices into Graph::names, or -1.
struct Origin {
  int32_t file = -1;
  int32_t line = 0;
  int32_t scope = -1;  // such as `softmax` or `block1/layer_norm`
};

struct Node {
  Op op = Op::input;
  absl::InlinedVector<Value, 3> operands;
  Attr attr;
  Type type;
  Origin origin;
};

/// A pure function from inputs to outputs. Made by GraphBuilder only; a copy shares nothing and changes nothing.
class Graph {
 public:
  std::span<const Node> nodes() const { return nodes_; }
  const Node& operator[](Value value) const { return nodes_[value.node]; }
  int size() const { return static_cast<int>(nodes_.size()); }
  /// The input nodes by InputAttr::index; every input stands here, used or not. They are the graph's first nodes.
  std::span<const Value> inputs() const { return inputs_; }
  std::span<const Value> outputs() const { return outputs_; }
  /// File and scope names that origins index.
  std::span<const std::string> names() const { return names_; }
  std::string_view name_of(int32_t index) const { return index < 0 ? std::string_view() : names_[index]; }

  /// Equal nodes, inputs and outputs; origins do not count.
  friend bool operator==(const Graph& a, const Graph& b);

 private:
  friend class GraphBuilder;
  std::vector<Node> nodes_;
  std::vector<Value> inputs_;
  std::vector<Value> outputs_;
  std::vector<std::string> names_;
};

/// Makes graphs. An equal node (op, operands, attribute, type) is made once; its first origin stands.
class GraphBuilder {
 public:
  GraphBuilder() = default;

  /// Adds the next input of the function. Inputs are never merged.
  absl::StatusOr<Value> input(const Type& type, Origin origin = {});

  /// Adds a node of a table op, cast-free structural op with a type that follows from its operands: infers and checks
  /// the type. An illegal node is an InvalidArgument status that names the op and the operand types.
  absl::StatusOr<Value> emit(Op op, std::span<const Value> operands, const Attr& attr = {}, Origin origin = {});

  /// The same for the ops whose type says what they do: cast, bitcast, constant, iota, reshape, broadcast and slice.
  /// For the others the type must be the inferred one. Equal slices are equal nodes: where the result has extent 0 or 1
  /// the step becomes 1, and at extent 0 the start 0.
  absl::StatusOr<Value> emit(Op op, std::span<const Value> operands, const Attr& attr, const Type& type,
                             Origin origin = {});

  /// Makes room for this many nodes.
  void reserve(size_t nodes) {
    nodes_.reserve(nodes);
    nodes_by_hash_.reserve(nodes);
  }

  const Node& operator[](Value value) const { return nodes_[value.node]; }
  int size() const { return static_cast<int>(nodes_.size()); }

  /// The index of a file or scope name, for Origin.
  int32_t name(std::string_view text);

  /// Ends the graph; the builder is left empty. Inputs that were added after other nodes move to the front, so values
  /// of the builder name the same nodes in the graph only where all inputs were added first.
  Graph finish(std::span<const Value> outputs) &&;

 private:
  absl::StatusOr<Value> add(Op op, std::span<const Value> operands, const Attr& attr, const Type* wanted,
                            Origin origin);

  std::vector<Node> nodes_;
  std::vector<Value> inputs_;
  std::vector<std::string> names_;
  absl::flat_hash_map<std::string, int32_t> name_index_;
  absl::flat_hash_map<size_t, absl::InlinedVector<int32_t, 1>> nodes_by_hash_;  // compared in full
};

/// The type of `op` on these operand types, or why there is none. `wanted` is the type of the ops whose type says what
/// they do (see GraphBuilder::emit), else nullptr or the type expected.
absl::StatusOr<Type> infer(Op op, std::span<const Type> operands, const Attr& attr, const Type* wanted);

/// NumPy's broadcast of two shapes, or why there is none.
absl::StatusOr<Shape> broadcast_shapes(const Shape& a, const Shape& b);

/// Checks all that GraphBuilder promises, of a graph a pass made: topological order, types, inputs, output range.
absl::Status verify(const Graph& graph);

}  // namespace etch
