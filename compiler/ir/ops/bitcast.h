// bitcast: the bits read as another dtype.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// The bits read as another dtype of the same size, which stands in the type.
struct Bitcast {
  static constexpr Traits kTraits{1, ResultType::given, Place::elementwise, 0};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  static constexpr std::string_view kNoGradient = "reads bits";
  bool operator==(const Bitcast&) const = default;
};

}  // namespace etch::op
