// The table of passes and the helper that rebuilds a graph.
#include "compiler/passes/pass.h"

#include <algorithm>

#include "compiler/ir/cat.h"
#include "compiler/passes/fold.h"
#include "compiler/passes/hoist.h"
#include "compiler/passes/join_pads.h"
#include "compiler/passes/lower_reductions.h"
#include "compiler/passes/prune.h"
#include "compiler/passes/simplify.h"
#include "compiler/passes/unroll_reductions.h"
#include "compiler/passes/widen.h"
#include "runtime/check.h"
#include "runtime/flat_map.h"

namespace etch {
namespace {

/// Runs a pass on regions, on each once, before the graph that owns them.
class InsideOut {
 public:
  explicit InsideOut(PassFn pass) : pass_(pass) {}

  absl::StatusOr<Graph> run(Graph graph) {
    if (!has_regions(graph)) return pass_(std::move(graph));
    absl::StatusOr<Graph> inside =
        rewrite(std::move(graph), [this](GraphBuilder& builder, const Node& node, std::span<const Value> operands) {
          return run_regions(builder, node, operands);
        });
    if (!inside.ok()) return inside;
    return pass_(*std::move(inside));
  }

 private:
  absl::StatusOr<Replacement> run_regions(GraphBuilder& builder, const Node& node, std::span<const Value> operands) {
    if (place(node.op) != Place::region) return Replacement();
    std::vector<Region> regions;
    for (const NamedRegion& named : regions_of(node.op)) {
      absl::StatusOr<Region> region = run(named.region);
      if (!region.ok()) return region.status();
      regions.push_back(*std::move(region));
    }
    absl::StatusOr<Results> made = builder.emit_all(with_regions(node.op, regions), operands, {}, node.origin);
    if (!made.ok()) return made.status();
    return Replacement(*made);
  }

  absl::StatusOr<Region> run(const Region& region) {
    if (const auto known = done_.find(region); known != done_.end()) return known->second;
    absl::StatusOr<Graph> after = run(region.graph());
    if (!after.ok()) return after.status();
    const Region result = *after == region.graph() ? region : Region(*std::move(after));
    done_.emplace(region, result);
    return result;
  }

  PassFn pass_;
  FlatMap<Region, Region> done_;
};

template <PassFn kPass>
absl::StatusOr<Graph> inside_out(Graph graph) {
  return InsideOut(kPass).run(std::move(graph));
}

constexpr Pass kPasses[] = {
#define ETCH_PASS(name, use, reason) {#name, inside_out<name>, PassUse::use, reason},
#include "compiler/passes/passes.def"
};

bool has_origin(const Origin& origin) { return origin.file >= 0 || origin.scope >= 0; }

/// One walk over a graph that makes the next one.
class Rebuild {
 public:
  explicit Rebuild(const Graph& graph) : graph_(graph) { builder_.start_as(graph); }

  /// Makes the next graph. A node without an origin takes the one at its index in `fallbacks`, if they are given.
  /// Appends to `origins`, per node of the result, the origin of the node it was made for.
  absl::StatusOr<Graph> run(const RewriteFn& fn, const std::vector<Origin>& fallbacks, std::vector<Origin>& origins) {
    const std::vector<bool> needed = needed_nodes(graph_);
    const size_t expected = std::count(needed.begin(), needed.end(), true) + graph_.inputs().size();
    builder_.reserve(expected);
    origins.reserve(expected);
    std::vector<Value> replacement(graph_.num_values());
    for (size_t i = 0; i < graph_.nodes().size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (!needed[i] && place(node.op) != Place::input) continue;
      absl::InlinedVector<Value, 3> operands;
      for (Value operand : node.operands) operands.push_back(replacement[operand.id]);
      const Origin origin = has_origin(node.origin) || fallbacks.empty() ? node.origin : fallbacks[i];
      absl::StatusOr<Replacement> made = replace(fn, node, operands, origin);
      if (!made.ok()) return made.status();
      check(node, *made);
      for (Value result : results(node)) replacement[result.id] = made->values()[result.id - node.first_result];
      origins.resize(builder_.nodes().size(), origin);
    }
    std::vector<Value> outputs;
    for (Value output : graph_.outputs()) outputs.push_back(replacement[output.id]);
    return std::move(builder_).finish(outputs);
  }

 private:
  absl::StatusOr<Replacement> replace(const RewriteFn& fn, const Node& node, std::span<const Value> operands,
                                      Origin origin) {
    if (place(node.op) == Place::input) return builder_.input(graph_.type(node.result()), origin);
    if (fn) {
      absl::StatusOr<Replacement> made = fn(builder_, node, operands);
      if (!made.ok() || !made->values().empty()) return made;
    }
    absl::StatusOr<Results> kept = builder_.keep(graph_, node, operands, origin);
    if (!kept.ok()) return kept.status();
    return Replacement(*kept);
  }

  /// That each result has the type that it had.
  void check(const Node& node, const Replacement& made) const {
    ETCH_CHECK(made.values().size() == static_cast<size_t>(node.num_results),
               cat("a pass replaced the ", node.num_results, " results of ", name(node.op), " by ", made.values().size()));
    for (Value result : results(node)) {
      const Value by = made.values()[result.id - node.first_result];
      ETCH_CHECK(builder_.type(by) == graph_.type(result),
                 cat("a pass replaced ", name(node.op), " : ", to_string(graph_.type(result)), " by ",
                     name(builder_.node(by).op), " : ", to_string(builder_.type(by))));
    }
  }

  const Graph& graph_;
  GraphBuilder builder_;
};

/// True if a second walk has something to do: nodes that a rule made and no output needs, or that lack an origin.
bool is_untidy(const Graph& graph, const std::vector<Origin>& origins) {
  const std::vector<bool> needed = needed_nodes(graph);
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (!needed[i] && place(node.op) != Place::input) return true;
    if (!has_origin(node.origin) && has_origin(origins[i])) return true;
  }
  return false;
}

}  // namespace

std::span<const Pass> passes() { return kPasses; }

std::string_view name(PassUse use) {
  switch (use) {
    case PassUse::lowering: return "lowering";
    case PassUse::fusing: return "fusing";
    case PassUse::improving: return "improving";
  }
  return {};
}

const Pass* find_pass(std::string_view name) {
  for (const Pass& pass : kPasses) {
    if (pass.name == name) return &pass;
  }
  return nullptr;
}

std::vector<bool> needed_nodes(const Graph& graph) { return needed_nodes(graph, graph.outputs()); }

std::vector<bool> needed_nodes(const Graph& graph, std::span<const Value> values) {
  std::vector<bool> needed(graph.nodes().size(), false);
  for (Value value : values) needed[graph.index_of(value)] = true;
  // Operands come before their users, so one scan from the end finds all.
  for (size_t i = needed.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (Value operand : graph.nodes()[i].operands) needed[graph.index_of(operand)] = true;
  }
  return needed;
}

std::vector<int> readers_of(const Graph& graph) {
  std::vector<int> readers(graph.num_values());
  for (const Node& node : graph.nodes()) {
    for (size_t i = 0; i < node.operands.size(); ++i) {
      auto begin = node.operands.begin();
      readers[node.operands[i].id] += std::find(begin, begin + i, node.operands[i]) == begin + i;
    }
  }
  for (Value output : graph.outputs()) ++readers[output.id];
  return readers;
}

absl::StatusOr<Graph> rewrite(Graph&& graph, const RewriteFn& fn) {
  std::vector<Origin> origins;
  absl::StatusOr<Graph> result = Rebuild(graph).run(fn, {}, origins);
  if (!result.ok()) return result;
  if (is_untidy(*result, origins)) {
    std::vector<Origin> unused;
    result = Rebuild(*result).run({}, origins, unused);
    if (!result.ok()) return result;
  }
  if (*result == graph) return std::move(graph);
  return result;
}

}  // namespace etch
