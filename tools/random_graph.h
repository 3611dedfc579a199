// Random graphs for fuzzing, and a shrinker that makes a failing one small.
#pragma once

#include <cstdint>
#include <functional>

#include "compiler/ir/graph.h"

namespace etch {

struct RandomGraphOptions {
  uint64_t seed = 0;
  int ops = 12;
  bool exact_only = false;    // no op of ops.def that is marked approximate, and no floating sum, product or dot that rounds
  bool whole_inputs = false;  // the inputs will be Draw::whole, so that many such sums and products round nothing
};

/// A well-typed graph of about so many random ops over small tensors, with one to three outputs.
Graph random_graph(const RandomGraphOptions& options);

/// The smallest graph found for which `fails` still holds: outputs are dropped or moved to earlier values, nodes are
/// replaced by an operand or by an input of their type, as long as the failure stays.
Graph shrink(const Graph& graph, const std::function<bool(const Graph&)>& fails);

}  // namespace etch
