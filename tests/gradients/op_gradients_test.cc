// The gradient of every op against central differences in f64, interpreted and compiled; what has none says why.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>
#include <sstream>

#include "compiler/ir/text.h"
#include "tests/gradients/differences.h"

namespace etch {
namespace {

Graph one_op(const AnyOp& op, const std::vector<Type>& operands) {
  GraphBuilder builder;
  std::vector<Value> inputs;
  for (const Type& type : operands) inputs.push_back(*builder.input(type));
  const Value result = *builder.emit(op, inputs);
  return std::move(builder).finish({&result, 1});
}

std::vector<Type> operand_types(Op op, DType dtype, const std::vector<Shape>& shapes) {
  std::vector<Type> types;
  for (int i = 0; i < info(op).arity; ++i) types.push_back({dtype, shapes[i]});
  if (info(op).rule == TypeRule::select) types[0].dtype = DType::boolean;
  return types;
}

// ---- What has none --------------------------------------------------------------------------------------------------

/// `op operand: reason` for each operand of each row without gradient.
std::string rows_without_gradient() {
  std::string text;
  for (int i = 0; i < kNumTableOps; ++i) {
    const Op op = static_cast<Op>(i);
    const DType tried[] = {DType::f64, DType::i32, DType::boolean, DType::u64};
    const DType dtype = *std::ranges::find_if(tried, [&](DType d) { return takes(info(op).rule, d); });
    const Graph graph = one_op(op, operand_types(op, dtype, {{}, {}, {}}));
    const GradientGraph gradient = differentiate_all(graph);
    for (size_t k = 0; k < gradient.outputs.size(); ++k) {
      if (gradient.outputs[k]) continue;
      std::string why = why_no_gradient(graph, graph.outputs(), graph.inputs()[k]);
      text += std::string(name(op)) + " " + std::to_string(k) + ": " + why + "\n";
    }
  }
  return text;
}

TEST(OpsWithoutGradient, AreThoseOfTheListWithTheirReasons) {
  const std::string path = ETCH_SOURCE_DIR "/tests/gradients/without_gradient.txt";
  const std::string text = rows_without_gradient();
  if (std::getenv("ETCH_UPDATE_GOLDENS")) std::ofstream(path) << text;
  std::ostringstream expected;
  expected << std::ifstream(path).rdbuf();
  EXPECT_EQ(text, expected.str());
}

// ---- Rows -----------------------------------------------------------------------------------------------------------

struct ShapeCase {
  std::vector<Shape> operands;
  bool compiled = false;  // too
};

const ShapeCase kShapeCases[] = {
    {{{}, {}, {}}},
    {{{1}, {1}, {1}}},
    {{{0, 3}, {3}, {}}},
    {{{3, 5}, {3, 5}, {3, 5}}, true},
    {{{3, 1}, {1, 4}, {3, 4}}, true},
    {{{4}, {2, 3, 4}, {1}}},
    {{{2, 1, 3}, {}, {3}}},
};

/// Inputs on which all outputs are finite, from the first of these that gives any: every op is smooth in one of them.
std::vector<Literal> draw_where_finite(const Graph& graph, std::mt19937_64& random) {
  struct Range {
    double low, high;
    bool both_signs;
  };
  for (const Range range : {Range{0.2, 0.9, true}, {0.2, 0.9, false}, {1.2, 1.9, false}}) {
    std::vector<Literal> inputs;
    for (Value input : graph.inputs()) {
      inputs.push_back(draw(graph.type(input), range.low, range.high, range.both_signs, random));
    }
    const std::vector<double> values = values_of(outputs_of(graph, inputs)[0]);
    if (std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); })) return inputs;
  }
  ADD_FAILURE() << "no inputs give finite outputs\n" << print(graph);
  return {};
}

class RowGradients : public testing::TestWithParam<int> {};

TEST_P(RowGradients, AgreeWithDifferences) {
  const Op op = static_cast<Op>(GetParam());
  std::mt19937_64 random(GetParam());
  std::vector<bool> is_alive(info(op).arity, false);  // its gradient is not zero somewhere
  std::vector<bool> exists(info(op).arity, false);
  for (const ShapeCase& shapes : kShapeCases) {
    const Graph graph = one_op(op, operand_types(op, DType::f64, shapes.operands));
    SCOPED_TRACE(print(graph));
    const std::vector<Literal> inputs = draw_where_finite(graph, random);
    const std::vector<Literal> weights = draw_weights(graph, random);
    const GradientGraph gradient = differentiate_all(graph);
    ASSERT_TRUE(verify(gradient.graph).ok()) << verify(gradient.graph);
    std::vector<Literal> all_inputs = inputs;
    all_inputs.insert(all_inputs.end(), weights.begin(), weights.end());
    const std::vector<Literal> got = outputs_of(gradient.graph, all_inputs);
    const auto expected = central_differences(graph, inputs, weights);
    for (size_t i = 0; i < inputs.size(); ++i) {
      exists[i] = gradient.outputs[i].has_value();
      if (!exists[i]) continue;
      const std::vector<double> values = values_of(got[*gradient.outputs[i]]);
      expect_near(values, expected[i], "operand " + std::to_string(i));
      is_alive[i] = is_alive[i] || std::any_of(values.begin(), values.end(), [](double value) { return value != 0; });
    }
    if (shapes.compiled) expect_all_ways_agree(gradient.graph, all_inputs);
  }
  EXPECT_EQ(is_alive, exists);
}

std::vector<int> rows_with_gradient() {
  std::vector<int> rows;
  for (int i = 0; i < kNumTableOps; ++i) {
    const Op op = static_cast<Op>(i);
    if (!takes(info(op).rule, DType::f64)) continue;
    const GradientGraph gradient = differentiate_all(one_op(op, operand_types(op, DType::f64, {{}, {}, {}})));
    if (!gradient.graph.outputs().empty()) rows.push_back(i);
  }
  return rows;
}

INSTANTIATE_TEST_SUITE_P(Rows, RowGradients, testing::ValuesIn(rows_with_gradient()),
                         [](const auto& row) { return std::string(name(static_cast<Op>(row.param))); });

// ---- Structural ops -------------------------------------------------------------------------------------------------

struct StructuralCase {
  const char* name;
  const char* inputs;
  const char* node;
  const char* result;
};

const StructuralCase kStructuralCases[] = {
    {"cast_to_itself", "%0: f64[2,3]", "cast(%0)", "f64[2,3]"},
    {"sum_of_the_last_axis", "%0: f64[3,4]", "reduce(%0) kind=sum axes=[1]", "f64[3]"},
    {"sum_of_outer_axes", "%0: f64[3,2,4]", "reduce(%0) kind=sum axes=[0,2]", "f64[2]"},
    {"sum_of_nothing", "%0: f64[3,0]", "reduce(%0) kind=sum axes=[1]", "f64[3]"},
    {"prod_of_the_last_axis", "%0: f64[3,5]", "reduce(%0) kind=prod axes=[1]", "f64[3]"},
    {"prod_of_outer_axes", "%0: f64[3,2,2]", "reduce(%0) kind=prod axes=[0,2]", "f64[2]"},
    {"prod_of_two", "%0: f64[2,3]", "reduce(%0) kind=prod axes=[0]", "f64[3]"},
    {"prod_of_one", "%0: f64[1,3]", "reduce(%0) kind=prod axes=[0]", "f64[3]"},
    {"max", "%0: f64[3,4]", "reduce(%0) kind=max axes=[0]", "f64[4]"},
    {"min_of_all", "%0: f64[3,4]", "reduce(%0) kind=min axes=[0,1]", "f64[]"},
    {"dot", "%0: f64[3,4], %1: f64[4,2]", "dot(%0, %1)", "f64[3,2]"},
    {"dot_in_batches", "%0: f64[2,3,2], %1: f64[2,2,4]", "dot(%0, %1)", "f64[2,3,4]"},
    {"dot_of_nothing", "%0: f64[3,0], %1: f64[0,2]", "dot(%0, %1)", "f64[3,2]"},
    {"reshape", "%0: f64[2,6]", "reshape(%0)", "f64[3,4]"},
    {"transpose", "%0: f64[2,3,4]", "transpose(%0) perm=[2,0,1]", "f64[4,2,3]"},
    {"broadcast", "%0: f64[3,1]", "broadcast(%0)", "f64[2,3,4]"},
    {"broadcast_of_a_scalar", "%0: f64[]", "broadcast(%0)", "f64[2,3]"},
    {"slice", "%0: f64[4,5]", "slice(%0) start=[1,2] step=[1,1]", "f64[2,3]"},
    {"slice_by_steps", "%0: f64[7,9]", "slice(%0) start=[1,0] step=[2,4]", "f64[3,3]"},
    {"slice_backwards", "%0: f64[4,7]", "slice(%0) start=[3,5] step=[-1,-2]", "f64[3,3]"},
    {"slice_of_one_and_of_nothing", "%0: f64[4,7]", "slice(%0) start=[3,0] step=[1,1]", "f64[1,0]"},
    {"pad", "%0: f64[2,3], %1: f64[]", "pad(%0, %1) low=[1,0] high=[2,1]", "f64[5,4]"},
    {"pad_by_nothing", "%0: f64[2,3], %1: f64[]", "pad(%0, %1) low=[0,0] high=[0,0]", "f64[2,3]"},
    {"pad_of_nothing", "%0: f64[0,3], %1: f64[]", "pad(%0, %1) low=[2,1] high=[0,0]", "f64[2,4]"},
    {"concat", "%0: f64[2,1], %1: f64[2,3], %2: f64[2,0]", "concat(%0, %1, %2) axis=1", "f64[2,4]"},
    {"concat_twice_the_same", "%0: f64[2,3]", "concat(%0, %0) axis=0", "f64[4,3]"},
    {"window_that_overlaps", "%0: f64[9]", "window(%0) axes=[0] size=[3] step=[2] dilation=[1]", "f64[4,3]"},
    {"window_that_leaves_a_rest", "%0: f64[11]", "window(%0) axes=[0] size=[2] step=[3] dilation=[1]", "f64[4,2]"},
    {"window_side_by_side", "%0: f64[2,6,4]", "window(%0) axes=[1,2] size=[3,2] step=[3,2] dilation=[1,1]",
     "f64[2,2,2,3,2]"},
    {"window_in_two_axes", "%0: f64[5,2,6]", "window(%0) axes=[2,0] size=[3,2] step=[1,2] dilation=[2,1]",
     "f64[2,2,2,3,2]"},
    {"window_with_dilation", "%0: f64[12,2]", "window(%0) axes=[0] size=[3] step=[1] dilation=[4]", "f64[4,2,3]"},
    {"window_apart_with_dilation", "%0: f64[14]", "window(%0) axes=[0] size=[2] step=[5] dilation=[3]", "f64[3,2]"},
    {"window_of_one_place", "%0: f64[6]", "window(%0) axes=[0] size=[3] step=[9] dilation=[2]", "f64[1,3]"},
    {"top_k", "%0: f64[2,6]", "top_k(%0) k=3", "f64[2,3], i64[2,3]"},
    {"top_k_of_a_vector", "%0: f64[5]", "top_k(%0) k=5", "f64[5], i64[5]"},
    {"gather_rows", "%0: f64[3,4], %1: i64[2,2]", "gather(%0, %1) axis=0", "f64[2,2,4]"},
    {"gather_elements", "%0: f64[2,3,2], %1: i64[4]", "gather(%0, %1) axis=1", "f64[2,4,2]"},
    {"scatter_add", "%0: f64[3,2], %1: i64[4], %2: f64[4,2]", "scatter_add(%0, %1, %2) axis=0 extent=3", "f64[3,2]"},
    {"scatter_add_to_a_scalar", "%0: f64[], %1: i64[2,2], %2: f64[2,2,2]", "scatter_add(%0, %1, %2) axis=1 extent=3",
     "f64[2,3]"},
    {"update_slice", "%0: f64[5,2], %1: f64[2,2], %2: i64[]", "update_slice(%0, %1, %2) axis=0", "f64[5,2]"},
    {"update_slice_within", "%0: f64[2,6], %1: f64[2,3], %2: i32[]", "update_slice(%0, %1, %2) axis=1", "f64[2,6]"},
    {"cumsum", "%0: f64[3,2]", "cumsum(%0) axis=0 exclusive=false reverse=false", "f64[3,2]"},
    {"cumsum_exclusive", "%0: f64[2,4]", "cumsum(%0) axis=1 exclusive=true reverse=true", "f64[2,4]"},
    {"cond", "%0: bool[], %1: f64[3]", "cond(%0; %1)",
     "f64[3] {\nthen(%0: f64[3]) {\n%1 = mul(%0, %0) : f64[3]\nreturn %1\n}\n"
     "otherwise(%0: f64[3]) {\n%1 = neg(%0) : f64[3]\nreturn %1\n}\n}"},
    {"top_0", "%0: f64[2,3]", "top_k(%0) k=0", "f64[2,0], i64[2,0]"},
};

Graph graph_of(const StructuralCase& c) {
  const auto count = std::count(c.inputs, c.inputs + std::strlen(c.inputs), '%');
  const auto value = [&](int64_t i) { return "%" + std::to_string(count + i); };
  const bool has_two = std::strstr(c.result, "], ") != nullptr;
  const std::string results = has_two ? value(0) + ", " + value(1) : value(0);
  const std::string text = "graph(" + std::string(c.inputs) + ") {\n  " + results + " = " + c.node + " : " + c.result +
                           "\n  return " + value(0) + "\n}\n";
  absl::StatusOr<Graph> graph = parse(text);
  if (!graph.ok()) throw std::runtime_error(c.name + std::string(": ") + std::string(graph.status().message()));
  return *std::move(graph);
}

/// Integers are indices below 3.
Literal draw_operand(const Type& type, std::mt19937_64& random) {
  if (!is_integer(type.dtype)) return draw(type, 0.2, 2, true, random);
  std::vector<int64_t> indices(type.size());
  for (int64_t& index : indices) index = static_cast<int64_t>(random() % 3);
  Literal literal{type, std::vector<std::byte>(type.bytes())};
  std::memcpy(literal.bytes.data(), indices.data(), literal.bytes.size());
  return literal;
}

class StructuralGradients : public testing::TestWithParam<StructuralCase> {};

TEST_P(StructuralGradients, AgreeWithDifferences) {
  const Graph graph = graph_of(GetParam());
  SCOPED_TRACE(print(graph));
  std::mt19937_64 random(7);
  std::vector<Literal> inputs;
  for (Value input : graph.inputs()) inputs.push_back(draw_operand(graph.type(input), random));
  const std::vector<Literal> weights = draw_weights(graph, random);
  const auto expected = central_differences(graph, inputs, weights);
  const GradientGraph gradient = differentiate_all(graph);
  ASSERT_TRUE(verify(gradient.graph).ok()) << verify(gradient.graph);
  std::vector<Literal> all_inputs = inputs;
  all_inputs.insert(all_inputs.end(), weights.begin(), weights.end());
  const std::vector<Literal> got = outputs_of(gradient.graph, all_inputs);
  for (size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_EQ(gradient.outputs[i].has_value(), is_floating(inputs[i].type.dtype)) << "operand " << i;
    if (!gradient.outputs[i]) continue;
    expect_near(values_of(got[*gradient.outputs[i]]), expected[i], "operand " + std::to_string(i));
  }
  expect_all_ways_agree(gradient.graph, all_inputs);
}

INSTANTIATE_TEST_SUITE_P(Cases, StructuralGradients, testing::ValuesIn(kStructuralCases),
                         [](const auto& c) { return std::string(c.param.name); });

template <class T>
constexpr bool kHasGradient = requires(const T& op, const Backward& at) { op.gradient(at, 0); } ||
                              requires(const T& op, const Backward& at) { op.gradients(at); };

TEST(StructuralOps, WithAGradientHaveACase) {
  // That of a loop needs a bound that the graph knows: tests/control_flow/gradient_test.cc.
  std::set<std::string_view> with_a_case = {"while_loop"};
  for (const StructuralCase& c : kStructuralCases) {
    const Graph graph = graph_of(c);
    with_a_case.insert(name(graph.nodes().back().op));
  }
#define ETCH_STRUCTURAL_OP(name, Struct) \
  EXPECT_EQ(with_a_case.contains(#name), kHasGradient<op::Struct>) << #name;
#include "compiler/ir/ops.def"
}

TEST(StructuralOps, AProductIsRightWhereElementsAreZero) {
  const Graph graph = graph_of({"", "%0: f64[3,3]", "reduce(%0) kind=prod axes=[1]", "f64[3]"});
  const GradientGraph gradient = differentiate_all(graph);
  const std::vector<Literal> inputs{literal_of({3, 3}, {2, 3, 5, 0, 3, 5, 0, 3, 0}), literal_of({3}, {1, 1, 10})};
  EXPECT_EQ(values_of(outputs_of(gradient.graph, inputs)[0]), (std::vector<double>{15, 10, 6, 15, 0, 0, 0, 0, 0}));
}

TEST(StructuralOps, ACastRoundsTheCotangentToTheOperandsDtype) {
  GraphBuilder builder;
  const Value x = *builder.input({DType::f32, {}});
  const Value wide = *builder.emit(op::Cast{}, {&x, 1}, Type{DType::f64, {}});
  const GradientGraph gradient = differentiate_all(std::move(builder).finish({&wide, 1}));
  EXPECT_EQ(print(gradient.graph), "graph(%0: f32[], %1: f64[]) {\n  %2 = cast(%1) : f32[]\n  return %2\n}\n");
}

}  // namespace
}  // namespace etch
