// Random graphs of the size of real work, for timing.
#pragma once

#include <cstdint>

#include "compiler/ir/graph.h"

namespace etch {

/// A graph over values of 2^16 to 2^22 elements, u8 and f32: elementwise chains, casts, strides, slices of channels and of
/// borders, transposes, reductions and what follows them. The same graph for the same seed.
Graph large_graph(uint64_t seed);

}  // namespace etch
