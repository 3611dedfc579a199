// Affine maps through movement ops, against the interpreter's idea of where an element comes from.
#include "compiler/schedule/index_map.h"

#include <gtest/gtest.h>

#include <random>

#include "compiler/ir/interpreter.h"
#include "compiler/ir/text.h"

namespace etch::schedule {
namespace {

Graph graph_of(const char* text) {
  absl::StatusOr<Graph> graph = parse(text);
  EXPECT_TRUE(graph.ok()) << graph.status();
  return *std::move(graph);
}

/// The map from the output's elements to input 0, refining the domain where that helps.
std::optional<Affine> map_to_input(const Graph& graph, Domain& domain) {
  Value value = graph.outputs()[0];
  domain = Domain::of(graph.type(value).shape);
  Affine map = linear_index(domain);
  while (graph.node(value).op != Op::input) {
    Continued next = operand_map(graph, graph.node(value), 0, map, domain);
    if (next.split) {
      // Start again on the finer domain.
      apply(*next.split, domain);
      value = graph.outputs()[0];
      map = linear_index(domain);
      continue;
    }
    if (!next.map) return std::nullopt;
    map = *next.map;
    value = graph.node(value).operands[0];
  }
  return map;
}

int64_t evaluate(const Affine& map, const Domain& domain, int64_t element) {
  int64_t result = map.offset;
  for (int axis = domain.rank - 1; axis >= 0; --axis) {
    result += map.coef[axis] * (element % domain.extents[axis]);
    element /= domain.extents[axis];
  }
  return result;
}

/// Checks every element of the output against the interpreter, which moves the input's own indices.
void expect_right(const Graph& graph) {
  Domain domain;
  std::optional<Affine> map = map_to_input(graph, domain);
  ASSERT_TRUE(map) << print(graph);
  Literal input{graph.type(graph.inputs()[0]), {}};
  ASSERT_EQ(input.type.dtype, DType::i32);
  input.bytes.resize(input.type.bytes());
  for (int32_t i = 0; i < input.type.size(); ++i) std::memcpy(&input.bytes[4 * i], &i, 4);
  absl::StatusOr<std::vector<Literal>> output = interpret(graph, {&input, 1});
  ASSERT_TRUE(output.ok());
  for (int64_t i = 0; i < (*output)[0].type.size(); ++i) {
    int32_t expected;
    std::memcpy(&expected, &(*output)[0].bytes[4 * i], 4);
    ASSERT_EQ(evaluate(*map, domain, i), expected) << "element " << i << " of\n" << print(graph);
  }
}

TEST(IndexMap, TransposeChangesTheStrides) {
  expect_right(graph_of("graph(%0: i32[3,4,5]) {\n%1 = transpose(%0) perm=[2,0,1] : i32[5,3,4]\nreturn %1\n}"));
}

TEST(IndexMap, NegativeStepsGiveNegativeStrides) {
  expect_right(graph_of("graph(%0: i32[6,7]) {\n%1 = slice(%0) start=[5,1] step=[-2,3] : i32[3,2]\nreturn %1\n}"));
}

TEST(IndexMap, BroadcastAxesHaveStrideZero) {
  expect_right(graph_of("graph(%0: i32[3,1]) {\n%1 = broadcast(%0) : i32[2,3,4]\nreturn %1\n}"));
}

TEST(IndexMap, AReshapeThatSplitsAnAxisRefinesTheDomain) {
  Graph graph = graph_of(
      "graph(%0: i32[3,4]) {\n%1 = transpose(%0) perm=[1,0] : i32[4,3]\n%2 = reshape(%1) : i32[12]\nreturn %2\n}");
  expect_right(graph);
  Domain domain;
  map_to_input(graph, domain);
  EXPECT_EQ(domain.rank, 2);
}

TEST(IndexMap, AFlipThroughAReshapeIsRecovered) {
  expect_right(graph_of(
      "graph(%0: i32[4,6]) {\n%1 = slice(%0) start=[3,5] step=[-1,-1] : i32[4,6]\n%2 = reshape(%1) : i32[2,2,3,2]\n"
      "%3 = transpose(%2) perm=[3,1,0,2] : i32[2,2,2,3]\nreturn %3\n}"));
}

TEST(IndexMap, AReshapeOfASliceThatDoesNotDivideHasNoMap) {
  Graph graph = graph_of(
      "graph(%0: i32[3,5]) {\n%1 = slice(%0) start=[0,1] step=[1,1] : i32[3,4]\n%2 = reshape(%1) : i32[2,6]\n"
      "return %2\n}");
  Domain domain;
  EXPECT_FALSE(map_to_input(graph, domain));
}

TEST(IndexMap, RandomChainsOfMovementAreRight) {
  std::mt19937_64 random(7);
  const auto pick = [&](int64_t n) { return static_cast<int64_t>(random() % n); };
  int expressed = 0;
  for (int trial = 0; trial < 400; ++trial) {
    GraphBuilder builder;
    constexpr int64_t kExtents[] = {1, 2, 3, 4, 6};
    Shape shape{kExtents[pick(5)], kExtents[pick(5)], kExtents[pick(5)]};
    Value value = *builder.input({DType::i32, shape});
    for (int step = 0; step < 4; ++step) {
      const Shape now = builder.type(value).shape;
      Value operands[] = {value};
      if (int64_t kind = pick(4); kind == 0) {
        Dims perm;
        while (perm.rank() < now.rank()) {
          if (int64_t axis = pick(now.rank()); !perm.contains(axis)) perm.push_back(axis);
        }
        value = *builder.emit(op::Transpose{perm}, operands);
      } else if (kind == 1) {
        op::Slice slice;
        Shape result;
        for (int64_t extent : now) {
          bool flip = pick(2) == 0;
          int64_t start = pick(extent);
          int64_t room = flip ? start + 1 : extent - start;
          slice.start.push_back(start);
          slice.step.push_back(flip ? -1 : 1);
          result.push_back(1 + pick(room));
        }
        value = *builder.emit(slice, operands, Type{DType::i32, result});
      } else if (kind == 2) {
        Shape result = now;
        if (pick(2) && now.rank() < 5) result.insert(0, 2);
        for (int i = 0; i < result.rank(); ++i) {
          if (result[i] == 1 && pick(2)) result[i] = 3;
        }
        value = *builder.emit(op::Broadcast{}, operands, Type{DType::i32, result});
      } else {
        Shape result;
        int64_t left = now.product();
        for (int64_t factor : {2, 3}) {
          if (left % factor) continue;
          result.push_back(factor);
          left /= factor;
        }
        result.push_back(left);
        value = *builder.emit(op::Reshape{}, operands, Type{DType::i32, result});
      }
    }
    Value outputs[] = {value};
    Graph graph = std::move(builder).finish(outputs);
    Domain domain;
    if (!map_to_input(graph, domain)) continue;
    ++expressed;
    expect_right(graph);
  }
  EXPECT_GT(expressed, 200);
}

}  // namespace
}  // namespace etch::schedule
