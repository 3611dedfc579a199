// hoist: moves what a loop computes again and again out of it.
#pragma once

#include "compiler/passes/pass.h"

namespace etch {

/// Nodes of a loop's regions that depend on nothing the loop changes are computed before it, and come in as invariants.
/// Nodes that make more elements than they read stay, since the loop may compute them where they are used; and so do
/// products, for it is not certain that there is a turn, and what may fail.
absl::StatusOr<Graph> hoist(Graph graph);

}  // namespace etch
