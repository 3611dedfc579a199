// One fuzz case: a random graph run in every way; shared by the test and the long-running tool.
#pragma once

#include <cstdint>
#include <string>

#include "compiler/ir/graph.h"

namespace etch {

/// What the ways of running the graph disagree on, or empty. Eager ops, and fused, unfused and pass-free code on one
/// and two threads must agree to the bit; if `exact`, so must the interpreter.
std::string check_graph(const Graph& graph, uint64_t seed, bool exact);

/// Runs the case of this seed. On failure: what differs, and the shrunk graph as text.
std::string fuzz_case(uint64_t seed);

}  // namespace etch
