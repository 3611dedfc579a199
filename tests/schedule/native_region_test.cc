// Control flow on small values: which nodes become one kernel, how the schedule shows it, and the verifier against
// programs that were broken by hand.
#include "compiler/schedule/native_region.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "compiler/schedule/verify_blocks.h"
#include "compiler/schedule/verify_schedule.h"
#include "tests/schedule/schedules.h"

namespace etch {
namespace {

using testing::HasSubstr;

/// %3 and %4 of a loop that doubles %0 while it is below %1, or takes %2 from it where it is odd, and counts.
constexpr char kLoop[] = R"(graph(%0: i32[], %1: i32[], %2: i32[]) {
  %3 = constant value=0 : i32[]
  %4, %5 = while_loop(%0, %3; %1, %2) : i32[], i32[] {
    test(%0: i32[], %1: i32[], %2: i32[], %3: i32[]) {
      %4 = less(%0, %2) : bool[]
      return %4, %0, %1
    }
    body(%0: i32[], %1: i32[], %2: i32[], %3: i32[]) {
      %4 = constant value=1 : i32[]
      %5 = bitwise_and(%0, %4) : i32[]
      %6 = equal(%5, %4) : bool[]
      %7 = cond(%6; %0, %3) : i32[] {
        then(%0: i32[], %1: i32[]) {
          %2 = sub(%0, %1) : i32[]
          return %2
        }
        otherwise(%0: i32[], %1: i32[]) {
          %2 = add(%0, %0) : i32[]
          return %2
        }
      }
      %8 = add(%1, %4) : i32[]
      return %7, %8
    }
  }
  return %4, %5
}
)";

const Node& region_node(const Graph& graph) {
  for (const Node& node : graph.nodes()) {
    if (place(node.op) == Place::region) return node;
  }
  ADD_FAILURE() << "no region:\n" << print(graph);
  return graph.nodes()[0];
}

class Blocks : public testing::Test {
 protected:
  Blocks() : program_(schedule::native_kernel(graph_of(kLoop), region_node(graph_of(kLoop)))->program) {}

  /// The position of the n-th instruction of a kind.
  int at(InstrKind kind, int n = 0) const {
    for (size_t i = 0; i < program_.body.size(); ++i) {
      if (program_.body[i].kind == kind && n-- == 0) return static_cast<int>(i);
    }
    ADD_FAILURE() << "no such instruction";
    return 0;
  }
  Instr& instr(InstrKind kind, int n = 0) { return program_.body[at(kind, n)]; }
  void expect_error(const std::string& what) { EXPECT_THAT(check_blocks(program_), HasSubstr(what)) << to_string(program_); }

  KernelProgram program_;
};

TEST_F(Blocks, AGoodProgramIsGood) { EXPECT_EQ(check_blocks(program_), "") << to_string(program_); }

TEST_F(Blocks, AValueOfAnArmIsNotKnownBehindIt) {
  const int in_arm = at(InstrKind::branch) + 1;
  instr(InstrKind::next).args[0] = in_arm;
  expect_error("outside of its block");
}

TEST_F(Blocks, AValueOfALoopIsNotKnownBehindIt) {
  instr(InstrKind::store).args[0] = at(InstrKind::loop) + 1;
  expect_error("outside of its block");
}

TEST_F(Blocks, AValueOfOneArmIsNotKnownInTheOther) {
  instr(InstrKind::join).args[0] = at(InstrKind::branch) + 1;
  expect_error("outside of its block");
}

TEST_F(Blocks, ABlockEnds) {
  program_.body.resize(at(InstrKind::next));
  expect_error("does not end");
}

TEST_F(Blocks, BlocksNest) {
  std::swap(instr(InstrKind::next), instr(InstrKind::otherwise));
  expect_error("ends no loop");
}

TEST_F(Blocks, AnEndHasABeginning) {
  instr(InstrKind::branch).kind = InstrKind::compute;
  expect_error("has no branch");
}

TEST_F(Blocks, AJoinEndsTheSecondArm) {
  instr(InstrKind::otherwise).kind = InstrKind::compute;
  expect_error("has no branch");
}

TEST_F(Blocks, ALoopIsLeft) {
  instr(InstrKind::leave).kind = InstrKind::compute;
  expect_error("a loop that nothing leaves");
}

TEST_F(Blocks, ALoopIsLeftInOnePlace) {
  Instr again = instr(InstrKind::leave);
  instr(InstrKind::branch) = again;
  expect_error("leaves no loop");
}

TEST_F(Blocks, APredicateIsABool) {
  instr(InstrKind::branch).args[0] = at(InstrKind::handed);
  expect_error("has no predicate");
}

TEST_F(Blocks, ATestIsABool) {
  instr(InstrKind::leave).args[0] = at(InstrKind::handed);
  expect_error("has no predicate");
}

TEST_F(Blocks, WhatIsCarriedKeepsItsType) {
  instr(InstrKind::next).args[1] = instr(InstrKind::branch).args[0];
  expect_error("other types");
}

TEST_F(Blocks, AllThatIsCarriedComesBack) {
  instr(InstrKind::next).args.pop_back();
  expect_error("other types");
}

TEST_F(Blocks, ArmsGiveTheSameTypes) {
  instr(InstrKind::join).args[0] = instr(InstrKind::branch).args[0];
  expect_error("other types");
}

TEST_F(Blocks, WhatIsHandedOnIsThere) {
  instr(InstrKind::handed, 1).slot = 2;
  expect_error("is not among what");
}

TEST_F(Blocks, WhatIsHandedOnHasItsType) {
  instr(InstrKind::handed, 1).dtype = DType::i64;
  expect_error("has another type than");
}

TEST_F(Blocks, OnlyBlocksHandOn) {
  instr(InstrKind::handed, 1).args[0] = at(InstrKind::load);
  expect_error("is handed on by no block");
}

TEST_F(Blocks, AnEndIsNoValue) {
  instr(InstrKind::store).args[0] = at(InstrKind::next);
  expect_error("which is no value");
}

TEST_F(Blocks, MemoryIsReadFirst) {
  instr(InstrKind::handed, 0) = instr(InstrKind::load);
  expect_error("loads behind a block or a store");
}

TEST_F(Blocks, MemoryIsWrittenOutsideOfBlocks) {
  Instr store = instr(InstrKind::store);
  store.args[0] = at(InstrKind::handed);
  instr(InstrKind::compute) = store;
  expect_error("stores inside a block");
}

TEST_F(Blocks, MemoryIsWrittenLast) {
  Instr load = instr(InstrKind::load);
  load.kind = InstrKind::param;
  program_.body.push_back(load);
  expect_error("stands behind a store");
}

TEST_F(Blocks, AKernelWithMoreAxesThanForLanesHasNone) {
  program_.axes = {Role::batch, Role::vector};
  expect_error("stands in a kernel with more axes than that of the lanes");
  program_.axes = {Role::reduce};
  expect_error("stands in a kernel with more axes than that of the lanes");
}

// ---- Which nodes

std::string why_not(const std::string& text) {
  const Graph graph = graph_of(text);
  std::string why;
  EXPECT_FALSE(schedule::native_kernel(graph, region_node(graph), &why).has_value());
  return why;
}

/// A cond on a value of this type, whose first arm gives `result` for %0.
std::string cond_of(const std::string& type, const std::string& result) {
  return cat("graph(%0: bool[], %1: ", type, ") {\n%2 = cond(%0; %1) : ", type, " {\nthen(%0: ", type, ") {\n", result,
             "return %9\n}\notherwise(%0: ", type, ") {\nreturn %0\n}\n}\nreturn %2\n}\n");
}

TEST(NativeRegion, LargeValuesAreNot) {
  EXPECT_EQ(why_not(cond_of("f32[17]", "%9 = neg(%0) : f32[17]\n")), "cond gives f32[17], more than 16 elements");
  EXPECT_EQ(why_not(cond_of("f32[]", "%7 = broadcast(%0) : f32[2,9]\n%8 = neg(%7) : f32[2,9]\n"
                                     "%6 = reshape(%8) : f32[18]\n%9 = reduce(%6) kind=max axes=[0] : f32[]\n")),
            "broadcast gives f32[2,9], more than 16 elements");
}

TEST(NativeRegion, DearOpsOnManyElementsAreNot) {
  EXPECT_EQ(why_not(cond_of("f32[5]", "%9 = exp(%0) : f32[5]\n")), "exp of f32[5] is dear to write out for each element");
  const Graph graph = graph_of(cond_of("f32[4]", "%9 = exp(%0) : f32[4]\n"));
  EXPECT_TRUE(schedule::native_kernel(graph, region_node(graph)).has_value());
}

TEST(NativeRegion, WorkOnMemoryIsNot) {
  EXPECT_EQ(why_not(cond_of("f32[3,3]", "%9 = dot(%0, %0) : f32[3,3]\n")), "dot works on memory");
  EXPECT_EQ(why_not(cond_of("i64[3]", "%9 = gather(%0, %0) axis=0 : i64[3]\n")), "gather works on memory");
  EXPECT_EQ(why_not(cond_of("i64[3]", "%9 = cumsum(%0) axis=0 exclusive=false reverse=false : i64[3]\n")), "cumsum works on memory");
}

TEST(NativeRegion, WhatIsNotNeededDoesNotCount) {
  const Graph graph = graph_of(cond_of("f32[3,3]", "%8 = dot(%0, %0) : f32[3,3]\n%9 = neg(%0) : f32[3,3]\n"));
  EXPECT_TRUE(schedule::native_kernel(graph, region_node(graph)).has_value());
}

TEST(NativeRegion, ManyInstructionsAreNot) {
  std::string step = "%3 = neg(%0) : f32[16]\n";
  int last = 3;
  for (; last < 200; ++last) step += cat("%", last + 1, " = add(%", last, ", %0) : f32[16]\n");
  const std::string text = cat("graph(%0: bool[], %1: f32[16]) {\n%2 = cond(%0; %1) : f32[16] {\nthen(%0: f32[16]) {\n", step,
                               "return %", last, "\n}\notherwise(%0: f32[16]) {\nreturn %0\n}\n}\nreturn %2\n}\n");
  EXPECT_EQ(why_not(text), "there are more than 2000 instructions");
}

TEST(NativeRegion, AConstantOperandIsPartOfTheKernel) {
  const Schedule schedule = schedule_of(graph_of(kLoop));
  ASSERT_EQ(schedule.kernels.size(), 1u) << to_string(schedule, graph_of(kLoop));
  EXPECT_EQ(schedule.kernels[0].program.kind(), KernelKind::scalar);
  EXPECT_EQ(verify(schedule, graph_of(kLoop)), absl::OkStatus());
}

TEST(NativeRegion, BoundsAreDataAndFactorsAreCode) {
  // The kernel of another bound is the same; that of another factor is another one.
  const auto program_of = [](int bound, int factor) {
    const Graph graph = graph_of(cat(
        "graph(%0: i64[]) {\n%1 = while_loop(%0) : i64[] {\ntest(%0: i64[]) {\n%1 = constant value=", bound,
        " : i64[]\n%2 = less(%0, %1) : bool[]\nreturn %2, %0\n}\nbody(%0: i64[]) {\n%1 = constant value=", factor,
        " : i64[]\n%2 = mul(%0, %1) : i64[]\nreturn %2\n}\n}\nreturn %1\n}\n"));
    return schedule::native_kernel(graph, region_node(graph))->program;
  };
  EXPECT_EQ(program_of(100, 3), program_of(1000, 3));
  EXPECT_FALSE(program_of(100, 3) == program_of(100, 5));
}

TEST(NativeRegion, ThereIsASwitch) {
  const Graph graph = graph_of(kLoop);
  const Schedule schedule = make_schedule(graph, {.native_regions = false}).value();
  EXPECT_TRUE(std::ranges::any_of(schedule.kernels, [](const ScheduledKernel& kernel) { return kernel.flow != nullptr; }));
}

TEST(NativeRegion, TheScheduleSaysWhyNot) {
  const Graph graph = graph_of(cond_of("f32[3,3]", "%9 = dot(%0, %0) : f32[3,3]\n"));
  EXPECT_THAT(to_string(schedule_of(graph), graph), HasSubstr("not one kernel, for dot works on memory"));
}

}  // namespace
}  // namespace etch
