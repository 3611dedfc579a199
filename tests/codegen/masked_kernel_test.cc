// Kernels of masked lanes: their programs as text, and code of every target.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "compiler/codegen/codegen.h"
#include "compiler/ir/text.h"
#include "compiler/schedule/masked_region.h"

namespace etch {
namespace {

/// Steps of Collatz' rule from each row's number to 1, but 50 at most.
constexpr char kMap[] = R"(graph(%0: i32[100]) {
  %1 = constant value=0 : i32[100]
  %2 = constant value=0 : i64[]
  %3, %4 = while_loop(%2, %1; %0) : i64[], i32[100] {
    test(%0: i64[], %1: i32[100], %2: i32[100]) {
      %3 = constant value=100 : i64[]
      %4 = less(%0, %3) : bool[]
      return %4, %0, %1
    }
    body(%0: i64[], %1: i32[100], %2: i32[100]) {
      %3 = gather(%2, %0) axis=0 : i32[]
      %4 = constant value=0 : i32[]
      %5, %6 = while_loop(%3, %4) : i32[], i32[] {
        test(%0: i32[], %1: i32[]) {
          %2 = constant value=1 : i32[]
          %3 = greater(%0, %2) : bool[]
          %4 = constant value=50 : i32[]
          %5 = less(%1, %4) : bool[]
          %6 = logical_and(%3, %5) : bool[]
          return %6, %0, %1
        }
        body(%0: i32[], %1: i32[]) {
          %2 = constant value=2 : i32[]
          %3 = constant value=0 : i32[]
          %4 = floor_mod(%0, %2) : i32[]
          %5 = equal(%4, %3) : bool[]
          %6 = cond(%5; %0) : i32[] {
            then(%0: i32[]) {
              %1 = constant value=2 : i32[]
              %2 = floor_div(%0, %1) : i32[]
              return %2
            }
            otherwise(%0: i32[]) {
              %1 = constant value=3 : i32[]
              %2 = mul(%0, %1) : i32[]
              %3 = constant value=1 : i32[]
              %4 = add(%2, %3) : i32[]
              return %4
            }
          }
          %7 = constant value=1 : i32[]
          %8 = add(%1, %7) : i32[]
          return %6, %8
        }
      }
      %7 = reshape(%6) : i32[1]
      %8 = update_slice(%1, %7, %0) axis=0 : i32[100]
      %9 = constant value=1 : i64[]
      %10 = add(%0, %9) : i64[]
      return %10, %8
    }
  }
  return %4
}
)";

/// While any element is below 10, those that are grow.
constexpr char kWhileAny[] = R"(graph(%0: f32[100]) {
  %1 = while_loop(%0) : f32[100] {
    test(%0: f32[100]) {
      %1 = constant value=10 : f32[]
      %2 = less(%0, %1) : bool[100]
      %3 = reduce(%2) kind=any axes=[0] : bool[]
      return %3, %0
    }
    body(%0: f32[100]) {
      %1 = constant value=10 : f32[]
      %2 = less(%0, %1) : bool[100]
      %3 = constant value=3 : f32[]
      %4 = add(%0, %3) : f32[100]
      %5 = where(%2, %4, %0) : f32[100]
      return %5
    }
  }
  return %1
}
)";

/// Takes rows of 16 elements of two tensors, and writes those of three: 80 accesses whose lanes lie apart.
constexpr char kLongRows[] = R"(graph(%0: f32[17,16], %1: f32[17,16], %2: bool[]) {
  %3 = constant value=0 : i64[]
  %4 = constant value=0 : f32[17,16]
  %5, %6, %7, %8 = while_loop(%3, %4, %4, %4; %0, %1, %2) : i64[], f32[17,16], f32[17,16], f32[17,16] {
    test(%0: i64[], %1: f32[17,16], %2: f32[17,16], %3: f32[17,16], %4: f32[17,16], %5: f32[17,16], %6: bool[]) {
      %7 = constant value=17 : i64[]
      %8 = less(%0, %7) : bool[]
      return %8, %0, %1, %2, %3
    }
    body(%0: i64[], %1: f32[17,16], %2: f32[17,16], %3: f32[17,16], %4: f32[17,16], %5: f32[17,16], %6: bool[]) {
      %7 = constant value=1 : i64[]
      %8 = add(%0, %7) : i64[]
      %9 = gather(%4, %0) axis=0 : f32[16]
      %10 = gather(%5, %0) axis=0 : f32[16]
      %11, %12, %13 = cond(%6; %9, %10) : f32[16], f32[16], f32[16] {
        then(%0: f32[16], %1: f32[16]) {
          return %0, %0, %0
        }
        otherwise(%0: f32[16], %1: f32[16]) {
          %2 = constant value=0 : f32[16]
          return %1, %2, %2
        }
      }
      %14 = reshape(%11) : f32[1,16]
      %15 = update_slice(%1, %14, %0) axis=0 : f32[17,16]
      %16 = reshape(%12) : f32[1,16]
      %17 = update_slice(%2, %16, %0) axis=0 : f32[17,16]
      %18 = reshape(%13) : f32[1,16]
      %19 = update_slice(%3, %18, %0) axis=0 : f32[17,16]
      return %8, %15, %17, %19
    }
  }
  return %6, %7, %8
}
)";

ScheduledKernel kernel_of(const char* text) {
  const Graph graph = parse(text).value();
  std::vector<bool> is_used(graph.num_values());
  for (Value output : graph.outputs()) is_used[output.id] = true;
  for (const Node& node : graph.nodes()) {
    if (place(node.op) == Place::region) return schedule::masked_kernel(graph, node, is_used).value();
  }
  ADD_FAILURE() << "no region";
  return {};
}

TEST(MaskedKernel, ProgramOfAMap) { EXPECT_EQ(to_string(kernel_of(kMap).program), R"(masked [vector] indices [] params 2 constants 4
#0 i32 1
#1 i32 1
%0 = load #0 i32
%1 = param #0 i32
%2 = constant #0 = 1 : i32
%3 = param #1 i32
%4 = constant #1 = 2 : i32
%5 = constant #2 = 0 : i32
%6 = constant #3 = 3 : i32
%7 = loop %0 %1
  %8 = handed #0 %7 i32
  %9 = handed #1 %7 i32
  %10 = greater %8 %2 bool
  %11 = less %9 %3 bool
  %12 = logical_and %10 %11 bool
  %13 = leave %12 %8 %9
  %14 = floor_mod %8 %4 i32
  %15 = equal %14 %5 bool
  %16 = branch %15
    %17 = floor_div %8 %4 i32
  %18 = otherwise %17
    %19 = mul %8 %6 i32
    %20 = add %19 %2 i32
  %21 = join %20
  %22 = handed #0 %21 i32
  %23 = add %9 %2 i32
%24 = next %22 %23
%25 = handed #0 %24 i32
%26 = handed #1 %24 i32
%27 = store #1 %26 i32
)"); }

TEST(MaskedKernel, HasASmallFrameForManyScatteredAccesses) {
  const ScheduledKernel kernel = kernel_of(kLongRows);
  const KernelProgram* programs[] = {&kernel.program};
  for (const std::string& name : target_names()) {
    const Target& target = *find_target(name);
    if (!missing_features(target).empty()) continue;
    // A frame that is too large for small stacks is a bug of ours, which the verifier finds.
    EXPECT_TRUE(compile_kernels(programs, {.target = target}, nullptr, /*verify=*/true).ok()) << name;
  }
}

TEST(MaskedKernel, LoopsOfAMap) {
  EXPECT_EQ(print_code(kernel_of(kMap).program, {}, CodeStage::loops, "map").value(), R"(map(b0: i32, b1: i32):
  for i0 in 0..n0:  # vectors
    v0 = b0[.. + 1*i0]
    v1 = p0
    v2 = 1
    v3 = p1
    v4 = 2
    v5 = 0
    v6 = 3
    loop v8, v9 = v0, v1:
      v10 = greater(v8, v2)
      v11 = less(v9, v3)
      v12 = logical_and(v10, v11)
      leave with v8, v9 unless v12
      v14 = floor_mod(v8, v4)
      v15 = equal(v14, v5)
      if v15:
        v17 = floor_div(v8, v4)
        give v17
      else:
        v19 = mul(v8, v6)
        v20 = add(v19, v2)
        give v20
      v22 = given
      v23 = add(v9, v2)
      again with v22, v23
    v25, v26 = given
    b1[.. + 1*i0] = v26
)");
}

TEST(MaskedKernel, WhatIsKnownOfAMaskStaysOutOfTheBody) {
  EXPECT_EQ(print_code(kernel_of(kWhileAny).program, {}, CodeStage::loops, "any").value(), R"(any(b0: f32, b1: f32):
  for i0 in 0..n0:  # vectors
    v0 = b0[.. + 1*i0]
    v1 = p0
    v2 = p1
    loop v4 = v0:
      v5 = less(v4, v1)
      leave with v4 unless v5
      v7 = add(v4, v2)
      again with v7
    v9 = given
    b1[.. + 1*i0] = v9
)");
}

TEST(MaskedKernel, EveryTargetHasCode) {
  for (const std::string& name : target_names()) {
    for (const char* text : {kMap, kWhileAny}) {
      const auto code = print_code(kernel_of(text).program, {.target = *find_target(name)}, CodeStage::assembly, "kernel");
      ASSERT_TRUE(code.ok()) << name << ": " << code.status();
      EXPECT_NE(code->find("kernel:"), std::string::npos) << name;
    }
  }
}

TEST(MaskedKernel, MasksStandInMaskRegistersWhereThereAreAny) {
  const auto code_for = [](const char* target) {
    return print_code(kernel_of(kWhileAny).program, {.target = *find_target(target)}, CodeStage::assembly, "kernel").value();
  };
  EXPECT_NE(code_for("avx512").find("%k1"), std::string::npos) << code_for("avx512");
  EXPECT_EQ(code_for("avx2").find("vpack"), std::string::npos) << "masks are packed:\n" << code_for("avx2");
}

}  // namespace
}  // namespace etch
