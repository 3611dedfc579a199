// Random graphs for fuzzing.
#pragma once

#include <cstdint>

#include "compiler/ir/graph.h"

namespace etch {

struct RandomGraphOptions {
  uint64_t seed = 0;
  int ops = 12;
  bool exact_only = false;    // no op of ops.def that is marked approximate, and no floating sum, product or dot that rounds
  int region_depth = 0;       // conds and loops stand in each other at most so deep
  bool small_values = false;  // at most 16 elements, and in regions no op that works on memory: such regions become native
  bool whole_inputs = false;  // the inputs will be Draw::whole, so that many such sums and products round nothing
};

/// A well-typed graph of about so many random ops over small tensors, with one output or more.
Graph random_graph(const RandomGraphOptions& options);

}  // namespace etch
