// One fuzz case: a random graph run in every way; shared by the test and the long-running tool.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "compiler/codegen/target.h"
#include "compiler/ir/graph.h"
#include "compiler/schedule/kernel.h"

namespace etch {

/// What the ways of running the graph disagree on, or empty. Eager ops, and fused, unfused and pass-free code for
/// `target` and for others that this processor runs, on one thread and split into pieces of a few iterations over two,
/// must agree to the bit; if `exact`, so must the interpreter. The seed draws the inputs and the sizes of pieces and blocks.
std::string check_graph(const Graph& graph, uint64_t seed, bool exact, const Target& target = host_target());

/// The graph of this seed. Where `exact`, the interpreter is the judge of every bit.
struct FuzzCase {
  Graph graph;
  bool exact = false;
};
FuzzCase fuzz_graph(uint64_t seed);

/// What is wrong with a graph with regions, or empty: its text reads back to it, the verifier takes it, after each pass, and
/// after all of them, it still does and the interpreter gives the same bits, and so does compiled code in every way of
/// running. Graphs whose loops do not end in time are not judged.
std::string check_regions(const Graph& graph, uint64_t seed);

/// A graph with regions that nest, of ops that the interpreter judges to the bit.
Graph fuzz_region_graph(uint64_t seed);

/// Runs check_regions on the graph with regions of this seed; as fuzz_case.
std::string fuzz_region_case(uint64_t seed);

/// What differs where control flow on small values, with ops that are approximate, runs as one kernel, with kernels for its
/// regions, and op by op, or empty; as fuzz_case.
std::string fuzz_native_case(uint64_t seed);

/// A loop over the rows of tensors that does in each row what the first op with regions of a random graph on small values does;
/// nothing where that has none.
std::optional<Graph> fuzz_rows_graph(uint64_t seed);

/// What differs where rows run in lanes that are on or off, and where they do not, or empty; as fuzz_case.
std::string fuzz_rows_case(uint64_t seed);

/// The sizes of blocks that its kernels work in.
BlockSizes fuzz_blocks(uint64_t seed);

/// Runs the case of this seed. On failure: what differs, and the shrunk graph as text.
std::string fuzz_case(uint64_t seed, const Target& target = host_target());

}  // namespace etch
