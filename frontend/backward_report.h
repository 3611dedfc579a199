// What a concrete function keeps for derivatives, as explain() tells it.
#pragma once

#include <string>

#include "frontend/concrete.h"

namespace etch::detail {

/// What the backward pass in the function itself reads of its forward pass, and what its forward function gives to tapes that
/// recorded a call; nothing if there is neither.
std::string backward_text(const Concrete& concrete);

}  // namespace etch::detail
