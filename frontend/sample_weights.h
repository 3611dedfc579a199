// How losses and metrics weigh samples, and how they read labels.
#pragma once

#include <string_view>

#include "etch/tensor.h"

namespace etch::detail {

/// A weight beside values: of their dtype, with an axis of 1 in the place of each axis that it lacks behind. Error unless its
/// axes are the first ones of the values.
Tensor weight_beside(const Tensor& values, Tensor weight, std::string_view op, Location where);

/// Labels as i64, of the scores' shape without its last axis. Error for what cannot be labels of these scores.
Tensor labels_of(const Operand& y, const Operand& scores, std::string_view op);

}  // namespace etch::detail
