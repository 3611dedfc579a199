// What the ops that are written in terms of others share. Their names stay on the nodes as scopes.
#pragma once

#include <cstdint>
#include <string_view>

#include "etch/ops.h"

namespace etch::detail {

/// Error unless x is a tensor of a floating dtype.
void check_floating(const Operand& x, std::string_view op);

/// Both operands as tensors: a number takes the dtype of the tensor beside it.
struct Pair {
  Pair(const Operand& x, const Operand& y, std::string_view op);
  Tensor a, b;
};

/// x side by side with itself along one axis.
Tensor tile_axis(const Tensor& x, int64_t times, int axis, Location where);

}  // namespace etch::detail
