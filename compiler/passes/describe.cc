// describe: compares two graphs as bags of nodes.
#include "compiler/passes/describe.h"

#include <vector>

#include "absl/hash/hash.h"
#include "compiler/ir/cat.h"
#include "compiler/passes/pass.h"
#include "runtime/flat_map.h"

namespace etch {
namespace {

constexpr size_t kMaxListed = 8;

/// Says alike for the same op, types and origin; operands do not count, for their numbers change.
size_t fingerprint(const Graph& graph, const Node& node) {
  return absl::HashOf(node.op, graph.result_types(node), graph.name_of(node.origin.file), node.origin.line,
                      graph.name_of(node.origin.scope));
}

/// ` 2 nodes: %4 add (demo.cc:12), %5 exp`
std::string list(const Graph& graph, const std::vector<int>& nodes) {
  std::string text = cat(" ", nodes.size(), nodes.size() == 1 ? " node:" : " nodes:");
  for (size_t i = 0; i < nodes.size() && i < kMaxListed; ++i) {
    const Node& node = graph.nodes()[nodes[i]];
    text += cat(i > 0 ? ", %" : " %", node.first_result, " ", name(node.op));
    if (node.origin.file >= 0) text += cat(" (", graph.name_of(node.origin.file), ":", node.origin.line, ")");
  }
  if (nodes.size() > kMaxListed) text += cat(" and ", nodes.size() - kMaxListed, " more");
  return text;
}

}  // namespace

std::string describe_change(const Graph& before, const Graph& after) {
  FlatMap<size_t, int> left;  // nodes of `after` that no node of `before` has claimed
  for (const Node& node : after.nodes()) ++left[fingerprint(after, node)];
  const std::vector<bool> needed = needed_nodes(before);
  const auto claim = [&](int i) { return left[fingerprint(before, before.nodes()[i])]-- > 0; };

  std::vector<int> pruned, replaced, made;
  const auto count = static_cast<int>(needed.size());
  for (int i = 0; i < count; ++i) {
    if (needed[i] && !claim(i)) replaced.push_back(i);
  }
  for (int i = 0; i < count; ++i) {
    if (!needed[i] && !claim(i)) pruned.push_back(i);
  }
  FlatMap<size_t, int> known;
  for (const Node& node : before.nodes()) ++known[fingerprint(before, node)];
  for (int i = 0; i < static_cast<int>(after.nodes().size()); ++i) {
    if (known[fingerprint(after, after.nodes()[i])]-- <= 0) made.push_back(i);
  }

  std::string text;
  if (!pruned.empty()) text += "pruned" + list(before, pruned);
  if (!replaced.empty()) text += (text.empty() ? "replaced" : "; replaced") + list(before, replaced);
  if (!replaced.empty() && !made.empty()) text += " by" + list(after, made);
  if (replaced.empty() && !made.empty()) text += (text.empty() ? "made" : "; made") + list(after, made);
  if (!text.empty()) return text;
  return before == after ? "no change" : "connected the same nodes differently";
}

}  // namespace etch
