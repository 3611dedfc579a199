// Rows: the parts of eager tensors along their first axis.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "etch/tensor.h"

namespace etch::detail {

/// How many rows x has. Error for rank 0 and for a value of a trace; `op` is what the user called.
int64_t count_rows(const Tensor& x, std::string_view op, Location where);

/// A copy of the rows with these numbers.
Tensor take_rows(const Tensor& x, std::span<const int64_t> numbers);

/// Tensors one after the other as one. They are at least one, and alike but for the number of rows.
Tensor join_rows(const std::vector<Tensor>& parts);

}  // namespace etch::detail
