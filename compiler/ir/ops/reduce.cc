// reduce: one element after the other, in long double or 64 bits.
#include "compiler/ir/ops/reduce.h"

#include <limits>

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

}  // namespace etch::op
