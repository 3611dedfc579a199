// iota: indices.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// Each element is its index along an axis; the shape stands in the type.
struct Iota {
  int64_t axis = 0;

  static constexpr Traits kTraits{0, ResultType::given, Place::index, 0};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  static constexpr std::string_view kNoGradient = "has no operands";
  int index_axis() const { return static_cast<int>(axis); }
  bool operator==(const Iota&) const = default;
};

}  // namespace etch::op
