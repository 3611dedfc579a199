// Variables read at one moment, together with other things.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "frontend/variable_cell.h"

namespace etch::detail {

/// The tensors that stand in built variables at one moment, in which `meanwhile` is called: no assignment of any of
/// them comes in between. It reads the same values in them; what it assigns is lost.
std::vector<Tensor> read_together(std::span<VariableCell* const> cells, const std::function<void()>& meanwhile);

}  // namespace etch::detail
