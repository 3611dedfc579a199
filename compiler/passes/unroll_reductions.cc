// unroll_reductions: reductions over a few elements become elementwise ops.
#include "compiler/passes/unroll_reductions.h"

#include <algorithm>
#include <bit>
#include <optional>

namespace etch {
namespace {

constexpr int64_t kMaxExtent = 16;
constexpr int64_t kMaxStrided = 4;
// Of one unrolled reduction, so that it fits a kernel: ops, and elements that are read.
constexpr int64_t kMaxOps = 48;
constexpr int64_t kMaxReads = 18;

/// The op that joins two elements.
std::optional<Op> joining_op(ReduceKind kind) {
  switch (kind) {
    case ReduceKind::sum: return Op::add;
    case ReduceKind::prod: return Op::mul;
    case ReduceKind::max: return Op::max;
    case ReduceKind::min: return Op::min;
    case ReduceKind::any: return Op::logical_or;
    case ReduceKind::all: return Op::logical_and;
    case ReduceKind::argmax:
    case ReduceKind::argmin: return std::nullopt;
  }
  return std::nullopt;
}

/// What an element of a value is computed from, without storing anything on the way.
struct Work {
  int64_t ops = 0;
  int64_t reads = 0;
  int64_t largest = 0;  // elements of the largest value that is read
};

Work work_of(const GraphBuilder& builder, Value value) {
  Work work;
  std::vector<Value> seen{value};
  for (size_t i = 0; i < seen.size() && work.ops <= kMaxOps; ++i) {
    const Node& node = builder.node(seen[i]);
    if (place(node.op) == Place::splat || place(node.op) == Place::index) continue;
    const bool computes = is_elementwise(node.op);
    work.ops += computes;
    if (!computes && !is_movement(node.op)) {
      ++work.reads;
      work.largest = std::max(work.largest, builder.type(seen[i]).size());
      continue;
    }
    for (Value operand : node.operands) {
      if (std::find(seen.begin(), seen.end(), operand) == seen.end()) seen.push_back(operand);
    }
  }
  return work;
}

bool pays(const GraphBuilder& builder, Value x, int axis) {
  const Type& type = builder.type(x);
  const int64_t n = type.shape[axis];
  const Work work = work_of(builder, x);
  if (n * (work.ops + 1) > kMaxOps || n * work.reads > kMaxReads) return false;
  int64_t inner = 1;
  for (int i = axis + 1; i < type.shape.rank(); ++i) inner *= type.shape[i];
  return inner > 1 || n <= kMaxStrided || work.largest < type.size();
}

class Unrolling {
 public:
  Unrolling(GraphBuilder& builder, const Node& reduce, const Type& result, Value x)
      : builder_(builder), reduce_(*reduce.op.as<op::Reduce>()), result_(result), origin_(reduce.origin), x_(x),
        type_(builder.type(x)), axis_(static_cast<int>(reduce_.axes[0])) {}

  absl::StatusOr<Value> run() {
    for (int64_t i = 0; i < type_.shape[axis_]; ++i) {
      absl::StatusOr<Value> element = slice(i);
      if (!element.ok()) return element;
      elements_.push_back(*element);
    }
    int64_t inner = 1;
    for (int i = axis_ + 1; i < type_.shape.rank(); ++i) inner *= type_.shape[i];
    absl::StatusOr<Value> joined = inner == 1 ? join_halves() : join_ascending();
    return joined.ok() ? with_positive_zero(*joined) : joined;
  }

 private:
  /// The zero of a reduction's max and min is +0, the elementwise ops give their first operand's: -0 + 0 is +0.
  absl::StatusOr<Value> with_positive_zero(Value joined) {
    const ReduceKind kind = reduce_.kind;
    if ((kind != ReduceKind::max && kind != ReduceKind::min) || !is_floating(result_.dtype)) return joined;
    absl::StatusOr<Value> zero =
        builder_.constant(0, Type{result_.dtype, {}}, origin_);
    if (!zero.ok()) return zero;
    const Value operands[] = {joined, *zero};
    return builder_.emit(Op::add, operands, result_, origin_);
  }

  absl::StatusOr<Value> slice(int64_t i) {
    Dims start = Dims::filled(type_.shape.rank(), 0), step = Dims::filled(type_.shape.rank(), 1);
    start[axis_] = i;
    Type one = type_;
    one.shape[axis_] = 1;
    absl::StatusOr<Value> kept = builder_.emit(op::Slice{start, step}, {&x_, 1}, one, origin_);
    if (!kept.ok()) return kept;
    return builder_.emit(op::Reshape{}, {&*kept, 1}, result_, origin_);
  }

  absl::StatusOr<Value> join(Value a, Value b) {
    const Value operands[] = {a, b};
    return builder_.emit(*joining_op(reduce_.kind), operands, result_, origin_);
  }

  /// Rows: lane i with lane i + half; lanes behind the last element hold what changes no bit.
  absl::StatusOr<Value> join_halves() {
    for (size_t half = std::bit_ceil(elements_.size()) / 2; half > 0; half /= 2) {
      for (size_t i = 0; i + half < elements_.size(); ++i) {
        absl::StatusOr<Value> joined = join(elements_[i], elements_[i + half]);
        if (!joined.ok()) return joined;
        elements_[i] = *joined;
      }
      elements_.resize(std::min(elements_.size(), half));
    }
    return elements_[0];
  }

  /// Columns: in ascending order.
  absl::StatusOr<Value> join_ascending() {
    Value sum = elements_[0];
    for (size_t i = 1; i < elements_.size(); ++i) {
      absl::StatusOr<Value> joined = join(sum, elements_[i]);
      if (!joined.ok()) return joined;
      sum = *joined;
    }
    return sum;
  }

  GraphBuilder& builder_;
  const op::Reduce& reduce_;
  const Type result_;
  const Origin origin_;
  const Value x_;
  const Type type_;
  const int axis_;
  std::vector<Value> elements_;
};

bool is_short(const Graph& graph, const Node& node) {
  const auto* reduce = node.op.as<op::Reduce>();
  if (!reduce || graph.type(node.result()).size() == 0) return false;
  const auto& [kind, axes] = *reduce;
  if (axes.rank() != 1 || !joining_op(kind)) return false;
  const int64_t n = graph.type(node.operands[0]).shape[static_cast<int>(axes[0])];
  return n >= 1 && n <= kMaxExtent;
}

/// Per value: how many nodes read it, or return it.
std::vector<int> readers_of(const Graph& graph) {
  std::vector<int> readers(graph.num_values());
  for (const Node& node : graph.nodes()) {
    for (size_t i = 0; i < node.operands.size(); ++i) {
      auto begin = node.operands.begin();
      readers[node.operands[i].id] += std::find(begin, begin + i, node.operands[i]) == begin + i;
    }
  }
  for (Value output : graph.outputs()) ++readers[output.id];
  return readers;
}

}  // namespace

absl::StatusOr<Graph> unroll_reductions(const Graph& graph) {
  const auto may = [&](const Node& node) { return is_short(graph, node); };
  if (std::none_of(graph.nodes().begin(), graph.nodes().end(), may)) return graph;
  const std::vector<int> readers = readers_of(graph);
  return rewrite(graph, [&](GraphBuilder& builder, const Node& node,
                            std::span<const Value> operands) -> absl::StatusOr<Replacement> {
    if (!may(node) || readers[node.operands[0].id] != 1) return Replacement();
    const int axis = static_cast<int>(node.op.as<op::Reduce>()->axes[0]);
    if (!pays(builder, operands[0], axis)) return Replacement();
    return Unrolling(builder, node, graph.type(node.result()), operands[0]).run();
  });
}

}  // namespace etch
