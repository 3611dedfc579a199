// The graph builder: hash-consing, inputs, size; and what the verifier finds in a broken graph.
#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>

#include "compiler/ir/text.h"
#include "tests/ir/random_emit.h"

namespace etch {
namespace {

constexpr Type kVector{DType::f32, {4}};

Value emit(GraphBuilder& builder, const AnyOp& op, std::vector<Value> operands, Origin origin = {}) {
  return builder.emit(op, operands, origin).value();
}

Value constant(GraphBuilder& builder, float value, const Type& type = kVector) {
  return builder.constant(to_bits(value), type).value();
}

TEST(GraphBuilder, MakesEqualNodesOnce) {
  GraphBuilder builder;
  const Value x = builder.input(kVector).value();
  const Value y = builder.input(kVector).value();
  EXPECT_EQ(emit(builder, Op::add, {x, y}), emit(builder, Op::add, {x, y}));
  EXPECT_EQ(builder.num_values(), 3);
}

TEST(GraphBuilder, TellsOpsOperandsFieldsAndTypesApart) {
  GraphBuilder builder;
  const Value x = builder.input({DType::f32, {2, 2}}).value();
  const Value y = builder.input({DType::f32, {2, 2}}).value();
  std::set<int32_t> values;
  values.insert(emit(builder, Op::add, {x, y}).id);
  values.insert(emit(builder, Op::add, {y, x}).id);
  values.insert(emit(builder, Op::mul, {x, y}).id);
  values.insert(emit(builder, op::Reduce{ReduceKind::sum, {0}}, {x}).id);
  values.insert(emit(builder, op::Reduce{ReduceKind::sum, {1}}, {x}).id);
  values.insert(emit(builder, op::Reduce{ReduceKind::max, {1}}, {x}).id);
  values.insert(builder.emit(op::Reshape{}, {&x, 1}, Type{DType::f32, {4}}).value().id);
  values.insert(builder.emit(op::Reshape{}, {&x, 1}, Type{DType::f32, {4, 1}}).value().id);
  EXPECT_EQ(values.size(), 8u);
}

TEST(GraphBuilder, ComparesConstantsByBits) {
  GraphBuilder builder;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(constant(builder, nan), constant(builder, nan));
  EXPECT_NE(constant(builder, 0.0f), constant(builder, -0.0f));
  EXPECT_NE(constant(builder, 1.0f), constant(builder, 1.0f, {DType::f32, {5}}));
}

TEST(GraphBuilder, NeverMergesInputs) {
  GraphBuilder builder;
  EXPECT_NE(builder.input(kVector).value(), builder.input(kVector).value());
}

TEST(GraphBuilder, KeepsTheFirstOrigin) {
  GraphBuilder builder;
  const Value x = builder.input(kVector).value();
  const int32_t file = builder.name("a.cc");
  const Value first = emit(builder, Op::exp, {x}, {file, 1, -1});
  const Value second = emit(builder, Op::exp, {x}, {file, 2, -1});
  EXPECT_EQ(first, second);
  EXPECT_EQ(builder.node(first).origin.line, 1);
}

TEST(GraphBuilder, GivesEqualNamesOneIndex) {
  GraphBuilder builder;
  EXPECT_EQ(builder.name("a.cc"), builder.name("a.cc"));
  EXPECT_NE(builder.name("a.cc"), builder.name("b.cc"));
}

TEST(GraphBuilder, WritesEqualSlicesInOneWay) {
  GraphBuilder builder;
  const Value x = builder.input({DType::f32, {5, 5}}).value();
  const auto slice = [&](const op::Slice& op, const Shape& shape) {
    return builder.emit(op, {&x, 1}, Type{DType::f32, shape}).value();
  };
  EXPECT_EQ(slice({{3, 0}, {7, 1}}, {1, 5}), slice({{3, 0}, {-2, 1}}, {1, 5}));
  EXPECT_EQ(slice({{9, 0}, {7, 1}}, {0, 5}), slice({{-1, 0}, {-1, 1}}, {0, 5}));
  EXPECT_NE(slice({{3, 0}, {1, 1}}, {1, 5}), slice({{2, 0}, {1, 1}}, {1, 5}));
}

TEST(GraphBuilder, RejectsAnOperandThatIsNoValue) {
  GraphBuilder builder;
  const Value x = builder.input(kVector).value();
  for (int32_t id : {-1, 1, std::numeric_limits<int32_t>::max()}) {
    const Value operands[] = {x, {id}};
    EXPECT_EQ(builder.emit(Op::add, operands).status().message(), "add: operand 1 is no value of this graph");
  }
}

TEST(GraphBuilder, RejectsInputsThroughEmit) {
  GraphBuilder builder;
  EXPECT_FALSE(builder.emit(op::Input{0}, {}, kVector).ok());
}

TEST(GraphBuilder, MovesLateInputsToTheFront) {
  GraphBuilder builder;
  const Value x = builder.input(kVector).value();
  const Value e = emit(builder, Op::exp, {x});
  const Value y = builder.input({DType::f32, {}}).value();
  const Value sum = emit(builder, Op::add, {e, y});
  const Value outputs[] = {sum, y};
  EXPECT_EQ(print(std::move(builder).finish(outputs)),
            "graph(%0: f32[4], %1: f32[]) {\n"
            "  %2 = exp(%0) : f32[4]\n"
            "  %3 = add(%2, %1) : f32[4]\n"
            "  return %3, %1\n"
            "}\n");
}

TEST(GraphBuilder, IsEmptyAfterFinish) {
  GraphBuilder builder;
  const Value x = builder.input(kVector).value();
  emit(builder, Op::exp, {x}, {builder.name("a.cc"), 1, -1});
  const Graph first = std::move(builder).finish({&x, 1});
  EXPECT_EQ(builder.num_values(), 0);  // NOLINT: finish says what is left
  EXPECT_EQ(builder.name("b.cc"), 0);
  EXPECT_EQ(first.num_values(), 2);
}

TEST(GraphBuilder, NeverHoldsEqualNodesTwiceInRandomGraphs) {
  RandomEmitter random(7);
  const Graph graph = random.graph(5000);
  ASSERT_GT(graph.num_values(), 500);
  std::set<std::string> texts;
  for (const Node& node : graph.nodes()) {
    std::string text = print(graph, node);
    texts.insert(text.substr(text.find('=')));
  }
  EXPECT_EQ(texts.size(), graph.nodes().size());
}

TEST(GraphBuilder, SurvivesIllegalProposals) {
  RandomEmitter random(11);
  GraphBuilder builder;
  ASSERT_TRUE(builder.input(kVector).ok());
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) accepted += random.propose(builder).ok();
  EXPECT_GT(accepted, 0);
  EXPECT_TRUE(verify(std::move(builder).finish({})).ok());
}

TEST(Graph, EqualityIgnoresOrigins) {
  const auto make = [](int line) {
    GraphBuilder builder;
    const Value x = builder.input(kVector).value();
    const Value y = emit(builder, Op::exp, {x}, {builder.name("a.cc"), line, -1});
    return std::move(builder).finish({&y, 1});
  };
  EXPECT_TRUE(make(1) == make(2));
}

TEST(Graph, EqualityComparesOutputs) {
  const auto make = [](bool swapped) {
    GraphBuilder builder;
    const Value x = builder.input(kVector).value();
    const Value y = builder.input(kVector).value();
    const Value outputs[] = {swapped ? y : x, swapped ? x : y};
    return std::move(builder).finish(outputs);
  };
  EXPECT_FALSE(make(false) == make(true));
}

TEST(Graph, AChainOfAMillionOpsBuildsPrintsParsesAndVerifies) {
  GraphBuilder builder;
  const Value x = builder.input(kVector).value();
  Value chain = x;
  for (int i = 0; i < 1'000'000; ++i) chain = emit(builder, i % 2 ? Op::add : Op::mul, {chain, x});
  const Graph graph = std::move(builder).finish({&chain, 1});
  EXPECT_EQ(graph.num_values(), 1'000'001);
  EXPECT_TRUE(verify(graph).ok());
  const absl::StatusOr<Graph> parsed = parse(print(graph));
  ASSERT_TRUE(parsed.ok());
  EXPECT_TRUE(*parsed == graph);
}

// Graphs are broken through const_cast: nothing else can.
class Verifier : public testing::Test {
 protected:
  Verifier() {
    GraphBuilder builder;
    const Value x = builder.input(kVector).value();
    const Value y = builder.input(kVector).value();
    const Value sum = emit(builder, Op::add, {x, y}, {builder.name("a.cc"), 1, -1});
    const Value outputs[] = {emit(builder, Op::exp, {sum})};
    graph_ = std::move(builder).finish(outputs);
  }

  Node& node(int i) { return const_cast<Node&>(graph_.nodes()[i]); }
  std::string message() const { return std::string(verify(graph_).message()); }

  Graph graph_;
};

TEST_F(Verifier, AcceptsWhatTheBuilderMade) { EXPECT_TRUE(verify(graph_).ok()); }

TEST_F(Verifier, FindsAnOperandThatComesLater) {
  node(2).operands[0] = Value{3};
  EXPECT_EQ(message(), "invalid graph: %2 = add: operand %3 does not come before it");
}

TEST_F(Verifier, FindsANegativeOperand) {
  node(2).operands[0] = Value{};
  EXPECT_EQ(message(), "invalid graph: %2 = add: operand %-1 does not come before it");
}

TEST_F(Verifier, FindsAWrongType) {
  node(3).op = Op::is_nan;
  EXPECT_EQ(message(), "invalid graph: %3 = is_nan: is_nan(f32[4]): the result is bool[4], not f32[4]");
}

TEST_F(Verifier, FindsResultsThatBelongToNoNode) {
  node(3).num_results = 0;
  EXPECT_EQ(message(), "invalid graph: %3 = exp: the results are not numbered in order");
}

TEST_F(Verifier, FindsResultsThatBelongToAnotherNode) {
  node(2).num_results = 2;
  EXPECT_EQ(message(), "invalid graph: %2 = add: %3 belongs to another node");
}

TEST_F(Verifier, FindsAWrongInputIndex) {
  node(1).op = op::Input{0};
  EXPECT_EQ(message(), "invalid graph: %1 = input: the input's index is wrong");
}

TEST_F(Verifier, FindsAnInputThatIsNotListed) {
  node(3).op = op::Input{2};
  node(3).operands.clear();
  EXPECT_EQ(message(), "invalid graph: %3 = input: the inputs are not the first nodes");
}

TEST_F(Verifier, FindsAnOutputThatIsNoValue) {
  const_cast<Value&>(graph_.outputs()[0]) = Value{4};
  EXPECT_EQ(message(), "invalid graph: output %4 is no value");
}

TEST_F(Verifier, FindsAnOriginWithoutName) {
  node(2).origin.scope = 1;
  EXPECT_EQ(message(), "invalid graph: %2 = add: the origin names no string of the graph");
}

}  // namespace
}  // namespace etch
