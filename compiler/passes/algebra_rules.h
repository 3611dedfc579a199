// Algebraic rules of the elementwise ops.
#pragma once

#include <span>

#include "compiler/passes/pattern.h"

namespace etch {

/// The identities of arithmetic, comparison, selection and logic that keep every bit. Of those with the same op on top
/// the first that matches counts.
std::span<const Equality> algebra();

/// These identities, and those of casts, as a rule.
Ex algebra_rule(Rewriter& graph, const Expr& expr);

}  // namespace etch
