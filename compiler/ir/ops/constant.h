// constant: one value everywhere.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// Every element has the same value; the shape stands in the type.
struct Constant {
  uint64_t value = 0;  // the element's bytes, little endian, the rest zero: equality is by bits

  static constexpr Traits kTraits{0, ResultType::given, Place::splat, 0};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  static constexpr std::string_view kNoGradient = "has no operands";
  uint64_t bits() const { return value; }
  bool operator==(const Constant&) const = default;
};

}  // namespace etch::op
