// The one way of every op: recorded while a function is traced, else compiled as a graph of one node and run.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "compiler/ir/graph.h"
#include "etch/tensor.h"
#include "frontend/tensor_impl.h"

namespace etch::detail {

/// The operands of one op, where the caller has them: they are not copied.
using OperandPointers = std::span<const Operand* const>;

/// The results of an op on tensors and numbers. Numbers take the dtype of the tensors beside them. `wanted` are the types
/// of the ops whose type says what they do (needs_type), else empty. Error if the op is illegal.
Tensors apply_all(const AnyOp& op, OperandPointers operands, std::span<const Type> wanted, Location where);

/// The result of an op that has one.
Tensor apply(const AnyOp& op, OperandPointers operands, const Type* wanted, Location where);

inline Tensor apply(const AnyOp& op, std::span<const Operand> operands, const Type* wanted, Location where) {
  absl::InlinedVector<const Operand*, 3> pointers;
  for (const Operand& operand : operands) pointers.push_back(&operand);
  return apply(op, OperandPointers(pointers), wanted, where);
}

inline Tensor apply(const AnyOp& op, std::initializer_list<Operand> operands, const Type* wanted = nullptr) {
  return apply(op, std::span<const Operand>(operands.begin(), operands.size()), wanted, operands.begin()->where());
}

/// The same on operands that stand apart.
template <std::same_as<Operand>... More>
Tensor apply_to(const AnyOp& op, const Operand& first, const More&... more) {
  const Operand* const operands[] = {&first, &more...};
  return apply(op, OperandPointers(operands), nullptr, first.where());
}

/// A tensor whose elements all have these bits; `op` is what the user called.
Tensor constant(const Type& type, uint64_t bits, std::string_view op, Location where);

}  // namespace etch::detail
