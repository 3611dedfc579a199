// Parallel loops over ranges of iterations, on oneTBB.
#pragma once

#include <cstdint>

namespace etch {

/// Calls `body(context, worker, begin, end)` on disjoint ranges that cover 0..n, each a multiple of `grain` long but the
/// last, and at least `piece` unless workers would have nothing to do. Calls with the same `worker` (0 .. num_workers() - 1)
/// follow each other. With one worker it is one plain call on this thread.
void parallel_for(int64_t n, int64_t grain, int threads,
                  void (*body)(void* context, int worker, int64_t begin, int64_t end), void* context, int64_t piece = 1);

/// The same for a few tasks of milliseconds and more, each by itself. No thread's affinity is changed meanwhile: for so long another
/// task of the user's might begin on one.
void parallel_tasks(int64_t n, int threads, void (*body)(void* context, int worker, int64_t begin, int64_t end), void* context);

/// How many workers parallel_for has.
int num_workers(int64_t n, int64_t grain, int threads);

/// How many calls of parallel_for have split their range, in this process so far: for tests that want to see it.
int64_t num_split_loops();

/// Copies memory that does not overlap; long copies in parallel.
void copy_bytes(void* to, const void* from, int64_t bytes, int threads);

/// The threads that a parallel loop may use by default: those this process may run on.
int default_threads();

}  // namespace etch
