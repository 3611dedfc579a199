// Rules for the ops that move elements without computing. None of them touches a bit of an element.
#include "compiler/passes/movement_rules.h"

#include <algorithm>

#include "compiler/ir/checked.h"

namespace etch {
namespace {

// A slice looks for its operand among at most this many operands of a concat, so that the pass stays linear.
constexpr size_t kMaxConcatScan = 64;

Expr reshape(Value x, const Type& type) { return {op::Reshape{}, {x}, type}; }
Expr broadcast(Value x, const Type& type) { return {op::Broadcast{}, {x}, type}; }

Better reshape_rule(Rewriter& graph, const Expr& expr) {
  const Value x = expr.operands[0];
  if (graph.type(x) == expr.type) return x;                                               // the same shape
  if (graph.node(x).op == Op::reshape) return reshape(graph.node(x).operands[0], expr.type);        // reshape(reshape(x))
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
  const Dims& perm = expr.op.as<op::Transpose>()->perm;
  if (keeps_order(perm, graph.type(x).shape)) return reshape(x, expr.type);               // moves no element
  if (graph.node(x).op != Op::transpose) return {};
  Dims both = graph.node(x).op.as<op::Transpose>()->perm;                                // transpose(transpose(x))
  const Dims inner = both;
  for (int i = 0; i < perm.rank(); ++i) both[i] = inner[static_cast<int>(perm[i])];
  return Expr{op::Transpose{both}, {graph.node(x).operands[0]}, expr.type};
}

/// True if `to` is `from` behind any number of extents of 1.
bool adds_leading_ones(const Shape& from, const Shape& to) {
  const int lead = to.rank() - from.rank();
  return lead >= 0 && std::all_of(to.begin(), to.begin() + lead, [](int64_t extent) { return extent == 1; }) &&
         std::equal(from.begin(), from.end(), to.begin() + lead);
}

Better broadcast_rule(Rewriter& graph, const Expr& expr) {
  const Value x = expr.operands[0];
  const Node& node = graph.node(x);
  if (graph.type(x).size() == expr.type.size()) return reshape(x, expr.type);             // repeats nothing
  if (node.op == Op::broadcast) return broadcast(node.operands[0], expr.type);            // broadcast(broadcast(x))
  if (node.op == Op::reshape && adds_leading_ones(graph.type(node.operands[0]).shape, graph.type(x).shape)) {
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

  Expr of(Value x) const { return {op::Slice{start, step}, {x}, type}; }
};

Better slice_of_slice(const Node& inner, Slice slice) {
  const auto& [start, step] = *inner.op.as<op::Slice>();
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
  Expr sliced{op::Slice{}, {x}, graph.type(x)};
  const int lead = slice.type.shape.rank() - sliced.type.shape.rank();
  Dims start, step;
  for (int i = 0; i < sliced.type.shape.rank(); ++i) {
    const bool repeats = sliced.type.shape[i] != graph.type(inner.result()).shape[lead + i];
    start.push_back(repeats ? 0 : slice.start[lead + i]);
    step.push_back(repeats ? 1 : slice.step[lead + i]);
    if (!repeats) sliced.type.shape[i] = slice.type.shape[lead + i];
  }
  sliced.op = op::Slice{start, step};
  return broadcast(graph.make(std::move(sliced)), slice.type);
}

/// A slice that reads one operand of the concat only.
Better slice_of_concat(Rewriter& graph, const Node& inner, Slice slice) {
  if (inner.operands.size() > kMaxConcatScan) return {};
  const int axis = static_cast<int>(inner.op.as<op::Concat>()->axis);
  int64_t begin = 0;
  for (Value operand : inner.operands) {
    const int64_t end = begin + graph.type(operand).shape[axis];
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
  const Shape& shape = graph.type(inner.operands[0]).shape;
  const Dims& low = inner.op.as<op::Pad>()->low;
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
  const Node& inner = graph.node(x);
  const auto& [start, step] = *expr.op.as<op::Slice>();
  const Slice slice{start, step, expr.type};
  if (graph.type(x) == expr.type && step == Dims::filled(step.rank(), 1)) return x;          // everything, in order
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
  const Node& inner = graph.node(x);
  if (graph.type(x) == expr.type) return x;                                               // no padding
  if (inner.op != Op::pad || inner.operands[1] != expr.operands[1]) return {};
  op::Pad both = *expr.op.as<op::Pad>();                                                   // pad(pad(x, v), v)
  const auto& [low, high] = *inner.op.as<op::Pad>();
  for (int i = 0; i < low.rank(); ++i) {
    both.low[i] += low[i];
    both.high[i] += high[i];
  }
  return Expr{both, {inner.operands[0], expr.operands[1]}, expr.type};
}

Better concat_rule(Rewriter& graph, const Expr& expr) {
  if (expr.operands.size() == 1) return expr.operands[0];                                 // concat(x)
  Expr kept{expr.op, {}, expr.type};
  for (Value operand : expr.operands) {
    if (graph.type(operand).size() > 0) kept.operands.push_back(operand);
  }
  if (kept.operands.size() < expr.operands.size()) return kept;                           // operands without elements
  return {};
}

/// A reduce over axes of extent 1 moves each element. A float sum, max or min is left: they turn -0 into 0.
Better reduce_rule(Rewriter& graph, const Expr& expr) {
  const Value x = expr.operands[0];
  if (graph.type(x).size() != expr.type.size()) return {};
  const ReduceKind kind = expr.op.as<op::Reduce>()->kind;
  if (kind == ReduceKind::argmax || kind == ReduceKind::argmin) return graph.constant(0, expr.type);
  if (kind != ReduceKind::prod && is_floating(expr.type.dtype)) return {};
  return reshape(x, expr.type);
}

/// A constant with axes repeats its one element.
bool repeats(const Rewriter& graph, Value x) {
  const AnyOp& op = graph.node(x).op;
  return op == Op::broadcast || (op == Op::constant && !graph.type(x).shape.empty());
}

bool has_broadcast(const Rewriter& graph, const Expr& expr) {
  return std::any_of(expr.operands.begin(), expr.operands.end(), [&](Value x) { return repeats(graph, x); });
}

/// What the operand repeats, or the operand.
Value before_broadcast(Rewriter& graph, Value x) {
  const Node& node = graph.node(x);
  if (!repeats(graph, x)) return x;
  if (node.op == Op::broadcast) return node.operands[0];
  return graph.constant(node.op.as<op::Constant>()->bits(), Type{graph.type(x).dtype, {}});
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
  Expr small{expr.op, {}, {expr.type.dtype, {}}};
  for (Value operand : expr.operands) {
    const Value x = before_broadcast(graph, operand);
    small.operands.push_back(x);
    small.type.shape = checked(broadcast_shapes(small.type.shape, graph.type(x).shape));
  }
  if (small.type == expr.type) return small;
  return broadcast(graph.make(std::move(small)), expr.type);
}

}  // namespace etch
