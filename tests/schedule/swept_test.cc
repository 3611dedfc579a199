// Kernels whose lanes sweep an axis: which loops they are, what they read beyond borders, and their bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "compiler/schedule/verify_schedule.h"
#include "tests/schedule/schedules.h"

namespace etch {
namespace {

/// Rows of a picture [h, w, c] with windows of 3 x 3 elements.
struct Picture {
  int64_t h = 6, w = 9, c = 16;
  int64_t low = 1, high = 1;  // padded rows and columns
  int64_t step = 1, dilation = 1;
  double border = 0;
  bool pads_channels = false;

  int64_t padded(int64_t extent) const { return extent + low + high; }
  int64_t places(int64_t extent) const { return (padded(extent) - 2 * dilation - 1) / step + 1; }
};

/// fma of all elements of the windows with weights for each channel.
Graph stencil(const Picture& of) {
  GraphBuilder builder;
  const Value x = *builder.input({DType::f32, {of.h, of.w, of.c}}), weights = *builder.input({DType::f32, {9, of.c}});
  const Value border = *builder.constant(to_bits(static_cast<float>(of.border)), {DType::f32, {}});
  const int64_t more = of.pads_channels ? 1 : 0;
  const Value around[] = {x, border};
  const Value padded = *builder.emit(op::Pad{{of.low, of.low, more}, {of.high, of.high, 0}}, around);
  const Shape shape{of.places(of.h), of.places(of.w), of.c};
  Value sum;
  for (int64_t i = 0; i < 9; ++i) {
    const op::Slice window{{i / 3 * of.dilation, i % 3 * of.dilation, 0}, {of.step, of.step, 1}};
    const Value part = *builder.emit(window, {&padded, 1}, Type{DType::f32, shape});
    const Value row = *builder.emit(op::Slice{{i, 0}, {1, 1}}, {&weights, 1}, Type{DType::f32, {1, of.c}});
    const Value weight = *builder.emit(op::Reshape{}, {&row, 1}, Type{DType::f32, {of.c}});
    const Value operands[] = {part, weight, sum};
    sum = i == 0 ? *builder.emit(Op::mul, {operands, 2}) : *builder.emit(Op::fma, operands);
  }
  return std::move(builder).finish({&sum, 1});
}

const KernelProgram& last_program(const Schedule& schedule) { return schedule.kernels.back().program; }

TEST(Swept, WindowsBeyondTheBordersOfAPadAreOneKernelThatReadsWhatItGoesAround) {
  const Graph graph = stencil({});
  const Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 1u) << to_string(schedule, graph);
  EXPECT_EQ(schedule.arena_bytes, 0);
  const KernelProgram& program = last_program(schedule);
  EXPECT_EQ(program.kind(), KernelKind::swept);
  EXPECT_EQ(program.bordered_before(static_cast<int>(program.accesses.size())), 9);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
}

TEST(Swept, SizesOfPicturesAndBordersAreData) {
  const KernelProgram program = last_program(schedule_of(stencil({})));
  for (const Picture& other : {Picture{.h = 30, .w = 4, .c = 100}, {.low = 3, .high = 0}, {.step = 2}, {.dilation = 2}}) {
    EXPECT_EQ(last_program(schedule_of(stencil(other))), program);
  }
}

TEST(Swept, WeightsThatStayAreLoadedOnceForAColumn) {
  const Schedule schedule = schedule_of(stencil({.w = 12, .low = 0, .high = 0}));
  const KernelProgram& program = last_program(schedule);
  EXPECT_EQ(program.kind(), KernelKind::swept);
  EXPECT_EQ(std::ranges::count_if(program.accesses, &Access::still), 9);
  EXPECT_EQ(program.bordered_before(static_cast<int>(program.accesses.size())), 0);
}

TEST(Swept, FewChannelsAndChannelsWithBordersLieInMemoryFirst) {
  for (const Picture& picture : {Picture{.c = 15}, {.pads_channels = true}}) {
    const Graph graph = stencil(picture);
    const Schedule schedule = schedule_of(graph);
    EXPECT_GT(schedule.kernels.size(), 1u) << to_string(schedule, graph);
    EXPECT_EQ(last_program(schedule).bordered_before(static_cast<int>(last_program(schedule).accesses.size())), 0);
  }
}

TEST(Swept, NothingElseSweepsForOneBias) {
  const Schedule schedule = schedule_of(graph_of(
      "graph(%0: f32[20,64], %1: f32[64]) {\n%2 = add(%0, %1) : f32[20,64]\n%3 = mul(%2, %1) : f32[20,64]\nreturn %3\n}"));
  EXPECT_EQ(last_program(schedule).kind(), KernelKind::loop);
}

TEST(Swept, AResultDoesNotTakeTheMemoryOfWhatIsReadTwice) {
  // The last lanes of 20 begin before the end of those before them.
  const Graph graph = graph_of(
      "graph(%0: f32[9,20], %1: f32[20], %2: f32[20], %3: f32[20], %4: f32[20]) {\n%5 = cumsum(%0) axis=0 exclusive=false reverse=false : f32[9,20]\n"
      "%6 = mul(%5, %1) : f32[9,20]\n%7 = fma(%6, %2, %3) : f32[9,20]\n%8 = mul(%7, %4) : f32[9,20]\n"
      "%9 = cumsum(%8) axis=0 exclusive=false reverse=false : f32[9,20]\nreturn %9\n}");
  const Schedule schedule = schedule_of(graph);
  ASSERT_EQ(schedule.kernels.size(), 3u) << to_string(schedule, graph);
  ASSERT_EQ(schedule.kernels[1].program.kind(), KernelKind::swept);
  EXPECT_GE(schedule.arena_bytes, 2 * 9 * 20 * 4);
  expect_same_bits(graph, false);
}

TEST(Swept, PiecesOfALoopAreArrangedAlikeAndDoNotSweep) {
  const Graph graph = graph_of(
      "graph(%0: f32[40,32], %1: f32[9,32], %2: f32[32], %3: f32[32], %4: f32[32], %5: f32[32]) {\n"
      "%6 = concat(%0, %1) axis=0 : f32[49,32]\n%7 = mul(%6, %2) : f32[49,32]\n%8 = fma(%7, %3, %4) : f32[49,32]\n"
      "%9 = add(%8, %5) : f32[49,32]\nreturn %9\n}");
  const Schedule schedule = schedule_of(graph);
  for (const ScheduledKernel& kernel : schedule.kernels) {
    EXPECT_FALSE(schedule.kernels.size() > 1 && kernel.program.sweeps()) << to_string(schedule, graph);
  }
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  expect_same_bits(graph, false);
}

TEST(Swept, AllWaysGiveTheSameBits) {
  for (const Picture& picture :
       {Picture{}, {.c = 37}, {.h = 1, .w = 1}, {.h = 2, .w = 40, .c = 16}, {.h = 7, .w = 7, .c = 33, .step = 2},
        {.h = 5, .w = 6, .c = 20, .low = 4, .high = 4, .dilation = 3}, {.h = 3, .w = 3, .c = 64, .low = 0, .high = 2},
        {.h = 12, .w = 3, .c = 17, .low = 2, .high = 0, .step = 3, .border = -1.5}, {.c = 9}, {.c = 16, .pads_channels = true}}) {
    expect_same_bits(stencil(picture), false);
    expect_same_bits(stencil(picture), true);
  }
}

TEST(Swept, EveryTargetGivesTheSameBits) {
  const Graph graph = stencil({.h = 8, .w = 11, .c = 43});
  std::mt19937_64 random(7);
  const std::vector<Literal> inputs = random_inputs(graph, Draw::special, random);
  const std::vector<Literal> expected = *interpret(graph, inputs);
  for (const Target& target : targets_that_run()) {
    const absl::StatusOr<std::vector<Literal>> results = run_compiled(graph, {.target = target}, inputs, {.threads = 2});
    ASSERT_TRUE(results.ok()) << results.status();
    EXPECT_EQ(bit_difference(expected, *results), "") << target.cpu;
  }
}

/// Windows of a pad whose lanes lie `step` elements apart.
Graph spread_windows(const std::string& dtype, int64_t step) {
  const std::string whole = cat(dtype, "[8,160]"), padded = cat(dtype, "[12,160]"), part = cat(dtype, "[8,32]");
  const int64_t first = step < 0 ? 150 : 0;
  const auto window = [&](int64_t row) { return cat("slice(%2) start=[", row, ",", first, "] step=[1,", step, "] : ", part); };
  return graph_of(cat("graph(%0: ", whole, ") {\n%1 = constant value=4 : ", dtype, "[]\n%2 = pad(%0, %1) low=[2,0] high=[2,0] : ", padded,
                      "\n%3 = ", window(3), "\n%4 = ", window(2), "\n%5 = add(%3, %4) : ", part, "\n%6 = ", window(1),
                      "\n%7 = add(%5, %6) : ", part, "\nreturn %7\n}"));
}

TEST(Swept, LanesThatLieApartFindWhatFillsBorders) {
  for (const char* dtype : {"u16", "f32", "f64"}) {
    for (int64_t step : {1, 2, 3, 4, 5, -1, -2}) {
      const Graph graph = spread_windows(dtype, step);
      EXPECT_EQ(last_program(schedule_of(graph)).kind(), KernelKind::swept) << dtype << " " << step;
      std::mt19937_64 random(3);
      const std::vector<Literal> inputs = random_inputs(graph, Draw::whole, random), expected = *interpret(graph, inputs);
      for (const Target& target : targets_that_run()) {
        const absl::StatusOr<std::vector<Literal>> results =
            run_compiled(graph, {.prune_and_simplify = false, .target = target}, inputs, {.threads = 1});
        ASSERT_TRUE(results.ok()) << results.status();
        EXPECT_EQ(bit_difference(expected, *results), "") << dtype << " " << step << " " << target.cpu;
      }
    }
  }
}

/// Windows of a pad around what `inside` makes of input 0.
Graph windows_of(const std::string& input, const std::string& inside) {
  const auto window = [](int64_t row) { return cat("slice(%3) start=[", row, ",0] step=[1,1] : f32[30,64]"); };
  return graph_of(cat("graph(%0: ", input, ") {\n%1 = ", inside, " : f32[30,64]\n%2 = constant value=0 : f32[]\n",
                      "%3 = pad(%1, %2) low=[2,0] high=[2,0] : f32[34,64]\n%4 = ", window(0), "\n%5 = ", window(1),
                      "\n%6 = add(%4, %5) : f32[30,64]\n%7 = ", window(3), "\n%8 = add(%6, %7) : f32[30,64]\n%9 = ", window(4),
                      "\n%10 = add(%8, %9) : f32[30,64]\n%11 = cast(%0) : f32[30,64]\n%12 = add(%10, %11) : f32[30,64]\nreturn %12\n}"));
}

TEST(Swept, WindowsGoAroundAConstant) { expect_same_bits(windows_of("i32[30,64]", "constant value=1"), true); }

TEST(Swept, WindowsGoAroundACast) {
  for (const char* dtype : {"u8", "i32", "f16"}) expect_same_bits(windows_of(cat(dtype, "[30,64]"), "cast(%0)"), true);
}

TEST(Swept, WindowsDoNotGoAroundWhatAnotherPadLeftOfItself) {
  const auto window = [](int64_t row) { return cat("slice(%3) start=[", row, ",0] step=[1,1] : f32[8,16]\n"); };
  for (const auto& [low, first] : std::vector<std::pair<int64_t, int64_t>>{{16, 1}, {32, 0}}) {
    const Graph graph = graph_of(cat(
        "graph(%0: f32[8,16], %1: f32[128]) {\n%2 = constant value=0 : f32[]\n%3 = pad(%0, %2) low=[2,0] high=[2,0] : f32[12,16]\n%4 = ",
        window(0), "%5 = ", window(1), "%6 = add(%4, %5) : f32[8,16]\n%7 = ", window(3), "%8 = add(%6, %7) : f32[8,16]\n",
        "%9 = add(%1, %1) : f32[128]\n%10 = pad(%9, %2) low=[", low, "] high=[", 32 - low, "] : f32[160]\n%11 = reshape(%10) : f32[10,16]\n",
        "%12 = slice(%11) start=[", first, ",0] step=[1,1] : f32[8,16]\n%13 = mul(%8, %12) : f32[8,16]\nreturn %13\n}"));
    EXPECT_EQ(verify(schedule_of(graph), graph), absl::OkStatus()) << low;
    expect_same_bits(graph, true);
  }
}

TEST(Swept, AnAccessThatLeavesItsRangeIsAnError) {
  const Graph graph = stencil({});
  Schedule schedule = schedule_of(graph);
  ScheduledKernel& kernel = schedule.kernels[0];
  kernel.sizes[SizesLayout(kernel.program).range(0, 0) + 1] += 1;
  EXPECT_NE(verify(schedule, graph), absl::OkStatus());
}

}  // namespace
}  // namespace etch
