// unroll_reductions: reductions over a few elements become elementwise ops.
#include "compiler/passes/unroll_reductions.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "compiler/ir/ex.h"
#include "runtime/check.h"

namespace etch {
namespace {

constexpr int64_t kMaxExtent = 16;
constexpr int64_t kMaxStrided = 4;
// Of one unrolled reduction, so that it fits a kernel: ops, and elements that are read.
constexpr int64_t kMaxOps = 48;
constexpr int64_t kMaxReads = 18;

bool picks_an_index(ReduceKind kind) { return kind == ReduceKind::argmax || kind == ReduceKind::argmin; }

Ex join(ReduceKind kind, const Ex& a, const Ex& b) {
  switch (kind) {
    case ReduceKind::sum: return a + b;
    case ReduceKind::prod: return a * b;
    case ReduceKind::max: return max(a, b);
    case ReduceKind::min: return min(a, b);
    case ReduceKind::any: return a || b;
    case ReduceKind::all: return a && b;
    case ReduceKind::argmax:
    case ReduceKind::argmin: break;
  }
  ETCH_UNREACHABLE("an index is not joined from two");
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

/// The number of elements behind an axis.
int64_t inner_size(const Shape& shape, int axis) {
  int64_t size = 1;
  for (int i = axis + 1; i < shape.rank(); ++i) size *= shape[i];
  return size;
}

bool pays(const GraphBuilder& builder, Value x, int axis) {
  const Type& type = builder.type(x);
  const int64_t n = type.shape[axis];
  const Work work = work_of(builder, x);
  if (n * (work.ops + 1) > kMaxOps || n * work.reads > kMaxReads) return false;
  return inner_size(type.shape, axis) > 1 || n <= kMaxStrided || work.largest < type.size();
}

/// The elements along an axis, each in the shape without it.
std::vector<Ex> elements_along(const Ex& x, int axis) {
  Shape one = x.shape();
  one[axis] = 1;
  Shape without = one;
  without.erase(axis);
  Dims start = Dims::filled(one.rank(), 0);
  std::vector<Ex> elements;
  for (int64_t n = x.shape()[axis]; start[axis] < n; ++start[axis]) {
    elements.push_back(reshape(slice(x, start, Dims::filled(one.rank(), 1), one), without));
  }
  return elements;
}

/// Rows: lane i with lane i + half; lanes behind the last element hold what changes no bit.
Ex join_halves(ReduceKind kind, std::vector<Ex> elements) {
  for (size_t half = std::bit_ceil(elements.size()) / 2; half > 0; half /= 2) {
    for (size_t i = 0; i + half < elements.size(); ++i) elements[i] = join(kind, elements[i], elements[i + half]);
    elements.resize(std::min(elements.size(), half));
  }
  return elements[0];
}

/// Columns: in ascending order.
Ex join_ascending(ReduceKind kind, const std::vector<Ex>& elements) {
  Ex joined = elements[0];
  for (size_t i = 1; i < elements.size(); ++i) joined = join(kind, joined, elements[i]);
  return joined;
}

Ex unroll(const Ex& x, ReduceKind kind, int axis) {
  const std::vector<Ex> elements = elements_along(x, axis);
  const Ex joined = inner_size(x.shape(), axis) == 1 ? join_halves(kind, elements) : join_ascending(kind, elements);
  // The zero of a reduction's max and min is +0, the elementwise ops give their first operand's: -0 + 0 is +0.
  const bool is_extreme = kind == ReduceKind::max || kind == ReduceKind::min;
  return is_extreme && is_floating(joined.dtype()) ? joined + 0.0 : joined;
}

bool is_short(const Graph& graph, const Node& node) {
  const auto* reduce = node.op.as<op::Reduce>();
  if (!reduce || graph.type(node.result()).size() == 0) return false;
  const auto& [kind, axes] = *reduce;
  if (axes.rank() != 1 || picks_an_index(kind)) return false;
  const int64_t n = graph.type(node.operands[0]).shape[static_cast<int>(axes[0])];
  return n >= 1 && n <= kMaxExtent;
}

}  // namespace

absl::StatusOr<Graph> unroll_reductions(Graph graph) {
  const auto may = [&](const Node& node) { return is_short(graph, node); };
  if (std::none_of(graph.nodes().begin(), graph.nodes().end(), may)) return graph;
  const std::vector<int> readers = readers_of(graph);
  return rewrite(std::move(graph), [&](GraphBuilder& builder, const Node& node, std::span<const Value> operands) {
    if (!may(node) || readers[node.operands[0].id] != 1) return Replacement();
    const op::Reduce& reduce = *node.op.as<op::Reduce>();
    const int axis = static_cast<int>(reduce.axes[0]);
    if (!pays(builder, operands[0], axis)) return Replacement();
    Emitter emitter(builder, node.origin);
    return Replacement(unroll({emitter, operands[0]}, reduce.kind, axis).value());
  });
}

}  // namespace etch
