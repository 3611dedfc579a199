// prune: drops what no output needs.
#pragma once

#include "compiler/passes/pass.h"

namespace etch {

/// The graph without the nodes that no output needs. Of an op with regions only what the results that are needed depend
/// on stays: its other results, what a loop carries for nobody, operands that no region reads, and what in the regions
/// served only those. A loop whose results nobody needs goes, whether it would end or not. Inputs of the graph all stay:
/// they are the function's signature.
absl::StatusOr<Graph> prune(Graph graph);

}  // namespace etch
