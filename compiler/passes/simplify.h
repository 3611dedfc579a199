// simplify: replaces expressions by equal ones that cost less.
#pragma once

#include "compiler/passes/pass.h"

namespace etch {

/// Applies fold's rule, the algebraic rules (algebra_rules.h) and the rules of movement (movement_rules.h) to every
/// node until none has anything to say. All keep every bit of every result, quiet NaNs and signed zeros included. The
/// one exception is IEEE 754's: arithmetic that is dropped, such as x * 1, leaves a signalling NaN signalling.
absl::StatusOr<Graph> simplify(Graph graph);

}  // namespace etch
