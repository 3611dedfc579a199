// The oracle: a slow, plain evaluation of graphs, independent of passes, schedule and code generation.
#pragma once

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/graph.h"
#include "compiler/ir/literal.h"

namespace etch {

/// The outputs of the graph on these inputs. Floating sums and products accumulate in long double and round once; ops
/// marked approximate are computed in long double and rounded; exact ops have the one right answer.
absl::StatusOr<std::vector<Literal>> interpret(const Graph& graph, std::span<const Literal> inputs);

}  // namespace etch
