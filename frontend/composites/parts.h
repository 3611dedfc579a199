// What the ops that are written in terms of others share. Their names stay on the nodes as scopes.
#pragma once

#include <cstdint>
#include <string_view>

#include "etch/ops.h"

namespace etch::detail {

/// Error unless x is a tensor of a floating dtype.
void check_floating(const Operand& x, std::string_view op);

/// f(x), where f reduces. Of a storage-only dtype f sees the dtype that it computes in and the result is rounded once: the
/// count of elements and the sums on the way are seldom numbers of 8 or 11 bits.
template <class F>
Tensor rounded_once(const Tensor& x, F f) {
  const DType dtype = x.dtype();
  if (computes_itself(dtype)) return f(x);
  return cast(f(cast(x, info(dtype).compute)), dtype);
}

/// Both operands as tensors: a number takes the dtype of the tensor beside it.
struct Pair {
  Pair(const Operand& x, const Operand& y, std::string_view op);
  Tensor a, b;
};

/// softmax(query . key^T * scale) over the last two axes, with what may not be seen: scaled_dot_product_attention without
/// its last product. Both are float tensors of 2 axes or more.
Tensor attention_weights(const Tensor& query, const Tensor& key, const AttentionOptions& options, Location where);

/// x side by side with itself along one axis.
Tensor tile_axis(const Tensor& x, int64_t times, int axis, Location where);

}  // namespace etch::detail
