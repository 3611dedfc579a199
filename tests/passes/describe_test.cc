// What dumps and explain say of a pass.
#include "compiler/passes/describe.h"

#include <gtest/gtest.h>

#include "compiler/ir/text.h"
#include "compiler/passes/pass.h"

namespace etch {
namespace {

std::string change(std::string_view before, std::string_view after) {
  return describe_change(parse(before).value(), parse(after).value());
}

TEST(DescribeChange, SaysThatNothingChanged) {
  const std::string_view text = "graph(%0: f32[4]) {\n  %1 = exp(%0) : f32[4]  // a.cc:1\n  return %1\n}";
  EXPECT_EQ(change(text, text), "no change");
}

TEST(DescribeChange, ListsPrunedNodesWithTheirPlace) {
  EXPECT_EQ(change(R"(graph(%0: f32[4]) {
  %1 = exp(%0) : f32[4]  // a.cc:1
  %2 = add(%1, %0) : f32[4]  // a.cc:2 in f
  %3 = neg(%0) : f32[4]
  return %3
})",
                   "graph(%0: f32[4]) {\n  %1 = neg(%0) : f32[4]\n  return %1\n}"),
            "pruned 2 nodes: %1 exp (a.cc:1), %2 add (a.cc:2)");
}

TEST(DescribeChange, ListsReplacedNodesAndWhatReplacesThem) {
  EXPECT_EQ(change(R"(graph(%0: f32[4]) {
  %1 = constant value=4 : f32[]
  %2 = div(%0, %1) : f32[4]  // a.cc:1
  %3 = exp(%2) : f32[4]  // a.cc:2
  return %3
})",
                   R"(graph(%0: f32[4]) {
  %1 = constant value=0.25 : f32[]
  %2 = mul(%0, %1) : f32[4]  // a.cc:1
  %3 = exp(%2) : f32[4]  // a.cc:2
  return %3
})"),
            "replaced 2 nodes: %1 constant, %2 div (a.cc:1) by 2 nodes: %1 constant, %2 mul (a.cc:1)");
}

TEST(DescribeChange, BlamesTheDeadOneOfTwoAlike) {
  EXPECT_EQ(change(R"(graph(%0: f32[4], %1: f32[4]) {
  %2 = exp(%0) : f32[4]
  %3 = exp(%1) : f32[4]
  return %3
})",
                   "graph(%0: f32[4], %1: f32[4]) {\n  %2 = exp(%1) : f32[4]\n  return %2\n}"),
            "pruned 1 node: %2 exp");
}

TEST(DescribeChange, NamesNewConnections) {
  EXPECT_EQ(change("graph(%0: f32[4], %1: f32[4]) {\n  %2 = add(%0, %1) : f32[4]\n  return %2\n}",
                   "graph(%0: f32[4], %1: f32[4]) {\n  %2 = add(%1, %0) : f32[4]\n  return %2\n}"),
            "connected the same nodes differently");
}

TEST(DescribeChange, CutsLongLists) {
  GraphBuilder builder;
  Value x = *builder.input({DType::f32, {4}});
  for (int i = 0; i < 20; ++i) x = *builder.emit(Op::tanh, {&x, 1});
  const Value input{0};
  const Graph graph = std::move(builder).finish({&input, 1});
  EXPECT_EQ(describe_change(graph, find_pass("prune")->run(graph).value()),
            "pruned 20 nodes: %1 tanh, %2 tanh, %3 tanh, %4 tanh, %5 tanh, %6 tanh, %7 tanh, %8 tanh and 12 more");
}

}  // namespace
}  // namespace etch
