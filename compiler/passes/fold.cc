// fold: constants, through the `emit` column of the op table on native lanes.
#include "compiler/passes/fold.h"

#include <array>
#include <concepts>

#include "compiler/ir/literal.h"
#include "compiler/math/vector_math.h"

namespace etch {
namespace {

using Bits = std::optional<uint64_t>;
using OperandBits = std::array<uint64_t, 3>;

template <class T>
using Lane = math::Scalar<T>;

template <class T>
Lane<T> lane(uint64_t bits) {
  return Lane<T>(from_bits<T>(bits));
}

template <class T>
Bits result(const Lane<T>& x) {
  if (x.v != x.v) return std::nullopt;
  return to_bits(x.v);
}

template <TypeRule kRule, class T, class F>
Bits compute(const OperandBits& x, F f) {
  if constexpr (!takes(kRule, dtype_of<T>)) {
    return std::nullopt;
  } else if constexpr (kRule == TypeRule::select) {
    return result(f(lane<bool>(x[0]), lane<T>(x[1]), lane<T>(x[2])));
  } else {
    return result(f(lane<T>(x[0]), lane<T>(x[1]), lane<T>(x[2])));
  }
}

/// A table op on one element of each operand; `dtype` is that of its last operand.
Bits compute(Op op, DType dtype, const OperandBits& x) {
  if (!computes_itself(dtype)) return std::nullopt;
  switch (op) {
#define ETCH_OP(name, arity, rule, accuracy, cost, evaluate, emit, ...)                                \
  case Op::name:                                                                                       \
    return dispatch_computed(dtype, [&]<class T>() {                                                   \
      return compute<TypeRule::rule, T>(                                                               \
          x, []([[maybe_unused]] auto a, [[maybe_unused]] auto b, [[maybe_unused]] auto c) { return emit; }); \
    });
#define ETCH_STRUCTURAL_OP(name, Struct) case Op::name:
#include "compiler/ir/ops.def"
    break;  // no row
  }
  return std::nullopt;
}

/// An elementwise op beside the table. They are exact, so that the oracle has the bits of compiled code.
Bits evaluate_element(const AnyOp& op, DType from, DType to, uint64_t x) {
  Literal operand{{from, {}}, std::vector<std::byte>(size_of(from))};
  std::memcpy(operand.bytes.data(), &x, operand.bytes.size());
  const Literal* operands[] = {&operand};
  const Type type{to, {}};
  const std::vector<Literal> values = evaluate(op, operands, {&type, 1});
  uint64_t bits = 0;
  std::memcpy(&bits, values[0].bytes.data(), values[0].bytes.size());
  return bits;
}

Bits fold_elementwise(const Rewriter& graph, const Expr& expr) {
  OperandBits x{};
  for (size_t i = 0; i < expr.operands.size(); ++i) {
    const Bits bits = graph.constant_bits(expr.operands[i]);
    if (!bits) return std::nullopt;
    x[i] = *bits;
  }
  const DType dtype = graph.type(expr.operands.back()).dtype;
  if (is_table_op(expr.op)) return compute(expr.op, dtype, x);
  return evaluate_element(expr.op, dtype, expr.type.dtype, x[0]);
}

/// The bits that all operands share, if all are constants and share them.
Bits common_bits(const Rewriter& graph, std::span<const Value> operands) {
  const Bits first = graph.constant_bits(operands[0]);
  for (Value operand : operands.subspan(1)) {
    if (graph.constant_bits(operand) != first) return std::nullopt;
  }
  return first;
}

/// The max or min of equal elements: a zero of floats is +0.
Bits extreme_of_equal(DType dtype, uint64_t bits) {
  return dispatch(dtype, [&]<class T>() -> Bits {
    const T x = from_bits<T>(bits);
    if (x != x) return std::nullopt;
    return x == T{} ? 0 : bits;
  });
}

/// base to the power of n, modulo 2^64.
uint64_t wrapping_power(uint64_t base, uint64_t n) {
  uint64_t power = 1;
  for (; n > 0; n >>= 1) {
    if (n & 1) power *= base;
    base *= base;
  }
  return power;
}

/// The bits of an integer result computed modulo 2^64; floats have none.
Bits wrapped(DType dtype, uint64_t value) {
  if (is_floating(dtype)) return std::nullopt;
  return size_of(dtype) == 8 ? value : value & ((uint64_t{1} << 8 * size_of(dtype)) - 1);
}

/// The reduction of `n` equal elements, where every order of combining them gives the same bits.
Bits fold_reduction(ReduceKind kind, DType dtype, uint64_t x, int64_t n) {
  switch (kind) {
    case ReduceKind::sum: return wrapped(dtype, x * static_cast<uint64_t>(n));
    case ReduceKind::prod: return wrapped(dtype, wrapping_power(x, static_cast<uint64_t>(n)));
    case ReduceKind::max:
    case ReduceKind::min: return n > 0 ? extreme_of_equal(dtype, x) : std::nullopt;
    case ReduceKind::any: return n > 0 ? x : 0;
    case ReduceKind::all: return n > 0 ? x : 1;
    case ReduceKind::argmax:
    case ReduceKind::argmin: break;
  }
  return 0;  // the first of equal elements
}

Bits fold_reduce(const Rewriter& graph, const Expr& expr) {
  const Type& type = graph.type(expr.operands[0]);
  const Bits bits = type.size() == 0 ? Bits(0) : graph.constant_bits(expr.operands[0]);
  if (!bits) return std::nullopt;
  const auto [kind, axes] = reduction_of(expr.op);
  int64_t n = 1;
  for (int64_t axis : axes) n *= type.shape[static_cast<int>(axis)];
  return fold_reduction(kind, type.dtype, *bits, n);
}

Bits fold_expr(const Rewriter& graph, const Expr& expr) {
  if (expr.type.size() == 0) return 0;
  switch (place(expr.op)) {
    case Place::elementwise: return fold_elementwise(graph, expr);
    case Place::index: return expr.type.shape[index_axis(expr.op)] == 1 ? Bits(0) : std::nullopt;
    case Place::reduction: return fold_reduce(graph, expr);
    case Place::view:
    case Place::movement:
    case Place::boxes: return common_bits(graph, expr.operands);
    case Place::input:
    case Place::splat:
    case Place::indexed:
    case Place::product:
    case Place::call:
    case Place::region:
    case Place::host: break;
  }
  return std::nullopt;
}

}  // namespace

Ex fold_rule(Rewriter& graph, const Expr& expr) {
  if (place(expr.op) == Place::splat) return {};
  const Bits bits = fold_expr(graph, expr);
  if (!bits) return {};
  return constant(graph, *bits, expr.type);
}

absl::StatusOr<Graph> fold(Graph graph) {
  static constexpr Rewriter::Rule kRules[] = {fold_rule};
  return apply_rules(std::move(graph), kRules);
}

}  // namespace etch
