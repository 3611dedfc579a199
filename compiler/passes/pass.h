// What a pass is, the order they run in, and the helper that all are written with.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/graph.h"

namespace etch {

/// A function from graph to graph that computes the same bits. One that finds nothing to change hands its argument back,
/// which copies nothing where the argument was moved. It need not look into regions.
using PassFn = absl::StatusOr<Graph> (*)(Graph);

/// Where a pass runs.
enum class PassUse : uint8_t {
  lowering,   // in every compile
  fusing,     // where ops are fused into kernels: what it makes would be dearer op by op
  improving,  // where the graph may be improved
};

/// Its name.
std::string_view name(PassUse use);

struct Pass {
  std::string_view name;
  PassFn run;                // on the regions of a graph first, the inner ones before the outer ones, then on the graph
  PassUse use;
  std::string_view reason;   // why it stands where it stands
};

/// All passes in the order of passes.def.
std::span<const Pass> passes();

/// The pass of this name, or nullptr.
const Pass* find_pass(std::string_view name);

/// Per node: does an output, or one of these values, need one of its results?
std::vector<bool> needed_nodes(const Graph& graph);
std::vector<bool> needed_nodes(const Graph& graph, std::span<const Value> values);

/// Per value: how many nodes read it, or return it.
std::vector<int> readers_of(const Graph& graph);

/// What stands for a node: one value per result, or none to keep the node as it is.
class Replacement {
 public:
  Replacement() = default;
  /// Of a node with one result; an invalid Value{} keeps the node.
  Replacement(Value value) {  // NOLINT: most rules return one value
    if (value.id >= 0) values_.push_back(value);
  }
  explicit Replacement(Results results) {
    for (Value value : results) values_.push_back(value);
  }
  /// The next result.
  void add(Value value) { values_.push_back(value); }
  std::span<const Value> values() const { return values_; }

 private:
  absl::InlinedVector<Value, 2> values_;
};

/// Rebuilds the nodes that outputs need, in order, dropping the rest. `fn(builder, node, operands)` returns the
/// replacement of a node of `graph` whose operands were already replaced. New nodes get the origin of the node they
/// replace unless they name one. Inputs all stay. Where the result equals the graph, that is handed back; `fn` may look at
/// it until then.
using RewriteFn =
    std::function<absl::StatusOr<Replacement>(GraphBuilder& builder, const Node& node, std::span<const Value> operands)>;
absl::StatusOr<Graph> rewrite(Graph&& graph, const RewriteFn& fn);

}  // namespace etch
