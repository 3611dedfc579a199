// The time of random graphs, fused against unfused: what etch-fuzz --time does.
#pragma once

#include <cstdint>
#include <string>

#include "compiler/codegen/target.h"

namespace etch {

/// Medians of runs that were made alternately, in microseconds.
struct FuzzTime {
  uint64_t seed = 0;
  double fused = 0;
  double unfused = 0;
  int kernels_fused = 0;
  int kernels_unfused = 0;
  std::string costs;  // of the kernels, where the ratio is suspicious

  /// The speed of fused code as a multiple of that of unfused code.
  double ratio() const { return unfused / fused; }
};

/// Times the graph of this seed. A ratio below `suspicious` is measured again, for longer.
FuzzTime time_large_graph(uint64_t seed, const Target& target, int threads, double suspicious);

}  // namespace etch
