// A shrinker that makes a failing graph small.
#pragma once

#include <functional>

#include "compiler/ir/graph.h"

namespace etch {

/// The smallest graph found for which `fails` still holds: outputs are dropped or moved to earlier values; nodes are
/// replaced by an operand, by an input of their type or by one of their regions; a region takes the place of the whole
/// graph; and regions are made smaller between their inputs and outputs in the same ways, as long as the failure stays.
Graph shrink(const Graph& graph, const std::function<bool(const Graph&)>& fails);

}  // namespace etch
