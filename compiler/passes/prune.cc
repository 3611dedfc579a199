// prune: rewrite already drops what no output needs, so the pass keeps every node that it is shown.
#include "compiler/passes/prune.h"

namespace etch {

absl::StatusOr<Graph> prune(const Graph& graph) {
  const std::vector<bool> needed = needed_nodes(graph);
  int unneeded = 0;
  for (size_t i = 0; i < needed.size(); ++i) unneeded += !needed[i] && place(graph.nodes()[i].op) != Place::input;
  if (unneeded == 0) return graph;
  return rewrite(graph, [](GraphBuilder&, const Node&, std::span<const Value>) { return Replacement(); });
}

}  // namespace etch
