// The engine: the order of sums, what is none and why, what is differentiated at all, and forward mode.
#include <gtest/gtest.h>

#include "compiler/ir/events.h"
#include "compiler/ir/text.h"
#include "etch/error.h"
#include "runtime/check.h"
#include "tests/gradients/differences.h"

namespace etch {
namespace {

Graph parsed(const std::string& text) {
  absl::StatusOr<Graph> graph = parse(text);
  if (!graph.ok()) throw std::runtime_error(std::string(graph.status().message()));
  return *std::move(graph);
}

std::string gradient_text(const std::string& text) { return print(differentiate_all(parsed(text)).graph); }

// ---- The order of sums ----------------------------------------------------------------------------------------------

TEST(Order, LaterUsesAreAddedFirst) {
  EXPECT_EQ(gradient_text(R"(graph(%0: f64[]) {
  %1 = sin(%0) : f64[]
  %2 = cos(%0) : f64[]
  %3 = tan(%0) : f64[]
  return %1, %2, %3
})"),
            R"(graph(%0: f64[], %1: f64[], %2: f64[], %3: f64[]) {
  %4 = sin(%0) : f64[]
  %5 = cos(%0) : f64[]
  %6 = tan(%0) : f64[]
  %7 = mul(%6, %6) : f64[]
  %8 = constant value=1 : f64[]
  %9 = add(%8, %7) : f64[]
  %10 = mul(%3, %9) : f64[]
  %11 = neg(%2) : f64[]
  %12 = mul(%11, %4) : f64[]
  %13 = add(%10, %12) : f64[]
  %14 = mul(%1, %5) : f64[]
  %15 = add(%13, %14) : f64[]
  return %15
}
)");
}

TEST(Order, OperandsOfOneNodeAddInTheirOrder) {
  EXPECT_EQ(gradient_text("graph(%0: f64[]) {\n  %1 = sub(%0, %0) : f64[]\n  return %1\n}\n"),
            "graph(%0: f64[], %1: f64[]) {\n  %2 = neg(%1) : f64[]\n  %3 = add(%1, %2) : f64[]\n  return %3\n}\n");
}

TEST(Order, TheFirstContributionIsTakenAsItIs) {
  // -0 stays: nothing is added to it.
  const GradientGraph gradient =
      differentiate_all(parsed("graph(%0: f64[], %1: f64[]) {\n  %2 = mul(%0, %1) : f64[]\n  return %2\n}\n"));
  const std::vector<Literal> inputs{literal_of({}, {1}), literal_of({}, {-0.0}), literal_of({}, {1})};
  EXPECT_TRUE(std::signbit(values_of(outputs_of(gradient.graph, inputs)[0])[0]));
}

/// tanh recorded twice, and the gradient of the sum of both in x.
std::string gradient_of_events(std::span<const NodeRange> groups) {
  Events events;
  Recorder recorder(events);
  const Value x = *events.input({DType::f64, {}});
  const Value seed = *events.input({DType::f64, {}});
  const Ex input(recorder, x);
  const Ex first = sin(input);            // node 2
  const Ex second = sin(input);           // node 3
  const Ex third = sin(first + second);   // nodes 4 and 5
  const Ex total = third * input;         // node 6
  const Value target = total.value();
  const auto gradients = make_gradients(recorder, {{&target, 1}, {&seed, 1}, {&x, 1}, groups}).values;
  const Value output = *gradients[0];
  return print(events.close({&output, 1}));
}

TEST(Order, EqualEventsAddTwiceUnmerged) {
  // (third + second) + first, where the last two are one node after closing.
  EXPECT_EQ(gradient_of_events({}), R"(graph(%0: f64[], %1: f64[]) {
  %2 = sin(%0) : f64[]
  %3 = add(%2, %2) : f64[]
  %4 = sin(%3) : f64[]
  %5 = mul(%4, %0) : f64[]
  %6 = mul(%1, %0) : f64[]
  %7 = mul(%1, %4) : f64[]
  %8 = cos(%3) : f64[]
  %9 = mul(%6, %8) : f64[]
  %10 = cos(%0) : f64[]
  %11 = mul(%9, %10) : f64[]
  %12 = add(%7, %11) : f64[]
  %13 = add(%12, %11) : f64[]
  return %13
}
)");
}

TEST(Order, AGroupIsSummedBeforeItIsAdded) {
  // third + (second + first): those two stand in one group, which counts as one op.
  const NodeRange group{2, 5};
  EXPECT_EQ(gradient_of_events({&group, 1}), R"(graph(%0: f64[], %1: f64[]) {
  %2 = sin(%0) : f64[]
  %3 = add(%2, %2) : f64[]
  %4 = sin(%3) : f64[]
  %5 = mul(%4, %0) : f64[]
  %6 = mul(%1, %0) : f64[]
  %7 = mul(%1, %4) : f64[]
  %8 = cos(%3) : f64[]
  %9 = mul(%6, %8) : f64[]
  %10 = cos(%0) : f64[]
  %11 = mul(%9, %10) : f64[]
  %12 = add(%11, %11) : f64[]
  %13 = add(%7, %12) : f64[]
  return %13
}
)");
}

TEST(Order, GroupsNest) {
  // The outer group ends with the inner one and begins with it: nothing changes but that all of it is one op.
  const NodeRange groups[] = {{2, 7}, {2, 5}, {3, 4}};
  const NodeRange group{2, 5};
  EXPECT_EQ(gradient_of_events(groups), gradient_of_events({&group, 1}));
}

/// sin(x) * x + cos(x), where x is an input that stands among the nodes.
struct LateInput {
  LateInput() {
    first = sin(Ex(recorder, *events.input({DType::f64, {}}))).value();
    x = *events.input({DType::f64, {}});
    seed = *events.input({DType::f64, {}});
    const Ex input(recorder, x);
    target = (Ex(recorder, first) * (sin(input) * input) + cos(input)).value();
  }

  Gradients gradients(std::vector<NodeRange> groups, std::vector<bool> recorded = {}) {
    return make_gradients(recorder, {{&target, 1}, {&seed, 1}, {&x, 1}, groups, std::move(recorded)});
  }

  Events events;
  Recorder recorder{events};
  Value first, x, seed, target;
};

TEST(Order, AnInputInAGroupWasMadeBeforeIt) {
  LateInput with, without;
  const NodeRange around{0, 7}, behind{4, 7};  // the input is node 2
  const Value a = *with.gradients({around}).values[0], b = *without.gradients({behind}).values[0];
  EXPECT_EQ(print(with.events.close({&a, 1})), print(without.events.close({&b, 1})));
}

TEST(Order, WhatAGroupsDerivativeMakesIsAStretch) {
  LateInput late;
  const int begin = static_cast<int>(late.events.nodes().size());
  const std::vector<NodeRange> made = late.gradients({{4, 7}}).groups;
  ASSERT_FALSE(made.empty());
  const NodeRange outer = made.back();
  EXPECT_GE(outer.begin, begin);
  for (const NodeRange& inner : made) {
    const bool nests = inner.begin >= outer.begin && inner.end <= outer.end;
    EXPECT_TRUE(nests || inner.end <= outer.begin) << inner.begin << ".." << inner.end;
  }
}

TEST(Recorded, NodesAloneAreDifferentiated) {
  LateInput late;
  std::vector<bool> recorded(late.events.nodes().size(), true);
  EXPECT_TRUE(has_gradient(late.events, {&late.target, 1}, late.x, recorded));
  recorded.back() = false;  // the sum
  EXPECT_FALSE(has_gradient(late.events, {&late.target, 1}, late.x, recorded));
  EXPECT_EQ(why_no_gradient(late.events, {&late.target, 1}, late.x, recorded), "add was not recorded");
  EXPECT_FALSE(late.gradients({}, recorded).values[0].has_value());
}

// ---- What is none, and why ------------------------------------------------------------------------------------------

const char kBroken[] = R"(graph(%0: f64[3], %1: f64[3], %2: i32[3], %3: f64[3]) {
  %4 = floor(%0) : f64[3]  // demo.cc:3
  %5 = greater(%0, %1) : bool[3]  // demo.cc:4
  %6 = where(%5, %4, %1) : f64[3]  // demo.cc:5
  return %6
})";

TEST(None, IsWhatNothingAddsTo) {
  const GradientGraph gradient = differentiate_all(parsed(kBroken));
  EXPECT_EQ(gradient.outputs, (std::vector<std::optional<int>>{std::nullopt, 0, std::nullopt, std::nullopt}));
  EXPECT_EQ(gradient.graph.outputs().size(), 1u);
}

TEST(None, SaysWhichOpsEndTheWay) {
  const Graph graph = parsed(kBroken);
  const auto why = [&](int input) { return why_no_gradient(graph, graph.outputs(), graph.inputs()[input]); };
  EXPECT_EQ(why(0), "floor (demo.cc:3) is constant between jumps; greater (demo.cc:4) is true or false");
  EXPECT_EQ(why(2), "it is of i32, and only floats have gradients");
  EXPECT_EQ(why(3), "no target depends on it");
}

TEST(None, SaysThatIntegersEndTheWay) {
  const Graph graph = parsed(R"(graph(%0: f64[3]) {
  %1 = cast(%0) : i32[3]
  %2 = cast(%1) : f64[3]
  %3 = reduce(%0) kind=argmax axes=[0] : i64[]
  return %2, %3
})");
  EXPECT_EQ(why_no_gradient(graph, graph.outputs(), graph.inputs()[0]), "cast gives i32; reduce gives i64");
}

TEST(Loops, WhoseTurnsDataTellsHaveGradients) {
  const GradientGraph gradient = differentiate_all(parsed(R"(graph(%0: f64[], %1: f64[]) {
  %2 = while_loop(%0; %1) : f64[] {
    test(%0: f64[], %1: f64[]) {
      %2 = less(%0, %1) : bool[]
      return %2, %0
    }
    body(%0: f64[], %1: f64[]) {
      %2 = mul(%0, %0) : f64[]
      return %2
    }
  }
  return %2
})"));
  // x, x^2, x^4, .. up to the bound; the cotangent is 3.
  EXPECT_EQ(gradient.outputs, (std::vector<std::optional<int>>{0, std::nullopt}));
  for (const auto& [bound, expected] : {std::pair(1.0, 3.0), std::pair(3.0, 3.0 * 4), std::pair(100.0, 3.0 * 8 * 128)}) {
    const std::vector<Literal> inputs{literal_of({}, {2}), literal_of({}, {bound}), literal_of({}, {3})};
    EXPECT_EQ(values_of(outputs_of(gradient.graph, inputs)[0])[0], expected) << bound;
  }
}

TEST(None, IsZerosOnRequest) {
  const Graph graph = parsed(kBroken);
  const Value sources[] = {graph.inputs()[0], graph.inputs()[2]};
  const GradientGraph gradient = differentiate(graph, graph.outputs(), sources, {.zeros = true});
  EXPECT_EQ(gradient.outputs, (std::vector<std::optional<int>>{0, 1}));
  EXPECT_EQ(print(gradient.graph), R"(graph(%0: f64[3], %1: f64[3], %2: i32[3], %3: f64[3], %4: f64[3]) {
  %5 = constant value=0 : f64[3]
  %6 = constant value=0 : i32[3]
  return %5, %6
}
)");
}

// ---- What is differentiated -----------------------------------------------------------------------------------------

TEST(Differentiate, TakesTheWaysToItsSourcesOnly) {
  const Graph graph = parsed(R"(graph(%0: f64[4,3], %1: f64[3,2], %2: f64[2]) {
  %3 = dot(%0, %1) : f64[4,2]
  %4 = add(%3, %2) : f64[4,2]
  return %4
})");
  const GradientGraph gradient = differentiate(graph, graph.outputs(), graph.inputs().subspan(2));
  EXPECT_EQ(print(gradient.graph), R"(graph(%0: f64[4,3], %1: f64[3,2], %2: f64[2], %3: f64[4,2]) {
  %4 = reduce(%3) kind=sum axes=[0] : f64[2]
  %5 = reshape(%4) : f64[2]
  return %5
}
)");
}

TEST(Differentiate, ASourceMayStandInTheMiddle) {
  const Graph graph = parsed(R"(graph(%0: f64[]) {
  %1 = exp(%0) : f64[]
  %2 = sin(%1) : f64[]
  return %2
})");
  const Value sources[] = {{0}, {1}, {2}};
  const GradientGraph gradient = differentiate(graph, graph.outputs(), sources);
  EXPECT_EQ(print(gradient.graph), R"(graph(%0: f64[], %1: f64[]) {
  %2 = exp(%0) : f64[]
  %3 = cos(%2) : f64[]
  %4 = mul(%1, %3) : f64[]
  %5 = mul(%4, %2) : f64[]
  return %5, %4, %1
}
)");
}

TEST(Differentiate, GivenValuesAreNotComputedAgain) {
  const Graph graph = parsed("graph(%0: f64[2]) {\n  %1 = tanh(%0) : f64[2]\n  return %1\n}\n");
  const GradientGraph gradient = differentiate(graph, graph.outputs(), graph.inputs(), {.given = graph.outputs()});
  EXPECT_EQ(print(gradient.graph), R"(graph(%0: f64[2], %1: f64[2], %2: f64[2]) {
  %3 = mul(%1, %1) : f64[2]
  %4 = constant value=1 : f64[]
  %5 = sub(%4, %3) : f64[2]
  %6 = mul(%2, %5) : f64[2]
  return %6
}
)");
}

TEST(Differentiate, NodesStandWhereTheForwardOpStands) {
  EXPECT_EQ(gradient_text("graph(%0: f64[]) {\n  %1 = exp(%0) : f64[]  // a.cc:7 in gelu\n  return %1\n}\n"),
            R"(graph(%0: f64[], %1: f64[]) {
  %2 = exp(%0) : f64[]  // a.cc:7 in gelu
  %3 = mul(%1, %2) : f64[]  // a.cc:7 in gelu
  return %3
}
)");
}

TEST(Differentiate, TakesAChainOfAHundredThousandOps) {
  GraphBuilder builder;
  Value x = *builder.input({DType::f32, {4}});
  for (int i = 0; i < 100'000; ++i) x = *builder.emit(Op::sin, {&x, 1});
  const GradientGraph gradient = differentiate_all(std::move(builder).finish({&x, 1}));
  EXPECT_EQ(gradient.graph.nodes().size(), 300'001u);  // sin but for the last, cos, mul; two inputs
}

// ---- Higher derivatives ---------------------------------------------------------------------------------------------

/// The inputs' gradients as one more graph of the same inputs, with all cotangents 1.
Graph gradient_graph(const Graph& graph) {
  const GradientGraph gradient = differentiate_all(graph);
  GraphBuilder builder;
  std::vector<Value> values(gradient.graph.num_values());
  for (size_t i = 0; i < gradient.graph.inputs().size(); ++i) {
    const Value input = gradient.graph.inputs()[i];
    const Type& type = gradient.graph.type(input);
    const bool is_kept = i < graph.inputs().size();
    values[input.id] = is_kept ? *builder.input(type) : *builder.constant(bits_of(1, type.dtype), type);
  }
  for (const Node& node : gradient.graph.nodes().subspan(gradient.graph.inputs().size())) {
    std::vector<Value> operands;
    for (Value operand : node.operands) operands.push_back(values[operand.id]);
    const Results made = *builder.emit_all(node.op, operands, gradient.graph.result_types(node));
    for (int i = 0; i < made.size(); ++i) values[node.first_result + i] = made[i];
  }
  std::vector<Value> outputs;
  for (Value output : gradient.graph.outputs()) outputs.push_back(values[output.id]);
  return std::move(builder).finish(outputs);
}

const char* const kComposites[] = {
    R"(graph(%0: f64[3]) {
  %1 = tanh(%0) : f64[3]
  %2 = exp(%0) : f64[3]
  %3 = mul(%1, %2) : f64[3]
  return %3
})",
    // Softmax cross-entropy with logits.
    R"(graph(%0: f64[2,4], %1: f64[2,4]) {
  %2 = reduce(%0) kind=max axes=[1] : f64[2]
  %3 = reshape(%2) : f64[2,1]
  %4 = sub(%0, %3) : f64[2,4]
  %5 = exp(%4) : f64[2,4]
  %6 = reduce(%5) kind=sum axes=[1] : f64[2]
  %7 = log(%6) : f64[2]
  %8 = reshape(%7) : f64[2,1]
  %9 = sub(%8, %4) : f64[2,4]
  %10 = mul(%1, %9) : f64[2,4]
  %11 = reduce(%10) kind=sum axes=[0,1] : f64[]
  return %11
})",
    // Layer normalisation of a product, weighted.
    R"(graph(%0: f64[2,3], %1: f64[3,4], %2: f64[4]) {
  %3 = dot(%0, %1) : f64[2,4]
  %4 = reduce(%3) kind=sum axes=[1] : f64[2]
  %5 = constant value=4 : f64[]
  %6 = div(%4, %5) : f64[2]
  %7 = reshape(%6) : f64[2,1]
  %8 = sub(%3, %7) : f64[2,4]
  %9 = mul(%8, %8) : f64[2,4]
  %10 = reduce(%9) kind=sum axes=[1] : f64[2]
  %11 = div(%10, %5) : f64[2]
  %12 = rsqrt(%11) : f64[2]
  %13 = reshape(%12) : f64[2,1]
  %14 = mul(%8, %13) : f64[2,4]
  %15 = mul(%14, %2) : f64[2,4]
  %16 = pow(%15, %14) : f64[2,4]
  %17 = sin(%15) : f64[2,4]
  return %17
})",
    "graph(%0: f64[2,4]) {\n  %1 = reduce(%0) kind=prod axes=[1] : f64[2]\n  return %1\n}\n",
    R"(graph(%0: f64[7]) {
  %1 = window(%0) axes=[0] size=[3] step=[2] dilation=[1] : f64[3,3]
  %2 = exp(%1) : f64[3,3]
  %3 = reduce(%2) kind=sum axes=[1] : f64[3]
  %4 = sqrt(%3) : f64[3]
  return %4
})",
};

class HigherDerivatives : public testing::TestWithParam<const char*> {};

TEST_P(HigherDerivatives, AgreeWithDifferencesOfTheOnesBefore) {
  Graph graph = parsed(GetParam());
  std::mt19937_64 random(11);
  std::vector<Literal> inputs;
  for (Value input : graph.inputs()) inputs.push_back(draw(graph.type(input), 0.4, 1.2, true, random));
  for (int order = 1; order <= 3; ++order) {
    SCOPED_TRACE(order);
    std::vector<Literal> ones;
    for (Value output : graph.outputs()) {
      ones.push_back(literal_of(graph.type(output).shape, std::vector<double>(graph.type(output).size(), 1)));
    }
    const auto expected = central_differences(graph, inputs, ones);
    graph = gradient_graph(graph);
    const std::vector<Literal> got = outputs_of(graph, inputs);
    ASSERT_EQ(got.size(), inputs.size());
    for (size_t i = 0; i < got.size(); ++i) expect_near(values_of(got[i]), expected[i], std::to_string(i));
  }
  expect_all_ways_agree(graph, inputs);
}

INSTANTIATE_TEST_SUITE_P(Composites, HigherDerivatives, testing::ValuesIn(kComposites));

// ---- Forward mode ---------------------------------------------------------------------------------------------------

class ForwardMode : public testing::TestWithParam<const char*> {};

TEST_P(ForwardMode, IsTheTransposeOfReverseMode) {
  // <w, J t> = <t, J^T w>
  const Graph graph = parsed(GetParam());
  std::mt19937_64 random(13);
  std::vector<Literal> inputs, tangents;
  for (Value input : graph.inputs()) {
    inputs.push_back(draw(graph.type(input), 0.4, 1.2, true, random));
    tangents.push_back(draw(graph.type(input), 0.4, 1.2, true, random));
  }
  const std::vector<Literal> weights = draw_weights(graph, random);
  const auto product = [](const std::vector<Literal>& a, const std::vector<Literal>& b) {
    long double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const std::vector<double> x = values_of(a[i]), y = values_of(b[i]);
      for (size_t k = 0; k < x.size(); ++k) sum += static_cast<long double>(x[k]) * y[k];
    }
    return static_cast<double>(sum);
  };
  const auto with = [&](const std::vector<Literal>& more) {
    std::vector<Literal> all = inputs;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const GradientGraph forward = differentiate_forward(graph, graph.outputs(), graph.inputs());
  ASSERT_TRUE(verify(forward.graph).ok());
  const std::vector<Literal> pushed = outputs_of(forward.graph, with(tangents));
  const std::vector<Literal> pulled = outputs_of(differentiate_all(graph).graph, with(weights));
  EXPECT_NEAR(product(weights, pushed), product(tangents, pulled), 1e-12 * std::abs(product(weights, pushed)));
}

INSTANTIATE_TEST_SUITE_P(Composites, ForwardMode, testing::ValuesIn(kComposites));

TEST(ForwardMode, KeepsNothingOfReverseMode) {
  const Graph graph = parsed(R"(graph(%0: f64[2]) {
  %1 = sin(%0) : f64[2]
  %2 = sqrt(%1) : f64[2]
  return %2
})");
  const GradientGraph forward = differentiate_forward(graph, graph.outputs(), graph.inputs());
  EXPECT_EQ(print(forward.graph), R"(graph(%0: f64[2], %1: f64[2]) {
  %2 = sin(%0) : f64[2]
  %3 = sqrt(%2) : f64[2]
  %4 = constant value=0.5 : f64[]
  %5 = div(%4, %3) : f64[2]
  %6 = cos(%0) : f64[2]
  %7 = mul(%1, %6) : f64[2]
  %8 = multiply_no_nan(%5, %7) : f64[2]
  return %8
}
)");
}

TEST(ForwardMode, ATargetThatIsASourceChangesByItsTangent) {
  const Graph graph = parsed("graph(%0: f64[2]) {\n  return %0\n}\n");
  const GradientGraph forward = differentiate_forward(graph, graph.outputs(), graph.inputs());
  EXPECT_EQ(print(forward.graph), "graph(%0: f64[2], %1: f64[2]) {\n  return %1\n}\n");
}

TEST(ForwardMode, SaysWhichTargetsDoNotChange) {
  const Graph graph = parsed(kBroken);
  const Value source = graph.inputs()[0];
  EXPECT_EQ(differentiate_forward(graph, graph.outputs(), {&source, 1}).outputs,
            (std::vector<std::optional<int>>{std::nullopt}));
}

}  // namespace
}  // namespace etch
