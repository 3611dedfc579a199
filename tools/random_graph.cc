// Random graphs for fuzzing, and a shrinker that makes a failing one small.
#include "tools/random_graph.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include "compiler/passes/pass.h"

namespace etch {
namespace {

constexpr int64_t kMaxElements = 4000;

class Generator {
 public:
  explicit Generator(const RandomGraphOptions& options) : options_(options), random_(options.seed) {}

  Graph run() {
    int inputs = 1 + pick(3);
    Shape shape = random_shape();
    for (int i = 0; i < inputs; ++i) {
      // Most inputs share a shape, or broadcast to it, so that ops of several operands find partners.
      Shape own = shape;
      if (pick(3) == 0 && own.rank() > 0) own[pick(own.rank())] = 1;
      if (pick(8) == 0) own = random_shape();
      pool_.push_back(*builder_.input({random_dtype(), own}));
    }
    for (int made = 0, tries = 0; made < options_.ops && tries < 40 * options_.ops; ++tries) {
      std::optional<Value> value = random_node();
      if (!value) continue;
      pool_.push_back(*value);
      ++made;
    }
    std::vector<Value> outputs{pool_.back()};
    for (int extra = pick(3); extra > 0; --extra) outputs.push_back(pool_[pick(pool_.size())]);
    return std::move(builder_).finish(outputs);
  }

 private:
  int64_t pick(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }

  DType random_dtype() {
    constexpr DType kLikely[] = {DType::f32, DType::f32, DType::f32, DType::f64, DType::i32,
                                 DType::i64, DType::u8,  DType::boolean};
    return kLikely[pick(std::size(kLikely))];
  }

  Shape random_shape() {
    constexpr int64_t kExtents[] = {1, 2, 3, 4, 5, 7, 8, 16, 17, 33, 64, 65};
    Shape shape;
    for (int rank = pick(5); rank > 0; --rank) {
      int64_t extent = pick(40) == 0 ? 0 : kExtents[pick(std::size(kExtents))];
      if (shape.product() * extent > kMaxElements) extent = 1;
      shape.push_back(extent);
    }
    return shape;
  }

  Value random_value() {
    // Late values are likelier, so that chains grow deep.
    int64_t size = static_cast<int64_t>(pool_.size());
    return pool_[size - 1 - std::min(pick(size), pick(size))];
  }

  std::optional<Value> accept(absl::StatusOr<Value> value) {
    if (!value.ok() || builder_[*value].type.size() > kMaxElements) return std::nullopt;
    return *value;
  }

  std::optional<Value> random_node() {
    Value x = random_value();
    const Type type = builder_[x].type;
    switch (pick(14)) {
      case 0: return random_reduce(x, type);
      case 1: return random_dot(x, type);
      case 2: return random_reshape(x, type);
      case 3: return random_transpose(x, type);
      case 4: return random_slice(x, type);
      case 5: return random_pad(x, type);
      case 6: return random_concat(x, type);
      case 7: return random_broadcast(x, type);
      case 8: return random_source(type);
      case 9: return accept(builder_.emit(Op::cast, {&x, 1}, {}, Type{random_dtype(), type.shape}));
      default: return random_elementwise(x);
    }
  }

  std::optional<Value> random_elementwise(Value x) {
    Op op = static_cast<Op>(pick(kNumTableOps));
    if (options_.exact_only && info(op).accuracy == Accuracy::approximate) return std::nullopt;
    std::vector<Value> operands{x};
    while (static_cast<int>(operands.size()) < info(op).arity) operands.push_back(random_value());
    if (info(op).rule == TypeRule::select) std::swap(operands[0], operands[pick(3)]);
    return accept(builder_.emit(op, operands));
  }

  std::optional<Value> random_reduce(Value x, const Type& type) {
    if (type.shape.empty()) return std::nullopt;
    auto kind = static_cast<ReduceKind>(pick(8));
    bool rounds = is_floating(type.dtype) && (kind == ReduceKind::sum || kind == ReduceKind::prod);
    if (options_.exact_only && rounds) return std::nullopt;
    Dims axes;
    for (int axis = 0; axis < type.shape.rank(); ++axis) {
      if (pick(2) == 0) axes.push_back(axis);
    }
    if (axes.empty()) axes.push_back(pick(type.shape.rank()));
    if (kind >= ReduceKind::argmax) axes = {axes[0]};
    return accept(builder_.emit(Op::reduce, {&x, 1}, ReduceAttr{kind, axes}));
  }

  std::optional<Value> random_dot(Value x, const Type& type) {
    if (type.shape.rank() < 2 || type.dtype == DType::boolean) return std::nullopt;
    if (options_.exact_only && is_floating(type.dtype)) return std::nullopt;
    // x times its own transpose always fits; any other partner by luck.
    Dims perm;
    for (int i = 0; i < type.shape.rank(); ++i) perm.push_back(i);
    std::swap(perm[type.shape.rank() - 1], perm[type.shape.rank() - 2]);
    std::optional<Value> other = accept(builder_.emit(Op::transpose, {&x, 1}, TransposeAttr{perm}));
    if (pick(2) == 0) other = random_value();
    if (!other) return std::nullopt;
    Value operands[] = {x, *other};
    return accept(builder_.emit(Op::dot, operands));
  }

  std::optional<Value> random_reshape(Value x, const Type& type) {
    Shape shape;
    int64_t rest = type.size();
    while (rest > 1 && shape.rank() < 5) {
      int64_t factor = 1;
      for (int64_t f : {2, 3, 5, 7, 11, 13}) {
        if (rest % f == 0 && pick(2) == 0) factor *= f;
      }
      shape.push_back(factor);
      rest /= factor;
    }
    shape.push_back(rest);
    return accept(builder_.emit(Op::reshape, {&x, 1}, {}, Type{type.dtype, shape}));
  }

  std::optional<Value> random_transpose(Value x, const Type& type) {
    std::vector<int64_t> perm;
    for (int i = 0; i < type.shape.rank(); ++i) perm.push_back(i);
    std::shuffle(perm.begin(), perm.end(), random_);
    return accept(builder_.emit(Op::transpose, {&x, 1}, TransposeAttr{Dims(perm)}));
  }

  std::optional<Value> random_slice(Value x, const Type& type) {
    SliceAttr attr;
    Shape shape;
    for (int64_t extent : type.shape) {
      if (extent == 0 || pick(2) == 0) {
        attr.start.push_back(0), attr.step.push_back(1), shape.push_back(extent);
        continue;
      }
      int64_t start = pick(extent);
      bool backward = pick(2) == 0;
      int64_t step = (1 + pick(3)) * (backward ? -1 : 1);
      int64_t most = backward ? start / -step + 1 : (extent - start + step - 1) / step;
      attr.start.push_back(start), attr.step.push_back(step), shape.push_back(1 + pick(most));
    }
    return accept(builder_.emit(Op::slice, {&x, 1}, attr, Type{type.dtype, shape}));
  }

  std::optional<Value> random_pad(Value x, const Type& type) {
    std::optional<Value> value = scalar(type.dtype);
    PadAttr attr;
    for (int i = 0; i < type.shape.rank(); ++i) attr.low.push_back(pick(3)), attr.high.push_back(pick(3));
    if (!value) return std::nullopt;
    Value operands[] = {x, *value};
    return accept(builder_.emit(Op::pad, operands, attr));
  }

  std::optional<Value> random_concat(Value x, const Type& type) {
    if (type.shape.empty()) return std::nullopt;
    int axis = pick(type.shape.rank());
    std::vector<Value> operands{x};
    for (int i = 0; i < 8 && operands.size() < 3; ++i) {
      Value other = random_value();
      Shape a = type.shape, b = builder_[other].type.shape;
      if (builder_[other].type.dtype != type.dtype || b.rank() != a.rank()) continue;
      a[axis] = b[axis] = 0;
      if (a == b) operands.push_back(other);
    }
    return accept(builder_.emit(Op::concat, operands, AxisAttr{axis}));
  }

  std::optional<Value> random_broadcast(Value x, const Type& type) {
    Shape shape = type.shape;
    for (int64_t& extent : shape) {
      if (extent == 1 && pick(2) == 0) extent = 1 + pick(9);
    }
    if (shape.rank() < 5 && pick(2) == 0) shape.insert(0, 1 + pick(4));
    return accept(builder_.emit(Op::broadcast, {&x, 1}, {}, Type{type.dtype, shape}));
  }

  std::optional<Value> scalar(DType dtype) {
    uint64_t bits = dispatch(dtype, [&]<class T>() { return to_bits(static_cast<T>(pick(5))); });
    return accept(builder_.emit(Op::constant, {}, ConstantAttr{bits}, Type{dtype, {}}));
  }

  std::optional<Value> random_source(const Type& type) {
    if (pick(2) == 0 || type.shape.empty() || type.dtype == DType::boolean) return scalar(type.dtype);
    return accept(builder_.emit(Op::iota, {}, AxisAttr{pick(type.shape.rank())}, type));
  }

  RandomGraphOptions options_;
  std::mt19937_64 random_;
  GraphBuilder builder_;
  std::vector<Value> pool_;
};

// The graph with other outputs, pruned; inputs that nothing uses go too.
std::optional<Graph> rebuild(const Graph& graph, std::span<const Value> outputs, Value replaced, Value by) {
  GraphBuilder builder;
  std::vector<bool> needed(graph.size(), false);
  for (Value output : outputs) needed[output.node] = true;
  for (int i = graph.size() - 1; i >= 0; --i) {
    if (!needed[i]) continue;
    if (i == replaced.node) {
      if (by.node >= 0) needed[by.node] = true;
      continue;
    }
    for (Value operand : graph.nodes()[i].operands) needed[operand.node] = true;
  }
  std::vector<Value> made(graph.size());
  for (int i = 0; i < graph.size(); ++i) {
    if (!needed[i]) continue;
    const Node& node = graph.nodes()[i];
    absl::StatusOr<Value> value;
    if (i == replaced.node) {
      value = by.node >= 0 ? absl::StatusOr<Value>(made[by.node]) : builder.input(node.type);
    } else if (node.op == Op::input) {
      value = builder.input(node.type);
    } else {
      std::vector<Value> operands;
      for (Value operand : node.operands) operands.push_back(made[operand.node]);
      value = builder.emit(node.op, operands, node.attr, node.type);
    }
    if (!value.ok()) return std::nullopt;
    made[i] = *value;
  }
  std::vector<Value> new_outputs;
  for (Value output : outputs) new_outputs.push_back(made[output.node]);
  return std::move(builder).finish(new_outputs);
}

// Tries one way after another to make the graph smaller; the first that still fails.
std::optional<Graph> smaller(const Graph& graph, const std::function<bool(const Graph&)>& fails) {
  auto attempt = [&](std::span<const Value> outputs, Value replaced, Value by) -> std::optional<Graph> {
    std::optional<Graph> candidate = rebuild(graph, outputs, replaced, by);
    if (candidate && candidate->size() <= graph.size() && !(*candidate == graph) && fails(*candidate)) return candidate;
    return std::nullopt;
  };
  std::vector<Value> outputs(graph.outputs().begin(), graph.outputs().end());
  for (size_t i = 0; outputs.size() > 1 && i < outputs.size(); ++i) {
    std::vector<Value> fewer = outputs;
    fewer.erase(fewer.begin() + i);
    if (auto found = attempt(fewer, {}, {})) return found;
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    for (Value operand : graph[outputs[i]].operands) {
      std::vector<Value> earlier = outputs;
      earlier[i] = operand;
      if (auto found = attempt(earlier, {}, {})) return found;
    }
  }
  for (int i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (node.op == Op::input) continue;
    for (Value operand : node.operands) {
      if (!(graph[operand].type == node.type)) continue;
      if (auto found = attempt(outputs, Value{i}, operand)) return found;
    }
    if (node.op == Op::constant) continue;
    if (auto found = attempt(outputs, Value{i}, {})) return found;
  }
  return std::nullopt;
}

}  // namespace

Graph random_graph(const RandomGraphOptions& options) { return Generator(options).run(); }

Graph shrink(const Graph& graph, const std::function<bool(const Graph&)>& fails) {
  Graph smallest = graph;
  for (int round = 0; round < 1000; ++round) {
    std::optional<Graph> next = smaller(smallest, fails);
    if (!next) break;
    smallest = *std::move(next);
  }
  return smallest;
}

}  // namespace etch
