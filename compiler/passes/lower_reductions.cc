// lower_reductions: one reduce per run of adjacent axes.
#include "compiler/passes/lower_reductions.h"

#include <algorithm>

#include "compiler/ir/ex.h"

namespace etch {
namespace {

/// Adjacent axes from `first` to `last` as one axis.
Ex join_axes(const Ex& x, int first, int last) {
  if (first == last) return x;
  Shape shape = x.shape();
  for (; first < last; --last) {
    shape[last - 1] *= shape[last];
    shape.erase(last);
  }
  return reshape(x, shape);
}

bool has_many_axes(const Node& node) {
  const auto* reduce = node.op.as<op::Reduce>();
  return reduce && reduce->axes.rank() > 1;
}

Replacement lower(GraphBuilder& builder, const Node& node, std::span<const Value> operands) {
  if (!has_many_axes(node)) return Replacement();
  const auto& [kind, axes] = *node.op.as<op::Reduce>();
  Emitter emitter(builder, node.origin);
  Ex x(emitter, operands[0]);
  for (int last = axes.rank() - 1; last >= 0;) {
    int first = last;
    while (first > 0 && axes[first - 1] == axes[first] - 1) --first;
    const int axis = static_cast<int>(axes[first]);
    x = reduce(join_axes(x, axis, axis + last - first), kind, {axis});
    last = first - 1;
  }
  return x.value();
}

}  // namespace

absl::StatusOr<Graph> lower_reductions(Graph graph) {
  if (std::none_of(graph.nodes().begin(), graph.nodes().end(), has_many_axes)) return graph;
  return rewrite(std::move(graph), lower);
}

}  // namespace etch
