// The programs of kernels: what is structure and what is size, which axes they have, and the bits of corner cases.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "compiler/ir/cat.h"
#include "tests/schedule/schedules.h"

namespace etch {
namespace {

TEST(Layout, OtherSizesGiveTheSameProgram) {
  const auto program = [](int64_t rows, int64_t columns) {
    return schedule_of(graph_of(softmax_text(rows, columns))).kernels[0].program;
  };
  // Rows that run in groups, and longer ones.
  const KernelProgram grouped = program(8, 100), alone = program(8, 300);
  for (auto [rows, columns] : {std::pair(2, 3), {5, 64}, {1000, 256}}) {
    EXPECT_EQ(program(rows, columns), grouped) << rows << "x" << columns;
  }
  for (auto [rows, columns] : {std::pair(2, 257), {4096, 1024}, {17, 20000}}) {
    EXPECT_EQ(program(rows, columns), alone) << rows << "x" << columns;
  }
}

TEST(Layout, OneElementIsLikeMany) {
  const char* text = "graph(%0: f32[SHAPE], %1: f32[SHAPE]) {\n%2 = add(%0, %1) : f32[SHAPE]\nreturn %2\n}\n";
  std::set<std::string> programs;
  for (const char* shape : {"", "1", "7", "4,5", "1,6", "2,1,3"}) {
    std::string with = text;
    for (size_t at; (at = with.find("SHAPE")) != with.npos;) with.replace(at, 5, shape);
    programs.insert(to_string(schedule_of(graph_of(with)).kernels[0].program));
  }
  EXPECT_EQ(programs.size(), 1u);
}

TEST(Layout, EqualSubgraphsAreEqualPrograms) {
  GraphBuilder builder;
  std::vector<Value> outputs;
  for (int i = 0; i < 500; ++i) {
    Value x = *builder.input({DType::f32, {4, 6}});
    Value operands[] = {x, *builder.constant(to_bits(float(i)), {DType::f32, {}})};
    Value scaled[] = {*builder.emit(Op::mul, operands)};
    Value e[] = {*builder.emit(Op::exp, scaled)};
    outputs.push_back(*builder.emit(op::Reduce{ReduceKind::sum, {1}}, e));
  }
  Schedule schedule = schedule_of(std::move(builder).finish(outputs));
  ASSERT_EQ(schedule.kernels.size(), 500u);
  for (const ScheduledKernel& kernel : schedule.kernels) EXPECT_EQ(kernel.program, schedule.kernels[0].program);
}

TEST(Layout, LanesOfAReductionInAnyOrderLieAlongTheRowsOfMemory) {
  Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[30,20]) {\n%1 = transpose(%0) perm=[1,0] : f32[20,30]\n%2 = reduce(%1) kind=max axes=[1] : f32[20]\n"
      "return %2\n}"));
  ASSERT_EQ(schedule.kernels.size(), 1u);
  EXPECT_EQ(schedule.kernels[0].program.kind(), KernelKind::column);
  EXPECT_EQ(schedule.kernels[0].program.accesses[0].stride, Stride::one);
}

TEST(Layout, WhatALaterStageNeedsAndIsDearIsKeptInMemory) {
  const Graph graph = graph_of(
      "graph(%0: f32[200,64]) {\n%1 = exp(%0) : f32[200,64]\n%2 = log1p(%1) : f32[200,64]\n"
      "%3 = reduce(%2) kind=max axes=[0] : f32[64]\n%4 = reshape(%3) : f32[1,64]\n%5 = sub(%2, %4) : f32[200,64]\n"
      "%6 = cast(%5) : u8[200,64]\nreturn %6\n}");
  Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 1u);
  const KernelProgram& program = schedule.kernels[0].program;
  const auto is_exp = [](const Instr& instr) { return instr.kind == InstrKind::compute && instr.op == Op::exp; };
  EXPECT_EQ(std::count_if(program.body.begin(), program.body.end(), is_exp), 1);
  EXPECT_EQ(schedule.arena_bytes, 200 * 64 * 4);
}

TEST(Layout, AProgramIsOfTheFirstKindThatTakesItsAxes) {
  const auto kind_of = [](std::initializer_list<Role> axes) {
    KernelProgram program;
    program.axes = axes;
    return name(program.kind());
  };
  EXPECT_EQ(kind_of({Role::vector}), "loop");
  EXPECT_EQ(kind_of({Role::batch, Role::reduce}), "row");
  EXPECT_EQ(kind_of({Role::block, Role::reduce}), "row");
  EXPECT_EQ(kind_of({Role::batch, Role::reduce, Role::vector}), "column");
  EXPECT_EQ(kind_of({Role::results, Role::vector}), "column");
  EXPECT_EQ(kind_of({Role::batch, Role::row, Role::vector, Role::reduce}), "dot");
}

/// Both inputs, [24,n] or [n,24], reduced and met again; the second one comes in four parts of 6, which are too few for
/// lanes: kernels reduce them.
std::string short_reductions(const std::string& dtype, int64_t n, const std::string& kind, int axis) {
  const auto shape = [&](int64_t rows) { return axis == 1 ? cat("[", rows, ",", n, "]") : cat("[", n, ",", rows, "]"); };
  const bool position = kind.starts_with("arg");
  const std::string result = position ? "i64" : dtype;
  std::string text = cat("graph(%0: ", dtype, shape(24), ") {\n%1 = reduce(%0) kind=", kind, " axes=[", axis, "] : ", result,
                         "[24]\n");
  std::string parts;
  for (int i = 0; i < 4; ++i) {
    const int at = 2 + 2 * i;
    const std::string start = axis == 1 ? cat("[", 6 * i, ",0]") : cat("[0,", 6 * i, "]");
    text += cat("%", at, " = slice(%0) start=", start, " step=[1,1] : ", dtype, shape(6), "\n%", at + 1, " = reduce(%", at,
                ") kind=", kind, " axes=[", axis, "] : ", result, "[6]\n");
    parts += cat(i > 0 ? ", %" : "%", at + 1);
  }
  text += cat("%10 = concat(", parts, ") axis=0 : ", result, "[24]\n");
  if (position || dtype == "bool") return text + "return %1, %10\n}";
  const std::string kept = axis == 1 ? "[24,1]" : "[1,24]";
  return text + cat("%11 = reshape(%1) : ", dtype, kept, "\n%12 = mul(%0, %11) : ", dtype, shape(24), "\nreturn %1, %10, %12\n}");
}

TEST(Layout, ShortReductionsInLanesHaveTheBitsOfKernelsAndOfTheOracle) {
  for (const char* dtype : {"f32", "f64", "i32", "u8", "bool"}) {
    for (int64_t n : {1, 2, 3, 4, 5, 7, 12, 16}) {
      for (const char* kind : {"sum", "prod", "max", "min", "argmax", "argmin", "any", "all"}) {
        const bool logical = std::string(kind) == "any" || std::string(kind) == "all";
        if (logical != (std::string(dtype) == "bool")) continue;
        for (int axis : {0, 1}) {
          Graph graph = graph_of(short_reductions(dtype, n, kind, axis));
          std::mt19937_64 random(static_cast<uint64_t>(n));
          std::vector<Literal> inputs = random_inputs(graph, Draw::special, random);
          for (bool fuse : {false, true}) {
            for (const Target& target : targets_that_run()) {
              absl::StatusOr<std::vector<Literal>> results = run_compiled(
                  graph, {.prune_and_simplify = false, .fuse = fuse, .target = target}, inputs, {.threads = 2, .grain = 5});
              ASSERT_TRUE(results.ok()) << results.status();
              EXPECT_EQ(bit_difference({results->data(), 1}, {results->data() + 1, 1}), "") << print(graph);
              const bool ordered = dtype[0] == 'f' && (std::string(kind) == "sum" || std::string(kind) == "prod");
              if (ordered) continue;
              EXPECT_EQ(bit_difference(*interpret(graph, inputs), *results), "") << print(graph);
            }
          }
        }
      }
    }
  }
}

/// A sum over the last axis of %1, and what is left of it without the mean.
std::string centred(const std::string& first, const std::string& shape, const std::string& rows, const std::string& kept) {
  return cat("graph(%0: f32[50,24]) {\n%1 = ", first, " : f32", shape, "\n%2 = reduce(%1) kind=sum axes=[1] : f32", rows,
             "\n%3 = reshape(%2) : f32", kept, "\n%4 = sub(%1, %3) : f32", shape, "\nreturn %4\n}\n");
}

TEST(Layout, RowsOfAFewDenseElementsAreShort) {
  Graph graph = graph_of(centred("slice(%0) start=[0,3] step=[1,1]", "[50,12]", "[50]", "[50,1]"));
  Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 1u);
  EXPECT_EQ(schedule.kernels[0].program.kind(), KernelKind::short_row) << to_string(schedule, graph);
  EXPECT_EQ(schedule.kernels[0].program.short_row, 12);
  expect_same_bits(graph, false);
}

TEST(Layout, RowsWhoseElementsLieApartAreNotShort) {
  Graph graph = graph_of(centred("slice(%0) start=[0,0] step=[1,2]", "[50,12]", "[50]", "[50,1]"));
  Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 1u);
  EXPECT_EQ(schedule.kernels[0].program.short_row, 0) << to_string(schedule, graph);
  expect_same_bits(graph, false);
}

TEST(Layout, DearOpsAreNotWrittenOutForEveryElement) {
  Graph graph = graph_of("graph(%0: f32[16,50]) {\n%1 = exp(%0) : f32[16,50]\n"
                         "%2 = reduce(%1) kind=sum axes=[0] : f32[50]\nreturn %2\n}");
  Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 1u);
  EXPECT_EQ(schedule.kernels[0].program.kind(), KernelKind::column) << to_string(schedule, graph);
}

TEST(Layout, OnlyRowsThatFitTheirGroupRunInOne) {
  const auto groups = [](int64_t n, int32_t block) {
    Graph graph = graph_of(softmax_text(40, n));
    BlockSizes blocks;
    blocks.row = block;
    absl::StatusOr<Schedule> schedule = make_schedule(graph, {.blocks = blocks});
    EXPECT_TRUE(schedule.ok());
    return schedule->kernels[0].program.groups_rows;
  };
  EXPECT_TRUE(groups(kMostGroupedRow, kRowBlock));
  EXPECT_FALSE(groups(kMostGroupedRow + 1, kRowBlock));
  EXPECT_FALSE(groups(100, 99)) << "a row of two blocks";
}

/// The kernel of a product [m,k] x [k,n].
ScheduledKernel product_of(int64_t m, int64_t k, int64_t n) {
  const std::string a = cat("f32[", m, ",", k, "]"), b = cat("f32[", k, ",", n, "]");
  Graph graph = graph_of(cat("graph(%0: ", a, ", %1: ", b, ") {\n%2 = dot(%0, %1) : f32[", m, ",", n, "]\nreturn %2\n}"));
  return schedule_of(graph).kernels.at(0);
}

TEST(Layout, ProductsOfOneRowOrColumnSumInLanes) {
  EXPECT_EQ(product_of(1, 20, 30).program.kind(), KernelKind::vector_dot);
  EXPECT_EQ(product_of(30, 20, 1).program.kind(), KernelKind::vector_dot);
  EXPECT_EQ(product_of(30, 1, 20).program.kind(), KernelKind::dot);
}

TEST(Layout, ProductsOfFewRowsAreCutIntoPiecesOfColumns) {
  EXPECT_EQ(product_of(32, 784, 512).iterations, 4 * 32);
  EXPECT_EQ(product_of(32, 16, 512).iterations, 32) << "too little work to share";
  EXPECT_EQ(product_of(32, 784, 100).iterations, 32) << "too few columns";
}

TEST(Layout, ShortRowsHaveTheBitsOfEveryWayToRun) {
  for (int64_t rows : {8, 37}) {
    for (int64_t n = 2; n <= kMostShortRow; ++n) expect_same_bits(graph_of(softmax_text(rows, n)), false);
  }
}

TEST(Layout, AValueOfFewBytesIsKeptRatherThanComputedFromMany) {
  // The second stage reads the bytes that the first one left in the memory of the result, not the floats again.
  Graph graph = graph_of(
      "graph(%0: f32[100,64]) {\n%1 = cast(%0) : u8[100,64]\n%2 = reduce(%1) kind=min axes=[0] : u8[64]\n"
      "%3 = sub(%1, %2) : u8[100,64]\nreturn %3\n}");
  Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 1u);
  const KernelProgram& program = schedule.kernels[0].program;
  int floats = 0;
  for (const Instr& instr : program.body) floats += instr.kind == InstrKind::load && instr.dtype == DType::f32;
  EXPECT_EQ(floats, 1) << to_string(schedule, graph);
  expect_same_bits(graph, true);
}

TEST(Layout, AnyOrderMakesColumnsOfAFewLanesRows) {
  for (const char* dtype : {"u8", "f32"}) {
    const std::string type = dtype;
    Graph graph = graph_of("graph(%0: " + type + "[40,50,3]) {\n%1 = reduce(%0) kind=sum axes=[1] : " + type +
                           "[40,3]\nreturn %1\n}");
    Schedule schedule = schedule_of(graph);
    // The order of a sum of floats is that of columns.
    const KernelKind kind = type == "u8" ? KernelKind::row : KernelKind::column;
    EXPECT_EQ(schedule.kernels[0].program.kind(), kind) << to_string(schedule, graph);
    expect_same_bits(graph, true);
  }
}

TEST(Layout, AShortAxisBesideAShortOneIsUnrolledOverTheLongest) {
  Graph graph = graph_of("graph(%0: f32[100,6,7]) {\n%1 = slice(%0) start=[0,1,0] step=[1,1,1] : f32[100,5,7]\n"
                         "%2 = reduce(%1) kind=max axes=[2] : f32[100,5]\nreturn %2\n}");
  Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 1u);
  EXPECT_EQ(schedule.kernels[0].program.kind(), KernelKind::loop) << to_string(schedule, graph);
  EXPECT_EQ(schedule.kernels[0].sizes[schedule.kernels[0].program.rank() - 1], 100) << to_string(schedule, graph);
  expect_same_bits(graph, true);
}

TEST(Layout, EqualBitsOfSeveralDtypesAreSeveralConstants) {
  // 0 as a float and as an index.
  expect_same_bits(graph_of("graph(%0: f32[40,3]) {\n%1 = reduce(%0) kind=argmax axes=[1] : i64[40]\n"
                            "%2 = reduce(%0) kind=max axes=[1] : f32[40]\n%3 = constant value=0 : f32[]\n"
                            "%4 = max(%2, %3) : f32[40]\nreturn %1, %4\n}"), true);
}

TEST(Layout, ShortAxesAreNoVectorAxes) {
  for (const char* node : {"%2 = min(%0, %1) : u8[40,50,3]", "%2 = reduce(%0) kind=max axes=[2] : u8[40,50]",
                           "%2 = reduce(%0) kind=argmax axes=[2] : i64[40,50]",
                           "%2 = reduce(%0) kind=sum axes=[0] : u8[50,3]",
                           "%2 = transpose(%0) perm=[1,0,2] : u8[50,40,3]"}) {
    Graph graph = graph_of(cat("graph(%0: u8[40,50,3], %1: u8[3]) {\n", node, "\nreturn %2\n}"));
    Schedule schedule = schedule_of(graph);
    ASSERT_EQ(schedule.kernels.size(), 1u);
    const ScheduledKernel& kernel = schedule.kernels[0];
    EXPECT_GE(kernel.sizes[kernel.program.rank() - 1], 40) << to_string(schedule, graph);
  }
}

TEST(Layout, AReductionOfNothingIsItsIdentity) {
  for (const char* kind : {"sum", "prod", "any", "all"}) {
    bool logical = kind[0] == 'a';
    std::string dtype = logical ? "bool" : "f32";
    std::string type = cat("graph(%0: ", dtype, "[4,0,3]) {\n%1 = reduce(%0) kind=", kind, " axes=[1] : ", dtype,
                           "[4,3]\n%2 = reduce(%0) kind=", kind, " axes=[0] : ", dtype, "[0,3]\nreturn %1, %2\n}");
    expect_same_bits(graph_of(type), true);
  }
}

TEST(Layout, AProductOverNothingIsZero) {
  expect_same_bits(graph_of("graph(%0: f32[4,0], %1: f32[0,3], %2: f32[4,3]) {\n%3 = dot(%0, %1) : f32[4,3]\n"
                            "%4 = add(%3, %2) : f32[4,3]\nreturn %4, %3\n}"), true);
}

TEST(Layout, LongReductionsInBlocksHaveTheBitsOfOneKernel) {
  expect_same_bits(graph_of("graph(%0: f32[3,20000], %1: f32[2,5000,3]) {\n"
                            "%2 = exp(%0) : f32[3,20000]\n%3 = reduce(%2) kind=sum axes=[1] : f32[3]\n"
                            "%4 = reduce(%2) kind=max axes=[1] : f32[3]\n%5 = div(%3, %4) : f32[3]\n"
                            "%6 = reduce(%1) kind=sum axes=[1] : f32[2,3]\n%7 = sqrt(%6) : f32[2,3]\n"
                            "return %5, %7\n}"), false);
}

TEST(Layout, ReductionsThatNeedEachOtherOverLongColumnsAgree) {
  // Mean and variance along a long axis with few columns; the largest distance and its place; what follows them.
  expect_same_bits(graph_of("graph(%0: f32[2000,4]) {\n%1 = reduce(%0) kind=sum axes=[0] : f32[4]\n"
                            "%2 = constant value=2000.0 : f32[]\n%3 = div(%1, %2) : f32[4]\n"
                            "%4 = sub(%0, %3) : f32[2000,4]\n%5 = mul(%4, %4) : f32[2000,4]\n"
                            "%6 = reduce(%5) kind=sum axes=[0] : f32[4]\n%7 = rsqrt(%6) : f32[4]\n"
                            "%8 = mul(%4, %7) : f32[2000,4]\n%9 = reduce(%5) kind=argmax axes=[0] : i64[4]\n"
                            "%10 = reduce(%5) kind=max axes=[0] : f32[4]\n%11 = add(%10, %7) : f32[4]\n"
                            "return %8, %9, %11, %3\n}"), false);
}

TEST(Layout, ElementsOfAGroupThatAreStoredInSeveralStagesAgree) {
  expect_same_bits(graph_of("graph(%0: f32[37,64]) {\n%1 = exp(%0) : f32[37,64]\n"
                            "%2 = reduce(%1) kind=sum axes=[1] : f32[37]\n%3 = reshape(%2) : f32[37,1]\n"
                            "%4 = div(%1, %3) : f32[37,64]\n%5 = reshape(%1) : f32[37,64,1]\n"
                            "%6 = reshape(%4) : f32[37,64,1]\n%7 = concat(%5, %6) axis=2 : f32[37,64,2]\n"
                            "return %7\n}"), false);
}

TEST(Layout, ALongReductionOfAReshapedTransposeAgrees) {
  expect_same_bits(graph_of("graph(%0: f64[300,200]) {\n%1 = transpose(%0) perm=[1,0] : f64[200,300]\n"
                            "%2 = reshape(%1) : f64[60000]\n%3 = sin(%2) : f64[60000]\n"
                            "%4 = reduce(%3) kind=sum axes=[0] : f64[]\n%5 = reduce(%3) kind=prod axes=[0] : f64[]\n"
                            "%6 = add(%4, %5) : f64[]\nreturn %6\n}"), false);
}

TEST(Layout, ASoftmaxOfAFewLongRowsIsRight) { expect_same_bits(graph_of(softmax_text(2, 20000)), false); }

TEST(Layout, ASpilledValueSurvivesUntilItsLastStage) {
  // exp is needed in three stages, and its memory is that of the output.
  expect_same_bits(graph_of("graph(%0: f32[5,40]) {\n%1 = exp(%0) : f32[5,40]\n"
                            "%2 = reduce(%1) kind=sum axes=[1] : f32[5]\n%3 = reshape(%2) : f32[5,1]\n"
                            "%4 = div(%1, %3) : f32[5,40]\n%5 = reduce(%4) kind=max axes=[1] : f32[5]\n"
                            "%6 = reshape(%5) : f32[5,1]\n%7 = mul(%4, %6) : f32[5,40]\n"
                            "%8 = add(%7, %1) : f32[5,40]\nreturn %8, %4\n}"), false);
}

TEST(Layout, EveryAxisOfEveryReductionAgrees) {
  for (int axis = 0; axis < 4; ++axis) {
    Shape shape{3, 4, 2, 5}, kept = shape;
    kept.erase(axis);
    std::string result = to_string(kept);
    expect_same_bits(graph_of(cat("graph(%0: f32[3,4,2,5]) {\n%1 = tanh(%0) : f32[3,4,2,5]\n%2 = reduce(%1) kind=sum axes=[",
                                  axis, "] : f32", result, "\n%3 = neg(%2) : f32", result,
                                  "\n%4 = reduce(%0) kind=argmin axes=[", axis, "] : i64", result,
                                  "\nreturn %3, %4\n}")), false);
  }
}

}  // namespace
}  // namespace etch
