// Kernels that run block by block: which do, what that does to memory, and that it changes no bit.
#include "compiler/schedule/stripes.h"

#include <etch/etch.h>
#include <gmock/gmock.h>

#include <sstream>

#include "compiler/schedule/verify_schedule.h"
#include "tests/schedule/schedules.h"

namespace etch {
namespace {

using testing::HasSubstr;

/// Of `heads` heads, `rows` queries and `columns` keys of 64 elements. `scores` follow %4, and give %9.
std::string attention(int64_t heads, int64_t rows, int64_t columns, const std::string& scores) {
  const std::string head = cat("f32[", heads, ",");
  const std::string all = cat(head, rows, ",", columns, "]"), row = cat(head, rows, "]"), kept = cat(head, rows, ",1]");
  const std::string keys = cat(head, columns, ",64]"), queries = cat(head, rows, ",64]");
  return cat("graph(%0: ", queries, ", %1: ", keys, ", %2: ", keys, ") {\n%3 = transpose(%1) perm=[0,2,1] : ", head, "64,",
             columns, "]\n%4 = dot(%0, %3) : ", all, "\n", scores, "%10 = reduce(%9) kind=max axes=[2] : ", row,
             "\n%11 = reshape(%10) : ", kept, "\n%12 = sub(%9, %11) : ", all, "\n%13 = exp(%12) : ", all,
             "\n%14 = reduce(%13) kind=sum axes=[2] : ", row, "\n%15 = reshape(%14) : ", kept, "\n%16 = div(%13, %15) : ", all,
             "\n%17 = dot(%16, %2) : ", queries, "\nreturn %17\n}\n");
}

std::string scaled(int64_t heads, int64_t rows, int64_t columns) {
  const std::string all = cat("f32[", heads, ",", rows, ",", columns, "]");
  return attention(heads, rows, columns, cat("%8 = constant value=0.125 : f32[]\n%9 = mul(%4, %8) : ", all, "\n"));
}

std::string causal(int64_t heads, int64_t rows, int64_t columns) {
  const std::string shape = cat("[", heads, ",", rows, ",", columns, "]");
  return attention(heads, rows, columns,
                   cat("%5 = iota axis=1 : i32", shape, "\n%6 = iota axis=2 : i32", shape, "\n%7 = less_equal(%6, %5) : bool",
                       shape, "\n%8 = constant value=-1e30 : f32[]\n%9 = where(%7, %4, %8) : f32", shape, "\n"));
}

ScheduleOptions in_blocks_of(int32_t rows) {
  ScheduleOptions options;
  options.stripes.rows = rows;
  return options;
}

Schedule forced(const Graph& graph, int32_t rows = 2) {
  Schedule schedule = *make_schedule(graph, in_blocks_of(rows));
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  return schedule;
}

/// Unfused against blocks of several sizes, on every target and on two threads.
void expect_bits_of_unfused(const Graph& graph, const std::vector<int>& overwrites = {}) {
  std::mt19937_64 random(1);
  const std::vector<Literal> inputs = random_inputs(graph, Draw::special, random);
  const auto unfused = run_compiled(graph, {.prune_and_simplify = false, .fuse = false}, inputs, {});
  ASSERT_TRUE(unfused.ok()) << unfused.status();
  for (const Target& target : targets_that_run()) {
    for (const int32_t rows : {1, 5, 24}) {
      CompileOptions options{.prune_and_simplify = false, .target = target, .overwrites = overwrites, .verify = true};
      options.stripes.rows = rows;
      const auto blocks = run_compiled(graph, options, inputs, {.threads = 2, .grain = rows == 5 ? 3 : 0});
      ASSERT_TRUE(blocks.ok()) << blocks.status();
      EXPECT_EQ(bit_difference(*unfused, *blocks), "") << target.cpu << " in blocks of " << rows;
    }
  }
}

TEST(Stripes, AttentionKeepsNoScores) {
  for (const std::string& text : {scaled(2, 512, 512), causal(2, 512, 512)}) {
    const Graph graph = graph_of(text);
    const Schedule schedule = schedule_of(graph);
    ASSERT_EQ(schedule.stripes.size(), 1u);
    EXPECT_EQ(schedule.stripes[0].count, static_cast<int>(schedule.kernels.size()));
    EXPECT_EQ(schedule.arena_bytes, 0);
    EXPECT_LT(schedule.stripes[0].bytes, 512 * 512 * 4);
    EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  }
}

TEST(Stripes, MemoryGrowsWithTheLengthOfRowsOnly) {
  const auto bytes = [](int64_t n) { return schedule_of(graph_of(scaled(1, n, n))).stripes.at(0).bytes; };
  EXPECT_LE(bytes(16384), 20 * bytes(2048));
}

TEST(Stripes, SmallValuesAreLeftAlone) { EXPECT_TRUE(schedule_of(graph_of(scaled(2, 16, 16))).stripes.empty()); }

TEST(Stripes, AttentionHasTheBitsOfUnfused) {
  expect_bits_of_unfused(graph_of(scaled(2, 37, 29)));
  expect_bits_of_unfused(graph_of(scaled(3, 1, 70)));
}

TEST(Stripes, CausalAttentionHasTheBitsOfUnfused) { expect_bits_of_unfused(graph_of(causal(2, 30, 30))); }

/// So many turns of h = tanh(h . w) on `rows` rows of 64 elements.
Graph recurrence(int64_t rows, int turns) {
  std::string text = cat("graph(%0: f32[", rows, ",64], %1: f32[64,64]) {\n");
  for (int turn = 0; turn < turns; ++turn) {
    const int next = 2 * turn + 2;
    text += cat("%", next, " = dot(%", turn == 0 ? 0 : next - 1, ", %1) : f32[", rows, ",64]\n%", next + 1, " = tanh(%", next, ") : f32[", rows,
                ",64]\n");
  }
  return graph_of(cat(text, "return %", 2 * turns + 1, "\n}\n"));
}

TEST(Stripes, ThreadsShareTheRowsOfALoopOverTimeWhoseKernelsAreSmall) {
  const Schedule schedule = schedule_of(recurrence(64, 60));
  ASSERT_FALSE(schedule.stripes.empty());
  for (const ScheduledStripes& stripes : schedule.stripes) {
    EXPECT_EQ(stripes.block, stripes.rows) << "one thread has one block";
    EXPECT_LE(stripes.grain, stripes.rows / 2) << "two threads have two";
  }
}

TEST(Stripes, AFewSmallKernelsAreNotShared) { EXPECT_TRUE(schedule_of(recurrence(64, 3)).stripes.empty()); }

TEST(Stripes, ALoopOverTimeHasTheBitsOfUnfused) { expect_bits_of_unfused(recurrence(30, 40)); }

TEST(Stripes, LayersOfAPerceptronAreOneGroup) {
  const Graph graph = graph_of(R"(graph(%0: f32[4096,64], %1: f32[64,96], %2: f32[96,48], %3: f32[96]) {
%4 = dot(%0, %1) : f32[4096,96]
%5 = add(%4, %3) : f32[4096,96]
%6 = tanh(%5) : f32[4096,96]
%7 = dot(%6, %2) : f32[4096,48]
return %7
})");
  const Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.stripes.size(), 1u);
  EXPECT_EQ(schedule.arena_bytes, 0);
}

TEST(Stripes, ANormAfterAProductHasTheBitsOfUnfused) {
  const Graph graph = graph_of(R"(graph(%0: f32[21,40], %1: f32[40,65], %2: f32[21,65]) {
%3 = dot(%0, %1) : f32[21,65]
%4 = add(%3, %2) : f32[21,65]
%5 = reduce(%4) kind=sum axes=[1] : f32[21]
%6 = reshape(%5) : f32[21,1]
%7 = sub(%4, %6) : f32[21,65]
%8 = tanh(%4) : f32[21,65]
return %7, %8
})");
  EXPECT_FALSE(forced(graph).stripes.empty());
  expect_bits_of_unfused(graph);
}

TEST(Stripes, ProductsThatTasksShareByColumnsHaveTheBitsOfUnfused) {
  const Graph graph = graph_of(R"(graph(%0: f32[40,600], %1: f32[600,300]) {
%2 = dot(%0, %1) : f32[40,300]
%3 = reduce(%2) kind=max axes=[1] : f32[40]
%4 = reshape(%3) : f32[40,1]
%5 = sub(%2, %4) : f32[40,300]
return %5
})");
  EXPECT_EQ(schedule_of(graph).kernels.front().iterations, 3 * 40);
  EXPECT_FALSE(forced(graph).stripes.empty());
  expect_bits_of_unfused(graph);
}

TEST(Stripes, AProductOverTheRowsWaitsForAllOfThem) {
  const Graph graph = graph_of(R"(graph(%0: f32[24,16], %1: f32[16,20], %2: f32[24,8]) {
%3 = dot(%0, %1) : f32[24,20]
%4 = transpose(%3) perm=[1,0] : f32[20,24]
%5 = dot(%4, %2) : f32[20,8]
return %5
})");
  EXPECT_TRUE(forced(graph).stripes.empty());
}

TEST(Stripes, WhatWaitsForAllRowsGoesBehindAndWhatNeedsNoneBefore) {
  const Graph graph = graph_of(R"(graph(%0: f32[24,16], %1: f32[16,20], %2: f32[24,8], %3: f32[20,9]) {
%4 = dot(%0, %1) : f32[24,20]
%5 = transpose(%4) perm=[1,0] : f32[20,24]
%6 = dot(%5, %2) : f32[20,8]
%7 = tanh(%3) : f32[20,9]
%8 = dot(%4, %7) : f32[24,9]
return %6, %8
})");
  const Schedule schedule = forced(graph);
  std::vector<int> order;
  for (const ScheduledKernel& kernel : schedule.kernels) order.push_back(kernel.values.back().id);
  EXPECT_EQ(order, (std::vector<int>{7, 4, 8, 6}));
  expect_bits_of_unfused(graph);
}

TEST(Stripes, AnOperandThatOthersReadInFullIsNotTakenOver) {
  const Graph graph = graph_of(R"(graph(%0: f32[18,18], %1: f32[18,18]) {
%2 = tanh(%0) : f32[18,18]
%3 = dot(%1, %2) : f32[18,18]
%4 = add(%3, %2) : f32[18,18]
%5 = reduce(%4) kind=sum axes=[1] : f32[18]
%6 = reshape(%5) : f32[18,1]
%7 = sub(%2, %6) : f32[18,18]
%8 = dot(%7, %0) : f32[18,18]
return %8
})");
  EXPECT_FALSE(forced(graph).stripes.empty());
  expect_bits_of_unfused(graph);
}

TEST(Stripes, AnInputThatOthersReadInFullIsNotOverwritten) {
  const Graph graph = graph_of(R"(graph(%0: f32[18,18], %1: f32[18,18]) {
%2 = dot(%1, %0) : f32[18,18]
%3 = reduce(%2) kind=max axes=[1] : f32[18]
%4 = reshape(%3) : f32[18,1]
%5 = sub(%0, %4) : f32[18,18]
return %5
})");
  ScheduleOptions options = in_blocks_of(2);
  options.overwrites = {0};
  const Schedule schedule = *make_schedule(graph, options);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  EXPECT_EQ(schedule.overwrites[0] >= 0, schedule.stripes.empty());
  expect_bits_of_unfused(graph, {0});
}

TEST(Stripes, StandInRegionsToo) {
  const Graph graph = graph_of(R"(graph(%0: bool[], %1: f32[20,20], %2: f32[20,20]) {
  %3 = cond(%0; %1, %2) : f32[20,20] {
    then(%0: f32[20,20], %1: f32[20,20]) {
      %2 = dot(%0, %1) : f32[20,20]
      %3 = reduce(%2) kind=max axes=[1] : f32[20]
      %4 = reshape(%3) : f32[20,1]
      %5 = sub(%2, %4) : f32[20,20]
      %6 = dot(%5, %1) : f32[20,20]
      return %6
    }
    otherwise(%0: f32[20,20], %1: f32[20,20]) {
      %2 = dot(%1, %0) : f32[20,20]
      %3 = reduce(%2) kind=max axes=[1] : f32[20]
      %4 = reshape(%3) : f32[20,1]
      %5 = sub(%2, %4) : f32[20,20]
      %6 = dot(%5, %0) : f32[20,20]
      return %6
    }
  }
  %4 = add(%3, %1) : f32[20,20]
  return %4
})");
  EXPECT_THAT(to_string(forced(graph), graph), HasSubstr("stripes 0"));
  expect_bits_of_unfused(graph);
}

/// The stripes and the instructions of a schedule, without names and places.
std::string structure_of(const std::string& schedule) {
  std::istringstream lines(schedule);
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find_first_not_of(' ');
    const bool is_instruction = first != std::string::npos && line[first] == '%';
    if (is_instruction || line.find("stripes ") == first) kept += line + "\n";
  }
  return kept;
}

TEST(Stripes, KnowNoNamesOfOps) {
  const auto attention_of = [](auto weights) {
    return function([=](Tensor q, Tensor k, Tensor v) { return matmul(weights(matmul(q, transpose(k)) * 0.125f), v); });
  };
  const auto named = attention_of([](Tensor scores) { return softmax(scores); });
  const auto by_hand = attention_of([](Tensor scores) {
    const Tensor e = exp(scores - max(scores, {1}, true));
    return e * (1.0f / sum(e, {1}, true));
  });
  const TensorSpec spec{DType::f32, {512, 64}};
  const std::string structure = structure_of(named.concrete(spec, spec, spec).text("schedule"));
  EXPECT_THAT(structure, HasSubstr("stripes 0: the next 3 kernels"));
  EXPECT_EQ(structure_of(by_hand.concrete(spec, spec, spec).text("schedule")), structure);
}

TEST(Stripes, RandomGraphsVerify) {
  int64_t groups = 0;
  for (uint64_t seed = 1; seed <= kSeeds / 3; ++seed) {
    const Graph graph = random_lowered(seed);
    const Schedule schedule = *make_schedule(graph, in_blocks_of(1 + static_cast<int32_t>(seed % 4)));
    ASSERT_EQ(verify(schedule, graph), absl::OkStatus()) << seed;
    groups += static_cast<int64_t>(schedule.stripes.size());
  }
  EXPECT_GT(groups, 50);
}

class BrokenStripes : public testing::Test {
 protected:
  BrokenStripes() : graph_(graph_of(scaled(2, 12, 30))), schedule_(forced(graph_)) {}

  void expect_error(const std::string& what) {
    EXPECT_THAT(std::string(verify(schedule_, graph_).message()), HasSubstr(what));
  }

  Graph graph_;
  Schedule schedule_;
};

TEST_F(BrokenStripes, BlocksWithoutMemory) {
  schedule_.stripes.at(0).bytes -= 64;
  expect_error("as if all of it were there");
}

TEST_F(BrokenStripes, AKernelOutsideThatReadsABlock) {
  --schedule_.stripes.at(0).count;
  expect_error("touches the memory of a block");
}

TEST_F(BrokenStripes, ARowOfAnotherBlock) {
  ScheduledKernel& last = schedule_.kernels.at(2);
  last.sizes[SizesLayout(last.program).access(0) + 1 + last.program.axis(Role::row)] = 0;
  expect_error("reads other rows than its own");
}

}  // namespace
}  // namespace etch
