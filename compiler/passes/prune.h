// prune: drops the nodes that no output needs.
#pragma once

#include "compiler/passes/pass.h"

namespace etch {

/// The graph without the nodes that no output needs. Inputs all stay: they are the function's signature.
absl::StatusOr<Graph> prune(const Graph& graph);

}  // namespace etch
