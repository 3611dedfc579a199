// Loops whose turns write a row each: those that look as if they were one kernel and are not.
#include <gtest/gtest.h>

#include "tests/schedule/schedules.h"

namespace etch {
namespace {

/// A loop of so many turns over the number of the turn, %0, a result of this type, %1, and a vector, %2.
Graph loop_of(int64_t turns, const std::string& result, const std::string& body) {
  return graph_of(cat("graph(%0: f32[5]) {\n%1 = constant value=7 : ", result, "\n%2 = constant value=0 : i32[]\n",
                      "%3, %4 = while_loop(%2, %1; %0) : i32[], ", result, " {\ntest(%0: i32[], %1: ", result, ", %2: f32[5]) {\n",
                      "%3 = constant value=", turns, " : i32[]\n%4 = less(%0, %3) : bool[]\nreturn %4, %0, %1\n}\n",
                      "body(%0: i32[], %1: ", result, ", %2: f32[5]) {\n", body, "}\n}\nreturn %4\n}"));
}

TEST(RowsOfLoops, OneElementAlongTheLastAxisIsNoRow) {
  const Graph graph = loop_of(1, "f32[1,5]",
                              "%3 = slice(%2) start=[3] step=[1] : f32[1]\n%4 = reshape(%3) : f32[1,1]\n"
                              "%5 = update_slice(%1, %4, %0) axis=1 : f32[1,5]\n%6 = constant value=1 : i32[]\n"
                              "%7 = add(%0, %6) : i32[]\nreturn %7, %5\n");
  expect_same_bits(graph, true);
}

TEST(RowsOfLoops, AnIndexThatWrapsIsNoTurn) {
  const Graph graph = loop_of(200, "f32[200]",
                              "%3 = cast(%0) : i8[]\n%4 = cast(%3) : i32[]\n%5 = cast(%0) : f32[]\n%6 = reshape(%5) : f32[1]\n"
                              "%7 = update_slice(%1, %6, %4) axis=0 : f32[200]\n%8 = constant value=1 : i32[]\n"
                              "%9 = add(%0, %8) : i32[]\nreturn %9, %7\n");
  expect_same_bits(graph, true);
}

TEST(RowsOfLoops, ALimitBeyondAllTurnsIsNoLimitOfThem) {
  const Graph graph = loop_of(20, "f32[20]",
                              "%3 = cast(%0) : u64[]\n%4 = constant value=9223372036854775808 : u64[]\n%5 = max(%3, %4) : u64[]\n"
                              "%6 = cast(%5) : i64[]\n%7 = cast(%0) : f32[]\n%8 = reshape(%7) : f32[1]\n"
                              "%9 = update_slice(%1, %8, %6) axis=0 : f32[20]\n%10 = constant value=1 : i32[]\n"
                              "%11 = add(%0, %10) : i32[]\nreturn %11, %9\n");
  expect_same_bits(graph, true);
}

TEST(RowsOfLoops, AnIndexThatIsCastAndHoldsAllTurnsIsOne) {
  const Graph graph = loop_of(100, "f32[100]",
                              "%3 = cast(%0) : i8[]\n%4 = cast(%3) : i32[]\n%5 = cast(%0) : f32[]\n%6 = reshape(%5) : f32[1]\n"
                              "%7 = update_slice(%1, %6, %4) axis=0 : f32[100]\n%8 = constant value=1 : i32[]\n"
                              "%9 = add(%0, %8) : i32[]\nreturn %9, %7\n");
  EXPECT_EQ(schedule_of(graph).kernels.size(), 1u);
  expect_same_bits(graph, true);
}

}  // namespace
}  // namespace etch
