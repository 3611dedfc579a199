// Regions: text both ways, equality, type inference with its messages, limits, and what cond and loops compute.
#include "compiler/ir/region.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "absl/hash/hash.h"
#include "compiler/ir/cat.h"
#include "compiler/ir/interpreter.h"
#include "compiler/ir/text.h"

namespace etch {
namespace {

constexpr char kCollatz[] = R"(graph(%0: i64[]) {
  %1 = constant value=0 : i64[]
  %2, %3 = while_loop(%0, %1) : i64[], i64[] {  // demo.cc:7
    test(%0: i64[], %1: i64[]) {
      %2 = constant value=1 : i64[]
      %3 = not_equal(%0, %2) : bool[]
      return %3, %0, %1
    }
    body(%0: i64[], %1: i64[]) {
      %2 = constant value=2 : i64[]
      %3 = constant value=0 : i64[]
      %4 = constant value=1 : i64[]
      %5 = floor_mod(%0, %2) : i64[]
      %6 = equal(%5, %3) : bool[]
      %7 = cond(%6; %0, %2) : i64[] {  // demo.cc:8 in step
        then(%0: i64[], %1: i64[]) {
          %2 = floor_div(%0, %1) : i64[]
          return %2
        }
        otherwise(%0: i64[], %1: i64[]) {
          %2 = constant value=3 : i64[]
          %3 = mul(%0, %2) : i64[]
          %4 = constant value=1 : i64[]
          %5 = add(%3, %4) : i64[]
          return %5
        }
      }
      %8 = add(%1, %4) : i64[]
      return %7, %8
    }
  }
  return %2, %3
}
)";

Graph graph_of(const std::string& text) {
  absl::StatusOr<Graph> graph = parse(text);
  EXPECT_TRUE(graph.ok()) << graph.status() << "\n" << text;
  return graph.ok() ? *std::move(graph) : Graph();
}

Literal scalar(int64_t value) {
  Literal literal{{DType::i64, {}}, std::vector<std::byte>(sizeof value)};
  std::memcpy(literal.bytes.data(), &value, sizeof value);
  return literal;
}

int64_t value_of(const Literal& literal) {
  int64_t value = 0;
  std::memcpy(&value, literal.bytes.data(), sizeof value);
  return value;
}

/// The value and the number of turns that kCollatz gives.
std::pair<int64_t, int64_t> collatz(const std::string& text, int64_t from) {
  const Literal input = scalar(from);
  const absl::StatusOr<std::vector<Literal>> outputs = interpret(graph_of(text), {&input, 1});
  EXPECT_TRUE(outputs.ok()) << outputs.status();
  if (!outputs.ok()) return {};
  return {value_of((*outputs)[0]), value_of((*outputs)[1])};
}

std::string message_of(const std::string& text) { return std::string(parse(text).status().message()); }

// ---- Text

TEST(RegionText, IsPrintedAsItWasRead) { EXPECT_EQ(print(graph_of(kCollatz)), kCollatz); }

TEST(RegionText, KeepsOriginsInside) {
  const Graph graph = graph_of(kCollatz);
  const Graph& body = regions_of(graph.node(graph.outputs()[0]).op)[1].region.graph();
  const Node& cond = body.node(body.outputs()[0]);
  EXPECT_EQ(body.name_of(cond.origin.file), "demo.cc");
  EXPECT_EQ(cond.origin.line, 8);
  EXPECT_EQ(body.name_of(cond.origin.scope), "step");
}

TEST(RegionText, HoldsNumbersBesideRegionsWhereTheyAreNotZero) {
  std::string text = kCollatz;
  const std::string loop = "while_loop(%0, %1)";
  text.insert(text.find(loop) + loop.size(), " checkpoint=4");
  const Graph graph = graph_of(text);
  EXPECT_EQ(print(graph), text);
  EXPECT_FALSE(graph == graph_of(kCollatz));
}

TEST(RegionText, OfOneNodeHasSignaturesOnly) {
  const Graph graph = graph_of(kCollatz);
  EXPECT_EQ(print(graph, graph.node(graph.outputs()[0])),
            "%2, %3 = while_loop(%0, %1) test=(i64[], i64[]) -> (bool[], i64[], i64[]) "
            "body=(i64[], i64[]) -> (i64[], i64[]) : i64[], i64[]");
}

constexpr char kCond[] = R"(graph(%0: bool[], %1: f32[2]) {
  %2 = cond(%0; %1) : f32[2] {
    then(%0: f32[2]) {
      return %0
    }
    otherwise(%0: f32[2]) {
      %1 = neg(%0) : f32[2]
      return %1
    }
  }
  return %2
}
)";

/// kCond with `from` replaced by `to`.
std::string cond_with(const std::string& from, const std::string& to) {
  std::string text = kCond;
  const size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(RegionText, ErrorsNameTheirPlace) {
  EXPECT_EQ(message_of(kCond), "");
  EXPECT_EQ(message_of(cond_with("then", "test")), "3:5: expected the region `then`");
  EXPECT_EQ(message_of(cond_with("otherwise", "else")), "6:5: expected the region `otherwise`");
  EXPECT_EQ(message_of(cond_with(" {\n    then", "\n    then")), "3:5: expected '{'");
  EXPECT_EQ(message_of(cond_with("%0; %1", "%0, %1")), "10:4: the ';' of this cond stands after operand 0");
  EXPECT_EQ(message_of(cond_with("%0; %1", "%0, %1; %1")), "2:19: the ';' of this cond stands after operand 0");
  EXPECT_EQ(message_of(cond_with("neg(%0)", "neg(%1)")), "7:16: %1 is not defined before this line");
  EXPECT_EQ(message_of(cond_with("neg(%0)", "neg(%0; %0)")), "7:18: neg separates no operands by ';'");
}

// ---- Type inference

TEST(RegionTypes, OfCondAreExplained) {
  const std::string op = "2:8: cond(bool[], f32[2]) then=(f32[2]) -> (f32[2]) otherwise=(f32[2]) -> (f32[2]): ";
  EXPECT_EQ(message_of(cond_with("%0: bool[]", "%0: f32[]")),
            "2:8: cond(f32[], f32[2]) then=(f32[2]) -> (f32[2]) otherwise=(f32[2]) -> (f32[2]): the predicate is f32[], "
            "not bool[]; reduce it with any or all, or use where");
  EXPECT_EQ(message_of(cond_with("then(%0: f32[2])", "then(%0: f32[2], %1: f32[2])")),
            "2:8: cond(bool[], f32[2]) then=(f32[2], f32[2]) -> (f32[2]) otherwise=(f32[2]) -> (f32[2]): then takes 2 "
            "inputs, but 1 operand follows the predicate");
  EXPECT_EQ(message_of(cond_with("      return %0\n", "      return %0, %0\n")),
            "2:8: cond(bool[], f32[2]) then=(f32[2]) -> (f32[2], f32[2]) otherwise=(f32[2]) -> (f32[2]): then gives 2 "
            "results and otherwise 1");
  EXPECT_EQ(message_of(cond_with("neg(%0) : f32[2]", "cast(%0) : i32[2]")),
            "2:8: cond(bool[], f32[2]) then=(f32[2]) -> (f32[2]) otherwise=(f32[2]) -> (i32[2]): output 0 of otherwise is "
            "i32[2], but output 0 of then is f32[2]; they must have one type");
  EXPECT_EQ(message_of(cond_with("%1: f32[2]", "%1: f32[3]")),
            "2:8: cond(bool[], f32[3]) then=(f32[2]) -> (f32[2]) otherwise=(f32[2]) -> (f32[2]): input 0 of then is "
            "f32[2], but operand 1 is f32[3]; they must have one type");
  EXPECT_EQ(message_of(cond_with("%1) : f32[2]", "%1) : f32[3]")), op + "the result is f32[2], not f32[3]");
}

/// A loop over one carried f32[2] and one invariant bool[], with these lines.
std::string loop(const std::string& operands, const std::string& test, const std::string& body) {
  return cat("graph(%0: f32[2], %1: bool[]) {\n%2 = while_loop(", operands, ") : f32[2] {\ntest", test, "\nbody", body,
             "\n}\nreturn %2\n}\n");
}

TEST(RegionTypes, OfLoopsAreExplained) {
  const std::string test = "(%0: f32[2], %1: bool[]) { return %1, %0 }";
  const std::string body = "(%0: f32[2], %1: bool[]) { return %0 }";
  const auto tail_of = [](const std::string& text) {
    const std::string message = message_of(text);
    return message.substr(std::min(message.rfind("): ") + 3, message.size()));
  };
  EXPECT_EQ(message_of(loop("%0; %1", test, body)), "");
  EXPECT_EQ(tail_of(loop("%0; %1", "(%0: f32[2], %1: bool[]) { return %0, %0 }", body)),
            "test must give bool[] first: whether to go on");
  EXPECT_EQ(tail_of(loop("%0; %1", "(%0: f32[2], %1: bool[]) { return %1 }", body)),
            "test hands nothing on; the loop needs at least 1 result");
  EXPECT_EQ(tail_of(loop("%0; %1", "(%0: f32[2]) { %1 = constant value=true : bool[]\nreturn %1, %0 }", body)),
            "test takes 1 inputs, not 2, one for each operand");
  EXPECT_EQ(tail_of(loop("%0; %1", test, "(%0: f32[2]) { return %0 }")),
            "body takes 1 inputs, not 2: 1 that test hands on and 1 that the loop does not change");
  EXPECT_EQ(tail_of(loop("%0, %1", test, "(%0: f32[2]) { return %0, %0, %0 }")),
            "body gives 3 values to carry, but there are 2 operands");
  EXPECT_EQ(tail_of(loop("%0; %1", test, "(%0: f32[2], %1: bool[]) { %2 = cast(%0) : i32[2]\nreturn %2 }")),
            "output 0 of body is i32[2], but operand 0 is f32[2]; they must have one type");
}

/// A cond in a cond in a cond, `depth` of them; the innermost negates.
Region nested(int depth) {
  GraphBuilder builder;
  const Value predicate = builder.input({DType::boolean, {}}).value();
  const Value x = builder.input({DType::f32, {}}).value();
  const Value operands[] = {predicate, predicate, x};
  Value result = builder.emit(Op::neg, {&x, 1}).value();
  if (depth > 1) {
    const Region inner = nested(depth - 1);
    result = builder.emit(op::Cond{inner, inner}, operands).value();
  }
  return Region(std::move(builder).finish({&result, 1}));
}

absl::Status emit_cond_of(const Region& region) {
  GraphBuilder builder;
  const Value predicate = builder.input({DType::boolean, {}}).value();
  const Value x = builder.input({DType::f32, {}}).value();
  const Value operands[] = {predicate, predicate, x};
  return builder.emit(op::Cond{region, region}, operands).status();
}

TEST(RegionLimits, ManyNodesInFewRegionsAreRefused) {
  EXPECT_TRUE(emit_cond_of(nested(18)).ok());
  const Region region = nested(22);
  EXPECT_EQ(region.depth(), 22);
  EXPECT_NE(std::string(emit_cond_of(region).message()).find("the regions hold more than 16777216 nodes"),
            std::string::npos);
}

/// Nested so that each level holds one region that holds more.
absl::StatusOr<Region> chain(int depth) {
  GraphBuilder builder;
  const Value predicate = builder.input({DType::boolean, {}}).value();
  absl::StatusOr<Value> result = predicate;
  if (depth > 1) {
    GraphBuilder other;
    const Value passed = other.input({DType::boolean, {}}).value();
    absl::StatusOr<Region> inner = chain(depth - 1);
    if (!inner.ok()) return inner;
    const Value operands[] = {predicate, predicate};
    result = builder.emit(op::Cond{*inner, Region(std::move(other).finish({&passed, 1}))}, operands);
    if (!result.ok()) return result.status();
  }
  return Region(std::move(builder).finish({&*result, 1}));
}

TEST(RegionLimits, NestAtMost64Deep) {
  const Region deepest = chain(65).value();
  EXPECT_EQ(deepest.depth(), 65);
  const absl::Status status = chain(66).status();
  EXPECT_NE(std::string(status.message()).find("regions nest deeper than 64"), std::string::npos) << status;
  // What stands below a graph is read, printed and run.
  const Graph& graph = deepest.graph();
  EXPECT_EQ(parse(print(graph)).value(), graph);
  const Literal yes{{DType::boolean, {}}, {std::byte{1}}};
  EXPECT_EQ(interpret(graph, {&yes, 1}).value()[0], yes);
}

TEST(RegionLimits, TextThatNestsDeeperIsRefused) {
  std::string text = "graph(%0: bool[]) {\n";
  for (int i = 0; i < 100; ++i) text += "%1 = cond(%0; %0) : bool[] {\nthen(%0: bool[]) {\n";
  EXPECT_NE(message_of(text).find("regions nest deeper than 64"), std::string::npos);
}

// ---- Equality

TEST(Regions, AreEqualByContent) {
  const Graph one = graph_of(kCond), two = graph_of(kCond);
  EXPECT_TRUE(one == two);
  EXPECT_EQ(absl::HashOf(Region(one)), absl::HashOf(Region(two)));
  const Graph other = graph_of(cond_with("neg", "exp"));
  EXPECT_FALSE(one == other);
  EXPECT_FALSE(Region(one) == Region(other));
}

TEST(Regions, OfEqualOpsMakeOneNode) {
  std::string text = kCond;
  const size_t begin = text.find("  %2 = cond"), end = text.find("  return %2");
  std::string again = text.substr(begin, end - begin);
  again.replace(again.find("%2"), 2, "%9");
  again.replace(again.find("{\n"), 2, "{  // other.cc:4\n");
  text.insert(end, again);
  text.replace(text.rfind("return %2"), 9, "return %2, %9");
  const Graph graph = graph_of(text);
  EXPECT_EQ(graph.outputs()[0], graph.outputs()[1]);
  EXPECT_EQ(graph.num_values(), 3);
}

TEST(Regions, AreSharedByTheNodesOfAGraph) {
  std::string text = kCond;
  const size_t begin = text.find("  %2 = cond"), end = text.find("  return %2");
  std::string again = text.substr(begin, end - begin);
  again.replace(again.find("%2"), 2, "%9");
  again.replace(again.find("%0; %1"), 6, "%0; %2");
  text.insert(end, again);
  const Graph graph = graph_of(text);
  const auto arm_of = [&](int value) { return &regions_of(graph.node(Value{value}).op)[0].region.graph(); };
  EXPECT_EQ(arm_of(2), arm_of(3));
}

// ---- Interpreter

TEST(RegionInterpreter, RunsLoopsAndConds) {
  EXPECT_EQ(collatz(kCollatz, 1), std::pair(int64_t{1}, int64_t{0}));
  EXPECT_EQ(collatz(kCollatz, 2), std::pair(int64_t{1}, int64_t{1}));
  EXPECT_EQ(collatz(kCollatz, 27), std::pair(int64_t{1}, int64_t{111}));  // as published: OEIS A006577
}

TEST(RegionInterpreter, HandsOnWhatTheTestComputes) {
  // do { x = x * x } while (x < 1000), with the body's work in the test.
  const std::string text = R"(graph(%0: i64[]) {
    %1, %2 = while_loop(%0) : i64[], i64[] {
      test(%0: i64[]) {
        %1 = mul(%0, %0) : i64[]
        %2 = constant value=1000 : i64[]
        %3 = less(%1, %2) : bool[]
        return %3, %1, %0
      }
      body(%0: i64[], %1: i64[]) {
        return %0
      }
    }
    return %1, %2
  })";
  EXPECT_EQ(collatz(text, 3), std::pair(int64_t{6561}, int64_t{81}));
}

TEST(RegionInterpreter, EndsLoopsThatDoNot) {
  const Graph graph = graph_of(kCollatz);
  const Literal zero = scalar(0);
  EXPECT_EQ(interpret(graph, {&zero, 1}, {.max_region_runs = 1000}).status().message(),
            "interpret: regions ran 1000 times without an end, at last one of while_loop");
}

TEST(RegionInterpreter, RunsOneArmOnly) {
  // The other one would not end.
  const std::string text = R"(graph(%0: bool[], %1: i64[]) {
    %2 = cond(%0; %1) : i64[] {
      then(%0: i64[]) {
        return %0
      }
      otherwise(%0: i64[]) {
        %1 = while_loop(%0) : i64[] {
          test(%0: i64[]) {
            %1 = constant value=true : bool[]
            return %1, %0
          }
          body(%0: i64[]) {
            return %0
          }
        }
        return %1
      }
    }
    return %2
  })";
  const Literal yes[] = {{{DType::boolean, {}}, {std::byte{1}}}, scalar(7)};
  EXPECT_EQ(value_of(interpret(graph_of(text), yes).value()[0]), 7);
}

}  // namespace
}  // namespace etch
