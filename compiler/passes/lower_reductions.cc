// lower_reductions: one reduce per run of adjacent axes, and an index that is looked for in a long row is looked for in pieces of it.
#include "compiler/passes/lower_reductions.h"

#include <algorithm>
#include <array>

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

// Pieces of a row, of which several threads take some each. Other reductions of few long rows run in blocks; an index does not
// go together with that of another block by itself.
constexpr int64_t kPiece = 16384;
constexpr int64_t kFewestPieces = 16;

/// True if the node looks for an index in all elements of one long row.
bool searches_long_row(const Node& node, const Type& row) {
  const auto* reduce = node.op.as<op::Reduce>();
  const bool searches = reduce && (reduce->kind == ReduceKind::argmax || reduce->kind == ReduceKind::argmin);
  return searches && row.shape.rank() == 1 && row.shape[0] >= kFewestPieces * kPiece;
}

/// The index of the best element of a row: that of the first piece with the best one, in it the first one. A NaN is the best, in a
/// piece as in the row.
Ex search_in_pieces(const Ex& row, ReduceKind kind) {
  const int64_t n = row.shape()[0], pieces = n / kPiece, rest = n % kPiece;
  const ReduceKind best = kind == ReduceKind::argmax ? ReduceKind::max : ReduceKind::min;
  const Ex main = reshape(rest == 0 ? row : slice(row, {0}, {1}, {pieces * kPiece}), {pieces, kPiece});
  Ex values = reduce(main, best, {1});
  Ex places = reduce(main, kind, {1}) + iota(row.maker(), 0, {DType::i64, {pieces}}) * kPiece;
  if (rest > 0) {
    const Ex tail = slice(row, {pieces * kPiece}, {1}, {rest});
    const Ex value = reshape(reduce(tail, best, {0}), {1}), place = reshape(reduce(tail, kind, {0}) + pieces * kPiece, {1});
    values = concat(std::array{values, value}, 0);
    places = concat(std::array{places, place}, 0);
  }
  const Ex winner = broadcast(reduce(values, kind, {0}), values.shape());
  return sum(where(iota(row.maker(), 0, {DType::i64, values.shape()}) == winner, places, 0), {0});
}

bool is_lowered(const Graph& graph, const Node& node) {
  return has_many_axes(node) || (!node.operands.empty() && searches_long_row(node, graph.type(node.operands[0])));
}

Replacement lower(GraphBuilder& builder, const Node& node, std::span<const Value> operands) {
  Emitter emitter(builder, node.origin);
  if (!operands.empty() && searches_long_row(node, builder.type(operands[0]))) {
    return search_in_pieces(Ex(emitter, operands[0]), node.op.as<op::Reduce>()->kind).value();
  }
  if (!has_many_axes(node)) return Replacement();
  const auto& [kind, axes] = *node.op.as<op::Reduce>();
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
  if (std::ranges::none_of(graph.nodes(), [&](const Node& node) { return is_lowered(graph, node); })) return graph;
  return rewrite(std::move(graph), lower);
}

}  // namespace etch
