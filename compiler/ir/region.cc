// Region: a closed graph that a node owns.
#include "compiler/ir/region.h"

#include <algorithm>
#include <limits>

#include "absl/hash/hash.h"
#include "compiler/ir/cat.h"
#include "compiler/ir/graph.h"

namespace etch {

struct Region::Content {
  Graph graph;
  size_t hash = 0;
  int depth = 1;
  int64_t num_nodes = 0;
};

namespace {

int64_t saturated_sum(int64_t a, int64_t b) {
  return a > std::numeric_limits<int64_t>::max() - b ? std::numeric_limits<int64_t>::max() : a + b;
}

/// Of what equality of graphs compares.
size_t hash_of(const Graph& graph) {
  size_t hash = absl::HashOf(graph.inputs().size(), graph.outputs().size());
  for (Value output : graph.outputs()) hash = absl::HashOf(hash, output);
  for (const Node& node : graph.nodes()) hash = absl::HashOf(hash, node.op, node.operands, graph.result_types(node));
  return hash;
}

}  // namespace

Region::Region() {
  static const auto* const kEmpty = new Region(Graph());
  content_ = kEmpty->content_;
}

Region::Region(Graph graph) {
  auto content = std::make_shared<Content>();
  content->hash = hash_of(graph);
  content->num_nodes = static_cast<int64_t>(graph.nodes().size());
  for (const Node& node : graph.nodes()) {
    for (const NamedRegion& inner : regions_of(node.op)) {
      content->depth = std::max(content->depth, 1 + inner.region.depth());
      content->num_nodes = saturated_sum(content->num_nodes, inner.region.num_nodes());
    }
  }
  content->graph = std::move(graph);
  content_ = std::move(content);
}

const Graph& Region::graph() const { return content_->graph; }
int Region::depth() const { return content_->depth; }
int64_t Region::num_nodes() const { return content_->num_nodes; }
size_t Region::hash() const { return content_->hash; }

bool operator==(const Region& a, const Region& b) {
  if (a.content_ == b.content_) return true;
  return a.hash() == b.hash() && a.graph() == b.graph();
}

std::string to_string(const Region& region) {
  const Graph& graph = region.graph();
  const auto types = [&](std::span<const Value> values) {
    std::string text;
    for (Value value : values) text += cat(text.empty() ? "" : ", ", to_string(graph.type(value)));
    return text;
  };
  return cat("(", types(graph.inputs()), ") -> (", types(graph.outputs()), ")");
}

}  // namespace etch
