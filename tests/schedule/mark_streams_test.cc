// Which kernels write past the caches.
#include "compiler/schedule/mark_streams.h"

#include "tests/schedule/schedules.h"

namespace etch {
namespace {

constexpr int64_t kCache = 4000;  // bytes: 1,000 elements

/// Of each kernel that is one: whether its stores go past the cache.
std::vector<bool> streams(const std::string& text, bool fuse = true) {
  const Graph graph = graph_of(text);
  const Schedule schedule = make_schedule(graph, {.fuse = fuse, .cache_bytes = kCache}).value();
  std::vector<bool> result;
  for (const ScheduledKernel& kernel : schedule.kernels) {
    if (kernel.call) continue;
    result.push_back(kernel.sizes[SizesLayout(kernel.program).streams] == 1);
  }
  return result;
}

TEST(MarkStreams, ResultsBeyondTheCacheGoPastIt) {
  EXPECT_EQ(streams("graph(%0: f32[600]) {\n%1 = neg(%0) : f32[600]\nreturn %1\n}"), std::vector{true});
  EXPECT_EQ(streams("graph(%0: f32[400]) {\n%1 = neg(%0) : f32[400]\nreturn %1\n}"), std::vector{false});
}

TEST(MarkStreams, ASmallResultOfMuchStays) {
  EXPECT_EQ(streams("graph(%0: f32[4000]) {\n%1 = slice(%0) start=[0] step=[10] : f32[400]\nreturn %1\n}"), std::vector{false});
}

TEST(MarkStreams, WhatALaterKernelReadsStaysIfTheCacheHoldsIt) {
  const auto chain = [](const std::string& n) {
    const std::string type = " : f32[" + n + "]\n";
    return "graph(%0: f32[" + n + "]) {\n%1 = neg(%0)" + type + "%2 = exp(%1)" + type + "return %2, %1\n}";
  };
  EXPECT_EQ(streams(chain("900"), false), (std::vector{false, true}));
  EXPECT_EQ(streams(chain("1200"), false), (std::vector{true, true}));
}

/// Rows of 80 bytes begin at four places of a line, rows of 128 at one.
TEST(MarkStreams, RowsThatShareLinesStay) {
  const auto permuted = [](const std::string& n) {
    return "graph(%0: f32[8,9," + n + "]) {\n%1 = transpose(%0) perm=[1,0,2] : f32[9,8," + n + "]\nreturn %1\n}";
  };
  EXPECT_EQ(streams(permuted("32")), std::vector{true});
  EXPECT_EQ(streams(permuted("20")), std::vector{false});
}

TEST(MarkStreams, ReductionsKeepTheirResultsInTheCache) {
  EXPECT_EQ(streams("graph(%0: f32[1000,40]) {\n%1 = reduce(%0) kind=sum axes=[1] : f32[1000]\nreturn %1\n}"), std::vector{false});
}

}  // namespace
}  // namespace etch
