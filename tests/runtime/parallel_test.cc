// How loops are cut for several threads.
#include "runtime/parallel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <mutex>
#include <utility>
#include <vector>

#include "oneapi/tbb/task_group.h"

namespace etch {
namespace {

using Range = std::pair<int64_t, int64_t>;

/// The ranges of a loop, ascending.
std::vector<Range> ranges_of(int64_t n, int64_t grain, int threads, int64_t piece = 1) {
  struct Found {
    std::mutex mutex;
    std::vector<Range> ranges;
  } found;
  parallel_for(
      n, grain, threads,
      [](void* context, int, int64_t begin, int64_t end) {
        auto& found = *static_cast<Found*>(context);
        const std::lock_guard lock(found.mutex);
        found.ranges.emplace_back(begin, end);
      },
      &found, piece);
  std::ranges::sort(found.ranges);
  return found.ranges;
}

TEST(ParallelFor, RangesCoverTheLoopOnce) {
  for (int threads : {1, 2, 3, 40}) {
    for (int64_t n : {1, 2, 7, 64, 1000}) {
      int64_t end = 0;
      for (const auto& [from, to] : ranges_of(n, 1, threads)) {
        EXPECT_EQ(from, end);
        end = to;
      }
      EXPECT_EQ(end, n) << threads << " threads";
    }
  }
}

TEST(ParallelFor, RangesAreWholeGrains) {
  for (const auto& [from, to] : ranges_of(1000, 64, 3)) {
    EXPECT_EQ(from % 64, 0);
    EXPECT_TRUE(to % 64 == 0 || to == 1000);
  }
}

TEST(ParallelFor, RangesAreWholePieces) { EXPECT_EQ(ranges_of(1000, 1, 2, 300).size(), 3); }

TEST(ParallelFor, EveryWorkerHasARangeThoughItIsLessThanAPiece) { EXPECT_EQ(ranges_of(1000, 1, 2, 5000).size(), 2); }

TEST(ParallelFor, ACancelledGroupOfTheUsersDoesNotStopIt) {
  tbb::task_group group;
  std::vector<Range> ranges;
  group.run_and_wait([&] {
    group.cancel();
    ranges = ranges_of(1000, 1, 2);
  });
  ASSERT_FALSE(ranges.empty());
  EXPECT_EQ(ranges.front().first, 0);
  EXPECT_EQ(ranges.back().second, 1000);
}

TEST(ParallelFor, OfAGrainNearTheLargestNumberIsOneRange) {
  EXPECT_EQ(num_workers(1000, std::numeric_limits<int64_t>::max(), 4), 1);
  EXPECT_EQ(ranges_of(1000, std::numeric_limits<int64_t>::max(), 4), (std::vector<Range>{{0, 1000}}));
}

}  // namespace
}  // namespace etch
