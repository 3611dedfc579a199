// What decides the compiled function of an eager op.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "absl/container/inlined_vector.h"
#include "absl/hash/hash.h"
#include "compiler/ir/any_op.h"

namespace etch {

struct Target;

namespace detail {

/// The type of an operand that stands elsewhere.
struct OperandType {
  DType dtype;
  const Shape* shape;
};

/// An op on operands of these types, for a processor; `wanted` holds the results' types where the caller gives them. It only
/// points: a look-up copies nothing.
struct EagerKeyView {
  const AnyOp& op;
  std::span<const OperandType> operands;
  std::span<const Type> wanted;
  const Target* target;   // one of those that stay for the process

  /// The op and the types as one word, a product for each number in them: every eager call waits for this.
  uint64_t quick_hash() const {
    uint64_t sum = mixed(operands.size(), static_cast<uint64_t>(static_cast<Op>(op)));
    if (!is_table_op(op)) sum = mixed(sum, absl::HashOf(op));  // its fields, which an op of the table has none of
    for (const auto& [dtype, shape] : operands) sum = mixed(sum, dtype, *shape);
    for (const Type& type : wanted) sum = mixed(sum, type.dtype, type.shape);
    return sum;
  }

  template <class H>
  friend H AbslHashValue(H h, const EagerKeyView& key) {
    return H::combine(std::move(h), key.target, key.quick_hash());
  }
  /// In full: a field that is added does not compile until it stands here.
  friend bool operator==(const EagerKeyView& a, const EagerKeyView& b) {
    const auto& [op, operands, wanted, target] = a;
    const auto same_type = [](const OperandType& one, const OperandType& other) {
      const auto& [dtype, shape] = one;
      return dtype == other.dtype && *shape == *other.shape;
    };
    const bool same_op = is_table_op(op) ? static_cast<Op>(op) == static_cast<Op>(b.op) : op == b.op;
    return same_op && target == b.target && std::ranges::equal(operands, b.operands, same_type) &&
           std::ranges::equal(wanted, b.wanted);
  }

 private:
  static uint64_t mixed(uint64_t sum, uint64_t number) {
    constexpr uint64_t kOdd = 0x9E3779B97F4A7C15;
    return (sum ^ (sum >> 32) ^ number) * kOdd;
  }
  static uint64_t mixed(uint64_t sum, DType dtype, const Shape& shape) {
    sum = mixed(sum, static_cast<uint64_t>(dtype) + 256 * static_cast<uint64_t>(shape.rank()));
    for (int64_t extent : shape) sum = mixed(sum, static_cast<uint64_t>(extent));
    return sum;
  }
};

/// The same with what it points to.
class EagerKey {
 public:
  explicit EagerKey(const EagerKeyView& key) : op_(key.op), target_(key.target) {
    for (const auto& [dtype, shape] : key.operands) operands_.push_back({dtype, *shape});
    for (const Type& type : operands_) operand_types_.push_back({type.dtype, &type.shape});
    wanted_.assign(key.wanted.begin(), key.wanted.end());
  }
  EagerKey(const EagerKey&) = delete;
  EagerKey& operator=(const EagerKey&) = delete;

  Op op() const { return op_; }
  EagerKeyView view() const { return {op_, operand_types_, wanted_, target_}; }

 private:
  AnyOp op_;
  absl::InlinedVector<Type, 3> operands_;
  absl::InlinedVector<OperandType, 3> operand_types_;  // of operands_
  Types wanted_;
  const Target* target_;
};

}  // namespace detail
}  // namespace etch
