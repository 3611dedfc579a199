// The oracle: a slow, plain evaluation of graphs, independent of passes, schedule and code generation.
#pragma once

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/ir/graph.h"
#include "compiler/ir/literal.h"

namespace etch {

struct InterpretOptions {
  int64_t max_region_runs = int64_t{1} << 20;  // so that a loop that never ends is an error
};

/// The outputs of the graph on these inputs; ResourceExhausted if its loops do not end in time. Floating sums and products
/// accumulate in long double and round once; ops marked approximate are computed in long double and rounded; exact ops
/// have the one right answer.
absl::StatusOr<std::vector<Literal>> interpret(const Graph& graph, std::span<const Literal> inputs,
                                               const InterpretOptions& options = {});

}  // namespace etch
