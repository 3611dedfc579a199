// Parallel loops over ranges of iterations, on oneTBB.
#include "runtime/parallel.h"

#include <sched.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "oneapi/tbb/blocked_range.h"
#include "oneapi/tbb/parallel_for.h"
#include "oneapi/tbb/task_arena.h"

namespace etch {

int default_threads() {
  static const int threads = [] {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    return std::max(1, CPU_COUNT(&set));
  }();
  return threads;
}

void parallel_for(int64_t n, int64_t grain, int threads, void (*body)(void* context, int64_t begin, int64_t end),
                  void* context) {
  if (n <= 0) return;
  if (threads <= 1 || n <= grain) return body(context, 0, n);

  // A few chunks per thread even out what the threads have to do; each is a whole number of grains.
  int64_t grains = (n + grain - 1) / grain;
  int64_t chunks = std::min<int64_t>(grains, int64_t{4} * threads);
  auto run_chunks = [&](const tbb::blocked_range<int64_t>& range) {
    for (int64_t chunk = range.begin(); chunk < range.end(); ++chunk) {
      int64_t begin = grains * chunk / chunks * grain;
      int64_t end = std::min(n, grains * (chunk + 1) / chunks * grain);
      body(context, begin, end);
    }
  };
  auto loop = [&] {
    tbb::parallel_for(tbb::blocked_range<int64_t>(0, chunks, 1), run_chunks, tbb::simple_partitioner());
  };
  // The arena that the caller stands in is the user's choice; a smaller bound gets an arena of its own.
  if (tbb::this_task_arena::max_concurrency() <= threads) return loop();
  tbb::task_arena(threads).execute(loop);
}

void copy_bytes(void* to, const void* from, int64_t bytes, int threads) {
  constexpr int64_t kGrain = int64_t{1} << 20;
  struct Copy {
    std::byte* to;
    const std::byte* from;
  } copy{static_cast<std::byte*>(to), static_cast<const std::byte*>(from)};
  const auto body = [](void* context, int64_t begin, int64_t end) {
    const Copy& copy = *static_cast<const Copy*>(context);
    std::memcpy(copy.to + begin, copy.from + begin, static_cast<size_t>(end - begin));
  };
  parallel_for(bytes, kGrain, threads, body, &copy);
}

}  // namespace etch
