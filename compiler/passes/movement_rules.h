// Rules for the ops that move elements without computing: compositions, identities, and work done before a broadcast.
#pragma once

#include "compiler/passes/rules.h"

namespace etch {

/// Reshape, transpose, broadcast, slice, pad, concat, window, and reductions that move one element: see the rules in the
/// source.
Ex movement_rule(Rewriter& graph, const Expr& expr);

/// An elementwise op of broadcast operands computes before the broadcast: f(broadcast(x), c) = broadcast(f(x, c)).
/// Where another operand has the full shape the broadcast goes away, for elementwise ops broadcast by themselves.
Ex hoist_rule(Rewriter& graph, const Expr& expr);

}  // namespace etch
