// The elementwise ops of the table: their `gradient` column.
#include <array>
#include <numbers>
#include <type_traits>

#include "compiler/ir/gradient.h"
#include "compiler/ir/ops/row.h"

namespace etch {
namespace {

/// The names that the column uses.
struct Point {
  Ex a, b, c, r, g;
};

/// What stands there where there is no gradient.
struct None {
  std::string_view why;
};

None none(std::string_view why) { return {why}; }

constexpr double kLn2 = std::numbers::ln2;
constexpr double kLn10 = std::numbers::ln10;
constexpr double kTwoBySqrtPi = 2 * std::numbers::inv_sqrtpi;

/// The derivative of digamma, by ops that have derivatives themselves: the asymptotic series (NIST DLMF 5.15.8) from 8.5 on,
/// where it ends below 1e-15 of the result; trigamma(y) = trigamma(y + 1) + 1 / y^2 (5.15.5) up to there; and below 1/2 the
/// reflection trigamma(x) = (pi / sin(pi x))^2 - trigamma(1 - x) (5.15.6). What is not selected is finite. The poles are +inf.
Ex trigamma(const Ex& x) {
  constexpr int kSteps = 8;
  constexpr double kSeries[] = {1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66, -691.0 / 2730, 7.0 / 6, -3617.0 / 510};
  const Ex reflects = x < 0.5;
  const Ex y = where(reflects, 1 - x, x);
  const Ex v = 1 / (y + kSteps), square = v * v;
  Ex series = number(x.maker(), x.dtype(), kSeries[7]);
  for (int i = 6; i >= 0; --i) series = series * square + kSeries[i];
  Ex result = v + square * (0.5 + v * series);
  for (int i = kSteps - 1; i >= 0; --i) {
    const Ex step = 1 / (y + i);
    result = result + step * step;
  }
  const Ex fraction = where(is_finite(x), x - round(x), 0);  // large x are whole
  const Ex ratio = std::numbers::pi / sin(std::numbers::pi * where(reflects, fraction, 0.5));
  return where(reflects, ratio * ratio - result, result);
}

struct OperandGradient {
  Ex (*make)(const Point& at) = nullptr;  // or null, and the reason
  std::string_view why_none;
};

using RowGradient = std::array<OperandGradient, 3>;

template <class F>
inline constexpr bool kIsNone = std::is_same_v<std::invoke_result_t<F, const Point&>, None>;
template <class F>
inline constexpr bool kIsGradient = kIsNone<F> || std::is_same_v<std::invoke_result_t<F, const Point&>, Ex>;

template <class F>
OperandGradient operand_gradient(F expression) {
  static_assert(kIsGradient<F>, "a row of ops.def lacks its gradient: an expression of g, or none(\"why\")");
  if constexpr (kIsNone<F>) {
    return {nullptr, expression(Point()).why};
  } else {
    return {expression, {}};
  }
}

template <int kArity, class... F>
RowGradient row_gradient(F... expressions) {
  constexpr bool kNoneAtAll = sizeof...(F) == 1 && (kIsNone<F> && ...);
  static_assert(kNoneAtAll || sizeof...(F) == kArity,
                "a row of ops.def lacks gradients: one for each operand, or one none");
  RowGradient row{operand_gradient(expressions)...};
  if (kNoneAtAll) row.fill(row[0]);
  return row;
}

#define ETCH_GRADIENT(...)                                   \
  [](const Point& at) {                                      \
    [[maybe_unused]] const auto& [a, b, c, r, g] = at;       \
    return __VA_ARGS__;                                      \
  }
#define ETCH_GRADIENTS_1(x) ETCH_GRADIENT(x)
#define ETCH_GRADIENTS_2(x, y) ETCH_GRADIENT(x), ETCH_GRADIENT(y)
#define ETCH_GRADIENTS_3(x, y, z) ETCH_GRADIENT(x), ETCH_GRADIENT(y), ETCH_GRADIENT(z)
#define ETCH_FOURTH(a, b, c, d, ...) d
#define ETCH_GRADIENTS(...) \
  ETCH_FOURTH(__VA_ARGS__, ETCH_GRADIENTS_3, ETCH_GRADIENTS_2, ETCH_GRADIENTS_1)(__VA_ARGS__)

const OperandGradient& gradient_of(Op op, int operand) {
  static const std::array<RowGradient, kNumTableOps> kRows = {
#define ETCH_OP(name, arity, rule, accuracy, cost, evaluate, emit, ...) \
  row_gradient<arity>(ETCH_GRADIENTS(__VA_ARGS__)),
#include "compiler/ir/ops.def"
  };
  return kRows[static_cast<int>(op)][operand];
}

}  // namespace

std::string_view Row::why_no_gradient(int operand) const { return gradient_of(op, operand).why_none; }

Ex Row::gradient(const Backward& at, int operand) const {
  const auto x = [&](size_t i) { return i < at.operands.size() ? at.operands[i] : Ex(); };
  const Ex g = gradient_of(op, operand).make({x(0), x(1), x(2), at.results[0], at.cotangents[0]});
  return sum_to(g, x(operand).shape());
}

}  // namespace etch
