// Type inference: what the rules of the ops share.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "compiler/ir/any_op.h"
#include "compiler/ir/cat.h"

namespace etch {

/// An op on operand types whose number is right, with a sound result type if the op needs one; and how to complain of it.
class Inference {
 public:
  Inference(const AnyOp& op, std::span<const Type> operands, std::span<const Type> wanted)
      : operands(operands), op_(op), wanted_(wanted) {}

  const std::span<const Type> operands;
  /// The type that says what the op does.
  const Type& given() const { return wanted_[0]; }

  /// Says what is wrong after `op(operand types) fields -> given type: `.
  template <class... Parts>
  absl::Status error(const Parts&... parts) const {
    return error_text(cat(parts...));
  }

  absl::Status check_same_dtype(std::span<const Type> types) const;
  /// That the given type has the operand's dtype.
  absl::Status check_kept_dtype() const;
  absl::Status check_axis(int64_t axis, int rank) const;
  /// That a list has one entry per axis of the operand.
  absl::Status check_entries(std::string_view what, const Dims& entries, int rank) const;

 private:
  absl::Status error_text(const std::string& what) const;

  const AnyOp& op_;
  const std::span<const Type> wanted_;
};

/// A tensor's extents bound every number a field can sensibly hold; sums of two such numbers do not overflow.
constexpr bool in_bounds(int64_t value) { return -kMaxBytes <= value && value <= kMaxBytes; }

/// NumPy's broadcast of two shapes, or why there is none.
absl::StatusOr<Shape> broadcast_shapes(const Shape& a, const Shape& b);

}  // namespace etch
