// What decides the compiled function of an eager op.
#pragma once

#include "absl/container/inlined_vector.h"
#include "compiler/ir/any_op.h"

namespace etch {

struct Target;

namespace detail {

/// An op on operands of these types, for a processor; `wanted` holds the result's type where the caller gives it. Compared
/// in full.
struct EagerKey {
  AnyOp op;
  absl::InlinedVector<Type, 3> operands;
  Types wanted;
  const Target* target = nullptr;  // one of those that stay for the process

  bool operator==(const EagerKey&) const = default;
  template <class H>
  friend H AbslHashValue(H h, const EagerKey& key) {
    return H::combine(std::move(h), key.op, key.operands, key.wanted, key.target);
  }
};

}  // namespace detail
}  // namespace etch
