// Algebraic rules of the elementwise ops, one a line: what stands on the left is replaced by what stands on the right.
//
// Notes on IEEE 754 that the rules rest on: -0 + 0 is +0, so adding 0 changes -0 but adding -0 changes nothing; 0 * x
// is NaN for infinite x and -0 for negative x; arithmetic hands a NaN operand on, sign included, so whatever moves a
// negation from or to a NaN changes a bit.
#include "compiler/passes/algebra_rules.h"

#include <array>
#include <iterator>

namespace etch {
namespace {

constexpr Pattern x = Pattern::variable(0, Kind::any);
constexpr Pattern y = Pattern::variable(1, Kind::any);
constexpr Pattern z = Pattern::variable(2, Kind::any);
constexpr Pattern i = Pattern::variable(3, Kind::integer);  // their arithmetic wraps
constexpr Pattern j = Pattern::variable(4, Kind::integer);
constexpr Pattern u = Pattern::variable(5, Kind::unsigned_integer);
constexpr Pattern f = Pattern::variable(6, Kind::floating);
constexpr Pattern s = Pattern::variable(7, Kind::with_sign);
constexpr Pattern m = Pattern::variable(8, Kind::mask);
constexpr Pattern w = Pattern::variable(9, Kind::whole);
constexpr Pattern v = Pattern::variable(10, Kind::varying);
constexpr Pattern c = Pattern::variable(11, Kind::number);
constexpr Pattern d = Pattern::variable(12, Kind::number);
constexpr Pattern e = Pattern::variable(13, Kind::not_zero);
constexpr Pattern p = Pattern::variable(14, Kind::power_of_two);

// clang-format off
constexpr Equality kAlgebra[] = {
    // Arithmetic
    {x + -0.0, x},                                      // not x + 0
    {i + -j, i - j},                                    // floats: the sign of a NaN
    {x - 0, x},                                         // -0 - 0 is -0
    {i - i, 0},                                         // floats: inf - inf
    {0 - i, -i},                                        // floats: 0 - 0
    {i - c, i + -c},                                    // floats: nothing is won
    {i - -j, i + j},                                    // floats: the sign of a NaN
    {x * 1, x},
    {i * 0, 0},                                         // floats: infinities, NaN, -1
    {i * -1, -i},                                       // floats: a NaN keeps its sign
    {x / 1, x},
    {f / p, f * (1 / p)},                               // both round once
    {floor_div(i, 1), i},                               // floats round
    {trunc_div(i, 1), i},
    {floor_mod(i, 1), 0},                               // floats have fractions
    {trunc_mod(i, 1), 0},
    {floor_div(i, p), i >> popcount(p - 1)},            // trunc_div rounds negative ones the other way
    {floor_mod(i, p), i & (p - 1)},
    {pow(i, 0), 1},                                     // floats: as pow computes it
    {pow(i, 1), i},
    {pow(i, 2), i * i},
    {-(-x), x},                                         // flips a sign bit twice
    {abs(abs(x)), abs(x)},
    {abs(u), u},
    {abs(-s), abs(s)},                                  // unsigned: -x wraps
    {abs(copysign(x, y)), abs(x)},
    {copysign(-x, y), copysign(x, y)},
    {copysign(abs(x), y), copysign(x, y)},
    {copysign(copysign(x, y), z), copysign(x, z)},
    {min(x, x), x},
    {max(x, x), x},
    {floor(w), w},
    {ceil(w), w},
    {trunc(w), w},
    {round(w), w},
    {stop_gradient(x), x},                              // derivatives are taken before the passes run

    // Comparison
    {i == i, true},                                     // floats: NaN
    {m == m, true},
    {m == true, m},
    {m == false, !m},
    {f != f, is_nan(f)},
    {i != i, false},
    {m != m, false},
    {m != false, m},
    {m != true, !m},
    {x < x, false},                                     // for a NaN too
    {x > x, false},
    {i <= i, true},                                     // floats: NaN
    {i >= i, true},

    // Selection
    {where(true, x, y), x},
    {where(false, x, y), y},
    {where(m, x, x), x},
    {where(!m, x, y), where(m, y, x)},
    {where(m, where(m, x, y), z), where(m, x, z)},
    {where(m, x, where(m, y, z)), where(m, x, z)},
    {where(m, true, false), m},
    {where(m, false, true), !m},

    // Logic
    {m && true, m},
    {m && m, m},
    {m && false, false},
    {m && !m, false},
    {!m && m, false},
    {m || false, m},
    {m || m, m},
    {m || true, true},
    {m || !m, true},
    {!m || m, true},
    {logical_xor(m, false), m},
    {logical_xor(m, true), !m},
    {logical_xor(m, m), false},
    {!!m, m},
    {!(x == y), x != y},
    {!(x != y), x == y},
    {!(i < j), i >= j},                                 // floats: a NaN is neither
    {!(i <= j), i > j},
    {!(i > j), i <= j},
    {!(i >= j), i < j},

    // Bits; -1 has all of them
    {i & -1, i},
    {i & i, i},
    {i & 0, 0},
    {i | 0, i},
    {i | i, i},
    {i | -1, -1},
    {i ^ 0, i},
    {i ^ -1, ~i},
    {i ^ i, 0},
    {~~i, i},
    {i << 0, i},
    {i >> 0, i},
    {shift_right_logical(i, 0), i},

    // Constants stand on the right; a NaN on either side is handed on, but of two the first
    {c + v, v + c},
    {c * v, v * c},
    {min(e, v), min(v, e)},                             // of zeros with different signs the first counts
    {max(e, v), max(v, e)},
    {c == v, v == c},
    {c != v, v != c},
    {c < v, v > c},
    {c <= v, v >= c},
    {c > v, v < c},
    {c >= v, v <= c},
    {c && v, v && c},
    {c || v, v || c},
    {logical_xor(c, v), logical_xor(v, c)},
    {c & v, v & c},
    {c | v, v | c},
    {c ^ v, v ^ c},

    // and meet there; sums and products of floats round twice
    {(i + c) + d, i + (c + d)},
    {(i * c) * d, i * (c * d)},
    {min(min(x, c), d), min(x, min(c, d))},             // of equal operands the first in either grouping
    {max(max(x, c), d), max(x, max(c, d))},
    {(i & c) & d, i & (c & d)},
    {(i | c) | d, i | (c | d)},
    {(i ^ c) ^ d, i ^ (c ^ d)},
};
// clang-format on

/// The lines of each op, in their order.
struct Index {
  std::array<uint8_t, std::size(kAlgebra)> lines{};
  std::array<uint8_t, kNumTableOps + 1> begin{};  // in `lines`
};

constexpr Index kIndex = [] {
  static_assert(std::size(kAlgebra) < 256);
  Index index;
  uint8_t n = 0;
  for (int op = 0; op < kNumTableOps; ++op) {
    index.begin[op] = n;
    for (size_t line = 0; line < std::size(kAlgebra); ++line) {
      if (kAlgebra[line].expression.root().op == static_cast<Op>(op)) index.lines[n++] = static_cast<uint8_t>(line);
    }
  }
  index.begin[kNumTableOps] = n;
  return index;
}();

Ex equality_rule(Rewriter& graph, const Expr& expr) {
  const Op op = expr.op;
  const int row = static_cast<int>(op);
  for (int k = kIndex.begin[row]; k < kIndex.begin[row + 1]; ++k) {
    const Equality& line = kAlgebra[kIndex.lines[k]];
    const std::optional<Bindings> bindings = match(line.expression, graph, op, expr.operands);
    if (bindings) return instantiate(line.equal, graph, *bindings, expr.type);
  }
  return {};
}

/// cast(cast(x : from -> middle) -> to) = cast(x -> to). Integers wrap when narrowed, but floats saturate.
bool cast_skips(DType from, DType middle, DType to) {
  if (!holds(middle, from)) return false;
  const bool saturates = !is_floating(from) && is_floating(middle) && !is_floating(to);
  return !saturates || holds(to, from) || !is_numeric(to);
}

/// cast(x : f32 -> f32) = x, cast(cast(x)) = cast(x), bitcast(bitcast(x)) = bitcast(x)
Ex conversion_rule(Rewriter& graph, const Expr& expr) {
  const Ex a(graph, expr.operands[0]);
  const DType to = expr.type.dtype;
  if (to == a.dtype()) return a;
  if (!a.made_by(expr.op)) return {};
  const Ex inner = a.operand(0);
  if (expr.op == Op::bitcast) return bitcast(inner, to);
  return cast_skips(inner.dtype(), a.dtype(), to) ? cast(inner, to) : Ex();
}

}  // namespace

std::span<const Equality> algebra() { return kAlgebra; }

Ex algebra_rule(Rewriter& graph, const Expr& expr) {
  if (is_table_op(expr.op)) return equality_rule(graph, expr);
  return is_elementwise(expr.op) ? conversion_rule(graph, expr) : Ex();
}

}  // namespace etch
