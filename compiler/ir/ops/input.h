// input: the argument of a function.
#pragma once

#include "compiler/ir/ops/structural_op.h"

namespace etch::op {

/// The argument of a function; GraphBuilder::input makes it.
struct Input {
  int64_t index = 0;

  static constexpr Traits kTraits{0, ResultType::given, Place::input, 0};
  absl::StatusOr<Type> infer(const Inference& in) const;
  Literal evaluate(Literals operands, const Type& type) const;
  static constexpr std::string_view kNoGradient = "has no operands";
  bool operator==(const Input&) const = default;
};

}  // namespace etch::op
