// Kernels of control flow on small values against the interpreter.
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "compiler/ir/cat.h"
#include "compiler/ir/interpreter.h"
#include "compiler/ir/text.h"
#include "compiler/schedule/native_region.h"
#include "tests/codegen/scratch.h"
#include "tools/harness.h"

namespace etch {
namespace {

Graph graph_of(const std::string& text) {
  absl::StatusOr<Graph> graph = parse(text);
  EXPECT_TRUE(graph.ok()) << graph.status() << "\n" << text;
  return graph.ok() ? *std::move(graph) : Graph();
}

const Node& region_node(const Graph& graph) {
  for (const Node& node : graph.nodes()) {
    if (place(node.op) == Place::region) return node;
  }
  ADD_FAILURE() << "no region:\n" << print(graph);
  return graph.nodes()[0];
}

/// A graph of one node with regions on inputs and constants, as one kernel.
class Native {
 public:
  explicit Native(const std::string& text, const Target& target = host_target()) : graph_(graph_of(text)) {
    std::string why;
    const Node& node = region_node(graph_);
    std::optional<ScheduledKernel> kernel = schedule::native_kernel(graph_, node, &why);
    EXPECT_TRUE(kernel.has_value()) << why;
    if (!kernel) return;
    kernel_ = *std::move(kernel);
    const KernelProgram* programs[] = {&kernel_.program};
    auto compiled = compile_kernels(programs, {.target = target}, nullptr, true);
    EXPECT_TRUE(compiled.ok()) << compiled.status();
    if (compiled.ok()) code_ = (*compiled)[0];
  }

  const Graph& graph() const { return graph_; }
  const KernelProgram& program() const { return kernel_.program; }

  /// The results of the node.
  std::vector<Literal> run(std::span<const Literal> inputs) const {
    std::vector<Literal> memory(graph_.num_values());
    for (size_t i = 0; i < inputs.size(); ++i) memory[graph_.inputs()[i].id] = inputs[i];
    const Node& node = region_node(graph_);
    for (Value result : results(node)) {
      const Type& type = graph_.type(result);
      memory[result.id] = {type, std::vector<std::byte>(static_cast<size_t>(type.bytes()), std::byte{0x5c})};
    }
    std::vector<void*> buffers;
    for (int storage : kernel_.buffers) buffers.push_back(memory[storage].bytes.data());
    TestScratch scratch(*code_);
    code_->fn()(buffers.data(), kernel_.sizes.data(), 0, 1, scratch.data());
    std::vector<Literal> made;
    for (Value result : results(node)) made.push_back(memory[result.id]);
    return made;
  }

  /// Empty if the kernel computes what the interpreter does.
  std::string difference(std::span<const Literal> inputs) const {
    const absl::StatusOr<std::vector<Literal>> expected = interpret(graph_, inputs);
    if (!expected.ok()) return expected.status().ToString();
    return bit_difference(*expected, run(inputs));
  }

 private:
  Graph graph_;
  ScheduledKernel kernel_;
  KernelHandle code_;
};

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

constexpr char kCollatz[] = R"(graph(%0: i64[]) {
  %1 = constant value=0 : i64[]
  %2, %3 = while_loop(%0, %1) : i64[], i64[] {
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
      %7 = cond(%6; %0, %2) : i64[] {
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

TEST(ScalarKernel, CollatzTakesTheTurnsThatItTakes) {
  const Native collatz(kCollatz);
  // Turns from OEIS A006577.
  for (auto [from, turns] : {std::pair<int64_t, int64_t>{1, 0}, {2, 1}, {3, 7}, {27, 111}, {97, 118}, {871, 178}}) {
    const Literal input = scalar(from);
    const std::vector<Literal> results = collatz.run({&input, 1});
    EXPECT_EQ(value_of(results[0]), 1);
    EXPECT_EQ(value_of(results[1]), turns) << from;
  }
}

TEST(ScalarKernel, ProgramOfCollatz) {
  EXPECT_EQ(to_string(Native(kCollatz).program()), R"(scalar [] indices [] params 1 constants 4
#0 i64 0 uniform
#1 i64 0 uniform
#2 i64 0 uniform
%0 = load #0 i64
%1 = param #0 i64
%2 = constant #0 = 1 : i64
%3 = constant #1 = 2 : i64
%4 = constant #2 = 0 : i64
%5 = constant #3 = 3 : i64
%6 = loop %0 %1
  %7 = handed #0 %6 i64
  %8 = handed #1 %6 i64
  %9 = not_equal %7 %2 bool
  %10 = leave %9 %7 %8
  %11 = floor_mod %7 %3 i64
  %12 = equal %11 %4 bool
  %13 = branch %12
    %14 = floor_div %7 %3 i64
  %15 = otherwise %14
    %16 = mul %7 %5 i64
    %17 = add %16 %2 i64
  %18 = join %17
  %19 = handed #0 %18 i64
  %20 = add %8 %2 i64
%21 = next %19 %20
%22 = handed #0 %21 i64
%23 = handed #1 %21 i64
%24 = store #1 %22 i64
%25 = store #2 %23 i64
)");
}

TEST(ScalarKernel, LoopsOfCollatz) {
  const auto loops = print_code(Native(kCollatz).program(), {}, CodeStage::loops, "collatz");
  EXPECT_EQ(*loops, R"(collatz(b0: i64, b1: i64, b2: i64):
  v0 = b0[0]
  v1 = p0
  v2 = 1
  v3 = 2
  v4 = 0
  v5 = 3
  loop v7, v8 = v0, v1:
    v9 = not_equal(v7, v2)
    leave with v7, v8 unless v9
    v11 = floor_mod(v7, v3)
    v12 = equal(v11, v4)
    if v12:
      v14 = floor_div(v7, v3)
      give v14
    else:
      v16 = mul(v7, v5)
      v17 = add(v16, v2)
      give v17
    v19 = given
    v20 = add(v8, v2)
    again with v19, v20
  v22, v23 = given
  b1[0] = v22
  b2[0] = v23
)");
}

/// A loop of %0 turns whose body `step` works on a value of this type, which it reads as %1 beside an invariant %3, and
/// gives as %9.
std::string counted(const std::string& type, const std::string& step) {
  const std::string test = cat("test(%0: i64[], %1: ", type, ", %2: i64[], %3: ", type, ")");
  return cat("graph(%0: i64[], %1: ", type, ", %2: ", type, ") {\n%3 = constant value=0 : i64[]\n",
             "%4, %5 = while_loop(%3, %1; %0, %2) : i64[], ", type, " {\n", test,
             " {\n%4 = less(%0, %2) : bool[]\nreturn %4, %0, %1\n}\nbody", test.substr(4),
             " {\n%4 = constant value=1 : i64[]\n%5 = add(%0, %4) : i64[]\n", step, "return %5, %9\n}\n}\nreturn %4, %5\n}\n");
}

/// For 0, 1, 2 and many turns, on numbers and on what is none.
void expect_like_interpreter(const std::string& text, Draw draw, int tries = 20) {
  for (const Target& target : targets_that_run()) {
    const Native native(text, target);
    std::mt19937_64 random(1);
    for (int turns : {0, 1, 2, 3, 37}) {
      for (int i = 0; i < tries; ++i) {
        std::vector<Literal> inputs = random_inputs(native.graph(), draw, random);
        inputs[0] = scalar(turns);
        ASSERT_EQ(native.difference(inputs), "") << text;
      }
    }
  }
}

TEST(ScalarKernel, ArithmeticInEveryDType) {
  for (int i = 0; i < kNumDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (!is_numeric(dtype) || !computes_itself(dtype)) continue;
    const std::string type = cat(name(dtype), "[]");
    const auto step = [&](const char* op) {
      return counted(type, cat("%6 = ", op, "(%1, %3) : ", type, "\n%7 = neg(%6) : ", type, "\n%8 = sub(%7, %1) : ", type,
                               "\n%9 = max(%8, %3) : ", type, "\n"));
    };
    for (const char* op : {"add", "sub", "mul", "floor_div", "floor_mod", "trunc_div", "trunc_mod", "min"}) {
      expect_like_interpreter(step(op), Draw::special, 10);
    }
  }
}

TEST(ScalarKernel, StorageOnlyDTypesAndBoolAreCarried) {
  for (const char* dtype : {"f16", "bf16"}) {
    const std::string type = cat(dtype, "[]");
    const std::string step = cat("%6 = cast(%1) : f32[]\n%7 = cast(%3) : f32[]\n%8 = sub(%6, %7) : f32[]\n%9 = cast(%8) : ", type);
    expect_like_interpreter(counted(type, step + "\n"), Draw::special);
  }
  expect_like_interpreter(counted("bool[]", "%9 = logical_xor(%1, %3) : bool[]\n"), Draw::special);
}

TEST(ScalarKernel, DivisionByConstantsOfEverySign) {
  for (const char* dtype : {"i8", "i64", "u64"}) {
    for (const char* op : {"floor_div", "floor_mod", "trunc_div", "trunc_mod"}) {
      for (const char* by : {"0", "1", "3", "8", "-1", "-5", "-128"}) {
        if (by[0] == '-' && dtype[0] == 'u') continue;
        const std::string type = cat(dtype, "[]");
        expect_like_interpreter(counted(type, cat("%6 = constant value=", by, " : ", type, "\n%7 = ", op, "(%1, %6) : ", type,
                                                  "\n%9 = sub(%7, %3) : ", type, "\n")),
                                Draw::special, 4);
      }
    }
  }
}

TEST(ScalarKernel, TurnsThatFoldAreAllTaken) {
  for (const char* dtype : {"i8", "i32", "u64"}) {
    const std::string type = cat(dtype, "[]");
    const std::string step = cat("%6 = constant value=5 : ", type, "\n%7 = mul(%1, %6) : ", type, "\n%9 = add(%7, %3) : ", type);
    const Native congruence(counted(type, step + "\n"));
    std::mt19937_64 random(1);
    for (int turns = -2; turns < 40; ++turns) {
      std::vector<Literal> inputs = random_inputs(congruence.graph(), Draw::special, random);
      inputs[0] = scalar(turns);
      ASSERT_EQ(congruence.difference(inputs), "") << dtype << ", " << turns << " turns";
    }
  }
}

TEST(ScalarKernel, SmallTensorsStandInRegisters) {
  // Elementwise, a broadcast, movement, parts, indices and reductions along both axes.
  const std::string step = R"(%6 = broadcast(%3) : f64[2,3]
    %7 = slice(%1) start=[0,1] step=[1,1] : f64[2,2]
    %8 = slice(%1) start=[0,0] step=[1,1] : f64[2,1]
    %10 = concat(%7, %8) axis=1 : f64[2,3]
    %11 = iota axis=1 : f64[2,3]
    %12 = transpose(%10) perm=[1,0] : f64[3,2]
    %13 = reshape(%12) : f64[2,3]
    %14 = sub(%13, %11) : f64[2,3]
    %15 = reduce(%14) kind=max axes=[1] : f64[2]
    %16 = reduce(%1) kind=min axes=[0] : f64[3]
    %17 = reshape(%15) : f64[2,1]
    %18 = sub(%17, %16) : f64[2,3]
    %19 = constant value=0 : f64[]
    %20 = less(%18, %6) : bool[2,3]
    %9 = where(%20, %18, %14) : f64[2,3]
)";
  expect_like_interpreter(counted("f64[2,3]", step), Draw::special);
}

TEST(ScalarKernel, ReductionsAreThoseOfTheInterpreter) {
  struct Case {
    const char *dtype, *shape, *axis, *result, *kept;
  };
  constexpr Case kCases[] = {{"f32", "[16]", "0", "[]", "[1]"},       {"f32", "[5]", "0", "[]", "[1]"},
                             {"f32", "[1]", "0", "[]", "[1]"},        {"i32", "[7]", "0", "[]", "[1]"},
                             {"f64", "[4,4]", "0", "[4]", "[1,4]"},   {"f64", "[4,4]", "1", "[4]", "[4,1]"},
                             {"i64", "[2,8]", "0", "[8]", "[1,8]"},   {"i64", "[2,8]", "1", "[2]", "[2,1]"},
                             {"f32", "[2,3,2]", "1", "[2,2]", "[2,1,2]"}};
  for (const auto& [dtype, shape, axis, result, kept] : kCases) {
    const std::string type = cat(dtype, shape);
    for (const std::string kind : {"max", "min", "argmax", "argmin"}) {
      const std::string given = kind.starts_with("arg") ? "i64" : dtype;
      expect_like_interpreter(
          counted(type, cat("%6 = reduce(%1) kind=", kind, " axes=[", axis, "] : ", given, result, "\n%7 = cast(%6) : ", dtype,
                            result, "\n%8 = reshape(%7) : ", dtype, kept, "\n%9 = sub(%3, %8) : ", type, "\n")),
          Draw::special, 6);
    }
  }
  // Of whole numbers sums and products are exact in any order.
  for (const std::string kind : {"sum", "prod"}) {
    expect_like_interpreter(counted("i64[2,7]", cat("%6 = reduce(%1) kind=", kind, " axes=[1] : i64[2]\n%7 = reshape(%6) : i64[2,1]\n"
                                                    "%9 = sub(%3, %7) : i64[2,7]\n")),
                            Draw::special);
  }
  for (const std::string kind : {"any", "all"}) {
    expect_like_interpreter(counted("bool[3,2]", cat("%6 = reduce(%1) kind=", kind, " axes=[0] : bool[2]\n"
                                                     "%9 = logical_xor(%3, %6) : bool[3,2]\n")),
                            Draw::special);
  }
}

TEST(ScalarKernel, LoopsAndBranchesNest) {
  const std::string step = R"(%6 = constant value=0 : i32[]
    %7, %8 = while_loop(%1, %6; %3) : i32[], i32[] {
      test(%0: i32[], %1: i32[], %2: i32[]) {
        %3 = constant value=5 : i32[]
        %4 = less(%1, %3) : bool[]
        %5 = not_equal(%0, %2) : bool[]
        %6 = logical_and(%4, %5) : bool[]
        return %6, %0, %1
      }
      body(%0: i32[], %1: i32[], %2: i32[]) {
        %3 = constant value=1 : i32[]
        %4 = add(%1, %3) : i32[]
        %5 = less(%0, %2) : bool[]
        %6, %7 = cond(%5; %0, %4) : i32[], i32[] {
          then(%0: i32[], %1: i32[]) {
            %2 = constant value=3 : i32[]
            %3 = less(%1, %2) : bool[]
            %4 = cond(%3; %0) : i32[] {
              then(%0: i32[]) {
                %1 = neg(%0) : i32[]
                return %1
              }
              otherwise(%0: i32[]) {
                return %0
              }
            }
            return %4, %1
          }
          otherwise(%0: i32[], %1: i32[]) {
            %2 = sub(%0, %1) : i32[]
            %3 = constant value=2 : i32[]
            %4 = floor_div(%2, %3) : i32[]
            return %4, %1
          }
        }
        return %6, %7
      }
    }
    %9 = add(%7, %8) : i32[]
)";
  expect_like_interpreter(counted("i32[]", step), Draw::special, 40);
}

TEST(ScalarKernel, WhatTheTestHandsOnIsWhatComesOut) {
  // Test computes on what it hands on, and the results are its values, not those that were carried.
  const std::string text = R"(graph(%0: i64[], %1: f64[]) {
  %2, %3, %4 = while_loop(%0, %1) : f64[], i64[], f64[] {
    test(%0: i64[], %1: f64[]) {
      %2 = constant value=1 : i64[]
      %3 = sub(%0, %2) : i64[]
      %4 = constant value=0 : i64[]
      %5 = greater(%0, %4) : bool[]
      %6 = cast(%0) : f64[]
      %7 = mul(%1, %6) : f64[]
      return %5, %7, %3, %1
    }
    body(%0: f64[], %1: i64[], %2: f64[]) {
      %3 = sub(%0, %2) : f64[]
      return %1, %3
    }
  }
  return %2, %3, %4
}
)";
  expect_like_interpreter(text, Draw::special);
}

}  // namespace
}  // namespace etch
