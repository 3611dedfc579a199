// What the tests of schedules share: graphs from text and at random, their schedules, and the comparison of all ways to run.
#pragma once

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "compiler/passes/pass.h"
#include "compiler/schedule/schedule.h"
#include "tools/harness.h"
#include "tools/random_graph.h"

namespace etch {

inline Graph graph_of(const std::string& text) {
  absl::StatusOr<Graph> graph = parse(text);
  EXPECT_TRUE(graph.ok()) << graph.status();
  return *std::move(graph);
}

inline Schedule schedule_of(const Graph& graph, bool fuse = true) {
  absl::StatusOr<Schedule> schedule = make_schedule(graph, {.fuse = fuse});
  EXPECT_TRUE(schedule.ok()) << schedule.status();
  return *std::move(schedule);
}

/// Of the random graphs that a property is tested on.
inline constexpr uint64_t kSeeds = 1500;

/// Lowered random graphs of several sizes.
inline Graph random_lowered(uint64_t seed) {
  Graph graph = random_graph({.seed = seed, .ops = 4 + static_cast<int>(seed % 40)});
  absl::StatusOr<Graph> wide = find_pass("widen")->run(graph);
  EXPECT_TRUE(wide.ok()) << wide.status();
  absl::StatusOr<Graph> lowered = find_pass("lower_reductions")->run(*std::move(wide));
  EXPECT_TRUE(lowered.ok()) << lowered.status();
  return *std::move(lowered);
}

/// All three ways on special inputs: unfused, fused, interpreter (which must agree to the bit if `exact`).
inline void expect_same_bits(const Graph& graph, bool exact) {
  std::mt19937_64 random(1);
  std::vector<Literal> inputs = random_inputs(graph, exact ? Draw::whole : Draw::special, random);
  absl::StatusOr<std::vector<Literal>> unfused =
      run_compiled(graph, {.prune_and_simplify = false, .fuse = false}, inputs, {.threads = 1});
  absl::StatusOr<std::vector<Literal>> fused =
      run_compiled(graph, {.prune_and_simplify = false}, inputs, {.threads = 2});
  ASSERT_TRUE(unfused.ok()) << unfused.status();
  ASSERT_TRUE(fused.ok()) << fused.status();
  EXPECT_EQ(bit_difference(*unfused, *fused), "") << print(graph);
  if (exact) {
    EXPECT_EQ(bit_difference(*interpret(graph, inputs), *fused), "") << print(graph);
  }
}

/// Rows by columns.
inline std::string softmax_text(int64_t rows, int64_t columns) {
  std::string full = cat("f32[", rows, ",", columns, "]"), row = cat("f32[", rows, "]"), kept = cat("f32[", rows, ",1]");
  return cat("graph(%0: ", full, ") {\n%1 = reduce(%0) kind=max axes=[1] : ", row, "\n%2 = reshape(%1) : ", kept,
             "\n%3 = sub(%0, %2) : ", full, "\n%4 = exp(%3) : ", full, "\n%5 = reduce(%4) kind=sum axes=[1] : ", row,
             "\n%6 = reshape(%5) : ", kept, "\n%7 = div(%4, %6) : ", full, "\nreturn %7\n}\n");
}

}  // namespace etch
