// window: the parts of a tensor that a window sees as it slides along axes.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// The result has the operand's axes, the extent of axes[i] being the number of places of the window along it, and
/// behind them one axis of extent size[i] for each. At place p, element k along axes[i] is the operand's p * step[i] +
/// k * dilation[i]; only whole windows count.
struct Window {
  Dims axes;                  // distinct
  Dims size, step, dilation;  // positive; one of each for each axis

  static constexpr Traits kTraits{1, ResultType::inferred, Place::movement, 0};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  Ex gradient(const Backward& at, int operand) const;
  Movement movement(const Shape& operand, const Shape& result) const;
  /// In a window of one element the dilation says nothing.
  void make_canonical(const Type& type);
  bool operator==(const Window&) const = default;
};

}  // namespace etch::op
