// The elementwise ops of the table: their type rules, and the `evaluate` column.
#include "compiler/ir/ops/row.h"

#include <algorithm>

#include "compiler/ir/inference.h"
#include "compiler/ir/oracle.h"
#include "compiler/ir/walk.h"

namespace etch {
namespace {

absl::StatusOr<DType> result_dtype(const Inference& in, Op op) {
  const TypeRule rule = info(op).rule;
  const bool selects = rule == TypeRule::select;
  if (selects && in.operands[0].dtype != DType::boolean) {
    return in.error("the condition has dtype ", name(in.operands[0].dtype), ", not bool; compare it, as in x != 0");
  }
  const std::span<const Type> values = in.operands.subspan(selects ? 1 : 0);
  if (absl::Status status = in.check_same_dtype(values); !status.ok()) return status;
  const DType dtype = values[0].dtype;
  if (!takes(rule, dtype)) {
    return in.error("takes ", list_dtypes(rule), ", not ", name(dtype), "; cast first",
                    op == Op::div ? ", or use floor_div or trunc_div" : "");
  }
  switch (rule) {
    case TypeRule::equality:
    case TypeRule::ordering:
    case TypeRule::predicate: return DType::boolean;
    case TypeRule::floating:
    case TypeRule::numeric:
    case TypeRule::integer:
    case TypeRule::word64:
    case TypeRule::logical:
    case TypeRule::select: break;
  }
  return dtype;
}

/// The type an op's row is evaluated in.
template <Accuracy kAccuracy, class T>
using Computed = std::conditional_t<kAccuracy == Accuracy::approximate && std::is_floating_point_v<T>, long double, T>;

template <class Condition, class T, class Result, Accuracy kAccuracy, class F>
Literal map_elements(const Type& type, Literals operands, F f) {
  Literal result = make_literal(type);
  const int last = static_cast<int>(operands.size()) - 1;
  const auto walk = [&](int i) { return Walk(type.shape, broadcast_strides(operands[i]->type.shape, type.shape)); };
  // Rows of fewer operands ignore the others, so those may be any.
  Walk a = walk(0);
  Walk b = walk(std::min(1, last));
  Walk c = walk(last);
  const Literal& of_b = *operands[std::min(1, last)];
  const Literal& of_c = *operands[last];
  using C = Computed<kAccuracy, T>;
  using A = std::conditional_t<std::is_same_v<Condition, bool>, bool, C>;
  for (int64_t i = 0, n = type.size(); i < n; ++i, a.next(), b.next(), c.next()) {
    store(result, i,
          static_cast<Result>(f(static_cast<A>(load<Condition>(*operands[0], a.offset())),
                                static_cast<C>(load<T>(of_b, b.offset())), static_cast<C>(load<T>(of_c, c.offset())))));
  }
  return result;
}

constexpr bool gives_bool(TypeRule rule) {
  return rule == TypeRule::equality || rule == TypeRule::ordering || rule == TypeRule::predicate;
}

/// Calls a row's expression for the dtypes that its rule takes; the verifier let no others through.
template <TypeRule kRule, Accuracy kAccuracy, class F>
Literal table_row(const Type& type, Literals operands, F f) {
  return dispatch_computed(operands.back()->type.dtype, [&]<class T>() -> Literal {
    if constexpr (takes(kRule, dtype_of<T>)) {
      using Condition = std::conditional_t<kRule == TypeRule::select, bool, T>;
      using Result = std::conditional_t<gives_bool(kRule), bool, T>;
      return map_elements<Condition, T, Result, kAccuracy>(type, operands, f);
    } else {
      return {};
    }
  });
}

/// The only row that takes storage-only dtypes as they are (computes_wide).
Literal evaluate_short_nextafter(Literals operands, const Type& type) {
  return dispatch(type.dtype, [&]<class T>() -> Literal {
    if constexpr (!computes_itself(dtype_of<T>)) {
      return map_elements<T, T, T, Accuracy::exact>(type, operands, [](T a, T b, T) { return oracle::nextafter(a, b); });
    }
    return {};
  });
}

}  // namespace

Literal Row::evaluate(Literals operands, const Type& type) const {
  if (op == Op::nextafter && !computes_itself(type.dtype)) return evaluate_short_nextafter(operands, type);
  switch (op) {
#define ETCH_OP(name, arity, rule, accuracy, cost, evaluate, emit, ...)                                   \
  case Op::name:                                                                                          \
    return table_row<TypeRule::rule, Accuracy::accuracy>(                                                 \
        type, operands, []([[maybe_unused]] auto a, [[maybe_unused]] auto b, [[maybe_unused]] auto c) {   \
          return evaluate;                                                                                \
        });
#define ETCH_STRUCTURAL_OP(name, Struct) case Op::name:
#include "compiler/ir/ops.def"
    break;  // no row
  }
  return {};
}

absl::StatusOr<Type> Row::infer(const Inference& in) const {
  absl::StatusOr<DType> dtype = result_dtype(in, op);
  if (!dtype.ok()) return dtype.status();
  Shape shape = in.operands[0].shape;
  for (const Type& operand : in.operands.subspan(1)) {
    if (operand.shape == shape) continue;
    absl::StatusOr<Shape> both = broadcast_shapes(shape, operand.shape);
    if (!both.ok()) return in.error(std::string(both.status().message()));
    shape = *both;
  }
  return Type{*dtype, shape};
}

}  // namespace etch
