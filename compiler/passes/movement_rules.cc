// Rules for the ops that move elements without computing. None of them touches a bit of an element.
#include "compiler/passes/movement_rules.h"

#include <algorithm>

namespace etch {
namespace {

// A slice looks for its operand among at most this many operands of a concat, so that the pass stays linear.
constexpr size_t kMaxConcatScan = 64;

Expr reshape(Value x, const Type& type) { return {Op::reshape, {x}, NoAttr{}, type}; }
Expr broadcast(Value x, const Type& type) { return {Op::broadcast, {x}, NoAttr{}, type}; }

Better reshape_rule(Rewriter& graph, const Expr& expr) {
  const Value x = expr.operands[0];
  if (graph[x].type == expr.type) return x;                                               // the same shape
  if (graph[x].op == Op::reshape) return reshape(graph[x].operands[0], expr.type);        // reshape(reshape(x))
  return {};
}

/// True if the axes longer than 1 keep their order.
bool keeps_order(const Dims& perm, const Shape& from) {
  int64_t previous = -1;
  for (int64_t axis : perm) {
    if (from[static_cast<int>(axis)] == 1) continue;
    if (axis < previous) return false;
    previous = axis;
  }
  return true;
}

Better transpose_rule(Rewriter& graph, const Expr& expr) {
  const Value x = expr.operands[0];
  const Dims& perm = std::get<TransposeAttr>(expr.attr).perm;
  if (keeps_order(perm, graph[x].type.shape)) return reshape(x, expr.type);               // moves no element
  if (graph[x].op != Op::transpose) return {};
  Dims both = std::get<TransposeAttr>(graph[x].attr).perm;                                // transpose(transpose(x))
  const Dims inner = both;
  for (int i = 0; i < perm.rank(); ++i) both[i] = inner[static_cast<int>(perm[i])];
  return Expr{Op::transpose, {graph[x].operands[0]}, TransposeAttr{both}, expr.type};
}

/// True if `to` is `from` behind any number of extents of 1.
bool adds_leading_ones(const Shape& from, const Shape& to) {
  const int lead = to.rank() - from.rank();
  return lead >= 0 && std::all_of(to.begin(), to.begin() + lead, [](int64_t extent) { return extent == 1; }) &&
         std::equal(from.begin(), from.end(), to.begin() + lead);
}

Better broadcast_rule(Rewriter& graph, const Expr& expr) {
  const Value x = expr.operands[0];
  const Node& node = graph[x];
  if (node.type.size() == expr.type.size()) return reshape(x, expr.type);                 // repeats nothing
  if (node.op == Op::broadcast) return broadcast(node.operands[0], expr.type);            // broadcast(broadcast(x))
  if (node.op == Op::reshape && adds_leading_ones(graph[node.operands[0]].type.shape, node.type.shape)) {
    return broadcast(node.operands[0], expr.type);                                        // it adds those itself
  }
  return {};
}

/// A slice that reads at least one element; along an axis of extent 1 its step is 1, as GraphBuilder makes it.
struct Slice {
  Dims start, step;
  Type type;

  /// The least and the largest index that is read along an axis.
  int64_t least(int axis) const { return std::min(start[axis], last(axis)); }
  int64_t largest(int axis) const { return std::max(start[axis], last(axis)); }
  int64_t last(int axis) const { return start[axis] + step[axis] * (type.shape[axis] - 1); }

  Expr of(Value x) const { return {Op::slice, {x}, SliceAttr{start, step}, type}; }
};

Better slice_of_slice(const Node& inner, Slice slice) {
  const auto& [start, step] = std::get<SliceAttr>(inner.attr);
  for (int i = 0; i < start.rank(); ++i) {
    slice.start[i] = start[i] + step[i] * slice.start[i];
    // Two indices differ by this step and both are in range, so it does not overflow.
    if (slice.type.shape[i] > 1) slice.step[i] *= step[i];
  }
  return slice.of(inner.operands[0]);
}

/// slice(broadcast(x)) = broadcast(slice(x))
Better slice_of_broadcast(Rewriter& graph, const Node& inner, const Slice& slice) {
  const Value x = inner.operands[0];
  Expr sliced{Op::slice, {x}, {}, graph[x].type};
  const int lead = slice.type.shape.rank() - sliced.type.shape.rank();
  Dims start, step;
  for (int i = 0; i < sliced.type.shape.rank(); ++i) {
    const bool repeats = sliced.type.shape[i] != inner.type.shape[lead + i];
    start.push_back(repeats ? 0 : slice.start[lead + i]);
    step.push_back(repeats ? 1 : slice.step[lead + i]);
    if (!repeats) sliced.type.shape[i] = slice.type.shape[lead + i];
  }
  sliced.attr = SliceAttr{start, step};
  return broadcast(graph.make(std::move(sliced)), slice.type);
}

/// A slice that reads one operand of the concat only.
Better slice_of_concat(Rewriter& graph, const Node& inner, Slice slice) {
  if (inner.operands.size() > kMaxConcatScan) return {};
  const int axis = static_cast<int>(std::get<AxisAttr>(inner.attr).axis);
  int64_t begin = 0;
  for (Value operand : inner.operands) {
    const int64_t end = begin + graph[operand].type.shape[axis];
    if (slice.least(axis) >= begin && slice.largest(axis) < end) {
      slice.start[axis] -= begin;
      return slice.of(operand);
    }
    begin = end;
  }
  return {};
}

/// A slice that reads what was padded only, or padding only.
Better slice_of_pad(Rewriter& graph, const Node& inner, Slice slice) {
  const Shape& shape = graph[inner.operands[0]].type.shape;
  const Dims& low = std::get<PadAttr>(inner.attr).low;
  bool inside = true;
  for (int i = 0; i < low.rank(); ++i) {
    const bool outside = slice.largest(i) < low[i] || slice.least(i) >= low[i] + shape[i];
    if (outside) return broadcast(inner.operands[1], slice.type);
    inside &= slice.least(i) >= low[i] && slice.largest(i) < low[i] + shape[i];
  }
  if (!inside) return {};
  for (int i = 0; i < low.rank(); ++i) slice.start[i] -= low[i];
  return slice.of(inner.operands[0]);
}

Better slice_rule(Rewriter& graph, const Expr& expr) {
  const Value x = expr.operands[0];
  const Node& inner = graph[x];
  const auto& [start, step] = std::get<SliceAttr>(expr.attr);
  const Slice slice{start, step, expr.type};
  if (inner.type == expr.type && step == Dims::filled(step.rank(), 1)) return x;          // everything, in order
  switch (inner.op) {
    case Op::slice: return slice_of_slice(inner, slice);
    case Op::broadcast: return slice_of_broadcast(graph, inner, slice);
    case Op::concat: return slice_of_concat(graph, inner, slice);
    case Op::pad: return slice_of_pad(graph, inner, slice);
    default: return {};
  }
}

Better pad_rule(Rewriter& graph, const Expr& expr) {
  const Value x = expr.operands[0];
  const Node& inner = graph[x];
  if (inner.type == expr.type) return x;                                                  // no padding
  if (inner.op != Op::pad || inner.operands[1] != expr.operands[1]) return {};
  PadAttr both = std::get<PadAttr>(expr.attr);                                            // pad(pad(x, v), v)
  const auto& [low, high] = std::get<PadAttr>(inner.attr);
  for (int i = 0; i < low.rank(); ++i) {
    both.low[i] += low[i];
    both.high[i] += high[i];
  }
  return Expr{Op::pad, {inner.operands[0], expr.operands[1]}, both, expr.type};
}

Better concat_rule(Rewriter& graph, const Expr& expr) {
  if (expr.operands.size() == 1) return expr.operands[0];                                 // concat(x)
  Expr kept{expr.op, {}, expr.attr, expr.type};
  for (Value operand : expr.operands) {
    if (graph[operand].type.size() > 0) kept.operands.push_back(operand);
  }
  if (kept.operands.size() < expr.operands.size()) return kept;                           // operands without elements
  return {};
}

/// A reduce over axes of extent 1 moves each element. A float sum, max or min is left: they turn -0 into 0.
Better reduce_rule(Rewriter& graph, const Expr& expr) {
  const Value x = expr.operands[0];
  if (graph[x].type.size() != expr.type.size()) return {};
  const ReduceKind kind = std::get<ReduceAttr>(expr.attr).kind;
  if (kind == ReduceKind::argmax || kind == ReduceKind::argmin) return graph.constant(0, expr.type);
  if (kind != ReduceKind::prod && is_floating(expr.type.dtype)) return {};
  return reshape(x, expr.type);
}

/// A constant with axes repeats its one element.
bool repeats(const Node& node) {
  return node.op == Op::broadcast || (node.op == Op::constant && !node.type.shape.empty());
}

bool has_broadcast(const Rewriter& graph, const Expr& expr) {
  return std::any_of(expr.operands.begin(), expr.operands.end(), [&](Value x) { return repeats(graph[x]); });
}

/// What the operand repeats, or the operand.
Value before_broadcast(Rewriter& graph, Value x) {
  const Node& node = graph[x];
  if (!repeats(node)) return x;
  if (node.op == Op::broadcast) return node.operands[0];
  return graph.constant(std::get<ConstantAttr>(node.attr).bits, Type{node.type.dtype, {}});
}

}  // namespace

Better movement_rule(Rewriter& graph, const Expr& expr) {
  switch (expr.op) {
    case Op::reshape: return reshape_rule(graph, expr);
    case Op::transpose: return transpose_rule(graph, expr);
    case Op::broadcast: return broadcast_rule(graph, expr);
    case Op::slice: return slice_rule(graph, expr);
    case Op::pad: return pad_rule(graph, expr);
    case Op::concat: return concat_rule(graph, expr);
    case Op::reduce: return reduce_rule(graph, expr);
    default: return {};
  }
}

Better hoist_rule(Rewriter& graph, const Expr& expr) {
  if (!is_elementwise(expr.op) || !has_broadcast(graph, expr)) return {};
  Expr small{expr.op, {}, expr.attr, {expr.type.dtype, {}}};
  for (Value operand : expr.operands) {
    const Value x = before_broadcast(graph, operand);
    small.operands.push_back(x);
    small.type.shape = broadcast_shapes(small.type.shape, graph[x].type.shape).value();
  }
  if (small.type == expr.type) return small;
  return broadcast(graph.make(std::move(small)), expr.type);
}

}  // namespace etch
