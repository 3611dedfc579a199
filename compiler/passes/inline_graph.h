// The nodes of a graph made again in another one.
#pragma once

#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "compiler/passes/pass.h"

namespace etch {

/// What stands for a node of `from` whose operands were already replaced, as a RewriteFn says it.
using InlineFn =
    absl::FunctionRef<absl::StatusOr<Replacement>(const Graph& from, const Node& node, std::span<const Value> operands)>;

/// Makes the nodes that some values of the graph need in the builder, on `inputs` in the place of its inputs, and gives
/// what stands for those values. An input that none of them needs may be an invalid Value{}. Nodes keep their origins;
/// those without one get that of `owner`.
absl::StatusOr<std::vector<Value>> inline_graph(GraphBuilder& builder, const Graph& graph, std::span<const Value> wanted,
                                                std::span<const Value> inputs, Origin owner, InlineFn fn);
absl::StatusOr<std::vector<Value>> inline_graph(GraphBuilder& builder, const Graph& graph, std::span<const Value> wanted,
                                                std::span<const Value> inputs, Origin owner = {});

}  // namespace etch
