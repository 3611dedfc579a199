// cumsum: the sums of the elements so far along an axis.
#pragma once

#include <span>

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// Each element and all before it along an axis, added in their order; `exclusive` without the element itself, so that the
/// first sum is 0; `reverse` from the end.
struct Cumsum {
  int64_t axis = 0;
  bool exclusive = false;
  bool reverse = false;

  static constexpr Traits kTraits{1, ResultType::inferred, Place::call, 0, true};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  Ex gradient(const Backward& at, int operand) const;
  LibraryCall call(std::span<const Type> operands) const;
  bool operator==(const Cumsum&) const = default;
};

}  // namespace etch::op
