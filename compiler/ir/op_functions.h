// The language of expressions: a function for each row of ops.def, and C++'s operators.
#pragma once

#include "compiler/ir/op.h"

namespace etch {

/// What a class of expressions E derives from to be written as mathematics: `g * (1 - r * r)`, `where(x > 0, g, 0)`.
/// The functions are found by their arguments only. `Operand` is what may stand as an operand: an E, or what converts to
/// one. E::make(op, {operands}) gives the expression.
template <class E, class Operand>
struct OpFunctions {
#define ETCH_FUNCTION_1(name) \
  friend constexpr E name(const Operand& a) { return E::make(Op::name, {a}); }
#define ETCH_FUNCTION_2(name) \
  friend constexpr E name(const Operand& a, const Operand& b) { return E::make(Op::name, {a, b}); }
#define ETCH_FUNCTION_3(name) \
  friend constexpr E name(const Operand& a, const Operand& b, const Operand& c) { return E::make(Op::name, {a, b, c}); }
#define ETCH_OP(name, arity, ...) ETCH_FUNCTION_##arity(name)
#include "compiler/ir/ops.def"
#undef ETCH_FUNCTION_1
#undef ETCH_FUNCTION_2
#undef ETCH_FUNCTION_3

  friend constexpr E operator+(const Operand& a, const Operand& b) { return E::make(Op::add, {a, b}); }
  friend constexpr E operator-(const Operand& a, const Operand& b) { return E::make(Op::sub, {a, b}); }
  friend constexpr E operator*(const Operand& a, const Operand& b) { return E::make(Op::mul, {a, b}); }
  friend constexpr E operator/(const Operand& a, const Operand& b) { return E::make(Op::div, {a, b}); }
  friend constexpr E operator-(const Operand& a) { return E::make(Op::neg, {a}); }

  friend constexpr E operator==(const Operand& a, const Operand& b) { return E::make(Op::equal, {a, b}); }
  friend constexpr E operator!=(const Operand& a, const Operand& b) { return E::make(Op::not_equal, {a, b}); }
  friend constexpr E operator<(const Operand& a, const Operand& b) { return E::make(Op::less, {a, b}); }
  friend constexpr E operator<=(const Operand& a, const Operand& b) { return E::make(Op::less_equal, {a, b}); }
  friend constexpr E operator>(const Operand& a, const Operand& b) { return E::make(Op::greater, {a, b}); }
  friend constexpr E operator>=(const Operand& a, const Operand& b) { return E::make(Op::greater_equal, {a, b}); }

  // Of bool; both sides are always evaluated.
  friend constexpr E operator&&(const Operand& a, const Operand& b) { return E::make(Op::logical_and, {a, b}); }
  friend constexpr E operator||(const Operand& a, const Operand& b) { return E::make(Op::logical_or, {a, b}); }
  friend constexpr E operator!(const Operand& a) { return E::make(Op::logical_not, {a}); }

  // Of integers.
  friend constexpr E operator&(const Operand& a, const Operand& b) { return E::make(Op::bitwise_and, {a, b}); }
  friend constexpr E operator|(const Operand& a, const Operand& b) { return E::make(Op::bitwise_or, {a, b}); }
  friend constexpr E operator^(const Operand& a, const Operand& b) { return E::make(Op::bitwise_xor, {a, b}); }
  friend constexpr E operator~(const Operand& a) { return E::make(Op::bitwise_not, {a}); }
  friend constexpr E operator<<(const Operand& a, const Operand& b) { return E::make(Op::shift_left, {a, b}); }
  friend constexpr E operator>>(const Operand& a, const Operand& b) { return E::make(Op::shift_right, {a, b}); }
};

}  // namespace etch
