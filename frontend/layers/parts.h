// What layers share.
#pragma once

#include <string_view>

#include "compiler/ir/cat.h"
#include "etch/initializers.h"
#include "etch/ops.h"
#include "etch/variable.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch::layers {

/// The tensor that a layer is called on. Error unless it is of floats and has at least this rank.
const Tensor& input_of(const Operand& x, std::string_view layer, int min_rank);

/// The same of exactly this rank, 3 for sequences and 4 for pictures, channels last.
const Tensor& input_of_rank(const Operand& x, std::string_view layer, int rank);

/// Builds a layer's variable by the first call. Error if it has another shape than this call needs.
void build(const Variable& variable, const Initializer& initializer, const Shape& shape, const Tensor& x,
           std::string_view layer, Location where);

/// An axis of x counted from the front. Error if there is none.
int axis_of(int64_t axis, const Tensor& x, std::string_view layer, Location where);

}  // namespace etch::layers
