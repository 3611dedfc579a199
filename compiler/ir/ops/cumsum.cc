// cumsum: a running sum for each row along the axis.
#include "compiler/ir/ops/cumsum.h"

#include "compiler/ir/gradient.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/ops/indices.h"
#include "compiler/ir/oracle.h"
#include "compiler/ir/walk.h"
#include "runtime/library.h"
#include "runtime/rounding.h"

namespace etch::op {

absl::StatusOr<Type> Cumsum::infer(const Inference& in) const {
  const Type& operand = in.operands[0];
  if (!is_numeric(operand.dtype)) return in.error("takes ", list_dtypes(is_numeric), ", not bool; cast first");
  if (operand.shape.empty()) return in.error("the operand has rank 0, so there is no axis to sum along");
  if (absl::Status status = in.check_axis(axis, operand.shape.rank()); !status.ok()) return status;
  return operand;
}

Literal Cumsum::evaluate(Literals operands, const Type& type) const {
  const Literal& x = *operands[0];
  const Rows rows(type.shape, static_cast<int>(axis));
  const int64_t n = type.shape[static_cast<int>(axis)];
  Literal result = make_literal(type);
  dispatch_computed(type.dtype, [&]<class T>() {
    if constexpr (!std::is_same_v<T, bool>) {
      for (int64_t row = 0; row < rows.before * rows.behind; ++row) {
        const int64_t first = row / rows.behind * n * rows.behind + row % rows.behind;
        T sum{};
        for (int64_t i = 0; i < n; ++i) {
          const int64_t at = first + (reverse ? n - 1 - i : i) * rows.behind;
          const T value = load<T>(x, at);
          const T next = i == 0 ? value : oracle::add(sum, value);
          store(result, at, exclusive ? sum : next);
          sum = next;
        }
      }
    }
  });
  return result;
}

LibraryCall Cumsum::call(std::span<const Type> operands) const {
  const auto& [dtype, shape] = operands[0];
  const Rows rows(shape, static_cast<int>(axis));
  const int64_t n = shape[static_cast<int>(axis)];
  const int64_t panels = ceil_div(rows.behind, kCumsumPanel);
  const int64_t columns = rows.behind < kCumsumPanel ? rows.behind : kCumsumPanel;
  return {Library::cumsum, dtype, {n, rows.behind, exclusive, reverse}, rows.before * panels, n * (4 + columns / 4)};
}

Ex Cumsum::gradient(const Backward& at, int) const {
  const Ex& g = at.cotangents[0];
  const Value operand = g.value();
  return {g.maker(), g.maker().make(Cumsum{axis, exclusive, !reverse}, {&operand, 1}, nullptr)};
}

}  // namespace etch::op
