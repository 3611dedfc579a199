// Where values lie: how much memory fusion may take, and which results take over which operands.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "compiler/ir/cat.h"
#include "compiler/schedule/verify_schedule.h"
#include "etch/buffer.h"
#include "tests/schedule/schedules.h"

namespace etch {
namespace {

TEST(Buffers, FusionNeedsNoMoreMemoryThanItMay) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Graph graph = random_lowered(seed);
    // As it is planned: kernels that are brought together may need less.
    int64_t unfused = make_schedule(graph, {.fuse = false, .group = false})->arena_bytes;
    for (auto [ratio, slack] : {std::pair(1.0, 0), {1.25, 0}, {1.0, 256}}) {
      absl::StatusOr<Schedule> schedule = make_schedule(graph, {.arena_ratio = ratio, .arena_slack = slack});
      ASSERT_TRUE(schedule.ok()) << schedule.status();
      ASSERT_LE(schedule->arena_bytes, ratio * unfused + slack) << "seed " << seed << "\n" << print(graph);
      ASSERT_EQ(verify(*schedule, graph), absl::OkStatus()) << "seed " << seed << "\n" << print(graph);
    }
  }
}

TEST(Buffers, OnlyWhatTakesTooMuchMemoryIsUndone) {
  // One kernel for all that is computed from %0 would have four values in memory at once, where one after the other
  // is read by its product. The chain stays one kernel.
  std::string full = " : f32[64,64]\n", column = " : f32[64,1]\n";
  std::string text = cat("graph(%0: f32[64,64], %1: f32[64,1], %2: f32[64,64]) {\n");
  int next = 3;
  for (const char* op : {"sin", "cos", "tan", "erf"}) {
    text += cat("%", next, " = ", op, "(%0)", full, "%", next + 1, " = dot(%", next, ", %1)", column);
    next += 2;
  }
  text += cat("%11 = tanh(%2)", full, "%12 = exp(%11)", full, "return %4, %6, %8, %10, %12\n}\n");
  Graph graph = graph_of(text);
  absl::StatusOr<Schedule> free = make_schedule(graph, {.arena_ratio = 100});
  absl::StatusOr<Schedule> bound = make_schedule(graph, {.arena_ratio = 1, .arena_slack = 0});
  ASSERT_TRUE(free.ok() && bound.ok());
  EXPECT_EQ(free->kernels.size(), 6u);
  EXPECT_EQ(free->arena_bytes, 4 * 64 * 64 * 4);
  EXPECT_EQ(bound->kernels.size(), 9u);
  EXPECT_EQ(bound->arena_bytes, 64 * 64 * 4);
  EXPECT_EQ(bound->kernels.back().values.size(), 2u) << to_string(*bound, graph);
  std::string head = "schedule: 9 kernels, 16384 B arena\narena bound: 16384 B, 1 fused kernel undone to keep it\n";
  EXPECT_EQ(to_string(*bound, graph).substr(0, head.size()), head);
}

TEST(Buffers, MemoryThatIsShortInManyPlacesIsFoundInFewRounds) {
  // 60 times one after the other: six values of one input at once, each wanted by a product only.
  std::string full = " : f32[512,512]\n", column = " : f32[512,1]\n", text = "graph(%0: f32[512,512], %1: f32[512,1]) {\n";
  int next = 2, x = 0;
  for (int block = 0; block < 60; ++block) {
    int sum = -1;
    for (const char* op : {"sin", "cos", "tan", "erf", "exp", "tanh"}) {
      text += cat("%", next, " = ", op, "(%", x, ")", full, "%", next + 1, " = dot(%", next, ", %1)", column);
      next += 2;
      if (sum >= 0) text += cat("%", next, " = add(%", sum, ", %", next - 1, ")", column);
      sum = sum >= 0 ? next++ : next - 1;
    }
    text += cat("%", next, " = mul(%", x, ", %", sum, ")", full);
    x = next++;
  }
  Graph graph = graph_of(cat(text, "return %", x, "\n}\n"));
  Schedule schedule = schedule_of(graph);
  EXPECT_LE(schedule.arena_bytes, schedule.arena_bound);
  EXPECT_GE(schedule.undone, 60);
  EXPECT_FALSE(schedule.gave_up) << "one round for each place would be too many";
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
}

TEST(Buffers, TheTextSaysWhereNothingIsFused) {
  Graph graph = graph_of("graph(%0: f32[64]) {\n%1 = exp(%0) : f32[64]\nreturn %1\n}");
  Schedule schedule = schedule_of(graph);
  schedule.arena_bound = 256;
  schedule.undone = 3;
  schedule.gave_up = true;
  EXPECT_NE(to_string(schedule, graph).find(
                "arena bound: 256 B, nothing is fused: undoing 3 fused kernels did not keep it\n"), std::string::npos);
}

/// A row kernel between two products, so that all its values are temporaries.
std::string row_between_products(const std::string& result) {
  return cat("graph(%0: f32[32,48], %1: f32[48,64]) {\n%2 = dot(%0, %1) : f32[32,64]\n%3 = exp(%2) : f32[32,64]\n"
             "%4 = reduce(%3) kind=sum axes=[1] : f32[32]\n%5 = reshape(%4) : f32[32,1]\n%6 = ", result,
             " : f32[32,64]\n%7 = mul(%6, %5) : f32[32,64]\n%8 = transpose(%1) perm=[1,0] : f32[64,48]\n"
             "%9 = dot(%7, %8) : f32[32,48]\nreturn %9\n}\n");
}

TEST(Buffers, ARowKernelWritesWhereItReads) {
  Schedule schedule = schedule_of(graph_of(row_between_products("add(%3, %5)")));
  EXPECT_EQ(schedule.kernels.size(), 3u);
  EXPECT_EQ(schedule.arena_bytes, 32 * 64 * 4);
  expect_same_bits(graph_of(row_between_products("add(%3, %5)")), false);
}

TEST(Buffers, ARowKernelThatKeepsAValueInItsResultDoesNotWriteWhereItReads) {
  // exp is kept in the result's memory while the product is wanted again.
  Schedule schedule = schedule_of(graph_of(row_between_products("add(%3, %2)")));
  EXPECT_EQ(schedule.kernels.size(), 3u);
  EXPECT_EQ(schedule.arena_bytes, 2 * 32 * 64 * 4);
  expect_same_bits(graph_of(row_between_products("add(%3, %2)")), false);
}

TEST(Buffers, TemporariesOfSomeKilobytesBeginAtMultiplesOfOne) {
  // Temporaries of 12 and of 4,900 bytes live side by side.
  const Graph graph = graph_of(
      "graph(%0: f32[35,35], %1: f32[3]) {\n%2 = neg(%1) : f32[3]\n%3 = exp(%0) : f32[35,35]\n%4 = tanh(%2) : f32[3]\n"
      "%5 = dot(%3, %0) : f32[35,35]\n%6 = dot(%5, %3) : f32[35,35]\n%7 = mul(%4, %2) : f32[3]\n"
      "%8 = mul(%5, %6) : f32[35,35]\nreturn %8, %7\n}");
  const Schedule schedule = schedule_of(graph, false);
  int large = 0, small = 0;
  for (const ScheduledBuffer& buffer : schedule.buffers) {
    if (buffer.kind != ScheduledBuffer::Kind::temporary) continue;
    (buffer.bytes < 4096 ? small : large) += 1;
    if (buffer.bytes >= 4096) EXPECT_EQ(buffer.offset % Buffer::kPlaceStep, 0) << to_string(schedule, graph);
  }
  EXPECT_GE(large, 2);
  EXPECT_GE(small, 1);
}

TEST(Buffers, AChainOfUnfusedOpsWorksInPlace) {
  Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[64]) {\n%1 = exp(%0) : f32[64]\n%2 = tanh(%1) : f32[64]\n%3 = sin(%2) : f32[64]\n"
      "%4 = cos(%3) : f32[64]\nreturn %4\n}"), false);
  EXPECT_EQ(schedule.kernels.size(), 4u);
  EXPECT_EQ(schedule.arena_bytes, 0) << "all of it lies in the output's memory";
}

const ScheduledBuffer& buffer_of(const Schedule& schedule, int value) {
  for (const ScheduledBuffer& buffer : schedule.buffers) {
    if (buffer.value == Value{value}) return buffer;
  }
  ADD_FAILURE() << "%" << value << " has no buffer";
  return schedule.buffers[0];
}

bool lie_together(const Schedule& schedule, int a, int b) {
  const ScheduledBuffer& x = buffer_of(schedule, a);
  const ScheduledBuffer& y = buffer_of(schedule, b);
  return x.kind == y.kind && x.index == y.index && x.offset == y.offset;
}

/// A schedule without fusion, so that each op is a kernel.
Schedule checked_unfused(const std::string& text) {
  const Graph graph = graph_of(text);
  const Schedule schedule = schedule_of(graph, false);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  expect_same_bits(graph, false);
  return schedule;
}

TEST(TakeOver, ATemporaryTakesOverATemporary) {
  const Schedule schedule = checked_unfused(
      "graph(%0: f32[8,8]) {\n%1 = exp(%0) : f32[8,8]\n%2 = tanh(%1) : f32[8,8]\n%3 = dot(%2, %0) : f32[8,8]\n"
      "return %3\n}");
  EXPECT_TRUE(lie_together(schedule, 1, 2));
  EXPECT_EQ(buffer_of(schedule, 2).kind, ScheduledBuffer::Kind::temporary);
  EXPECT_FALSE(lie_together(schedule, 2, 3)) << "a product reads its operands many times";
}

TEST(TakeOver, AResultOfTheCallTakesOverATemporary) {
  const Schedule schedule = checked_unfused(
      "graph(%0: f32[8,8]) {\n%1 = dot(%0, %0) : f32[8,8]\n%2 = exp(%1) : f32[8,8]\n%3 = dot(%0, %2) : f32[8,8]\n"
      "%4 = tanh(%3) : f32[8,8]\nreturn %2, %4\n}");
  EXPECT_TRUE(lie_together(schedule, 1, 2));
  EXPECT_TRUE(lie_together(schedule, 3, 4));
  EXPECT_EQ(schedule.arena_bytes, 0);
}

TEST(TakeOver, ARowKernelsResultTakesOverItsOperand) {
  const Graph graph = graph_of(
      "graph(%0: f32[32,48], %1: f32[48,64]) {\n%2 = dot(%0, %1) : f32[32,64]\n%3 = exp(%2) : f32[32,64]\n"
      "%4 = reduce(%3) kind=sum axes=[1] : f32[32]\n%5 = reshape(%4) : f32[32,1]\n%6 = div(%3, %5) : f32[32,64]\n"
      "return %6\n}");
  const Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 2u);
  EXPECT_EQ(schedule.arena_bytes, 0);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  expect_same_bits(graph, false);
}

TEST(TakeOver, InputsAndOutputsAreNotTakenOver) {
  const Schedule schedule = checked_unfused(
      "graph(%0: f32[64]) {\n%1 = exp(%0) : f32[64]\n%2 = tanh(%1) : f32[64]\nreturn %1, %2\n}");
  EXPECT_FALSE(lie_together(schedule, 0, 1));
  EXPECT_FALSE(lie_together(schedule, 1, 2));
}

TEST(TakeOver, WhatIsReadLaterIsNotTakenOver) {
  const Schedule schedule = checked_unfused(
      "graph(%0: f32[64]) {\n%1 = exp(%0) : f32[64]\n%2 = tanh(%1) : f32[64]\n%3 = sin(%1) : f32[64]\n"
      "%4 = add(%2, %3) : f32[64]\nreturn %4\n}");
  EXPECT_FALSE(lie_together(schedule, 1, 2));
  EXPECT_TRUE(lie_together(schedule, 1, 3));
  EXPECT_TRUE(lie_together(schedule, 2, 4));
}

TEST(TakeOver, AnotherPlaceSizeOrDtypeIsNotTakenOver) {
  const char* const texts[] = {
      "graph(%0: f32[8,8]) {\n%1 = exp(%0) : f32[8,8]\n%2 = transpose(%1) perm=[1,0] : f32[8,8]\n%3 = reshape(%2) : "
      "f32[64]\nreturn %3\n}",
      "graph(%0: f32[8,8]) {\n%1 = exp(%0) : f32[8,8]\n%2 = slice(%1) start=[0,0] step=[1,1] : f32[4,8]\nreturn %2\n}",
      "graph(%0: f32[64]) {\n%1 = exp(%0) : f32[64]\n%2 = cast(%1) : f64[64]\nreturn %2\n}"};
  for (const char* text : texts) EXPECT_FALSE(lie_together(checked_unfused(text), 1, 2)) << text;
}

TEST(TakeOver, AViewIsTheSameStorage) {
  const Schedule schedule = checked_unfused(
      "graph(%0: f32[8,8]) {\n%1 = exp(%0) : f32[8,8]\n%2 = reshape(%1) : f32[64]\n%3 = tanh(%2) : f32[64]\n"
      "%4 = reshape(%3) : f32[4,16]\nreturn %4, %3\n}");
  EXPECT_TRUE(lie_together(schedule, 1, 3));
  EXPECT_EQ(schedule.outputs[0], schedule.outputs[1]);
}

TEST(TakeOver, AConcatIsTakenOverButTakesNothingOver) {
  const Schedule schedule = checked_unfused(
      "graph(%0: f32[32]) {\n%1 = exp(%0) : f32[32]\n%2 = sin(%0) : f32[32]\n%3 = concat(%1, %2) axis=0 : f32[64]\n"
      "%4 = tanh(%3) : f32[64]\nreturn %4\n}");
  EXPECT_TRUE(lie_together(schedule, 3, 4));
  EXPECT_FALSE(lie_together(schedule, 1, 3));
}

TEST(TakeOver, ResultsThatTheTraceReturnedAsOneTakeOverNothing) {
  const Graph graph = graph_of(
      "graph(%0: f32[8,8]) {\n%1 = dot(%0, %0) : f32[8,8]\n%2 = exp(%1) : f32[8,8]\nreturn %2\n}");
  EXPECT_TRUE(lie_together(*make_schedule(graph, {.fuse = false}), 1, 2));
  EXPECT_FALSE(lie_together(*make_schedule(graph, {.fuse = false, .shared_outputs = {true}}), 1, 2));
}

TEST(TakeOver, OneResultTakesOverOneOperand) {
  // Both results could lie where %1 lies.
  const Graph graph = graph_of(
      "graph(%0: f32[8,8]) {\n%1 = dot(%0, %0) : f32[8,8]\n%2 = exp(%1) : f32[8,8]\n%3 = sin(%1) : f32[8,8]\n"
      "return %2, %3\n}");
  const Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 2u);
  EXPECT_NE(lie_together(schedule, 1, 2), lie_together(schedule, 1, 3));
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  expect_same_bits(graph, false);
}

TEST(Buffers, AnUnrolledKernelWritesWhereItReads) {
  // What is subtracted takes the memory of what it is subtracted from, element by element.
  Graph graph = graph_of(
      "graph(%0: f32[64,3]) {\n%1 = exp(%0) : f32[64,3]\n%2 = reduce(%1) kind=sum axes=[1] : f32[64]\n"
      "%3 = reshape(%2) : f32[64,1]\n%4 = sub(%1, %3) : f32[64,3]\n%5 = tanh(%4) : f32[64,3]\nreturn %5\n}");
  Schedule schedule = schedule_of(graph, false);
  EXPECT_EQ(schedule.arena_bytes, 64 * 4) << to_string(schedule, graph);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  expect_same_bits(graph, false);
}

// ---- Outputs that may overwrite inputs

/// The schedule where output i would overwrite the input that stands at i, checked.
Schedule overwriting(const std::string& text, std::vector<int> overwrites, bool fuse) {
  const Graph graph = graph_of(text);
  const Schedule schedule = *make_schedule(graph, {.fuse = fuse, .overwrites = std::move(overwrites)});
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus()) << to_string(schedule, graph);
  EXPECT_EQ(verify(schedule, graph, 0), absl::OkStatus()) << to_string(schedule, graph);
  return schedule;
}

constexpr const char* kMomentum =
    "graph(%0: f32[64], %1: f32[64], %2: f32[64]) {\n%3 = mul(%1, %1) : f32[64]\n%4 = add(%3, %2) : f32[64]\n"
    "%5 = exp(%4) : f32[64]\n%6 = sub(%0, %5) : f32[64]\nreturn %6, %4\n}";

TEST(Overwrite, AnOutputWhoseKernelReadsTheInputLastMayOverwriteIt) {
  for (bool fuse : {true, false}) {
    EXPECT_EQ(overwriting(kMomentum, {0, 1}, fuse).overwrites, (std::vector<int>{0, 1})) << fuse;
  }
}

TEST(Overwrite, WhatWouldLieThereTooEarlyIsCutOff) {
  // %5 could lie where %6 does, but %0 is read after it is there.
  EXPECT_TRUE(lie_together(overwriting(kMomentum, {-1, 1}, false), 5, 6));
  EXPECT_FALSE(lie_together(overwriting(kMomentum, {0, 1}, false), 5, 6));
  // %3 may: nothing reads %1 behind it.
  EXPECT_TRUE(lie_together(overwriting(kMomentum, {0, 1}, false), 3, 4));
}

TEST(Overwrite, AnInputThatIsReadLaterStays) {
  const char* const text =
      "graph(%0: f32[8,8], %1: f32[8,8]) {\n%2 = exp(%0) : f32[8,8]\n%3 = dot(%2, %0) : f32[8,8]\n"
      "%4 = dot(%1, %1) : f32[8,8]\nreturn %2, %3, %4\n}";
  EXPECT_EQ(overwriting(text, {0, -1, -1}, false).overwrites, (std::vector<int>{-1, -1, -1}));
  EXPECT_EQ(overwriting(text, {-1, 0, -1}, false).overwrites, (std::vector<int>{-1, -1, -1})) << "a product reads on";
  EXPECT_EQ(overwriting(text, {-1, -1, 0}, false).overwrites, (std::vector<int>{-1, -1, 0})) << "%0 is not read there";
}

TEST(Overwrite, WhatOnlyTheEpilogueOfAProductReadsMayBeOverwritten) {
  const char* const text =
      "graph(%0: f32[8,8], %1: f32[8,8]) {\n%2 = dot(%1, %1) : f32[8,8]\n%3 = sub(%0, %2) : f32[8,8]\nreturn %3\n}";
  EXPECT_EQ(overwriting(text, {0}, true).overwrites, (std::vector<int>{0}));
  EXPECT_EQ(overwriting(text, {1}, true).overwrites, (std::vector<int>{-1}));
}

TEST(Overwrite, AnInputThatIsAnOutputStays) {
  const char* const text = "graph(%0: f32[8], %1: f32[8]) {\n%2 = add(%0, %1) : f32[8]\nreturn %2, %0\n}";
  EXPECT_EQ(overwriting(text, {0, -1}, true).overwrites, (std::vector<int>{-1, -1}));
  EXPECT_EQ(overwriting(text, {1, -1}, true).overwrites, (std::vector<int>{1, -1}));
}

TEST(Overwrite, AnInputThatIsReadInAnotherOrderStays) {
  const char* const text =
      "graph(%0: f32[8,8]) {\n%1 = transpose(%0) perm=[1,0] : f32[8,8]\n%2 = exp(%1) : f32[8,8]\nreturn %2\n}";
  EXPECT_EQ(overwriting(text, {0}, true).overwrites, (std::vector<int>{-1}));
}

TEST(Overwrite, TheTextSaysWhich) {
  const Graph graph = graph_of("graph(%0: f32[8]) {\n%1 = exp(%0) : f32[8]\nreturn %1\n}");
  const std::string text = to_string(*make_schedule(graph, {.overwrites = {0}}), graph);
  EXPECT_NE(text.find("output 0 = b1, may overwrite input 0\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace etch
