// What every schedule must keep to, and how common graphs are cut into kernels.
#include "compiler/schedule/schedule.h"

#include <gtest/gtest.h>

#include <set>

#include "compiler/ir/cat.h"
#include "compiler/ir/text.h"
#include "compiler/passes/pass.h"
#include "compiler/schedule/order_kernels.h"
#include "compiler/schedule/verify_schedule.h"
#include "tools/harness.h"
#include "tools/random_graph.h"

namespace etch {
namespace {

Graph graph_of(const std::string& text) {
  absl::StatusOr<Graph> graph = parse(text);
  EXPECT_TRUE(graph.ok()) << graph.status();
  return *std::move(graph);
}

Schedule schedule_of(const Graph& graph, bool fuse = true) {
  absl::StatusOr<Schedule> schedule = make_schedule(graph, {.fuse = fuse});
  EXPECT_TRUE(schedule.ok()) << schedule.status();
  return *std::move(schedule);
}

/// Lowered random graphs of several sizes.
Graph random_lowered(uint64_t seed) {
  Graph graph = random_graph({.seed = seed, .ops = 4 + static_cast<int>(seed % 40)});
  absl::StatusOr<Graph> lowered = find_pass("lower_reductions")->run(graph);
  EXPECT_TRUE(lowered.ok()) << lowered.status();
  return *std::move(lowered);
}

/// After the passes of a fused compile.
Graph improved(Graph graph) {
  for (const Pass& pass : passes()) {
    absl::StatusOr<Graph> next = pass.run(graph);
    EXPECT_TRUE(next.ok()) << next.status();
    graph = *std::move(next);
  }
  return graph;
}

/// All three ways on special inputs: unfused, fused, interpreter (which must agree to the bit if `exact`).
void expect_same_bits(const Graph& graph, bool exact) {
  std::mt19937_64 random(1);
  std::vector<Literal> inputs = random_inputs(graph, exact ? Draw::whole : Draw::special, random);
  absl::StatusOr<std::vector<Literal>> unfused =
      run_compiled(graph, {.prune_and_simplify = false, .fuse = false}, inputs, {.threads = 1});
  absl::StatusOr<std::vector<Literal>> fused =
      run_compiled(graph, {.prune_and_simplify = false}, inputs, {.threads = 2});
  ASSERT_TRUE(unfused.ok()) << unfused.status();
  ASSERT_TRUE(fused.ok()) << fused.status();
  EXPECT_EQ(bit_difference(*unfused, *fused), "") << print(graph);
  if (exact) {
    EXPECT_EQ(bit_difference(*interpret(graph, inputs), *fused), "") << print(graph);
  }
}

constexpr uint64_t kSeeds = 1500;

TEST(ScheduleProperties, FusedKernelsTouchOnlyWhatTheyMay) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Graph graph = random_lowered(seed);
    ASSERT_EQ(verify(schedule_of(graph), graph), absl::OkStatus()) << "seed " << seed << "\n" << print(graph);
  }
}

TEST(ScheduleProperties, UnfusedKernelsTouchOnlyWhatTheyMay) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Graph graph = random_lowered(seed);
    ASSERT_EQ(verify(schedule_of(graph, false), graph), absl::OkStatus()) << "seed " << seed << "\n" << print(graph);
  }
}

TEST(ScheduleProperties, TheVerifierOfLargeSchedulesAcceptsWhatTheWalkAccepts) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Graph graph = random_lowered(seed);
    for (bool fuse : {false, true}) {
      ASSERT_EQ(verify(schedule_of(graph, fuse), graph, 0), absl::OkStatus()) << seed << "\n" << print(graph);
    }
  }
}

TEST(ScheduleProperties, FusionNeedsNoMoreMemoryThanItMay) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Graph graph = random_lowered(seed);
    int64_t unfused = schedule_of(graph, false).arena_bytes;
    for (auto [ratio, slack] : {std::pair(1.0, 0), {1.25, 0}, {1.0, 256}}) {
      absl::StatusOr<Schedule> schedule = make_schedule(graph, {.arena_ratio = ratio, .arena_slack = slack});
      ASSERT_TRUE(schedule.ok()) << schedule.status();
      ASSERT_LE(schedule->arena_bytes, ratio * unfused + slack) << "seed " << seed << "\n" << print(graph);
      ASSERT_EQ(verify(*schedule, graph), absl::OkStatus()) << "seed " << seed << "\n" << print(graph);
    }
  }
}

TEST(ScheduleProperties, AScheduleIsTheSameEveryTime) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Graph graph = random_lowered(seed);
    EXPECT_EQ(to_string(schedule_of(graph), graph), to_string(schedule_of(graph), graph));
  }
}

// ---- Structure against sizes

std::string softmax_text(int64_t rows, int64_t columns) {
  std::string full = cat("f32[", rows, ",", columns, "]"), row = cat("f32[", rows, "]"), kept = cat("f32[", rows, ",1]");
  return cat("graph(%0: ", full, ") {\n%1 = reduce(%0) kind=max axes=[1] : ", row, "\n%2 = reshape(%1) : ", kept,
             "\n%3 = sub(%0, %2) : ", full, "\n%4 = exp(%3) : ", full, "\n%5 = reduce(%4) kind=sum axes=[1] : ", row,
             "\n%6 = reshape(%5) : ", kept, "\n%7 = div(%4, %6) : ", full, "\nreturn %7\n}\n");
}

TEST(Schedule, OtherSizesGiveTheSameProgram) {
  KernelProgram first = schedule_of(graph_of(softmax_text(8, 100))).kernels[0].program;
  for (auto [rows, columns] : {std::pair(2, 3), {5, 64}, {4096, 1024}, {17, 20000}}) {
    Schedule schedule = schedule_of(graph_of(softmax_text(rows, columns)));
    ASSERT_EQ(schedule.kernels.size(), 1u);
    EXPECT_EQ(schedule.kernels[0].program, first) << rows << "x" << columns;
  }
}

TEST(Schedule, OneElementIsLikeMany) {
  const char* text = "graph(%0: f32[SHAPE], %1: f32[SHAPE]) {\n%2 = add(%0, %1) : f32[SHAPE]\nreturn %2\n}\n";
  std::set<std::string> programs;
  for (const char* shape : {"", "1", "7", "4,5", "1,6", "2,1,3"}) {
    std::string with = text;
    for (size_t at; (at = with.find("SHAPE")) != with.npos;) with.replace(at, 5, shape);
    programs.insert(to_string(schedule_of(graph_of(with)).kernels[0].program));
  }
  EXPECT_EQ(programs.size(), 1u);
}

TEST(Schedule, EqualSubgraphsAreEqualPrograms) {
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

TEST(Schedule, ALongChainIsCutIntoKernelsOfBoundedSize) {
  GraphBuilder builder;
  Value x = *builder.input({DType::f32, {100}}), y = x;
  for (int i = 0; i < 10000; ++i) {
    Value operands[] = {y, x};
    y = *builder.emit(i % 2 ? Op::add : Op::mul, operands);
  }
  Value outputs[] = {y};
  Graph graph = std::move(builder).finish(outputs);
  Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 157u);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  std::set<std::string> programs;
  for (const ScheduledKernel& kernel : schedule.kernels) programs.insert(to_string(kernel.program));
  EXPECT_LE(programs.size(), 3u);
}

TEST(Schedule, DependencesGrowWithTheReadersOfAConcatNotWithTheirSquare) {
  constexpr int kParts = 8000;
  GraphBuilder builder;
  std::vector<Value> parts, outputs;
  for (int i = 0; i < kParts; ++i) parts.push_back(*builder.input({DType::f32, {1, 3}}));
  Value all[] = {*builder.emit(op::Concat{0}, parts)};
  for (int64_t i = 0; i < kParts; ++i) {
    outputs.push_back(*builder.emit(op::Slice{Dims{i, 0}, Dims{1, 1}}, all, Type{DType::f32, {1, 3}}));
  }
  Graph graph = std::move(builder).finish(outputs);
  schedule::Partition partition =
      schedule::partition_fused(graph, std::vector<schedule::Care>(graph.num_values()));
  schedule::Lowered lowered;
  for (size_t c = 0; c < partition.clusters.size(); ++c) {
    schedule::lower_cluster(graph, partition, static_cast<int>(c), lowered);
  }
  schedule::KernelOrder order = schedule::order_kernels(graph, partition, lowered);
  EXPECT_EQ(order.kernels.size(), 2u * kParts);
  EXPECT_LE(order.edges, 4 * kParts);
}

// ---- Decisions

TEST(Schedule, MaxAndSumOfOneInputAreOneKernel) {
  Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[9,30]) {\n%1 = reduce(%0) kind=max axes=[1] : f32[9]\n%2 = reduce(%0) kind=sum axes=[1] : f32[9]\n"
      "return %1, %2\n}"));
  ASSERT_EQ(schedule.kernels.size(), 1u);
  EXPECT_EQ(schedule.kernels[0].program.kind(), KernelKind::row);
  EXPECT_EQ(schedule.kernels[0].iterations, 9);
}

TEST(Schedule, ReductionsAlongOtherAxesAreKernelsOfTheirOwn) {
  Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[9,30]) {\n%1 = reduce(%0) kind=sum axes=[1] : f32[9]\n%2 = reduce(%0) kind=sum axes=[0] : f32[30]\n"
      "return %1, %2\n}"));
  ASSERT_EQ(schedule.kernels.size(), 2u);
  EXPECT_NE(schedule.kernels[0].program.kind(), schedule.kernels[1].program.kind());
}

TEST(Schedule, RowsAcrossThoseOfMemoryAreTurnedRoundFirst) {
  Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[30,20]) {\n%1 = transpose(%0) perm=[1,0] : f32[20,30]\n%2 = reduce(%1) kind=sum axes=[1] : f32[20]\n"
      "return %2\n}"));
  ASSERT_EQ(schedule.kernels.size(), 2u);
  EXPECT_EQ(schedule.kernels[0].program.kind(), KernelKind::loop);
  EXPECT_EQ(schedule.kernels[0].program.accesses[0].next_row, 1);
  EXPECT_EQ(schedule.kernels[1].program.kind(), KernelKind::row);
  EXPECT_EQ(schedule.kernels[1].program.accesses[0].stride, Stride::one);
}

TEST(Schedule, LanesOfAReductionInAnyOrderLieAlongTheRowsOfMemory) {
  Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[30,20]) {\n%1 = transpose(%0) perm=[1,0] : f32[20,30]\n%2 = reduce(%1) kind=max axes=[1] : f32[20]\n"
      "return %2\n}"));
  ASSERT_EQ(schedule.kernels.size(), 1u);
  EXPECT_EQ(schedule.kernels[0].program.kind(), KernelKind::column);
  EXPECT_EQ(schedule.kernels[0].program.accesses[0].stride, Stride::one);
}

TEST(Schedule, WhatALaterStageNeedsAndIsDearIsKeptInMemory) {
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

TEST(Schedule, ArgmaxOfALongRowIsNotSplit) {
  Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[40000]) {\n%1 = reduce(%0) kind=argmax axes=[0] : i64[]\nreturn %1\n}"));
  ASSERT_EQ(schedule.kernels.size(), 1u);
  EXPECT_FALSE(schedule.kernels[0].program.has(Role::block));
}

TEST(Schedule, AReductionInBlocksIsTwoClusters) {
  const Graph graph = graph_of(
      "graph(%0: f32[40000,3]) {\n%1 = exp(%0) : f32[40000,3]\n%2 = reduce(%1) kind=sum axes=[0] : f32[3]\n"
      "%3 = sqrt(%2) : f32[3]\nreturn %3\n}");
  for (const bool fused : {true, false}) {
    schedule::Partition partition =
        fused ? schedule::partition_fused(graph, std::vector<schedule::Care>(graph.num_values()))
              : schedule::partition_unfused(graph);
    ASSERT_EQ(partition.partials.size(), 1u);
    EXPECT_EQ(partition.partials[0].bytes, 79 * 3 * 4) << "blocks of 512 rows";
    const schedule::Cluster& blocks = partition.clusters.back();
    ASSERT_GE(blocks.blocks_of, 0);
    const schedule::Cluster& results = partition.clusters[blocks.blocks_of];
    EXPECT_EQ(blocks.roots[0].storage, partition.partial_of(Value{2}));
    EXPECT_EQ(blocks.domain.roles[0], Role::block);
    EXPECT_EQ(blocks.domain.extents[0], 40000);
    EXPECT_EQ(results.domain.roles[0], Role::results);
    EXPECT_EQ(results.domain.extents[0], 79);
    EXPECT_EQ(results.roots[0].storage, fused ? 3 : 2);
  }
}

TEST(Schedule, AProgramIsOfTheFirstKindThatTakesItsAxes) {
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

TEST(Schedule, ACheapValueOfTwoKernelsIsComputedAgain) {
  Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[9,30]) {\n%1 = neg(%0) : f32[9,30]\n%2 = reduce(%1) kind=sum axes=[1] : f32[9]\n"
      "%3 = reduce(%1) kind=sum axes=[0] : f32[30]\nreturn %2, %3\n}"));
  EXPECT_EQ(schedule.kernels.size(), 2u);
  EXPECT_EQ(schedule.arena_bytes, 0);
}

TEST(Schedule, ADearValueOfTwoKernelsIsComputedOnce) {
  Graph graph = graph_of(
      "graph(%0: f32[9,30]) {\n%1 = tanh(%0) : f32[9,30]\n%2 = reduce(%1) kind=sum axes=[1] : f32[9]\n"
      "%3 = reduce(%1) kind=sum axes=[0] : f32[30]\nreturn %2, %3\n}");
  Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 2u);
  EXPECT_EQ(schedule.arena_bytes, 1088);
  ASSERT_EQ(schedule.unfused.size(), 1u);
  EXPECT_EQ(graph.node(schedule.unfused[0].producer).op, Op::tanh);
}

TEST(Schedule, AnOperandOfDotIsStoredAndTheReasonGiven) {
  Graph graph = graph_of(
      "graph(%0: f32[4,5], %1: f32[5,6]) {\n%2 = tanh(%0) : f32[4,5]\n%3 = dot(%2, %1) : f32[4,6]\nreturn %3\n}");
  Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 2u);
  ASSERT_EQ(schedule.unfused.size(), 1u);
  EXPECT_EQ(schedule.unfused[0].why, "an operand of dot is read many times, so it is computed once");
}

TEST(Schedule, EmptyValuesHaveNoKernel) {
  Graph graph = graph_of("graph(%0: f32[0,5]) {\n%1 = exp(%0) : f32[0,5]\nreturn %1\n}");
  EXPECT_TRUE(schedule_of(graph).kernels.empty());
  EXPECT_TRUE(schedule_of(graph, false).kernels.empty());
}

/// Points that are iterated z * z + c, and how often each stayed small: three values live from step to step.
Graph mandelbrot(int steps, int64_t n) {
  GraphBuilder builder;
  const auto scalar = [&](float x) {
    return *builder.constant(to_bits(x), {DType::f32, {}});
  };
  const auto emit = [&](Op op, Value a, Value b) {
    Value operands[] = {a, b};
    return *builder.emit(op, operands);
  };
  Value re = *builder.input({DType::f32, {n}}), im = *builder.input({DType::f32, {n}});
  Value x = emit(Op::mul, re, scalar(0)), y = x, count = x, four = scalar(4), two = scalar(2);
  for (int i = 0; i < steps; ++i) {
    Value xx = emit(Op::mul, x, x), yy = emit(Op::mul, y, y);
    Value small[] = {emit(Op::less_equal, emit(Op::add, xx, yy), four)};
    count = emit(Op::add, count, *builder.emit(op::Cast{}, small, Type{DType::f32, {n}}));
    y = emit(Op::add, emit(Op::mul, two, emit(Op::mul, x, y)), im);
    x = emit(Op::add, emit(Op::sub, xx, yy), re);
  }
  Value outputs[] = {count};
  return std::move(builder).finish(outputs);
}

TEST(Schedule, ChainsThatRunBesideEachOtherAreCutTogether) {
  Graph graph = mandelbrot(100, 1 << 20);
  Schedule schedule = schedule_of(graph);
  EXPECT_LE(schedule.kernels.size(), 20u);  // of 64 of the 1,094 ops each
  EXPECT_EQ(schedule.undone, 0);
  // Without fusion, as many values as there are results lie in the memory of those.
  const int64_t results = int64_t{4} << 20;
  EXPECT_LE(schedule.arena_bytes, schedule_of(graph, false).arena_bytes + results);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
}

TEST(ScheduleValues, ChainsThatAreCutAgree) { expect_same_bits(mandelbrot(20, 33), false); }

TEST(Schedule, OnlyWhatTakesTooMuchMemoryIsUndone) {
  // One kernel for all that is computed from %0 would have four values in memory at once, where one after the other
  // is read by its product. The chain stays one kernel.
  std::string full = " : f32[64,64]\n", column = " : f32[64,1]\n";
  std::string text = cat("graph(%0: f32[64,64], %1: f32[64,1], %2: f32[64,64]) {\n");
  int next = 3;
  for (const char* op : {"sin", "cos", "tan", "erf"}) {
    text += cat("%", next, " = ", op, "(%0)", full, "%", next + 1, " = dot(%", next, ", %1)", column);
    next += 2;
  }
  text += cat("%11 = tanh(%2)", full, "%12 = exp(%11)", full, "return %4, %6, %8, %10, %12\n}\n");
  Graph graph = graph_of(text);
  absl::StatusOr<Schedule> free = make_schedule(graph, {.arena_ratio = 100});
  absl::StatusOr<Schedule> bound = make_schedule(graph, {.arena_ratio = 1, .arena_slack = 0});
  ASSERT_TRUE(free.ok() && bound.ok());
  EXPECT_EQ(free->kernels.size(), 6u);
  EXPECT_EQ(free->arena_bytes, 4 * 64 * 64 * 4);
  EXPECT_EQ(bound->kernels.size(), 9u);
  EXPECT_EQ(bound->arena_bytes, 64 * 64 * 4);
  EXPECT_EQ(bound->kernels.back().values.size(), 2u) << to_string(*bound, graph);
  std::string head = "schedule: 9 kernels, 16384 B arena\narena bound: 16384 B, 1 fused kernel undone to keep it\n";
  EXPECT_EQ(to_string(*bound, graph).substr(0, head.size()), head);
}

TEST(Schedule, MemoryThatIsShortInManyPlacesIsFoundInFewRounds) {
  // 60 times one after the other: six values of one input at once, each wanted by a product only.
  std::string full = " : f32[512,512]\n", column = " : f32[512,1]\n", text = "graph(%0: f32[512,512], %1: f32[512,1]) {\n";
  int next = 2, x = 0;
  for (int block = 0; block < 60; ++block) {
    int sum = -1;
    for (const char* op : {"sin", "cos", "tan", "erf", "exp", "tanh"}) {
      text += cat("%", next, " = ", op, "(%", x, ")", full, "%", next + 1, " = dot(%", next, ", %1)", column);
      next += 2;
      if (sum >= 0) text += cat("%", next, " = add(%", sum, ", %", next - 1, ")", column);
      sum = sum >= 0 ? next++ : next - 1;
    }
    text += cat("%", next, " = mul(%", x, ", %", sum, ")", full);
    x = next++;
  }
  Graph graph = graph_of(cat(text, "return %", x, "\n}\n"));
  Schedule schedule = schedule_of(graph);
  EXPECT_LE(schedule.arena_bytes, schedule.arena_bound);
  EXPECT_GE(schedule.undone, 60);
  EXPECT_FALSE(schedule.gave_up) << "one round for each place would be too many";
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
}

TEST(Schedule, TheTextSaysWhereNothingIsFused) {
  Graph graph = graph_of("graph(%0: f32[64]) {\n%1 = exp(%0) : f32[64]\nreturn %1\n}");
  Schedule schedule = schedule_of(graph);
  schedule.arena_bound = 256;
  schedule.undone = 3;
  schedule.gave_up = true;
  EXPECT_NE(to_string(schedule, graph).find(
                "arena bound: 256 B, nothing is fused: undoing 3 fused kernels did not keep it\n"), std::string::npos);
}

/// A row kernel between two products, so that all its values are temporaries.
std::string row_between_products(const std::string& result) {
  return cat("graph(%0: f32[32,48], %1: f32[48,64]) {\n%2 = dot(%0, %1) : f32[32,64]\n%3 = exp(%2) : f32[32,64]\n"
             "%4 = reduce(%3) kind=sum axes=[1] : f32[32]\n%5 = reshape(%4) : f32[32,1]\n%6 = ", result,
             " : f32[32,64]\n%7 = mul(%6, %5) : f32[32,64]\n%8 = transpose(%1) perm=[1,0] : f32[64,48]\n"
             "%9 = dot(%7, %8) : f32[32,48]\nreturn %9\n}\n");
}

TEST(Schedule, AFunctionOfTheDistancesOfAllPairsIsOneKernelWithItsSum) {
  Graph graph = improved(graph_of(
      "graph(%0: f32[40,1,3], %1: f32[1,50,3], %2: f32[50]) {\n%3 = sub(%0, %1) : f32[40,50,3]\n"
      "%4 = mul(%3, %3) : f32[40,50,3]\n%5 = reduce(%4) kind=sum axes=[2] : f32[40,50]\n%6 = neg(%5) : f32[40,50]\n"
      "%7 = exp(%6) : f32[40,50]\n%8 = mul(%7, %2) : f32[40,50]\n%9 = reduce(%8) kind=sum axes=[1] : f32[40]\n"
      "return %9\n}"));
  Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 1u) << to_string(schedule, graph);
  EXPECT_EQ(schedule.arena_bytes, 0);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
}

TEST(Schedule, DifferencesOfAllPairsAreComputedAgainRatherThanStored) {
  // Read by the distance, place by place, and by the sum of forces: stored, they would be the largest value by far.
  Graph graph = improved(graph_of(
      "graph(%0: f32[40,1,3], %1: f32[1,50,3]) {\n%2 = sub(%0, %1) : f32[40,50,3]\n%3 = mul(%2, %2) : f32[40,50,3]\n"
      "%4 = reduce(%3) kind=sum axes=[2] : f32[40,50]\n%5 = rsqrt(%4) : f32[40,50]\n"
      "%6 = reshape(%5) : f32[40,50,1]\n%7 = mul(%2, %6) : f32[40,50,3]\n"
      "%8 = reduce(%7) kind=sum axes=[1] : f32[40,3]\nreturn %8\n}"));
  Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 2u) << to_string(schedule, graph);
  EXPECT_EQ(schedule.arena_bytes, 40 * 50 * 4);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
}

TEST(ScheduleValues, ShortReductionsHaveTheBitsOfKernelsOfTheirOwn) {
  for (int64_t n = 1; n <= 16; ++n) {
    for (const char* kind : {"sum", "prod", "max", "min"}) {
      std::string row = cat("f32[23,", n, "]"), column = cat("f32[", n, ",23]");
      Graph graph = graph_of(cat("graph(%0: f32[23,1], %1: f32[1,", n, "], %2: ", column, ") {\n%3 = sub(%0, %1) : ",
                                 row, "\n%4 = reduce(%3) kind=", kind, " axes=[1] : f32[23]\n%5 = exp(%2) : ", column,
                                 "\n%6 = reduce(%5) kind=", kind, " axes=[0] : f32[23]\nreturn %4, %6\n}"));
      EXPECT_NE(*find_pass("unroll_reductions")->run(graph), graph) << n;
      expect_same_bits(graph, false);
    }
  }
}

TEST(Schedule, ARowKernelWritesWhereItReads) {
  Schedule schedule = schedule_of(graph_of(row_between_products("add(%3, %5)")));
  EXPECT_EQ(schedule.kernels.size(), 3u);
  EXPECT_EQ(schedule.arena_bytes, 32 * 64 * 4);
  expect_same_bits(graph_of(row_between_products("add(%3, %5)")), false);
}

TEST(Schedule, ARowKernelThatKeepsAValueInItsResultDoesNotWriteWhereItReads) {
  // exp is kept in the result's memory while the product is wanted again.
  Schedule schedule = schedule_of(graph_of(row_between_products("add(%3, %2)")));
  EXPECT_EQ(schedule.kernels.size(), 3u);
  EXPECT_EQ(schedule.arena_bytes, 2 * 32 * 64 * 4);
  expect_same_bits(graph_of(row_between_products("add(%3, %2)")), false);
}

TEST(Schedule, AChainOfUnfusedOpsWorksInPlace) {
  Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[64]) {\n%1 = exp(%0) : f32[64]\n%2 = tanh(%1) : f32[64]\n%3 = sin(%2) : f32[64]\n"
      "%4 = cos(%3) : f32[64]\nreturn %4\n}"), false);
  EXPECT_EQ(schedule.kernels.size(), 4u);
  EXPECT_EQ(schedule.arena_bytes, 0) << "all of it lies in the output's memory";
}

// ---- Which results take over which operands: see take_over.h

const ScheduledBuffer& buffer_of(const Schedule& schedule, int value) {
  for (const ScheduledBuffer& buffer : schedule.buffers) {
    if (buffer.value == Value{value}) return buffer;
  }
  ADD_FAILURE() << "%" << value << " has no buffer";
  return schedule.buffers[0];
}

bool lie_together(const Schedule& schedule, int a, int b) {
  const ScheduledBuffer& x = buffer_of(schedule, a);
  const ScheduledBuffer& y = buffer_of(schedule, b);
  return x.kind == y.kind && x.index == y.index && x.offset == y.offset;
}

/// A schedule without fusion, so that each op is a kernel.
Schedule checked_unfused(const std::string& text) {
  const Graph graph = graph_of(text);
  const Schedule schedule = schedule_of(graph, false);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  expect_same_bits(graph, false);
  return schedule;
}

TEST(TakeOver, ATemporaryTakesOverATemporary) {
  const Schedule schedule = checked_unfused(
      "graph(%0: f32[8,8]) {\n%1 = exp(%0) : f32[8,8]\n%2 = tanh(%1) : f32[8,8]\n%3 = dot(%2, %0) : f32[8,8]\n"
      "return %3\n}");
  EXPECT_TRUE(lie_together(schedule, 1, 2));
  EXPECT_EQ(buffer_of(schedule, 2).kind, ScheduledBuffer::Kind::temporary);
  EXPECT_FALSE(lie_together(schedule, 2, 3)) << "a product reads its operands many times";
}

TEST(TakeOver, AResultOfTheCallTakesOverATemporary) {
  const Schedule schedule = checked_unfused(
      "graph(%0: f32[8,8]) {\n%1 = dot(%0, %0) : f32[8,8]\n%2 = exp(%1) : f32[8,8]\n%3 = dot(%0, %2) : f32[8,8]\n"
      "%4 = tanh(%3) : f32[8,8]\nreturn %2, %4\n}");
  EXPECT_TRUE(lie_together(schedule, 1, 2));
  EXPECT_TRUE(lie_together(schedule, 3, 4));
  EXPECT_EQ(schedule.arena_bytes, 0);
}

TEST(TakeOver, ARowKernelsResultTakesOverItsOperand) {
  const Graph graph = graph_of(
      "graph(%0: f32[32,48], %1: f32[48,64]) {\n%2 = dot(%0, %1) : f32[32,64]\n%3 = exp(%2) : f32[32,64]\n"
      "%4 = reduce(%3) kind=sum axes=[1] : f32[32]\n%5 = reshape(%4) : f32[32,1]\n%6 = div(%3, %5) : f32[32,64]\n"
      "return %6\n}");
  const Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 2u);
  EXPECT_EQ(schedule.arena_bytes, 0);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  expect_same_bits(graph, false);
}

TEST(TakeOver, InputsAndOutputsAreNotTakenOver) {
  const Schedule schedule = checked_unfused(
      "graph(%0: f32[64]) {\n%1 = exp(%0) : f32[64]\n%2 = tanh(%1) : f32[64]\nreturn %1, %2\n}");
  EXPECT_FALSE(lie_together(schedule, 0, 1));
  EXPECT_FALSE(lie_together(schedule, 1, 2));
}

TEST(TakeOver, WhatIsReadLaterIsNotTakenOver) {
  const Schedule schedule = checked_unfused(
      "graph(%0: f32[64]) {\n%1 = exp(%0) : f32[64]\n%2 = tanh(%1) : f32[64]\n%3 = sin(%1) : f32[64]\n"
      "%4 = add(%2, %3) : f32[64]\nreturn %4\n}");
  EXPECT_FALSE(lie_together(schedule, 1, 2));
  EXPECT_TRUE(lie_together(schedule, 1, 3));
  EXPECT_TRUE(lie_together(schedule, 2, 4));
}

TEST(TakeOver, AnotherPlaceSizeOrDtypeIsNotTakenOver) {
  const char* const texts[] = {
      "graph(%0: f32[8,8]) {\n%1 = exp(%0) : f32[8,8]\n%2 = transpose(%1) perm=[1,0] : f32[8,8]\n%3 = reshape(%2) : "
      "f32[64]\nreturn %3\n}",
      "graph(%0: f32[8,8]) {\n%1 = exp(%0) : f32[8,8]\n%2 = slice(%1) start=[0,0] step=[1,1] : f32[4,8]\nreturn %2\n}",
      "graph(%0: f32[64]) {\n%1 = exp(%0) : f32[64]\n%2 = cast(%1) : f64[64]\nreturn %2\n}"};
  for (const char* text : texts) EXPECT_FALSE(lie_together(checked_unfused(text), 1, 2)) << text;
}

TEST(TakeOver, AViewIsTheSameStorage) {
  const Schedule schedule = checked_unfused(
      "graph(%0: f32[8,8]) {\n%1 = exp(%0) : f32[8,8]\n%2 = reshape(%1) : f32[64]\n%3 = tanh(%2) : f32[64]\n"
      "%4 = reshape(%3) : f32[4,16]\nreturn %4, %3\n}");
  EXPECT_TRUE(lie_together(schedule, 1, 3));
  EXPECT_EQ(schedule.outputs[0], schedule.outputs[1]);
}

TEST(TakeOver, AConcatIsTakenOverButTakesNothingOver) {
  const Schedule schedule = checked_unfused(
      "graph(%0: f32[32]) {\n%1 = exp(%0) : f32[32]\n%2 = sin(%0) : f32[32]\n%3 = concat(%1, %2) axis=0 : f32[64]\n"
      "%4 = tanh(%3) : f32[64]\nreturn %4\n}");
  EXPECT_TRUE(lie_together(schedule, 3, 4));
  EXPECT_FALSE(lie_together(schedule, 1, 3));
}

TEST(TakeOver, ResultsThatTheTraceReturnedAsOneTakeOverNothing) {
  const Graph graph = graph_of(
      "graph(%0: f32[8,8]) {\n%1 = dot(%0, %0) : f32[8,8]\n%2 = exp(%1) : f32[8,8]\nreturn %2\n}");
  EXPECT_TRUE(lie_together(*make_schedule(graph, {.fuse = false}), 1, 2));
  EXPECT_FALSE(lie_together(*make_schedule(graph, {.fuse = false, .shared_outputs = {true}}), 1, 2));
}

TEST(TakeOver, OneResultTakesOverOneOperand) {
  // Both results could lie where %1 lies.
  const Graph graph = graph_of(
      "graph(%0: f32[8,8]) {\n%1 = dot(%0, %0) : f32[8,8]\n%2 = exp(%1) : f32[8,8]\n%3 = sin(%1) : f32[8,8]\n"
      "return %2, %3\n}");
  const Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 2u);
  EXPECT_NE(lie_together(schedule, 1, 2), lie_together(schedule, 1, 3));
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  expect_same_bits(graph, false);
}

// ---- Outputs that may overwrite inputs

/// The schedule where output i would overwrite the input that stands at i, checked.
Schedule overwriting(const std::string& text, std::vector<int> overwrites, bool fuse) {
  const Graph graph = graph_of(text);
  const Schedule schedule = *make_schedule(graph, {.fuse = fuse, .overwrites = std::move(overwrites)});
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus()) << to_string(schedule, graph);
  EXPECT_EQ(verify(schedule, graph, 0), absl::OkStatus()) << to_string(schedule, graph);
  return schedule;
}

constexpr const char* kMomentum =
    "graph(%0: f32[64], %1: f32[64], %2: f32[64]) {\n%3 = mul(%1, %1) : f32[64]\n%4 = add(%3, %2) : f32[64]\n"
    "%5 = exp(%4) : f32[64]\n%6 = sub(%0, %5) : f32[64]\nreturn %6, %4\n}";

TEST(Overwrite, AnOutputWhoseKernelReadsTheInputLastMayOverwriteIt) {
  for (bool fuse : {true, false}) {
    EXPECT_EQ(overwriting(kMomentum, {0, 1}, fuse).overwrites, (std::vector<int>{0, 1})) << fuse;
  }
}

TEST(Overwrite, WhatWouldLieThereTooEarlyIsCutOff) {
  // %5 could lie where %6 does, but %0 is read after it is there.
  EXPECT_TRUE(lie_together(overwriting(kMomentum, {-1, 1}, false), 5, 6));
  EXPECT_FALSE(lie_together(overwriting(kMomentum, {0, 1}, false), 5, 6));
  // %3 may: nothing reads %1 behind it.
  EXPECT_TRUE(lie_together(overwriting(kMomentum, {0, 1}, false), 3, 4));
}

TEST(Overwrite, AnInputThatIsReadLaterStays) {
  const char* const text =
      "graph(%0: f32[8,8], %1: f32[8,8]) {\n%2 = exp(%0) : f32[8,8]\n%3 = dot(%2, %0) : f32[8,8]\n"
      "%4 = dot(%1, %1) : f32[8,8]\nreturn %2, %3, %4\n}";
  EXPECT_EQ(overwriting(text, {0, -1, -1}, false).overwrites, (std::vector<int>{-1, -1, -1}));
  EXPECT_EQ(overwriting(text, {-1, 0, -1}, false).overwrites, (std::vector<int>{-1, -1, -1})) << "a product reads on";
  EXPECT_EQ(overwriting(text, {-1, -1, 0}, false).overwrites, (std::vector<int>{-1, -1, 0})) << "%0 is not read there";
}

TEST(Overwrite, WhatOnlyTheEpilogueOfAProductReadsMayBeOverwritten) {
  const char* const text =
      "graph(%0: f32[8,8], %1: f32[8,8]) {\n%2 = dot(%1, %1) : f32[8,8]\n%3 = sub(%0, %2) : f32[8,8]\nreturn %3\n}";
  EXPECT_EQ(overwriting(text, {0}, true).overwrites, (std::vector<int>{0}));
  EXPECT_EQ(overwriting(text, {1}, true).overwrites, (std::vector<int>{-1}));
}

TEST(Overwrite, AnInputThatIsAnOutputStays) {
  const char* const text = "graph(%0: f32[8], %1: f32[8]) {\n%2 = add(%0, %1) : f32[8]\nreturn %2, %0\n}";
  EXPECT_EQ(overwriting(text, {0, -1}, true).overwrites, (std::vector<int>{-1, -1}));
  EXPECT_EQ(overwriting(text, {1, -1}, true).overwrites, (std::vector<int>{1, -1}));
}

TEST(Overwrite, AnInputThatIsReadInAnotherOrderStays) {
  const char* const text =
      "graph(%0: f32[8,8]) {\n%1 = transpose(%0) perm=[1,0] : f32[8,8]\n%2 = exp(%1) : f32[8,8]\nreturn %2\n}";
  EXPECT_EQ(overwriting(text, {0}, true).overwrites, (std::vector<int>{-1}));
}

TEST(Overwrite, TheTextSaysWhich) {
  const Graph graph = graph_of("graph(%0: f32[8]) {\n%1 = exp(%0) : f32[8]\nreturn %1\n}");
  const std::string text = to_string(*make_schedule(graph, {.overwrites = {0}}), graph);
  EXPECT_NE(text.find("output 0 = b1, may overwrite input 0\n"), std::string::npos) << text;
}

TEST(Schedule, AKernelInBlocksWithoutItsReductionIsAnyKernel) {
  Graph graph = graph_of(
      "graph(%0: i32[1600]) {\n%1 = reduce(%0) kind=max axes=[0] : i32[]\n%2 = reshape(%1) : i32[1]\n"
      "%3 = constant value=1 : i32[]\n%4 = pad(%2, %3) low=[1] high=[0] : i32[2]\n"
      "%5 = concat(%4, %2, %4) axis=0 : i32[5]\n%6 = concat(%5, %2, %4) axis=0 : i32[8]\n"
      "%7 = concat(%2, %2, %4) axis=0 : i32[4]\n%8 = add(%7, %7) : i32[4]\nreturn %8, %6, %2\n}");
  absl::StatusOr<Schedule> schedule = make_schedule(graph, {.blocks = {.row = 16}});
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  EXPECT_EQ(verify(*schedule, graph), absl::OkStatus()) << to_string(*schedule, graph);
}

TEST(Schedule, AnUnrolledKernelWritesWhereItReads) {
  // What is subtracted takes the memory of what it is subtracted from, element by element.
  Graph graph = graph_of(
      "graph(%0: f32[64,3]) {\n%1 = exp(%0) : f32[64,3]\n%2 = reduce(%1) kind=sum axes=[1] : f32[64]\n"
      "%3 = reshape(%2) : f32[64,1]\n%4 = sub(%1, %3) : f32[64,3]\n%5 = tanh(%4) : f32[64,3]\nreturn %5\n}");
  Schedule schedule = schedule_of(graph, false);
  EXPECT_EQ(schedule.arena_bytes, 64 * 4) << to_string(schedule, graph);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  expect_same_bits(graph, false);
}

// ---- Values of corner cases, fused and unfused

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

TEST(ScheduleValues, ShortReductionsInLanesHaveTheBitsOfKernelsAndOfTheOracle) {
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

TEST(Schedule, ReadersOfTheSameSliceAreOneKernel) {
  Graph graph = graph_of(
      "graph(%0: u8[64,32]) {\n%1 = slice(%0) start=[0,1] step=[1,3] : u8[64,11]\n%2 = mul(%1, %1) : u8[64,11]\n"
      "%3 = cast(%1) : f32[64,11]\n%4 = sqrt(%3) : f32[64,11]\nreturn %1, %2, %4\n}");
  Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 1u) << to_string(schedule, graph);
  EXPECT_EQ(schedule.kernels[0].buffers.size(), 4u) << "the slice is read more than once";
  expect_same_bits(graph, false);
}

TEST(Schedule, WhatIsReadInAnotherOrderIsReadByAnotherKernel) {
  Graph graph = graph_of(
      "graph(%0: f32[64,64], %1: f32[64,64]) {\n%2 = transpose(%0) perm=[1,0] : f32[64,64]\n"
      "%3 = exp(%2) : f32[64,64]\n%4 = tanh(%0) : f32[64,64]\nreturn %3, %4\n}");
  EXPECT_EQ(schedule_of(graph).kernels.size(), 2u);
}

TEST(Schedule, AValueOfFewBytesIsKeptRatherThanComputedFromMany) {
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

TEST(Schedule, WhatTwoValuesMakeIsStoredBeforeItIsFetchedOneByOne) {
  const std::string begin = "graph(%0: u8[40,64,3], %1: u8[40,64,3]) {\n%2 = max(%0, %1) : u8[40,64,3]\n";
  const std::string end = "%3 = slice(%2) start=[0,0,0] step=[1,2,1] : u8[40,32,3]\nreturn %3\n}";
  Schedule two = schedule_of(graph_of(begin + end));
  EXPECT_EQ(two.kernels.size(), 2u);
  ASSERT_EQ(two.unfused.size(), 1u);
  EXPECT_NE(two.unfused[0].why.find("one by one"), std::string::npos);
  // One value is fetched in any case, and whole vectors of both cost little.
  EXPECT_EQ(schedule_of(graph_of("graph(%0: u8[40,64,3]) {\n%2 = mul(%0, %0) : u8[40,64,3]\n" + end)).kernels.size(), 1u);
  EXPECT_EQ(schedule_of(graph_of(begin + "%3 = slice(%2) start=[0,0,1] step=[1,1,1] : u8[40,64,2]\nreturn %3\n}"))
                .kernels.size(), 1u);
}

TEST(Schedule, AnyOrderMakesColumnsOfAFewLanesRows) {
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

TEST(Schedule, AShortAxisBesideAShortOneIsUnrolledOverTheLongest) {
  Graph graph = graph_of("graph(%0: f32[100,6,7]) {\n%1 = slice(%0) start=[0,1,0] step=[1,1,1] : f32[100,5,7]\n"
                         "%2 = reduce(%1) kind=max axes=[2] : f32[100,5]\nreturn %2\n}");
  Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 1u);
  EXPECT_EQ(schedule.kernels[0].program.kind(), KernelKind::loop) << to_string(schedule, graph);
  EXPECT_EQ(schedule.kernels[0].sizes[schedule.kernels[0].program.rank() - 1], 100) << to_string(schedule, graph);
  expect_same_bits(graph, true);
}

TEST(ScheduleValues, EqualBitsOfSeveralDtypesAreSeveralConstants) {
  // 0 as a float and as an index.
  expect_same_bits(graph_of("graph(%0: f32[40,3]) {\n%1 = reduce(%0) kind=argmax axes=[1] : i64[40]\n"
                            "%2 = reduce(%0) kind=max axes=[1] : f32[40]\n%3 = constant value=0 : f32[]\n"
                            "%4 = max(%2, %3) : f32[40]\nreturn %1, %4\n}"), true);
}

TEST(Schedule, ShortAxesAreNoVectorAxes) {
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

TEST(ScheduleValues, AReductionOfNothingIsItsIdentity) {
  for (const char* kind : {"sum", "prod", "any", "all"}) {
    bool logical = kind[0] == 'a';
    std::string dtype = logical ? "bool" : "f32";
    std::string type = cat("graph(%0: ", dtype, "[4,0,3]) {\n%1 = reduce(%0) kind=", kind, " axes=[1] : ", dtype,
                           "[4,3]\n%2 = reduce(%0) kind=", kind, " axes=[0] : ", dtype, "[0,3]\nreturn %1, %2\n}");
    expect_same_bits(graph_of(type), true);
  }
}

TEST(ScheduleValues, AProductOverNothingIsZero) {
  expect_same_bits(graph_of("graph(%0: f32[4,0], %1: f32[0,3], %2: f32[4,3]) {\n%3 = dot(%0, %1) : f32[4,3]\n"
                            "%4 = add(%3, %2) : f32[4,3]\nreturn %4, %3\n}"), true);
}

TEST(ScheduleValues, LongReductionsInBlocksHaveTheBitsOfOneKernel) {
  expect_same_bits(graph_of("graph(%0: f32[3,20000], %1: f32[2,5000,3]) {\n"
                            "%2 = exp(%0) : f32[3,20000]\n%3 = reduce(%2) kind=sum axes=[1] : f32[3]\n"
                            "%4 = reduce(%2) kind=max axes=[1] : f32[3]\n%5 = div(%3, %4) : f32[3]\n"
                            "%6 = reduce(%1) kind=sum axes=[1] : f32[2,3]\n%7 = sqrt(%6) : f32[2,3]\n"
                            "return %5, %7\n}"), false);
}

TEST(ScheduleValues, ReductionsThatNeedEachOtherOverLongColumnsAgree) {
  // Mean and variance along a long axis with few columns; the largest distance and its place; what follows them.
  expect_same_bits(graph_of("graph(%0: f32[2000,4]) {\n%1 = reduce(%0) kind=sum axes=[0] : f32[4]\n"
                            "%2 = constant value=2000.0 : f32[]\n%3 = div(%1, %2) : f32[4]\n"
                            "%4 = sub(%0, %3) : f32[2000,4]\n%5 = mul(%4, %4) : f32[2000,4]\n"
                            "%6 = reduce(%5) kind=sum axes=[0] : f32[4]\n%7 = rsqrt(%6) : f32[4]\n"
                            "%8 = mul(%4, %7) : f32[2000,4]\n%9 = reduce(%5) kind=argmax axes=[0] : i64[4]\n"
                            "%10 = reduce(%5) kind=max axes=[0] : f32[4]\n%11 = add(%10, %7) : f32[4]\n"
                            "return %8, %9, %11, %3\n}"), false);
}

TEST(ScheduleValues, ElementsOfAGroupThatAreStoredInSeveralStagesAgree) {
  expect_same_bits(graph_of("graph(%0: f32[37,64]) {\n%1 = exp(%0) : f32[37,64]\n"
                            "%2 = reduce(%1) kind=sum axes=[1] : f32[37]\n%3 = reshape(%2) : f32[37,1]\n"
                            "%4 = div(%1, %3) : f32[37,64]\n%5 = reshape(%1) : f32[37,64,1]\n"
                            "%6 = reshape(%4) : f32[37,64,1]\n%7 = concat(%5, %6) axis=2 : f32[37,64,2]\n"
                            "return %7\n}"), false);
}

TEST(ScheduleValues, ALongReductionOfAReshapedTransposeAgrees) {
  expect_same_bits(graph_of("graph(%0: f64[300,200]) {\n%1 = transpose(%0) perm=[1,0] : f64[200,300]\n"
                            "%2 = reshape(%1) : f64[60000]\n%3 = sin(%2) : f64[60000]\n"
                            "%4 = reduce(%3) kind=sum axes=[0] : f64[]\n%5 = reduce(%3) kind=prod axes=[0] : f64[]\n"
                            "%6 = add(%4, %5) : f64[]\nreturn %6\n}"), false);
}

TEST(ScheduleValues, ASoftmaxOfAFewLongRowsIsRight) { expect_same_bits(graph_of(softmax_text(2, 20000)), false); }

TEST(ScheduleValues, ASpilledValueSurvivesUntilItsLastStage) {
  // exp is needed in three stages, and its memory is that of the output.
  expect_same_bits(graph_of("graph(%0: f32[5,40]) {\n%1 = exp(%0) : f32[5,40]\n"
                            "%2 = reduce(%1) kind=sum axes=[1] : f32[5]\n%3 = reshape(%2) : f32[5,1]\n"
                            "%4 = div(%1, %3) : f32[5,40]\n%5 = reduce(%4) kind=max axes=[1] : f32[5]\n"
                            "%6 = reshape(%5) : f32[5,1]\n%7 = mul(%4, %6) : f32[5,40]\n"
                            "%8 = add(%7, %1) : f32[5,40]\nreturn %8, %4\n}"), false);
}

TEST(ScheduleValues, EveryAxisOfEveryReductionAgrees) {
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
