// Narrow operands of products, such as weights of one byte with their scales: the product reads them as they are.
#include <etch/etch.h>
#include <gmock/gmock.h>

#include <cmath>

#include "compiler/schedule/verify_schedule.h"
#include "tests/schedule/schedules.h"

namespace etch {
namespace {

struct Sizes {
  int64_t m, k, n;
};

/// Where a narrow operand has its scales.
enum class Scale { none, whole, columns, steps, groups };

/// A product with b of a narrow dtype; turned: its steps lie beside each other in memory.
std::string product(const Sizes& s, DType narrow, Scale scale, bool turned) {
  const std::string shape = turned ? cat("[", s.n, ",", s.k, "]") : cat("[", s.k, ",", s.n, "]");
  const std::string f32 = "f32" + shape;
  std::string given = "f32[]", spread = f32, before, after;
  if (scale == Scale::columns) given = turned ? cat("f32[", s.n, ",1]") : cat("f32[1,", s.n, "]");
  if (scale == Scale::steps) given = turned ? cat("f32[1,", s.k, "]") : cat("f32[", s.k, ",1]");
  if (scale == Scale::groups) {  // two halves of the steps
    given = turned ? cat("f32[", s.n, ",2,1]") : cat("f32[2,1,", s.n, "]");
    spread = turned ? cat("f32[", s.n, ",2,", s.k / 2, "]") : cat("f32[2,", s.k / 2, ",", s.n, "]");
  }
  std::string text = cat("graph(%0: f32[", s.m, ",", s.k, "], %1: ", name(narrow), shape, ", %2: ", given, ") {\n%3 = cast(%1) : ",
                         f32, "\n");
  std::string last = "%3";
  if (scale != Scale::none) {
    text += cat("%4 = reshape(%3) : ", spread, "\n%5 = broadcast(%2) : ", spread, "\n%6 = mul(%4, %5) : ", spread,
                "\n%7 = reshape(%6) : ", f32, "\n");
    last = "%7";
  }
  if (turned) {
    text += cat("%8 = transpose(", last, ") perm=[1,0] : f32[", s.k, ",", s.n, "]\n");
    last = "%8";
  }
  return text + cat("%9 = dot(%0, ", last, ") : f32[", s.m, ",", s.n, "]\nreturn %9\n}\n");
}

/// One kernel, which reads the narrow operand, and no memory beside that of inputs and outputs.
void expect_one_kernel(const Graph& graph) {
  const Schedule schedule = schedule_of(graph);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  ASSERT_EQ(schedule.kernels.size(), 1u) << print(graph) << to_string(schedule, graph);
  EXPECT_TRUE(schedule.kernels[0].program.has(Role::row));
  EXPECT_EQ(schedule.arena_bytes, 0) << to_string(schedule, graph);
}

void expect_bits_of_unfused(const Graph& graph, Draw draw = Draw::special) {
  std::mt19937_64 random(1);
  const std::vector<Literal> inputs = random_inputs(graph, draw, random);
  const auto unfused = run_compiled(graph, {.prune_and_simplify = false, .fuse = false}, inputs, {});
  ASSERT_TRUE(unfused.ok()) << unfused.status();
  for (const Target& target : targets_that_run()) {
    for (const int64_t grain : {0, 5, 64}) {
      const auto fused = run_compiled(graph, {.prune_and_simplify = false, .target = target, .verify = true}, inputs,
                                      {.threads = 2, .grain = grain});
      ASSERT_TRUE(fused.ok()) << fused.status();
      EXPECT_EQ(bit_difference(*unfused, *fused), "") << target.cpu << " grain " << grain << "\n" << print(graph);
    }
  }
}

constexpr DType kNarrow[] = {DType::i8, DType::u8, DType::bf16, DType::f16, DType::i16};
constexpr Scale kScales[] = {Scale::none, Scale::whole, Scale::columns, Scale::steps, Scale::groups};

TEST(WidenOperands, AProductReadsNarrowWeightsWithTheirScalesAndStoresNoWideCopy) {
  for (const DType narrow : kNarrow) {
    for (const Scale scale : kScales) {
      for (const bool turned : {false, true}) expect_one_kernel(graph_of(product({40, 64, 96}, narrow, scale, turned)));
    }
  }
}

TEST(WidenOperands, SoDoesAProductOfAVector) {
  for (const DType narrow : {DType::i8, DType::bf16}) {
    for (const Scale scale : {Scale::none, Scale::whole, Scale::columns, Scale::steps}) {
      for (const bool turned : {false, true}) expect_one_kernel(graph_of(product({1, 640, 960}, narrow, scale, turned)));
    }
  }
}

TEST(WidenOperands, TheBitsAreThoseOfAWideCopy) {
  for (const Sizes& sizes : {Sizes{3, 10, 7}, Sizes{37, 300, 131}, Sizes{1, 70, 1100}, Sizes{1, 534, 67}, Sizes{270, 6, 530}}) {
    for (const DType narrow : {DType::i8, DType::bf16}) {
      for (const Scale scale : kScales) {
        for (const bool turned : {false, true}) expect_bits_of_unfused(graph_of(product(sizes, narrow, scale, turned)));
      }
    }
  }
}

TEST(WidenOperands, EveryNarrowTypeGivesTheBitsOfAWideCopy) {
  for (const DType narrow : kNarrow) {
    for (const bool turned : {false, true}) expect_bits_of_unfused(graph_of(product({13, 45, 50}, narrow, Scale::columns, turned)));
  }
}

TEST(WidenOperands, TheFirstOperandAndBothMayBeNarrow) {
  for (const int64_t m : {1, 5, 50}) {
    const std::string first = cat("graph(%0: i8[", m, ",70], %1: f32[70,90], %2: f32[", m, ",1]) {\n%3 = cast(%0) : f32[", m,
                                  ",70]\n%4 = broadcast(%2) : f32[", m, ",70]\n%5 = mul(%3, %4) : f32[", m,
                                  ",70]\n%6 = dot(%5, %1) : f32[", m, ",90]\nreturn %6\n}\n");
    const std::string both = cat("graph(%0: bf16[", m, ",70], %1: i8[70,90]) {\n%3 = cast(%0) : f32[", m,
                                 ",70]\n%4 = cast(%1) : f32[70,90]\n%6 = dot(%3, %4) : f32[", m, ",90]\nreturn %6\n}\n");
    for (const std::string& text : {first, both}) {
      expect_one_kernel(graph_of(text));
      expect_bits_of_unfused(graph_of(text));
    }
  }
}

TEST(WidenOperands, BatchesOfThemToo) {
  const Graph graph = graph_of(
      "graph(%0: f32[4,9,33], %1: i8[4,33,40], %2: f32[4,1,40]) {\n%3 = cast(%1) : f32[4,33,40]\n%4 = broadcast(%2) : "
      "f32[4,33,40]\n%5 = mul(%3, %4) : f32[4,33,40]\n%6 = dot(%0, %5) : f32[4,9,40]\nreturn %6\n}\n");
  expect_one_kernel(graph);
  expect_bits_of_unfused(graph);
}

TEST(WidenOperands, ZeroPointsAreTakenAwayWithoutMemory) {
  const Graph graph = graph_of(
      "graph(%0: f32[20,70], %1: u8[70,90], %2: u8[90], %3: f32[90]) {\n%4 = cast(%1) : f32[70,90]\n%5 = cast(%2) : f32[90]\n"
      "%6 = broadcast(%5) : f32[70,90]\n%7 = sub(%4, %6) : f32[70,90]\n%8 = broadcast(%3) : f32[70,90]\n"
      "%9 = mul(%7, %8) : f32[70,90]\n%10 = dot(%0, %9) : f32[20,90]\n%11 = tanh(%10) : f32[20,90]\nreturn %11\n}\n");
  expect_one_kernel(graph);
  expect_bits_of_unfused(graph);
}

TEST(WidenOperands, SeveralProductsOfTheSameWeightsWidenThemEach) {
  const Graph graph = graph_of(
      "graph(%0: f32[20,70], %1: i8[70,90], %2: f32[20,90]) {\n%3 = cast(%1) : f32[70,90]\n%4 = dot(%0, %3) : f32[20,90]\n"
      "%5 = transpose(%3) perm=[1,0] : f32[90,70]\n%6 = dot(%2, %5) : f32[20,70]\nreturn %4, %6\n}\n");
  const Schedule schedule = schedule_of(graph);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  EXPECT_EQ(schedule.kernels.size(), 2u) << to_string(schedule, graph);
  EXPECT_EQ(schedule.arena_bytes, 0);
  expect_bits_of_unfused(graph);
}

TEST(WidenOperands, WhatIsNeededElsewhereOrIsNotNarrowIsStored) {
  const std::string head = "graph(%0: f32[20,70], %1: i8[70,90], %2: f32[70,90]) {\n%3 = cast(%1) : f32[70,90]\n";
  const Graph output = graph_of(head + "%4 = dot(%0, %3) : f32[20,90]\nreturn %4, %3\n}\n");
  EXPECT_EQ(schedule_of(output).kernels.size(), 2u);
  expect_bits_of_unfused(output);
  const Graph wide = graph_of(head + "%4 = mul(%3, %2) : f32[70,90]\n%5 = dot(%0, %4) : f32[20,90]\nreturn %5\n}\n");
  EXPECT_EQ(schedule_of(wide).kernels.size(), 2u);
  expect_bits_of_unfused(wide);
}

/// Sums in double: as near as f32 sums of so many products are.
TEST(WidenOperands, TheValuesAreThoseOfDoubles) {
  constexpr int64_t k = 512, n = 128;
  for (const int64_t m : {1, 2, 40}) {
    const Graph graph = graph_of(product({m, k, n}, DType::i8, Scale::columns, false));
    std::mt19937_64 random(7);
    const std::vector<Literal> inputs = random_inputs(graph, Draw::plain, random);
    const auto outputs = run_compiled(graph, {}, inputs, {});
    ASSERT_TRUE(outputs.ok()) << outputs.status();
    const auto a = to_tensor(inputs[0]).to_vector<float>(), scales = to_tensor(inputs[2]).to_vector<float>();
    const auto b = to_tensor(inputs[1]).to_vector<int8_t>();
    const auto result = to_tensor((*outputs)[0]).to_vector<float>();
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0, size = 0;
        for (int64_t p = 0; p < k; ++p) {
          const double term = double{a[i * k + p]} * b[p * n + j] * scales[j];
          sum += term;
          size += std::abs(term);
        }
        EXPECT_NEAR(result[i * n + j], sum, size * k * 0x1p-24) << i << " " << j;
      }
    }
  }
}

}  // namespace
}  // namespace etch
