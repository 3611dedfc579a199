// Algebraic rules of the elementwise ops.
#pragma once

#include "compiler/passes/rules.h"

namespace etch {

/// The identities of arithmetic, comparison, selection, logic and casts that keep every bit. In the source each rule
/// is one line that ends with the rule as maths; where floats are left out, the note says what would change.
Better algebra_rule(Rewriter& graph, const Expr& expr);

}  // namespace etch
