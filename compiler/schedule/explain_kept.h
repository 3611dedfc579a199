// What the backward pass of a function reads of its forward pass: kept in memory, or computed again.
#pragma once

#include <string>
#include <vector>

#include "compiler/schedule/schedule.h"

namespace etch {

/// Which values of a graph belong to its forward pass, and which to its backward pass: a flag per value. Some belong to neither,
/// such as an optimizer's.
struct PassesOfGradient {
  std::vector<bool> forward;
  std::vector<bool> backward;
};

/// A line for each forward value that a kernel of the backward pass reads from memory: its type, bytes, place, the kernels that read
/// it, and why it is not computed again; then one for each that such a kernel computes again.
std::string explain_kept(const Schedule& schedule, const Graph& graph, const PassesOfGradient& passes);

/// `%12 tanh f32[8,4] demo.cc:12 in gelu, 128 bytes`.
std::string describe_kept(const Graph& graph, Value value);

/// ` (12 additions an element from its operands, 4 to store and load it)`.
std::string cost_of_keeping(const Graph& graph, Value value);

/// ` demo.cc:12 in softmax`, as far as it is known.
std::string place_text(const Nodes& nodes, const Origin& origin);

}  // namespace etch
