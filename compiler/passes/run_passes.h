// The pass driver: all passes of passes.def over a graph, in order.
#pragma once

#include <functional>
#include <string_view>

#include "absl/status/statusor.h"
#include "compiler/ir/graph.h"

namespace etch {

struct PassOptions {
  bool prune_and_simplify = true;  // false: without the passes that only improve the graph
  bool fuse = true;                // false: without those that help fusion
  bool verify = false;             // the graph after each pass
};

/// Is told of the passes that changed the graph, with the result.
using PassObserver = std::function<void(std::string_view pass, const Graph&)>;

/// The graph after all passes.
absl::StatusOr<Graph> run_passes(const Graph& graph, const PassOptions& options, const PassObserver& observe = {});

}  // namespace etch
