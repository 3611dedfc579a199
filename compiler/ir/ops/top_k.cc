// top_k: a stable sort of each row.
#include "compiler/ir/ops/top_k.h"

#include <algorithm>
#include <bit>
#include <numeric>

#include "compiler/ir/gradient.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/walk.h"

namespace etch::op {
namespace {

/// NaN before all numbers, else the larger one before the smaller.
template <class T>
bool ranks_before(T a, T b) {
  const bool a_is_nan = a != a;
  const bool b_is_nan = b != b;
  if (a_is_nan || b_is_nan) return a_is_nan && !b_is_nan;
  return a > b;
}

}  // namespace

absl::StatusOr<Types> TopK::infer(const Inference& in) const {
  const Type& operand = in.operands[0];
  if (!is_numeric(operand.dtype)) return in.error("takes ", list_dtypes(is_numeric), ", not bool; cast first");
  if (operand.shape.empty()) return in.error("the operand has rank 0, so there is no axis to select along");
  if (k < 0) return in.error("k is negative");
  const int64_t n = operand.shape.back();
  if (k > n) return in.error("k is larger than the extent ", n, " of the last axis");
  Shape shape = operand.shape;
  shape[shape.rank() - 1] = k;
  return Types{Type{operand.dtype, shape}, Type{DType::i64, shape}};
}

std::vector<Literal> TopK::evaluate(Literals operands, std::span<const Type> types) const {
  const Literal& operand = *operands[0];
  const int64_t n = operand.type.shape.back();
  std::vector<Literal> results{make_literal(types[0]), make_literal(types[1])};
  dispatch(operand.type.dtype, [&]<class T>() {
    std::vector<int64_t> order(n);
    for (int64_t row = 0, rows = k == 0 ? 0 : types[0].size() / k; row < rows; ++row) {
      std::iota(order.begin(), order.end(), int64_t{0});
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        return ranks_before(load<T>(operand, row * n + a), load<T>(operand, row * n + b));
      });
      for (int64_t j = 0; j < k; ++j) {
        copy_element(operand, row * n + order[j], results[0], row * k + j);
        store(results[1], row * k + j, order[j]);
      }
    }
  });
  return results;
}

LibraryCall TopK::call(std::span<const Type> operands) const {
  const int64_t n = operands[0].shape.back();
  const int64_t rows = n == 0 ? 0 : operands[0].size() / n;
  const auto levels = static_cast<int64_t>(std::bit_width(static_cast<uint64_t>(k)));
  return {Library::top_k, operands[0].dtype, {n, k}, rows, 2 * n + 8 * k * levels};
}

/// Each element of a row gets the cotangent of the place that it took among the k, or 0.
Ex TopK::gradient(const Backward& at, int) const {
  const Shape shape = at.operands[0].shape();
  const int64_t n = shape.back();
  const int64_t rows = n == 0 ? 0 : shape.product() / n;
  ExMaker& maker = at.results[1].maker();
  const Ex begins = iota(maker, 0, {DType::i64, {rows, 1}}) * number(maker, DType::i64, n);
  const Ex places = reshape(reshape(at.results[1], {rows, k}) + begins, {rows * k});
  const Ex& g = at.cotangents[0];
  const Ex zero = number(maker, g.dtype(), 0);
  return reshape(scatter_add(zero, places, reshape(g, {rows * k}), 0, rows * n), shape);
}

}  // namespace etch::op
