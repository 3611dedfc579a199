// Equal small kernels: brought next to each other, and linked as one step.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "compiler/compile.h"
#include "compiler/ir/cat.h"
#include "compiler/schedule/verify_schedule.h"
#include "tests/schedule/schedules.h"

namespace etch {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Both {
  Graph graph;
  Schedule apart, together;
};

/// The schedules of a text without and with groups, both verified. No arena grows, and no output stops overwriting its input.
Both schedules_of(const std::string& text, bool fuse = true, std::vector<int> overwrites = {}) {
  Both both{graph_of(text), {}, {}};
  both.apart = *make_schedule(both.graph, {.fuse = fuse, .group = false, .overwrites = overwrites});
  both.together = *make_schedule(both.graph, {.fuse = fuse, .overwrites = overwrites});
  for (const Schedule* schedule : {&both.apart, &both.together}) {
    EXPECT_EQ(verify(*schedule, both.graph), absl::OkStatus()) << to_string(*schedule, both.graph);
  }
  EXPECT_LE(both.together.arena_bytes, both.apart.arena_bytes);
  EXPECT_EQ(both.together.overwrites, both.apart.overwrites);
  return both;
}

std::vector<int> first_values(const Schedule& schedule) {
  std::vector<int> values;
  for (const ScheduledKernel& kernel : schedule.kernels) values.push_back(kernel.values.back().id);
  return values;
}

std::string steps_of(const std::string& text, bool fuse = true, std::vector<int> overwrites = {}) {
  return to_string(*compile(graph_of(text), {.fuse = fuse, .overwrites = std::move(overwrites)})->executable);
}

// Three updates of vectors, each behind a product that is large.
constexpr char kUpdates[] = R"(graph(%0: f32[64], %1: f32[40], %2: f32[8], %3: f32[300,300]) {
%4 = tanh(%0) : f32[64]
%5 = dot(%3, %3) : f32[300,300]
%6 = tanh(%1) : f32[40]
%7 = dot(%5, %3) : f32[300,300]
%8 = tanh(%2) : f32[8]
return %4, %6, %8, %7
}
)";

TEST(Groups, HoldEqualKernelsThatDoNotWaitForEachOther) {
  const Both both = schedules_of(kUpdates);
  EXPECT_EQ(first_values(both.apart), (std::vector<int>{4, 5, 6, 7, 8}));
  EXPECT_EQ(first_values(both.together), (std::vector<int>{5, 7, 4, 6, 8}));
  EXPECT_THAT(steps_of(kUpdates), HasSubstr("group of 3, "));
}

TEST(Groups, EndWhereOneReadsWhatAnotherWrote) {
  const std::string text = R"(graph(%0: f32[64,1], %1: f32[64,64]) {
%2 = tanh(%0) : f32[64,1]
%3 = dot(%1, %2) : f32[64,1]
%4 = tanh(%3) : f32[64,1]
return %2, %4
}
)";
  const Both both = schedules_of(text, false);
  EXPECT_EQ(first_values(both.together), first_values(both.apart));
  EXPECT_THAT(steps_of(text, false), Not(HasSubstr("group of")));
}

TEST(Groups, EndWhereOneOverwritesWhatAnotherReads) {
  const std::string beside = R"(graph(%0: f32[64], %1: f32[64], %2: f32[64]) {
%3 = sub(%1, %0) : f32[64]
%4 = sub(%0, %2) : f32[64]
return %3, %4
}
)";
  EXPECT_THAT(steps_of(beside, false), HasSubstr("group of 2, "));
  EXPECT_THAT(steps_of(beside, false, {-1, 0}), Not(HasSubstr("group of")));
  const std::string apart = R"(graph(%0: f32[64], %1: f32[64], %2: f32[64], %3: f32[64,64]) {
%4 = sub(%1, %0) : f32[64]
%5 = dot(%3, %3) : f32[64,64]
%6 = sub(%0, %2) : f32[64]
return %4, %5, %6
}
)";
  EXPECT_EQ(first_values(schedules_of(apart, false).together), (std::vector<int>{5, 4, 6}));
  const Both both = schedules_of(apart, false, {-1, -1, 0});
  EXPECT_EQ(first_values(both.together), (std::vector<int>{4, 5, 6}));
  EXPECT_EQ(both.together.overwrites, (std::vector<int>{-1, -1, 0}));
}

TEST(Groups, DoNotGrowTheArena) {
  // The first cast reads what dies in it; until the second one it would lie beside all that the products in between take.
  const std::string text = R"(graph(%0: f32[64,64], %1: f32[64,64]) {
%2 = dot(%0, %0) : f32[64,64]
%3 = cast(%2) : f64[64,64]
%4 = dot(%0, %1) : f32[64,64]
%5 = dot(%4, %1) : f32[64,64]
%6 = dot(%5, %1) : f32[64,64]
%7 = cast(%1) : f64[64,64]
return %3, %6, %7
}
)";
  const Both both = schedules_of(text, false);
  EXPECT_EQ(first_values(both.together), first_values(both.apart));
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const Graph graph = random_lowered(seed);
    const Schedule apart = *make_schedule(graph, {.group = false}), together = *make_schedule(graph, {});
    ASSERT_LE(together.arena_bytes, apart.arena_bytes) << "seed " << seed << "\n" << print(graph);
    ASSERT_EQ(verify(together, graph), absl::OkStatus()) << "seed " << seed << "\n" << print(graph);
    ASSERT_EQ(together.kernels.size(), apart.kernels.size());
  }
}

TEST(Groups, GiveTheSameBits) {
  int groups = 0;
  for (uint64_t seed = 1; seed <= 120; ++seed) {
    const Graph graph = random_lowered(seed);
    std::mt19937_64 random(seed);
    const std::vector<Literal> inputs = random_inputs(graph, Draw::special, random);
    for (const bool fuse : {true, false}) {
      const CompileOptions plain{.prune_and_simplify = false, .fuse = fuse, .group = false};
      const CompileOptions grouped{.prune_and_simplify = false, .fuse = fuse};
      groups += static_cast<int>(compile(graph, grouped)->executable->groups.size());
      const absl::StatusOr<std::vector<Literal>> expected = run_compiled(graph, plain, inputs, {.threads = 1});
      ASSERT_TRUE(expected.ok()) << expected.status();
      for (const int64_t grain : {0, 1, 16}) {
        const absl::StatusOr<std::vector<Literal>> got = run_compiled(graph, grouped, inputs, {.threads = 2, .grain = grain});
        ASSERT_TRUE(got.ok()) << got.status();
        ASSERT_EQ(bit_difference(*expected, *got), "") << "seed " << seed << ", grain " << grain << "\n" << print(graph);
      }
    }
  }
  EXPECT_GT(groups, 10);
}

}  // namespace
}  // namespace etch
