// reduce: one element after the other, in long double or 64 bits.
#include "compiler/ir/ops/reduce.h"

#include <limits>

#include "compiler/ir/gradient.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/oracle.h"
#include "compiler/ir/walk.h"

namespace etch::op {
namespace {

/// How one reduction takes in a value and what is left in the end.
template <class T>
class Reducer {
 public:
  explicit Reducer(ReduceKind kind) : kind_(kind) {
    using Limits = std::numeric_limits<T>;
    const T lowest = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    const T highest = Limits::has_infinity ? Limits::infinity() : Limits::max();
    if (kind == ReduceKind::max) best_ = lowest;
    if (kind == ReduceKind::min) best_ = highest;
    if (kind == ReduceKind::all) best_ = static_cast<T>(true);
    if (kind == ReduceKind::prod) sum_ = 1;
  }

  void take(T value) {
    switch (kind_) {
      case ReduceKind::sum: sum_ = oracle::add(sum_, static_cast<Sum>(value)); break;
      case ReduceKind::prod: sum_ = oracle::mul(sum_, static_cast<Sum>(value)); break;
      case ReduceKind::max: best_ = oracle::max(best_, value); break;
      case ReduceKind::min: best_ = oracle::min(best_, value); break;
      case ReduceKind::any: best_ = best_ || value; break;
      case ReduceKind::all: best_ = best_ && value; break;
      case ReduceKind::argmax: find(value, value > best_); break;
      case ReduceKind::argmin: find(value, value < best_); break;
    }
    ++count_;
  }

  void finish(Literal& result, int64_t i) const {
    switch (kind_) {
      case ReduceKind::sum:
      case ReduceKind::prod: return store(result, i, static_cast<T>(sum_));
      case ReduceKind::argmax:
      case ReduceKind::argmin: return store(result, i, index_);
      case ReduceKind::max:
      case ReduceKind::min:
        // A zero is +0: which of two zeros was first would depend on the order.
        if constexpr (std::is_floating_point_v<T>) return store(result, i, best_ + T{0});
        [[fallthrough]];
      default: return store(result, i, best_);
    }
  }

 private:
  using Sum = std::conditional_t<std::is_floating_point_v<T>, long double, int64_t>;

  /// The first NaN wins over all numbers, else the first of the best.
  void find(T value, bool better) {
    const bool best_is_nan = best_ != best_;
    if (count_ > 0 && (best_is_nan || (!better && value == value))) return;
    best_ = value;
    index_ = count_;
  }

  ReduceKind kind_;
  T best_{};
  Sum sum_ = 0;
  int64_t index_ = 0;
  int64_t count_ = 0;
};

}  // namespace

absl::StatusOr<Type> Reduce::infer(const Inference& in) const {
  const Type& operand = in.operands[0];
  const bool logical = kind == ReduceKind::any || kind == ReduceKind::all;
  const bool finds_index = kind == ReduceKind::argmax || kind == ReduceKind::argmin;
  if (logical == is_numeric(operand.dtype)) {
    return in.error(name(kind), " takes ", logical ? "bool" : list_dtypes(is_numeric), ", not ",
                    name(operand.dtype), logical ? "; compare first, as in x != 0" : "; cast first");
  }
  if (axes.empty()) return in.error("there is no axis to reduce");
  if (finds_index && axes.rank() != 1) return in.error(name(kind), " takes one axis; reshape to join axes");
  Shape shape = operand.shape;
  for (int i = axes.rank() - 1; i >= 0; --i) {
    const int64_t axis = axes[i];
    if (absl::Status status = in.check_axis(axis, operand.shape.rank()); !status.ok()) return status;
    if (i > 0 && axes[i - 1] >= axis) return in.error("axes must be ascending and distinct");
    if (finds_index && operand.shape[axis] == 0) {
      return in.error("axis ", axis, " has extent 0, so there is no element to find");
    }
    shape.erase(static_cast<int>(axis));
  }
  return Type{finds_index ? DType::i64 : operand.dtype, shape};
}

Literal Reduce::evaluate(Literals operands, const Type& type) const {
  const Literal& operand = *operands[0];
  const Dims strides = row_major_strides(operand.type.shape);
  Dims kept_strides;
  Dims reduced_strides;
  Shape reduced;
  for (int axis = 0; axis < strides.rank(); ++axis) {
    const bool is_reduced = axes.contains(axis);
    (is_reduced ? reduced_strides : kept_strides).push_back(strides[axis]);
    if (is_reduced) reduced.push_back(operand.type.shape[axis]);
  }
  Literal result = make_literal(type);
  Walk kept(type.shape, kept_strides);
  dispatch_computed(operand.type.dtype, [&]<class T>() {
    for (int64_t i = 0, n = type.size(), count = reduced.product(); i < n; ++i, kept.next()) {
      Reducer<T> reducer(kind);
      Walk walk(reduced, reduced_strides, kept.offset());
      for (int64_t j = 0; j < count; ++j, walk.next()) reducer.take(load<T>(operand, walk.offset()));
      reducer.finish(result, i);
    }
  });
  return result;
}

namespace {

/// x without its last or its first `by` elements along axis 1, and as many ones at the other end.
Ex shift(const Ex& x, int64_t by, bool to_the_end) {
  const Shape shape = x.shape();
  const Ex part = slice(x, {0, to_the_end ? 0 : by}, {1, 1}, {shape[0], shape[1] - by});
  return pad(part, number(x.maker(), x.dtype(), 1), {0, to_the_end ? by : 0}, {0, to_the_end ? 0 : by});
}

/// For each element of a row the product of those before it, or of those behind it, by doubling.
Ex product_of_others(const Ex& x, bool before) {
  const int64_t n = x.shape()[1];
  Ex product = shift(x, 1, before);
  for (int64_t taken = 1; taken < n - 1; taken *= 2) product = product * shift(product, taken, before);
  return product;
}

/// g times the product of all others: no division, so that zeros are right, in derivatives of it too.
Ex gradient_of_product(const Ex& x, const Ex& g, const Dims& axes) {
  const Shape shape = x.shape();
  Dims perm, inverse = Dims::filled(shape.rank(), 0);
  int64_t n = 1;
  for (int i = 0; i < shape.rank(); ++i) {
    if (!axes.contains(i)) perm.push_back(i);
  }
  for (int64_t axis : axes) {
    perm.push_back(axis);
    n *= shape[static_cast<int>(axis)];
  }
  if (n < 2) return broadcast(g, shape);
  for (int i = 0; i < perm.rank(); ++i) inverse[static_cast<int>(perm[i])] = i;
  const Ex moved = transpose(x, perm);
  const Shape moved_shape = moved.shape();
  const int64_t rows = moved_shape.product() / n;
  const Ex y = reshape(moved, {rows, n});
  const Ex others = product_of_others(y, true) * product_of_others(y, false);
  return transpose(reshape(reshape(g, {rows, 1}) * others, moved_shape), inverse);
}

}  // namespace

Ex Reduce::gradient(const Backward& at, int) const {
  const Ex& x = at.operands[0];
  const Shape shape = x.shape();
  const DType dtype = x.dtype();
  Shape kept = shape;
  for (int64_t axis : axes) kept[static_cast<int>(axis)] = 1;
  const Ex g = reshape(at.cotangents[0], kept);
  switch (kind) {
    case ReduceKind::sum: return broadcast(g, shape);
    case ReduceKind::prod: return gradient_of_product(x, g, axes);
    case ReduceKind::max:
    case ReduceKind::min: {
      // Equal elements share it.
      const Ex chosen = etch::cast(x == reshape(at.results[0], kept), dtype);
      return chosen * (g / reshape(sum(chosen, axes), kept));
    }
    case ReduceKind::any:
    case ReduceKind::all:
    case ReduceKind::argmax:
    case ReduceKind::argmin: break;
  }
  ETCH_UNREACHABLE("no operand or no result is of floats");
}

}  // namespace etch::op
