// Parallel loops over ranges of iterations, on oneTBB.
#pragma once

#include <cstdint>

namespace etch {

/// Calls `body(context, begin, end)` on disjoint ranges that cover 0..n, each a multiple of `grain` long but the last.
/// With threads == 1 or n <= grain it is one plain call on this thread.
void parallel_for(int64_t n, int64_t grain, int threads, void (*body)(void* context, int64_t begin, int64_t end),
                  void* context);

/// Copies memory that does not overlap; long copies in parallel.
void copy_bytes(void* to, const void* from, int64_t bytes, int threads);

/// The threads that a parallel loop may use by default: those this process may run on.
int default_threads();

}  // namespace etch
