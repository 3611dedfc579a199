// Constraints: what the weights of a model must keep to.
#pragma once

#include "etch/ops.h"
#include "etch/variable.h"

namespace [[gnu::visibility("default")]] etch {

// Names, formulas and defaults are Keras'. A variable has its constraint from its making (VariableOptions), a layer gives its
// own to its variables; an optimizer puts constraint(w) in the place of w after each of its updates. A norm is that along the axes,
// which are those of a unit's inputs: 0 of a matrix, {0, 1, 2} of the kernel of a two-dimensional convolution.
namespace constraints {

/// Scales down to a norm of at most max_value.
[[nodiscard]] Constraint max_norm(double max_value = 2, const Axes& axes = 0);
/// max(w, 0).
[[nodiscard]] Constraint non_neg();
/// Scales to a norm of 1.
[[nodiscard]] Constraint unit_norm(const Axes& axes = 0);
/// Scales to a norm between two values; a rate below 1 goes only a part of the way.
[[nodiscard]] Constraint min_max_norm(double min_value = 0, double max_value = 1, double rate = 1, const Axes& axes = 0);

}  // namespace constraints
}  // namespace etch
