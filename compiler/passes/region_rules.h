// Rules of simplify for ops with regions: what their channels carry.
#pragma once

#include <functional>

#include "compiler/passes/inline_graph.h"

namespace etch {

/// An op with regions on operands that are made already.
struct RegionExpr {
  GraphBuilder& builder;
  const Graph& graph;  // of the node
  const Node& node;
  std::span<const Value> operands;
  InlineFn improve_node;                                        // what stands for a node of a region that is made outside
  std::function<absl::StatusOr<Graph>(Graph)> improve_region;   // the passes' own work on a region that was changed
};

/// What is better than the op, or nothing.
absl::StatusOr<Replacement> region_rule(const RegionExpr& expr);

}  // namespace etch
