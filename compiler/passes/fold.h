// fold: computes at compile time what depends on constants alone.
#pragma once

#include "compiler/passes/rules.h"

namespace etch {

/// Replaces by constants: elementwise ops of constants, movement, pad and concat of one constant, reductions of
/// constants whose bits do not depend on the order of summation, iota along an axis of extent 1, and all tensors
/// without elements.
///
/// Elementwise ops are computed by the `emit` column of ops.def on native lanes, which gives the bits of compiled code.
/// The sign and payload of a NaN are the processor's business, so what gives NaN is left to it.
absl::StatusOr<Graph> fold(Graph graph);

/// The same as a rule: the constant that an expression equals.
Ex fold_rule(Rewriter& graph, const Expr& expr);

}  // namespace etch
