// lower_reductions: one reduce per run of adjacent axes.
#include "compiler/passes/lower_reductions.h"

#include <algorithm>

namespace etch {
namespace {

/// Reduces `count` adjacent axes from `axis` on, as one axis.
absl::StatusOr<Value> reduce_run(GraphBuilder& builder, Value x, ReduceKind kind, int axis, int count, Origin origin) {
  Type type = builder.type(x);
  if (count > 1) {
    for (int i = 1; i < count; ++i) {
      type.shape[axis] *= type.shape[axis + 1];
      type.shape.erase(axis + 1);
    }
    absl::StatusOr<Value> joined = builder.emit(op::Reshape{}, {&x, 1}, type, origin);
    if (!joined.ok()) return joined;
    x = *joined;
  }
  return builder.emit(op::Reduce{kind, Dims{axis}}, {&x, 1}, origin);
}

bool has_many_axes(const Node& node) {
  const auto* reduce = node.op.as<op::Reduce>();
  return reduce && reduce->axes.rank() > 1;
}

absl::StatusOr<Replacement> lower(GraphBuilder& builder, const Node& node, std::span<const Value> operands) {
  if (!has_many_axes(node)) return Replacement();
  const auto& [kind, axes] = *node.op.as<op::Reduce>();
  Value x = operands[0];
  for (int last = axes.rank() - 1; last >= 0;) {
    int first = last;
    while (first > 0 && axes[first - 1] == axes[first] - 1) --first;
    absl::StatusOr<Value> reduced =
        reduce_run(builder, x, kind, static_cast<int>(axes[first]), last - first + 1, node.origin);
    if (!reduced.ok()) return reduced;
    x = *reduced;
    last = first - 1;
  }
  return x;
}

}  // namespace

absl::StatusOr<Graph> lower_reductions(const Graph& graph) {
  if (std::none_of(graph.nodes().begin(), graph.nodes().end(), has_many_axes)) return graph;
  return rewrite(graph, lower);
}

}  // namespace etch
