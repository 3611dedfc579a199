// The table of passes, what rewrite promises, and passes on graphs of extreme shape.
#include "compiler/passes/pass.h"

#include <gtest/gtest.h>

#include <set>

#include "compiler/ir/text.h"

namespace etch {
namespace {

Graph parsed(std::string_view text) {
  absl::StatusOr<Graph> graph = parse(text);
  EXPECT_TRUE(graph.ok()) << graph.status();
  return *std::move(graph);
}

std::string text_after(const Graph& graph, const RewriteFn& fn) {
  absl::StatusOr<Graph> result = rewrite(Graph(graph), fn);
  return result.ok() ? print(*result) : result.status().ToString();
}

absl::StatusOr<Value> keep(GraphBuilder&, const Node&, std::span<const Value>) { return Value{}; }

/// `length` times tanh of one input.
Graph chain(int length) {
  GraphBuilder builder;
  Value x = *builder.input({DType::f32, {4}});
  for (int i = 0; i < length; ++i) x = *builder.emit(Op::tanh, {&x, 1});
  return std::move(builder).finish({&x, 1});
}

TEST(Passes, NamesAreUnique) {
  std::set<std::string_view> names;
  for (const Pass& pass : passes()) EXPECT_TRUE(names.insert(pass.name).second) << pass.name;
}

TEST(Passes, EachHasAReason) {
  for (const Pass& pass : passes()) EXPECT_FALSE(pass.reason.empty()) << pass.name;
}

TEST(Passes, AreFoundByName) {
  for (const Pass& pass : passes()) EXPECT_EQ(find_pass(pass.name), &pass);
  EXPECT_EQ(find_pass("sinplify"), nullptr);
}

TEST(Rewrite, KeepsWhatTheFunctionKeeps) {
  const Graph graph = parsed(R"(graph(%0: f32[4]) {
  %1 = cast(%0) : f64[4]  // a.cc:1 in block
  %2 = iota axis=0 : f64[4]
  %3 = add(%1, %2) : f64[4]  // a.cc:2
  %4 = slice(%3) start=[1] step=[2] : f64[2]
  return %4, %0
}
)");
  EXPECT_EQ(text_after(graph, keep), print(graph));
}

TEST(Rewrite, KeepsUnusedInputs) {
  const Graph graph = parsed("graph(%0: f32[4], %1: i32[]) {\n  return %0\n}\n");
  EXPECT_EQ(text_after(graph, keep), print(graph));
}

TEST(Rewrite, DropsWhatReplacementsLeaveUnused) {
  const Graph graph = parsed(R"(graph(%0: f32[4]) {
  %1 = exp(%0) : f32[4]
  %2 = log(%1) : f32[4]
  return %2
})");
  const auto undo_exp = [](GraphBuilder& builder, const Node& node, std::span<const Value> operands) {
    return node.op == Op::log ? builder.node(operands[0]).operands[0] : Value{};
  };
  EXPECT_EQ(text_after(graph, undo_exp), "graph(%0: f32[4]) {\n  return %0\n}\n");
}

TEST(Rewrite, NewNodesGetTheOriginOfTheNodeTheyReplace) {
  const Graph graph = parsed(R"(graph(%0: f32[4]) {
  %1 = neg(%0) : f32[4]  // a.cc:7 in softmax
  return %1
})");
  const auto negate_twice = [](GraphBuilder& builder, const Node&, std::span<const Value> operands) {
    const Value sine = builder.emit(Op::sin, operands).value();
    return builder.emit(Op::cos, {&sine, 1});
  };
  EXPECT_EQ(text_after(graph, negate_twice), R"(graph(%0: f32[4]) {
  %1 = sin(%0) : f32[4]  // a.cc:7 in softmax
  %2 = cos(%1) : f32[4]  // a.cc:7 in softmax
  return %2
}
)");
}

TEST(Rewrite, OriginsThatTheFunctionNamesStand) {
  const Graph graph = parsed(R"(graph(%0: f32[4]) {
  %1 = neg(%0) : f32[4]  // a.cc:7
  return %1
})");
  const auto named = [](GraphBuilder& builder, const Node&, std::span<const Value> operands) {
    return builder.emit(Op::sin, operands, Origin{builder.name("b.cc"), 3, -1});
  };
  EXPECT_EQ(text_after(graph, named), "graph(%0: f32[4]) {\n  %1 = sin(%0) : f32[4]  // b.cc:3\n  return %1\n}\n");
}

TEST(Rewrite, RefusesAReplacementOfAnotherType) {
  const Graph graph = parsed("graph(%0: f32[4]) {\n  %1 = is_nan(%0) : bool[4]\n  return %1\n}\n");
  const auto operand = [](GraphBuilder&, const Node&, std::span<const Value> operands) { return operands[0]; };
  try {
    text_after(graph, operand);
    FAIL();
  } catch (const InternalError& error) {
    EXPECT_NE(std::string(error.what()).find("a pass replaced is_nan : bool[4] by input : f32[4]"), std::string::npos);
  }
}

TEST(Rewrite, HandsOnTheErrorOfTheFunction) {
  const Graph graph = parsed("graph(%0: f32[4]) {\n  %1 = neg(%0) : f32[4]\n  return %1\n}\n");
  const auto fail = [](GraphBuilder&, const Node&, std::span<const Value>) -> absl::StatusOr<Value> {
    return absl::AbortedError("no");
  };
  EXPECT_EQ(text_after(graph, fail), "ABORTED: no");
}

TEST(Rewrite, AsksAboutEachNeededNodeOnce) {
  int asked = 0;
  const auto count = [&](GraphBuilder&, const Node&, std::span<const Value>) {
    ++asked;
    return Value{};
  };
  ASSERT_TRUE(rewrite(chain(1000), count).ok());
  EXPECT_EQ(asked, 1000);
}

TEST(Passes, TakeAChainOfAHundredThousandOps) {
  Graph graph = chain(100'000);
  for (const Pass& pass : passes()) {
    absl::StatusOr<Graph> result = pass.run(graph);
    ASSERT_TRUE(result.ok()) << pass.name << ": " << result.status();
    EXPECT_TRUE(*result == graph) << pass.name;
  }
}

TEST(Passes, LeaveNothingOfACancelledChain) {
  GraphBuilder builder;
  const Value x = *builder.input({DType::f32, {4}});
  Value y = x;
  for (int i = 0; i < 10'000; ++i) y = *builder.emit(Op::neg, {&y, 1});
  absl::StatusOr<Graph> result = find_pass("simplify")->run(std::move(builder).finish({&y, 1}));
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->outputs()[0], x);
}

TEST(Passes, EndOnSlicesOfDeeplyNestedConcats) {
  GraphBuilder builder;
  Value x = *builder.input({DType::f32, {1}});
  for (int i = 0; i < 2000; ++i) x = *builder.emit(op::Concat{0}, std::vector<Value>{x, Value{0}});
  x = *builder.emit(op::Slice{{0}, {1}}, {&x, 1}, Type{DType::f32, {1}});
  absl::StatusOr<Graph> result = find_pass("simplify")->run(std::move(builder).finish({&x, 1}));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(verify(*result).ok());
}

}  // namespace
}  // namespace etch
