// Rules for the ops that move elements without computing. None of them touches a bit of an element.
#include "compiler/passes/movement_rules.h"

#include <algorithm>

#include "compiler/ir/checked.h"

namespace etch {
namespace {

// A slice looks for its operand among at most this many operands of a concat, so that the pass stays linear.
constexpr size_t kMaxConcatScan = 64;

Ex reshape_rule(const Ex& x, const Expr& expr) {
  if (x.type() == expr.type) return x;                                                    // the same shape
  if (x.made_by(Op::reshape)) return reshape(x.operand(0), expr.type.shape);              // reshape(reshape(x))
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

Ex transpose_rule(const Ex& x, const Expr& expr) {
  const Dims& perm = expr.op.as<op::Transpose>()->perm;
  if (keeps_order(perm, x.shape())) return reshape(x, expr.type.shape);                   // moves no element
  if (!x.made_by(Op::transpose)) return {};
  Dims both = perm;                                                                       // transpose(transpose(x))
  for (int64_t& axis : both) axis = x.node().op.as<op::Transpose>()->perm[static_cast<int>(axis)];
  return transpose(x.operand(0), both);
}

/// True if `to` is `from` behind any number of extents of 1.
bool adds_leading_ones(const Shape& from, const Shape& to) {
  const int lead = to.rank() - from.rank();
  return lead >= 0 && std::all_of(to.begin(), to.begin() + lead, [](int64_t extent) { return extent == 1; }) &&
         std::equal(from.begin(), from.end(), to.begin() + lead);
}

Ex broadcast_rule(const Ex& x, const Expr& expr) {
  const Shape& to = expr.type.shape;
  if (x.type().size() == expr.type.size()) return reshape(x, to);                         // repeats nothing
  if (x.made_by(Op::broadcast)) return broadcast(x.operand(0), to);                       // broadcast(broadcast(x))
  const bool adds = x.made_by(Op::reshape) && adds_leading_ones(x.operand(0).shape(), x.shape());
  return adds ? broadcast(x.operand(0), to) : Ex();                                       // it adds those itself
}

/// A slice that reads at least one element; along an axis of extent 1 its step is 1, as GraphBuilder makes it.
struct Slice {
  Dims start, step;
  Shape shape;

  /// The least and the largest index that is read along an axis.
  int64_t least(int axis) const { return std::min(start[axis], last(axis)); }
  int64_t largest(int axis) const { return std::max(start[axis], last(axis)); }
  int64_t last(int axis) const { return start[axis] + step[axis] * (shape[axis] - 1); }

  Ex of(const Ex& x) const { return slice(x, start, step, shape); }
};

Ex slice_of_slice(const Ex& inner, Slice outer) {
  const auto& [start, step] = *inner.node().op.as<op::Slice>();
  for (int i = 0; i < start.rank(); ++i) {
    outer.start[i] = start[i] + step[i] * outer.start[i];
    // Two indices differ by this step and both are in range, so it does not overflow.
    if (outer.shape[i] > 1) outer.step[i] *= step[i];
  }
  return outer.of(inner.operand(0));
}

/// slice(broadcast(x)) = broadcast(slice(x))
Ex slice_of_broadcast(const Ex& inner, const Slice& outer) {
  const Ex x = inner.operand(0);
  Slice part{{}, {}, x.shape()};
  const int lead = outer.shape.rank() - x.shape().rank();
  for (int i = 0; i < x.shape().rank(); ++i) {
    const bool repeats = x.shape()[i] != inner.shape()[lead + i];
    part.start.push_back(repeats ? 0 : outer.start[lead + i]);
    part.step.push_back(repeats ? 1 : outer.step[lead + i]);
    if (!repeats) part.shape[i] = outer.shape[lead + i];
  }
  return broadcast(part.of(x), outer.shape);
}

/// A slice that reads one operand of the concat only.
Ex slice_of_concat(const Ex& inner, Slice outer) {
  const Node& concat = inner.node();
  if (concat.operands.size() > kMaxConcatScan) return {};
  const int axis = static_cast<int>(concat.op.as<op::Concat>()->axis);
  int64_t begin = 0;
  for (Value operand : concat.operands) {
    const Ex x(inner.maker(), operand);
    const int64_t end = begin + x.shape()[axis];
    if (outer.least(axis) >= begin && outer.largest(axis) < end) {
      outer.start[axis] -= begin;
      return outer.of(x);
    }
    begin = end;
  }
  return {};
}

/// A slice that reads what was padded only, or padding only.
Ex slice_of_pad(const Ex& inner, Slice outer) {
  const Ex x = inner.operand(0), padding = inner.operand(1);
  const Shape& shape = x.shape();
  const Dims& low = inner.node().op.as<op::Pad>()->low;
  bool inside = true;
  for (int i = 0; i < low.rank(); ++i) {
    const bool outside = outer.largest(i) < low[i] || outer.least(i) >= low[i] + shape[i];
    if (outside) return broadcast(padding, outer.shape);
    inside &= outer.least(i) >= low[i] && outer.largest(i) < low[i] + shape[i];
  }
  if (!inside) return {};
  for (int i = 0; i < low.rank(); ++i) outer.start[i] -= low[i];
  return outer.of(x);
}

Ex slice_rule(const Ex& x, const Expr& expr) {
  const auto& [start, step] = *expr.op.as<op::Slice>();
  if (x.type() == expr.type && step == Dims::filled(step.rank(), 1)) return x;            // everything, in order
  const Slice outer{start, step, expr.type.shape};
  switch (x.node().op) {
    case Op::slice: return slice_of_slice(x, outer);
    case Op::broadcast: return slice_of_broadcast(x, outer);
    case Op::concat: return slice_of_concat(x, outer);
    case Op::pad: return slice_of_pad(x, outer);
    default: return {};
  }
}

Ex pad_rule(const Ex& x, const Expr& expr) {
  const Value padding = expr.operands[1];
  if (x.type() == expr.type) return x;                                                    // no padding
  if (!x.made_by(Op::pad) || x.operand(1).value() != padding) return {};
  op::Pad both = *expr.op.as<op::Pad>();                                                  // pad(pad(x, v), v)
  const auto& [low, high] = *x.node().op.as<op::Pad>();
  for (int i = 0; i < low.rank(); ++i) {
    both.low[i] += low[i];
    both.high[i] += high[i];
  }
  return pad(x.operand(0), Ex(x.maker(), padding), both.low, both.high);
}

Ex window_rule(const Ex& x, const Expr& expr) {
  const auto& [axes, size, step, dilation] = *expr.op.as<op::Window>();
  const Dims ones = Dims::filled(axes.rank(), 1);
  if (size == ones && step == ones) return reshape(x, expr.type.shape);                   // each element by itself
  return {};
}

Ex concat_rule(const Ex& x, const Expr& expr) {
  if (expr.operands.size() == 1) return x;                                                // concat(x)
  std::vector<Ex> kept;
  for (Value operand : expr.operands) {
    const Ex part(x.maker(), operand);
    if (part.type().size() > 0) kept.push_back(part);
  }
  if (kept.size() == expr.operands.size()) return {};
  return concat(kept, expr.op.as<op::Concat>()->axis);                                    // operands without elements
}

/// A reduce over axes of extent 1 moves each element. A float sum, max or min is left: they turn -0 into 0.
Ex reduce_rule(const Ex& x, const Expr& expr) {
  if (x.type().size() != expr.type.size()) return {};
  const ReduceKind kind = expr.op.as<op::Reduce>()->kind;
  if (kind == ReduceKind::argmax || kind == ReduceKind::argmin) return constant(x.maker(), 0, expr.type);
  if (kind != ReduceKind::prod && is_floating(expr.type.dtype)) return {};
  return reshape(x, expr.type.shape);
}

/// A constant with axes repeats its one element.
bool repeats(const ExMaker& graph, Value x) {
  const AnyOp& op = graph.node(x).op;
  return op == Op::broadcast || (op == Op::constant && !graph.type(x).shape.empty());
}

/// What the operand repeats, or the operand.
Ex before_broadcast(const Ex& x) {
  if (!repeats(x.maker(), x.value())) return x;
  if (x.made_by(Op::broadcast)) return x.operand(0);
  return constant(x.maker(), x.node().op.as<op::Constant>()->bits(), {x.dtype(), {}});
}

}  // namespace

Ex movement_rule(Rewriter& graph, const Expr& expr) {
  if (expr.operands.empty()) return {};
  const Ex x(graph, expr.operands[0]);
  switch (expr.op) {
    case Op::reshape: return reshape_rule(x, expr);
    case Op::transpose: return transpose_rule(x, expr);
    case Op::broadcast: return broadcast_rule(x, expr);
    case Op::slice: return slice_rule(x, expr);
    case Op::pad: return pad_rule(x, expr);
    case Op::concat: return concat_rule(x, expr);
    case Op::window: return window_rule(x, expr);
    case Op::reduce: return reduce_rule(x, expr);
    default: return {};
  }
}

Ex hoist_rule(Rewriter& graph, const Expr& expr) {
  const auto repeated = [&](Value x) { return repeats(graph, x); };
  if (!is_elementwise(expr.op) || std::none_of(expr.operands.begin(), expr.operands.end(), repeated)) return {};
  absl::InlinedVector<Value, 3> small;
  Type type{expr.type.dtype, {}};
  for (Value operand : expr.operands) {
    const Ex x = before_broadcast({graph, operand});
    small.push_back(x.value());
    type.shape = checked(broadcast_shapes(type.shape, x.shape()));
  }
  const Ex result(graph, graph.make(expr.op, small, &type));
  return type == expr.type ? result : broadcast(result, expr.type.shape);
}

}  // namespace etch
