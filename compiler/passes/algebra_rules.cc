// Algebraic rules of the elementwise ops, one a line.
//
// Notes on IEEE 754 that the rules rest on: -0 + 0 is +0, so adding 0 changes -0 but adding -0 changes nothing; 0 * x
// is NaN for infinite x and -0 for negative x; arithmetic hands a NaN operand on, sign included, so whatever moves a
// negation from or to a NaN changes a bit. `integer` below means the integer dtypes, whose arithmetic wraps.
#include "compiler/passes/algebra_rules.h"

#include <cmath>
#include <concepts>

#include "compiler/ir/checked.h"

namespace etch {
namespace {

/// The expression under a rule: operands a, b, c, and what rules ask and answer.
class Algebra {
 public:
  Algebra(Rewriter& graph, const Expr& expr)
      : a(at(expr, 0)),
        b(at(expr, 1)),
        c(at(expr, 2)),
        dtype(graph.type(expr.operands.back()).dtype),
        integer(is_integer(dtype)),
        graph_(graph),
        expr_(expr) {}

  const Value a, b, c;
  const DType dtype;  // of the last operand
  const bool integer;

  bool is_constant(Value x) const { return graph_.node(x).op == Op::constant; }

  /// A constant that is no NaN.
  bool is_number(Value x) const {
    const std::optional<uint64_t> bits = graph_.constant_bits(x);
    if (!bits) return false;
    return dispatch(dtype_of(x), [&]<class T>() { return from_bits<T>(*bits) == from_bits<T>(*bits); });
  }

  /// The constant `number`. The zeros of floats differ; for integers -0.0 is 0 and -1 is all bits set.
  bool is(Value x, double number) const {
    const std::optional<uint64_t> bits = graph_.constant_bits(x);
    return bits && *bits == bits_of(number, graph_.type(x).dtype);
  }

  /// A float constant that is a power of two whose reciprocal is one, both normal.
  bool is_power_of_two(Value x) const {
    int exponent = 0;  // x is 2^(exponent - 1)
    const bool is_power = std::fabs(std::frexp(as_double(x), &exponent)) == 0.5;
    return is_power && std::abs(exponent - 1) <= info(dtype).max_exponent - 2;
  }

  /// The n-th operand of x if x is made by `op`, else no value.
  Value operand(Value x, Op op, int n = 0) const { return graph_.node(x).op == op ? graph_.node(x).operands[n] : Value{}; }
  bool made_by(Value x, Op op) const { return graph_.node(x).op == op; }
  Op op_of(Value x) const { return graph_.node(x).op; }
  /// x is a cast from a dtype without fractions.
  bool is_cast_integer(Value x) const {
    return made_by(x, Op::cast) && !is_floating(dtype_of(operand(x, Op::cast)));
  }
  /// One is the logical_not of the other.
  bool are_opposite(Value x, Value y) const {
    return operand(x, Op::logical_not) == y || operand(y, Op::logical_not) == x;
  }
  DType dtype_of(Value x) const { return graph_.type(x).dtype; }

  /// x, in the shape of the result.
  Better value(Value x) const {
    if (graph_.type(x) == expr_.type) return x;
    return Expr{Op::broadcast, {x}, expr_.type};
  }

  Better constant(double number) const { return graph_.constant(bits_of(number, expr_.type.dtype), expr_.type); }

  /// op(operands), in the shape of the result.
  template <std::same_as<Value>... Values>
  Better apply(Op op, Values... operands) const {
    Expr better{op, {operands...}, {expr_.type.dtype, {}}};
    for (Value x : better.operands) {
      better.type.shape = checked(broadcast_shapes(better.type.shape, graph_.type(x).shape));
    }
    if (better.type == expr_.type) return better;
    return Expr{Op::broadcast, {graph_.make(std::move(better))}, expr_.type};
  }

  /// op(x, y) of the operands' dtype, for use inside a better expression; constants fold.
  Value make(Op op, Value x, Value y) const {
    const Type type{dtype, checked(broadcast_shapes(graph_.type(x).shape, graph_.type(y).shape))};
    return graph_.make({op, {x, y}, type});
  }
  Value make(Op op, Value x) const { return graph_.make({op, {x}, graph_.type(x)}); }

  /// 1 / x for a constant.
  Value reciprocal(Value x) const { return graph_.constant(bits_of(1 / as_double(x), dtype), graph_.type(x)); }

 private:
  static Value at(const Expr& expr, size_t i) { return i < expr.operands.size() ? expr.operands[i] : Value{}; }

  static uint64_t bits_of(double number, DType dtype) {
    return dispatch(dtype, [&]<class T>() {
      if constexpr (std::floating_point<T>) {
        return to_bits(static_cast<T>(number));
      } else {
        return to_bits(static_cast<T>(static_cast<int64_t>(number)));
      }
    });
  }

  /// A float constant; 0 for all else.
  double as_double(Value x) const {
    const std::optional<uint64_t> bits = graph_.constant_bits(x);
    if (!bits || !is_floating(dtype)) return 0;
    return dispatch(dtype, [&]<class T>() { return static_cast<double>(from_bits<T>(*bits)); });
  }

  Rewriter& graph_;
  const Expr& expr_;
};

/// a op b = b op a, to the bit if one of them is a constant other than NaN and, for min and max of floats, other than a
/// zero: of zeros with different signs they give the first.
bool commutes(Op op, bool with_zero) {
  switch (op) {
    case Op::min:
    case Op::max: return !with_zero;
    case Op::add:
    case Op::mul:
    case Op::equal:
    case Op::not_equal:
    case Op::logical_and:
    case Op::logical_or:
    case Op::logical_xor:
    case Op::bitwise_and:
    case Op::bitwise_or:
    case Op::bitwise_xor: return true;
    default: return false;
  }
}

/// a op b = b mirrored(op) a
Op mirrored(Op op) {
  switch (op) {
    case Op::less: return Op::greater;
    case Op::less_equal: return Op::greater_equal;
    case Op::greater: return Op::less;
    case Op::greater_equal: return Op::less_equal;
    default: return op;
  }
}

/// not (a op b) = a negated(op) b: for floats of the equalities only, for a NaN is neither less nor greater_equal.
Op negated(Op op, bool integer) {
  switch (op) {
    case Op::equal: return Op::not_equal;
    case Op::not_equal: return Op::equal;
    case Op::less: return integer ? Op::greater_equal : op;
    case Op::less_equal: return integer ? Op::greater : op;
    case Op::greater: return integer ? Op::less_equal : op;
    case Op::greater_equal: return integer ? Op::less : op;
    default: return op;
  }
}

/// (x op y) op z = x op (y op z) to the bit. Sums and products of floats round; min and max do not, and of equal
/// operands they give the first in either grouping.
bool associates(Op op, bool integer) {
  switch (op) {
    case Op::min:
    case Op::max: return true;
    case Op::add:
    case Op::mul:
    case Op::bitwise_and:
    case Op::bitwise_or:
    case Op::bitwise_xor: return integer;
    default: return false;
  }
}

bool rounds_to_integer(Op op) {
  return op == Op::floor || op == Op::ceil || op == Op::trunc || op == Op::round;
}

/// cast(cast(x : from -> middle) -> to) = cast(x -> to). Integers wrap when narrowed, but floats saturate.
bool cast_skips(DType from, DType middle, DType to) {
  if (!holds(middle, from)) return false;
  const bool saturates = !is_floating(from) && is_floating(middle) && !is_floating(to);
  return !saturates || holds(to, from) || !is_numeric(to);
}

// clang-format off

Better arithmetic(const Algebra& e, Op op) {
  using enum Op;
  const Value a = e.a, b = e.b;
  const bool integer = e.integer;
  switch (op) {
    case add:
      if (e.is(b, -0.0)) return e.value(a);                                       // x + -0 = x; floats: not x + 0
      if (integer && e.made_by(b, neg)) return e.apply(sub, a, e.operand(b, neg));  // x + -y = x - y; floats: NaN sign
      break;
    case sub:
      if (e.is(b, 0.0)) return e.value(a);                                        // x - 0 = x; -0 - 0 is -0
      if (integer && a == b) return e.constant(0);                                // x - x = 0; floats: inf - inf
      if (integer && e.is(a, 0)) return e.apply(neg, b);                          // 0 - x = -x; floats: 0 - 0
      if (integer && e.is_constant(b)) return e.apply(add, a, e.make(neg, b));    // x - c = x + -c; floats: nothing won
      if (integer && e.made_by(b, neg)) return e.apply(add, a, e.operand(b, neg));  // x - -y = x + y; floats: NaN sign
      break;
    case mul:
      if (e.is(b, 1)) return e.value(a);                                          // x * 1 = x
      if (integer && e.is(b, 0)) return e.constant(0);                            // x * 0 = 0; floats: inf, NaN, -1
      if (integer && e.is(b, -1)) return e.apply(neg, a);                         // x * -1 = -x; a NaN keeps its sign
      break;
    case div:
      if (e.is(b, 1)) return e.value(a);                                          // x / 1 = x
      if (e.is_power_of_two(b)) return e.apply(mul, a, e.reciprocal(b));          // x / 2^n = x * 2^-n: rounds once
      break;
    case floor_div:
    case trunc_div:
      if (integer && e.is(b, 1)) return e.value(a);                               // x // 1 = x; floats round
      break;
    case floor_mod:
    case trunc_mod:
      if (integer && e.is(b, 1)) return e.constant(0);                            // x mod 1 = 0; floats have fractions
      break;
    case pow:
      if (integer && e.is(b, 0)) return e.constant(1);                            // x^0 = 1; floats: as pow computes it
      if (integer && e.is(b, 1)) return e.value(a);                               // x^1 = x
      if (integer && e.is(b, 2)) return e.apply(mul, a, a);                       // x^2 = x * x
      break;
    case neg:
      if (e.made_by(a, neg)) return e.value(e.operand(a, neg));                   // -(-x) = x: flips a sign bit twice
      break;
    case abs:
      if (e.made_by(a, abs)) return e.value(a);                                   // ||x|| = |x|
      if (is_unsigned_integer(e.dtype)) return e.value(a);                        // |x| = x without a sign
      if (e.made_by(a, neg)) return e.apply(abs, e.operand(a, neg));              // |-x| = |x|; unsigned: -x wraps
      break;
    case min:
    case max:
      if (a == b) return e.value(a);                                              // max(x, x) = x
      break;
    case floor:
    case ceil:
    case trunc:
    case round:
      if (rounds_to_integer(e.op_of(a))) return e.value(a);                       // floor(ceil(x)) = ceil(x)
      if (e.is_cast_integer(a)) return e.value(a);                                // floor(float(i)) = float(i)
      break;
    default: break;
  }
  return {};
}

Better comparison(const Algebra& e, Op op) {
  using enum Op;
  const Value a = e.a, b = e.b;
  const bool is_float = is_floating(e.dtype);
  const bool is_bool = e.dtype == DType::boolean;
  switch (op) {
    case equal:
      if (!is_float && a == b) return e.constant(1);                              // (x == x) = true; floats: NaN
      if (is_bool && e.is(b, 1)) return e.value(a);                               // (x == true) = x
      if (is_bool && e.is(b, 0)) return e.apply(logical_not, a);                  // (x == false) = !x
      break;
    case not_equal:
      if (is_float && a == b) return e.apply(is_nan, a);                          // (x != x) = is_nan(x)
      if (a == b) return e.constant(0);                                           // (x != x) = false
      if (is_bool && e.is(b, 0)) return e.value(a);                               // (x != false) = x
      if (is_bool && e.is(b, 1)) return e.apply(logical_not, a);                  // (x != true) = !x
      break;
    case less:
    case greater:
      if (a == b) return e.constant(0);                                           // (x < x) = false, for a NaN too
      break;
    case less_equal:
    case greater_equal:
      if (!is_float && a == b) return e.constant(1);                              // (x <= x) = true; floats: NaN
      break;
    default: break;
  }
  return {};
}

Better selection(const Algebra& e) {
  using enum Op;
  const Value a = e.a, b = e.b, c = e.c;
  if (e.is(a, 1)) return e.value(b);                                              // where(true, x, y) = x
  if (e.is(a, 0)) return e.value(c);                                              // where(false, x, y) = y
  if (b == c) return e.value(b);                                                  // where(m, x, x) = x
  // With m ? x : y for where(m, x, y):
  if (e.made_by(a, logical_not)) return e.apply(where, e.operand(a, logical_not), c, b);  // !m ? x : y = m ? y : x
  if (e.operand(b, where) == a) return e.apply(where, a, e.operand(b, where, 1), c);  // m ? (m ? x : y) : z = m ? x : z
  if (e.operand(c, where) == a) return e.apply(where, a, b, e.operand(c, where, 2));  // m ? x : (m ? y : z) = m ? x : z
  if (e.dtype != DType::boolean) return {};
  if (e.is(b, 1) && e.is(c, 0)) return e.value(a);                                // where(m, true, false) = m
  if (e.is(b, 0) && e.is(c, 1)) return e.apply(logical_not, a);                   // where(m, false, true) = !m
  return {};
}

Better logic(const Algebra& e, Op op) {
  using enum Op;
  const Value a = e.a, b = e.b;
  switch (op) {
    case logical_and:
      if (e.is(b, 1) || a == b) return e.value(a);                                // x && true = x, x && x = x
      if (e.is(b, 0)) return e.constant(0);                                       // x && false = false
      if (e.are_opposite(a, b)) return e.constant(0);                             // x && !x = false
      break;
    case logical_or:
      if (e.is(b, 0) || a == b) return e.value(a);                                // x || false = x, x || x = x
      if (e.is(b, 1)) return e.constant(1);                                       // x || true = true
      if (e.are_opposite(a, b)) return e.constant(1);                             // x || !x = true
      break;
    case logical_xor:
      if (e.is(b, 0)) return e.value(a);                                          // x ^ false = x
      if (e.is(b, 1)) return e.apply(logical_not, a);                             // x ^ true = !x
      if (a == b) return e.constant(0);                                           // x ^ x = false
      break;
    case logical_not:
      if (e.made_by(a, logical_not)) return e.value(e.operand(a, logical_not));   // !!x = x
      if (const Op op_a = e.op_of(a); is_table_op(op_a) && info(op_a).arity == 2) {
        const Value x = e.operand(a, op_a, 0);
        const Op better = negated(op_a, is_integer(e.dtype_of(x)));
        if (better != op_a) return e.apply(better, x, e.operand(a, op_a, 1));     // !(x < y) = x >= y; floats: NaN
      }
      break;
    case bitwise_and:
      if (e.is(b, -1) || a == b) return e.value(a);                               // x & ~0 = x, x & x = x
      if (e.is(b, 0)) return e.constant(0);                                       // x & 0 = 0
      break;
    case bitwise_or:
      if (e.is(b, 0) || a == b) return e.value(a);                                // x | 0 = x, x | x = x
      if (e.is(b, -1)) return e.constant(-1);                                     // x | ~0 = ~0
      break;
    case bitwise_xor:
      if (e.is(b, 0)) return e.value(a);                                          // x ^ 0 = x
      if (e.is(b, -1)) return e.apply(bitwise_not, a);                            // x ^ ~0 = ~x
      if (a == b) return e.constant(0);                                           // x ^ x = 0
      break;
    case bitwise_not:
      if (e.made_by(a, bitwise_not)) return e.value(e.operand(a, bitwise_not));   // ~~x = x
      break;
    case shift_left:
    case shift_right:
    case shift_right_logical:
      if (e.is(b, 0)) return e.value(a);                                          // x << 0 = x
      break;
    default: break;
  }
  return {};
}

Better conversion(const Algebra& e, Op op, const Expr& expr) {
  const Value a = e.a;
  if (expr.type.dtype == e.dtype) return e.value(a);                              // cast(x : f32 -> f32) = x
  if (!e.made_by(a, op)) return {};
  const Value x = e.operand(a, op);
  const bool skips = op == Op::bitcast || cast_skips(e.dtype_of(x), e.dtype, expr.type.dtype);
  if (!skips) return {};
  return Expr{op, {x}, expr.type};                // cast(cast(x)) = cast(x), bitcast(bitcast(x)) = bitcast(x)
}

/// What holds for many ops: constants stand on the right, and meet there.
Better constants(const Algebra& e, Op op) {
  const Value a = e.a, b = e.b;
  const bool float_zero = !e.integer && (e.is(a, 0.0) || e.is(a, -0.0));
  const Op swapped = commutes(op, float_zero) ? op : mirrored(op);
  const bool may_swap = commutes(op, float_zero) || swapped != op;
  if (may_swap && e.is_number(a) && !e.is_constant(b)) return e.apply(swapped, b, a);  // c + x = x + c, c < x = x > c
  if (!associates(op, e.integer) || !e.is_number(b) || !e.made_by(a, op)) return {};
  const Value x = e.operand(a, op, 0), y = e.operand(a, op, 1);
  if (e.is_number(y)) return e.apply(op, x, e.make(op, y, b));                    // (x + c) + d = x + (c + d)
  return {};
}

// clang-format on

}  // namespace

Better algebra_rule(Rewriter& graph, const Expr& expr) {
  if (!is_elementwise(expr.op)) return {};
  const Algebra e(graph, expr);
  if (!is_table_op(expr.op)) return conversion(e, expr.op, expr);
  Better better;
  switch (info(expr.op).rule) {
    case TypeRule::select: return selection(e);
    case TypeRule::floating:
    case TypeRule::numeric: better = arithmetic(e, expr.op); break;
    case TypeRule::equality:
    case TypeRule::ordering: better = comparison(e, expr.op); break;
    case TypeRule::logical:
    case TypeRule::integer: better = logic(e, expr.op); break;
    case TypeRule::predicate: break;
  }
  if (!std::holds_alternative<std::monostate>(better) || info(expr.op).arity != 2) return better;
  return constants(e, expr.op);
}

}  // namespace etch
