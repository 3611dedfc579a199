// How graphs are cut into kernels: that every schedule computes what its graph says, and what is fused.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "compiler/ir/cat.h"
#include "compiler/schedule/order_kernels.h"
#include "compiler/schedule/verify_schedule.h"
#include "tests/schedule/schedules.h"

namespace etch {
namespace {

/// After the passes of a fused compile.
Graph improved(Graph graph) {
  for (const Pass& pass : passes()) {
    absl::StatusOr<Graph> next = pass.run(graph);
    EXPECT_TRUE(next.ok()) << next.status();
    graph = *std::move(next);
  }
  return graph;
}

TEST(Fusion, FusedKernelsTouchOnlyWhatTheyMay) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Graph graph = random_lowered(seed);
    ASSERT_EQ(verify(schedule_of(graph), graph), absl::OkStatus()) << "seed " << seed << "\n" << print(graph);
  }
}

TEST(Fusion, UnfusedKernelsTouchOnlyWhatTheyMay) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Graph graph = random_lowered(seed);
    ASSERT_EQ(verify(schedule_of(graph, false), graph), absl::OkStatus()) << "seed " << seed << "\n" << print(graph);
  }
}

TEST(Fusion, TheVerifierOfLargeSchedulesAcceptsWhatTheWalkAccepts) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    Graph graph = random_lowered(seed);
    for (bool fuse : {false, true}) {
      ASSERT_EQ(verify(schedule_of(graph, fuse), graph, 0), absl::OkStatus()) << seed << "\n" << print(graph);
    }
  }
}

TEST(Fusion, AScheduleIsTheSameEveryTime) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Graph graph = random_lowered(seed);
    EXPECT_EQ(to_string(schedule_of(graph), graph), to_string(schedule_of(graph), graph));
  }
}

TEST(Fusion, ALongChainIsCutIntoKernelsOfBoundedSize) {
  GraphBuilder builder;
  Value x = *builder.input({DType::f32, {100}}), y = x;
  for (int i = 0; i < 10000; ++i) {
    Value operands[] = {y, x};
    y = *builder.emit(i % 2 ? Op::add : Op::mul, operands);
  }
  Value outputs[] = {y};
  Graph graph = std::move(builder).finish(outputs);
  Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 5u);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  std::set<std::string> programs;
  for (const ScheduledKernel& kernel : schedule.kernels) programs.insert(to_string(kernel.program));
  EXPECT_LE(programs.size(), 3u);
}

/// `ops` ops in four chains that read each other.
Graph four_chains(int ops, int64_t n) {
  GraphBuilder builder;
  Value x[] = {*builder.input({DType::f32, {n}}), *builder.input({DType::f32, {n}}), *builder.input({DType::f32, {n}}),
               *builder.input({DType::f32, {n}})};
  for (int i = 0; i < ops; ++i) {
    Value operands[] = {x[i % 4], x[(i + 1 + i / 4 % 3) % 4]};
    x[i % 4] = *builder.emit(i % 3 == 0 ? Op::sub : i % 3 == 1 ? Op::max : Op::add, operands);
  }
  return std::move(builder).finish(x);
}

TEST(Fusion, AChainOf700OpsWithFourLiveValuesIsOneKernel) {
  Graph graph = four_chains(700, 1000);
  Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 1u);
  EXPECT_EQ(schedule.kernels[0].buffers.size(), 8u);
  EXPECT_EQ(schedule.arena_bytes, 0);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
}

TEST(Fusion, AChainOf700OpsHasTheBitsOfItsOps) { expect_same_bits(four_chains(700, 333), false); }

/// `s = f(x, i) + s`: from the result back, each f would come before the first addition.
Graph sum_of_terms(int terms, int64_t n) {
  GraphBuilder builder;
  Value x = *builder.input({DType::f32, {n}}), s = x;
  for (int i = 0; i < terms; ++i) {
    Value scaled[] = {x, *builder.constant(to_bits(1.0f + static_cast<float>(i)), {DType::f32, {}})};
    Value added[] = {*builder.emit(Op::mul, scaled), s};
    s = *builder.emit(Op::add, added);
  }
  Value outputs[] = {s};
  return std::move(builder).finish(outputs);
}

TEST(Fusion, TermsOfALongSumAreAliveOneAtATime) {
  Schedule schedule = schedule_of(sum_of_terms(500, 100));
  ASSERT_EQ(schedule.kernels.size(), 1u);
  const std::vector<Instr>& body = schedule.kernels[0].program.body;
  std::vector<size_t> last(body.size());
  for (size_t i = 0; i < body.size(); ++i) {
    for (int arg : body[i].args) last[arg] = i;
  }
  for (size_t i = 0; i < body.size(); ++i) {
    if (body[i].kind != InstrKind::compute) continue;
    EXPECT_LE(last[i], i + 3) << i;
  }
}

TEST(Fusion, ALongSumHasTheBitsOfItsOps) { expect_same_bits(sum_of_terms(500, 333), false); }

TEST(Fusion, DependencesGrowWithTheReadersOfAConcatNotWithTheirSquare) {
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
  schedule::Flows flows({});
  schedule::Lowered lowered;
  for (size_t c = 0; c < partition.clusters.size(); ++c) {
    schedule::lower_cluster(graph, partition, static_cast<int>(c), flows, lowered);
  }
  schedule::KernelOrder order = schedule::order_kernels(graph, partition, lowered);
  EXPECT_EQ(order.kernels.size(), 2u * kParts);
  EXPECT_LE(order.edges, 4 * kParts);
}

TEST(Fusion, MaxAndSumOfOneInputAreOneKernel) {
  Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[9,30]) {\n%1 = reduce(%0) kind=max axes=[1] : f32[9]\n%2 = reduce(%0) kind=sum axes=[1] : f32[9]\n"
      "return %1, %2\n}"));
  ASSERT_EQ(schedule.kernels.size(), 1u);
  EXPECT_EQ(schedule.kernels[0].program.kind(), KernelKind::row);
  EXPECT_EQ(schedule.kernels[0].iterations, 9);
}

TEST(Fusion, ReductionsAlongOtherAxesAreKernelsOfTheirOwn) {
  Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[9,30]) {\n%1 = reduce(%0) kind=sum axes=[1] : f32[9]\n%2 = reduce(%0) kind=sum axes=[0] : f32[30]\n"
      "return %1, %2\n}"));
  ASSERT_EQ(schedule.kernels.size(), 2u);
  EXPECT_NE(schedule.kernels[0].program.kind(), schedule.kernels[1].program.kind());
}

TEST(Fusion, RowsAcrossThoseOfMemoryAreTurnedRoundFirst) {
  Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[30,20]) {\n%1 = transpose(%0) perm=[1,0] : f32[20,30]\n%2 = reduce(%1) kind=sum axes=[1] : f32[20]\n"
      "return %2\n}"));
  ASSERT_EQ(schedule.kernels.size(), 2u);
  EXPECT_EQ(schedule.kernels[0].program.kind(), KernelKind::loop);
  EXPECT_EQ(schedule.kernels[0].program.accesses[0].next_row, 1);
  EXPECT_EQ(schedule.kernels[1].program.kind(), KernelKind::row);
  EXPECT_EQ(schedule.kernels[1].program.accesses[0].stride, Stride::one);
}

TEST(Fusion, RowsOfOneBufferSideBySideAreFetchedAhead) {
  Schedule few = schedule_of(graph_of("graph(%0: f32[900,2,50]) {\n%1 = reduce(%0) kind=sum axes=[1] : f32[900,50]\nreturn %1\n}"));
  Schedule many = schedule_of(graph_of("graph(%0: f32[900,3,50]) {\n%1 = reduce(%0) kind=sum axes=[1] : f32[900,50]\nreturn %1\n}"));
  ASSERT_EQ(few.kernels[0].program.kind(), KernelKind::loop);
  ASSERT_EQ(many.kernels[0].program.kind(), KernelKind::loop);
  for (const Access& access : few.kernels[0].program.accesses) EXPECT_FALSE(access.ahead);
  for (int load = 0; load < 3; ++load) EXPECT_TRUE(many.kernels[0].program.accesses[load].ahead);
}

TEST(Fusion, ArgmaxOfALongRowIsNotSplit) {
  Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[40000]) {\n%1 = reduce(%0) kind=argmax axes=[0] : i64[]\nreturn %1\n}"));
  ASSERT_EQ(schedule.kernels.size(), 1u);
  EXPECT_FALSE(schedule.kernels[0].program.has(Role::block));
}

TEST(Fusion, AReductionInBlocksIsTwoClusters) {
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

TEST(Fusion, ACheapValueOfTwoKernelsIsComputedAgain) {
  Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[9,30]) {\n%1 = neg(%0) : f32[9,30]\n%2 = reduce(%1) kind=sum axes=[1] : f32[9]\n"
      "%3 = reduce(%1) kind=sum axes=[0] : f32[30]\nreturn %2, %3\n}"));
  EXPECT_EQ(schedule.kernels.size(), 2u);
  EXPECT_EQ(schedule.arena_bytes, 0);
}

TEST(Fusion, ADearValueOfTwoKernelsIsComputedOnce) {
  Graph graph = graph_of(
      "graph(%0: f32[9,30]) {\n%1 = tanh(%0) : f32[9,30]\n%2 = reduce(%1) kind=sum axes=[1] : f32[9]\n"
      "%3 = reduce(%1) kind=sum axes=[0] : f32[30]\nreturn %2, %3\n}");
  Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 2u);
  EXPECT_EQ(schedule.arena_bytes, 1088);
  ASSERT_EQ(schedule.unfused.size(), 1u);
  EXPECT_EQ(graph.node(schedule.unfused[0].producer).op, Op::tanh);
}

TEST(Fusion, AnOperandOfDotIsStoredAndTheReasonGiven) {
  Graph graph = graph_of(
      "graph(%0: f32[4,5], %1: f32[5,6]) {\n%2 = tanh(%0) : f32[4,5]\n%3 = dot(%2, %1) : f32[4,6]\nreturn %3\n}");
  Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 2u);
  ASSERT_EQ(schedule.unfused.size(), 1u);
  EXPECT_EQ(schedule.unfused[0].why, "an operand of dot is read many times, so it is computed once");
}

TEST(Fusion, EmptyValuesHaveNoKernel) {
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

TEST(Fusion, ChainsThatRunBesideEachOtherAreCutTogether) {
  Graph graph = mandelbrot(100, 1 << 20);
  Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 1u);
  EXPECT_EQ(schedule.undone, 0);
  // Without fusion, as many values as there are results lie in the memory of those.
  const int64_t results = int64_t{4} << 20;
  EXPECT_LE(schedule.arena_bytes, schedule_of(graph, false).arena_bytes + results);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
}

TEST(Fusion, ChainsThatAreCutAgree) { expect_same_bits(mandelbrot(20, 33), false); }

TEST(Fusion, AFunctionOfTheDistancesOfAllPairsIsOneKernelWithItsSum) {
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

TEST(Fusion, DifferencesOfAllPairsAreComputedAgainRatherThanStored) {
  // Read by the distance, place by place, and by the sum of forces: stored, they would be the largest value by far.
  Graph graph = improved(graph_of(
      "graph(%0: f32[40,1,3], %1: f32[1,50,3]) {\n%2 = sub(%0, %1) : f32[40,50,3]\n%3 = mul(%2, %2) : f32[40,50,3]\n"
      "%4 = reduce(%3) kind=sum axes=[2] : f32[40,50]\n%5 = rsqrt(%4) : f32[40,50]\n"
      "%6 = reshape(%5) : f32[40,50,1]\n%7 = mul(%2, %6) : f32[40,50,3]\n"
      "%8 = reduce(%7) kind=sum axes=[1] : f32[40,3]\nreturn %8\n}"));
  Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 1u) << to_string(schedule, graph);
  EXPECT_EQ(schedule.arena_bytes, 0);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
}

TEST(Fusion, LanesOfASumBesideFewColumnsLieAlongTheRowsThatAreLeft) {
  Graph graph = graph_of(
      "graph(%0: f32[40,1,3], %1: f32[1,50,3], %2: f32[40,1,3]) {\n%3 = sub(%0, %1) : f32[40,50,3]\n"
      "%4 = mul(%3, %2) : f32[40,50,3]\n%5 = reduce(%4) kind=sum axes=[1] : f32[40,3]\nreturn %5\n}");
  Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 1u);
  const SizesLayout layout(schedule.kernels[0].program);
  ASSERT_EQ(layout.rank, 2);
  EXPECT_EQ(schedule.kernels[0].program.kind(), KernelKind::column);
  EXPECT_EQ(schedule.kernels[0].sizes[layout.extent(0)], 50);
  EXPECT_EQ(schedule.kernels[0].sizes[layout.extent(1)], 40);
  expect_same_bits(graph, true);
}

TEST(Fusion, WhatIsDearForAllOfFewColumnsIsComputedInLanes) {
  Graph graph = graph_of(
      "graph(%0: f32[40,50,3], %1: f32[40,50]) {\n%2 = exp(%1) : f32[40,50]\n%3 = reshape(%2) : f32[40,50,1]\n"
      "%4 = mul(%0, %3) : f32[40,50,3]\n%5 = reduce(%4) kind=sum axes=[1] : f32[40,3]\nreturn %5\n}");
  Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 1u) << to_string(schedule, graph);
  const SizesLayout layout(schedule.kernels[0].program);
  EXPECT_EQ(schedule.kernels[0].sizes[layout.extent(static_cast<int>(layout.rank) - 1)], 40);
  expect_same_bits(graph, false);
}

TEST(Fusion, ExtremesOfFewColumnsInBlocksAgree) {
  expect_same_bits(graph_of("graph(%0: f32[1300,4]) {\n%1 = reduce(%0) kind=min axes=[0] : f32[4]\nreturn %1\n}"), true);
}

TEST(Fusion, WhatManyRowsReadAtAStrideIsPackedOnce) {
  Graph graph = improved(graph_of(
      "graph(%0: f32[80,1,5], %1: f32[1,300,5]) {\n%2 = sub(%0, %1) : f32[80,300,5]\n%3 = mul(%2, %2) : f32[80,300,5]\n"
      "%4 = reduce(%3) kind=sum axes=[2] : f32[80,300]\nreturn %4\n}"));
  Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 2u) << to_string(schedule, graph);
  EXPECT_EQ(schedule.arena_bytes, 5 * 304 * 4);
  for (const Access& access : schedule.kernels[1].program.accesses) EXPECT_LE(access.stride, Stride::one);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  expect_same_bits(graph, true);
}

TEST(Fusion, WhatFewRowsReadAtAStrideStaysWhereItIs) {
  Graph graph = graph_of(
      "graph(%0: f32[8,1], %1: f32[6000,3]) {\n%2 = slice(%1) start=[0,1] step=[1,1] : f32[6000,1]\n"
      "%3 = reshape(%2) : f32[1,6000]\n%4 = mul(%0, %3) : f32[8,6000]\nreturn %4\n}");
  Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 1u) << to_string(schedule, graph);
}

TEST(Fusion, ShortReductionsHaveTheBitsOfKernelsOfTheirOwn) {
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

TEST(Fusion, AKernelInBlocksWithoutItsReductionIsAnyKernel) {
  Graph graph = graph_of(
      "graph(%0: i32[1600]) {\n%1 = reduce(%0) kind=max axes=[0] : i32[]\n%2 = reshape(%1) : i32[1]\n"
      "%3 = constant value=1 : i32[]\n%4 = pad(%2, %3) low=[1] high=[0] : i32[2]\n"
      "%5 = concat(%4, %2, %4) axis=0 : i32[5]\n%6 = concat(%5, %2, %4) axis=0 : i32[8]\n"
      "%7 = concat(%2, %2, %4) axis=0 : i32[4]\n%8 = add(%7, %7) : i32[4]\nreturn %8, %6, %2\n}");
  absl::StatusOr<Schedule> schedule = make_schedule(graph, {.blocks = {.row = 16}});
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  EXPECT_EQ(verify(*schedule, graph), absl::OkStatus()) << to_string(*schedule, graph);
}

TEST(Fusion, ReadersOfTheSameSliceAreOneKernel) {
  Graph graph = graph_of(
      "graph(%0: u8[64,32]) {\n%1 = slice(%0) start=[0,1] step=[1,3] : u8[64,11]\n%2 = mul(%1, %1) : u8[64,11]\n"
      "%3 = cast(%1) : f32[64,11]\n%4 = sqrt(%3) : f32[64,11]\nreturn %1, %2, %4\n}");
  Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 1u) << to_string(schedule, graph);
  EXPECT_EQ(schedule.kernels[0].buffers.size(), 4u) << "the slice is read more than once";
  expect_same_bits(graph, false);
}

TEST(Fusion, WhatIsReadInAnotherOrderIsReadByAnotherKernel) {
  Graph graph = graph_of(
      "graph(%0: f32[64,64], %1: f32[64,64]) {\n%2 = transpose(%0) perm=[1,0] : f32[64,64]\n"
      "%3 = exp(%2) : f32[64,64]\n%4 = tanh(%0) : f32[64,64]\nreturn %3, %4\n}");
  EXPECT_EQ(schedule_of(graph).kernels.size(), 2u);
}

TEST(Fusion, WhatTwoValuesMakeIsStoredBeforeItIsFetchedOneByOne) {
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

/// So many constants that no target has registers for them as vectors.
TEST(Fusion, ManyReadersOfAValueThatIsReadAtSeveralPlacesAllComeOut) {
  const auto of = [](const std::string& op, int result, const std::string& operands) {
    return cat("%", result, " = ", op, "(", operands, ") : f32[12]\n");
  };
  const Graph graph = graph_of(cat("graph(%0: f32[4]) {\n%1 = concat(%0, %0, %0) axis=0 : f32[12]\n", of("neg", 2, "%1"), of("abs", 3, "%1"),
                                   of("add", 4, "%1, %1"), of("mul", 5, "%1, %1"), of("sign", 6, "%1"), "return %2, %3, %4, %5, %6\n}"));
  EXPECT_EQ(verify(schedule_of(graph), graph), absl::OkStatus());
  expect_same_bits(graph, true);
  const Graph wide = graph_of("graph(%0: f32[2,1]) {\n%1 = concat(%0, %0, %0) axis=0 : f32[6,1]\n"
                              "%2 = concat(%1, %1, %1, %1) axis=1 : f32[6,4]\nreturn %2\n}");
  EXPECT_EQ(verify(schedule_of(wide), wide), absl::OkStatus());
  expect_same_bits(wide, true);
}

TEST(Fusion, ManyConstantsGiveTheSameBitsOnEveryTarget) {
  for (const char* dtype : {"f32", "f64", "i32", "u16"}) {
    const std::string type = cat(dtype, "[77]");
    std::string text = cat("graph(%0: ", type, ") {\n");
    int last = 0;
    for (int i = 0; i < 40; ++i, last += 2) {
      text += cat("%", last + 1, " = constant value=", 1 + i, " : ", dtype, "[]\n%", last + 2, " = ", i % 2 ? "add" : "mul", "(%",
                  last, ", %", last + 1, ") : ", type, "\n");
    }
    const Graph graph = graph_of(cat(text, "return %", last, "\n}"));
    EXPECT_GT(schedule_of(graph).kernels.at(0).program.num_params, 24);
    std::mt19937_64 random(5);
    const std::vector<Literal> inputs = random_inputs(graph, Draw::whole, random), expected = *interpret(graph, inputs);
    for (const Target& target : targets_that_run()) {
      const absl::StatusOr<std::vector<Literal>> results = run_compiled(graph, {.target = target}, inputs, {.threads = 1});
      ASSERT_TRUE(results.ok()) << results.status();
      EXPECT_EQ(bit_difference(expected, *results), "") << dtype << " " << target.cpu;
    }
  }
}

}  // namespace
}  // namespace etch
