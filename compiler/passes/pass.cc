// The table of passes and the helper that rebuilds a graph.
#include "compiler/passes/pass.h"

#include <algorithm>

#include "compiler/ir/cat.h"
#include "compiler/passes/fold.h"
#include "compiler/passes/lower_reductions.h"
#include "compiler/passes/prune.h"
#include "compiler/passes/simplify.h"
#include "compiler/passes/unroll_reductions.h"

namespace etch {
namespace {

constexpr Pass kPasses[] = {
#define ETCH_PASS(name, use, reason) {#name, name, PassUse::use, reason},
#include "compiler/passes/passes.def"
};

bool has_origin(const Origin& origin) { return origin.file >= 0 || origin.scope >= 0; }

/// One walk over a graph that makes the next one.
class Rebuild {
 public:
  explicit Rebuild(const Graph& graph) : graph_(graph) {
    for (const std::string& text : graph.names()) builder_.name(text);
  }

  /// Makes the next graph. A node without an origin takes the one at its index in `fallbacks`, if they are given.
  /// Appends to `origins`, per node of the result, the origin of the node it was made for.
  absl::StatusOr<Graph> run(const RewriteFn& fn, const std::vector<Origin>& fallbacks, std::vector<Origin>& origins) {
    const std::vector<bool> needed = needed_nodes(graph_);
    builder_.reserve(std::count(needed.begin(), needed.end(), true) + graph_.inputs().size());
    std::vector<Value> replacement(graph_.size());
    for (int i = 0; i < graph_.size(); ++i) {
      const Node& node = graph_.nodes()[i];
      if (!needed[i] && node.op != Op::input) continue;
      absl::InlinedVector<Value, 3> operands;
      for (Value operand : node.operands) operands.push_back(replacement[operand.node]);
      const Origin origin = has_origin(node.origin) || fallbacks.empty() ? node.origin : fallbacks[i];
      absl::StatusOr<Value> value = replace(fn, node, operands, origin);
      if (!value.ok()) return value.status();
      if (builder_[*value].type != node.type) {
        return absl::InternalError(cat("a pass replaced ", print_type(node), " by ", print_type(builder_[*value])));
      }
      replacement[i] = *value;
      while (static_cast<int>(origins.size()) < builder_.size()) origins.push_back(origin);
    }
    std::vector<Value> outputs;
    for (Value output : graph_.outputs()) outputs.push_back(replacement[output.node]);
    return std::move(builder_).finish(outputs);
  }

 private:
  absl::StatusOr<Value> replace(const RewriteFn& fn, const Node& node, std::span<const Value> operands, Origin origin) {
    if (node.op == Op::input) return builder_.input(node.type, origin);
    if (fn) {
      absl::StatusOr<Value> value = fn(builder_, node, operands);
      if (!value.ok() || value->node >= 0) return value;
    }
    return builder_.emit(node.op, operands, node.attr, node.type, origin);
  }

  static std::string print_type(const Node& node) { return cat(name(node.op), " : ", to_string(node.type)); }

  const Graph& graph_;
  GraphBuilder builder_;
};

/// True if a second walk has something to do: nodes that a rule made and no output needs, or that lack an origin.
bool is_untidy(const Graph& graph, const std::vector<Origin>& origins) {
  const std::vector<bool> needed = needed_nodes(graph);
  for (int i = 0; i < graph.size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (!needed[i] && node.op != Op::input) return true;
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

std::vector<bool> needed_nodes(const Graph& graph) {
  std::vector<bool> needed(graph.size(), false);
  for (Value output : graph.outputs()) needed[output.node] = true;
  // Operands come before their users, so one scan from the end finds all.
  for (int i = graph.size() - 1; i >= 0; --i) {
    if (!needed[i]) continue;
    for (Value operand : graph.nodes()[i].operands) needed[operand.node] = true;
  }
  return needed;
}

absl::StatusOr<Graph> rewrite(const Graph& graph, const RewriteFn& fn) {
  std::vector<Origin> origins;
  absl::StatusOr<Graph> result = Rebuild(graph).run(fn, {}, origins);
  if (!result.ok() || !is_untidy(*result, origins)) return result;
  std::vector<Origin> unused;
  return Rebuild(*result).run({}, origins, unused);
}

}  // namespace etch
