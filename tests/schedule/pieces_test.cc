// Loops that read concats and pads: cut where the parts meet, with one code for pieces of any size, and the same bits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "compiler/compile.h"
#include "compiler/ir/cat.h"
#include "compiler/schedule/verify_schedule.h"
#include "tests/schedule/schedules.h"

namespace etch {
namespace {

using testing::HasSubstr;

/// Builds graphs of rolls, borders and what is computed of them.
class Stencils {
 public:
  Value input(const Shape& shape) { return *builder_.input({DType::f32, shape}); }
  Value number(float value) { return *builder_.constant(to_bits(value), {DType::f32, {}}); }
  Value compute(Op op, std::vector<Value> operands) { return *builder_.emit(op, operands); }
  const Shape& shape(Value x) { return builder_.type(x).shape; }

  Value slice(Value x, Dims start, Dims step, const Shape& shape) {
    return *builder_.emit(op::Slice{std::move(start), std::move(step)}, {&x, 1}, Type{DType::f32, shape});
  }

  /// So many elements along an axis.
  Value some(Value x, int axis, int64_t first, int64_t count, int64_t step = 1) {
    Shape part = shape(x);
    Dims start = Dims::filled(part.rank(), 0), steps = Dims::filled(part.rank(), 1);
    start[axis] = first;
    if (count > 1) steps[axis] = step;
    part[axis] = count;
    return slice(x, start, steps, part);
  }

  Value concat(std::vector<Value> parts, int axis) { return *builder_.emit(op::Concat{axis}, parts); }

  Value pad(Value x, Value value, Dims low, Dims high) {
    const Value operands[] = {x, value};
    return *builder_.emit(op::Pad{std::move(low), std::move(high)}, operands);
  }

  Value roll(Value x, int axis, int64_t shift) {
    const int64_t extent = shape(x)[axis], moved = (shift % extent + extent) % extent;
    if (moved == 0) return x;
    return concat({some(x, axis, extent - moved, moved), some(x, axis, 0, extent - moved)}, axis);
  }

  Value flip(Value x, int axis) {
    const int64_t extent = shape(x)[axis];
    return extent == 1 ? x : some(x, axis, extent - 1, extent, -1);
  }

  /// The sum of the eight neighbours, those of the other side at a border.
  Value rolled_neighbours(Value x) {
    Value total = x;
    for (int i : {-1, 0, 1}) {
      for (int j : {-1, 0, 1}) {
        if (i != 0 || j != 0) total = compute(Op::add, {total, roll(roll(x, 0, i), 1, j)});
      }
    }
    return total;
  }

  Graph finish(std::vector<Value> outputs) { return std::move(builder_).finish(outputs); }

 private:
  GraphBuilder builder_;
};

Graph roll_stencil(int64_t rows, int64_t columns) {
  Stencils s;
  const Value x = s.input({rows, columns});
  return s.finish({s.rolled_neighbours(x)});
}

/// A border of two rows above and one below: the largest piece lies between the others.
Graph bordered() {
  Stencils s;
  const Value x = s.input({50, 60}), padded = s.pad(x, s.number(3), {2, 0}, {1, 0});
  return s.finish({s.compute(Op::tanh, {padded})});
}

/// What the kernels of a schedule are, each once.
std::set<std::string> programs_of(const Schedule& schedule) {
  std::set<std::string> programs;
  for (const ScheduledKernel& kernel : schedule.kernels) programs.insert(to_string(kernel.program));
  return programs;
}

TEST(Pieces, OfARollStencilHaveOneCodeForAllSizes) {
  const Schedule small = schedule_of(roll_stencil(12, 40)), large = schedule_of(roll_stencil(500, 300));
  EXPECT_EQ(small.kernels.size(), 9u);
  EXPECT_EQ(large.kernels.size(), 9u);
  EXPECT_EQ(programs_of(large).size(), 1u) << testing::PrintToString(programs_of(large));
  EXPECT_EQ(programs_of(small), programs_of(large));
}

TEST(Pieces, KeepNoRollInMemory) {
  const Graph graph = roll_stencil(60, 70);
  const Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.arena_bytes, 0) << to_string(schedule, graph);
  EXPECT_TRUE(schedule.unfused.empty()) << to_string(schedule, graph);
}

TEST(Pieces, OfOneLoopAreOneStep) {
  EXPECT_THAT(to_string(*compile(roll_stencil(60, 70), {})->executable), HasSubstr("group of 9"));
}

TEST(Pieces, WithoutElementsAreNoKernels) {
  // Between the first and the last row there is none.
  const Graph graph = roll_stencil(2, 70);
  const Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 6u) << to_string(schedule, graph);
  EXPECT_EQ(verify(schedule, graph), absl::OkStatus());
  expect_same_bits(graph, true);
}

TEST(Pieces, OfABorderReadTheNumberItHolds) {
  const Graph graph = bordered();
  const Schedule schedule = schedule_of(graph);
  EXPECT_EQ(schedule.kernels.size(), 3u) << to_string(schedule, graph);
  EXPECT_EQ(programs_of(schedule).size(), 2u) << to_string(schedule, graph);
  expect_same_bits(graph, false);
}

void expect_refused(const Schedule& schedule, const Graph& graph, const std::string& what) {
  for (int64_t walked_bytes : {int64_t{1} << 23, int64_t{0}}) {
    EXPECT_THAT(std::string(verify(schedule, graph, walked_bytes).message()),
                testing::AllOf(HasSubstr(what), HasSubstr(", a piece of the same loop, writes in b")));
  }
}

TEST(Pieces, ThatWriteWhatAnotherOneWritesAreRefused) {
  const Graph graph = bordered();
  Schedule schedule = schedule_of(graph);
  for (ScheduledKernel& piece : schedule.kernels) {
    const auto store = static_cast<int>(piece.buffers.size()) - 1;
    int64_t& offset = piece.sizes[SizesLayout(piece.program).access(store)];
    if (offset == 0) offset += 60;  // the upper border, a row too low
  }
  expect_refused(schedule, graph, ": it writes what ");
}

TEST(Pieces, ThatReadWhatAnotherOneWritesAreRefused) {
  const Graph graph = bordered();
  Schedule schedule = schedule_of(graph);
  ScheduledKernel& largest = schedule.kernels[0];
  largest.buffers[0] = largest.buffers[1];  // from the first row on, where it writes from the third one on
  expect_refused(schedule, graph, ": it reads what ");
}

TEST(Pieces, AreNotMadeOfWhatIsComputedOnceAndReadManyTimes) {
  // A step is wanted at five places of the next one: it is computed once, straight into its place between the borders.
  Stencils s;
  Value u = s.input({40, 50});
  for (int step = 0; step < 3; ++step) {
    const Value p = s.pad(u, s.number(0), {1, 1}, {1, 1});
    const auto at = [&](int64_t i, int64_t j) { return s.slice(p, {i, j}, {1, 1}, {40, 50}); };
    const Value sum = s.compute(Op::add, {s.compute(Op::add, {at(0, 1), at(2, 1)}), s.compute(Op::add, {at(1, 0), at(1, 2)})});
    u = s.compute(Op::tanh, {s.compute(Op::sub, {sum, at(1, 1)})});
  }
  const Graph graph = s.finish({u});
  const Schedule schedule = schedule_of(graph);
  int steps = 0;
  for (const ScheduledKernel& kernel : schedule.kernels) {
    steps += std::ranges::any_of(kernel.program.body, [](const Instr& instr) { return instr.kind == InstrKind::compute && instr.op == Op::tanh; });
  }
  EXPECT_LE(steps, 3 + 8) << to_string(schedule, graph);
  EXPECT_THAT(to_string(schedule, graph), HasSubstr("they are computed for it alone, and read several times"));
  expect_same_bits(graph, false);
}

/// Chains of rolls, borders, flips and joins with what is computed of them.
Graph random_stencils(uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto pick = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); };
  Stencils s;
  Shape shape;
  constexpr int64_t kExtents[] = {1, 2, 3, 5, 8, 17, 33, 70};
  for (int64_t rank = 1 + pick(3); rank > 0; --rank) shape.push_back(kExtents[pick(std::size(kExtents))]);
  const int rank = shape.rank();
  std::vector<Value> values{s.input(shape), s.input(shape)};
  const auto any = [&] { return values[values.size() - 1 - std::min(pick(values.size()), pick(values.size()))]; };
  for (int64_t ops = 3 + pick(12); ops > 0; --ops) {
    const Value x = any(), y = any();
    const int axis = static_cast<int>(pick(rank));
    const int64_t extent = shape[axis];
    switch (pick(9)) {
      case 0:
      case 1: values.push_back(s.roll(x, axis, pick(2 * extent + 1) - extent)); break;
      case 2: values.push_back(s.flip(x, axis)); break;
      case 3: {  // a border, and neighbours across it
        Dims low = Dims::filled(rank, 0), high = low, ones = Dims::filled(rank, 1), from = low, to = low;
        for (int i = 0; i < rank; ++i) {
          low[i] = pick(3), high[i] = pick(3);
          from[i] = pick(low[i] + high[i] + 1), to[i] = pick(low[i] + high[i] + 1);
        }
        const Value padded = s.pad(x, s.number(static_cast<float>(pick(3))), low, high);
        values.push_back(s.compute(Op::add, {s.slice(padded, from, ones, shape), s.slice(padded, to, ones, shape)}));
        break;
      }
      case 4: {  // the first elements of one, the last ones of another
        if (extent == 1) break;
        const int64_t at = 1 + pick(extent - 1);
        values.push_back(s.concat({s.some(x, axis, 0, at), s.some(y, axis, at, extent - at)}, axis));
        break;
      }
      case 5: values.push_back(s.compute(Op::max, {x, y})); break;
      case 6: values.push_back(s.compute(Op::sub, {x, y})); break;
      case 7: values.push_back(s.compute(Op::abs, {x})); break;
      default: values.push_back(s.compute(Op::add, {x, s.roll(y, axis, 1)}));
    }
  }
  std::vector<Value> outputs{values.back()};
  if (pick(3) == 0) outputs.push_back(any());
  return s.finish(outputs);
}

TEST(Pieces, OfRandomStencilsComputeTheSameBits) {
  size_t pieces = 0;
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    const Graph graph = random_stencils(seed);
    const Schedule schedule = schedule_of(graph);
    ASSERT_EQ(verify(schedule, graph), absl::OkStatus()) << "seed " << seed << "\n" << print(graph) << to_string(schedule, graph);
    pieces += std::ranges::count_if(schedule.kernels, [](const ScheduledKernel& kernel) { return kernel.piece_of >= 0; });
  }
  EXPECT_GT(pieces, 500u) << "few loops were cut";
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    expect_same_bits(random_stencils(seed), true);
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
  }
}

TEST(Pieces, OfShortRowsWhoseValuesPerRowLieApartRunByThemselves) {
  for (const char* strided : {"slice(%2) start=[0,0] step=[2,1] : f32[4,1]", "slice(%2) start=[7,0] step=[-1,1] : f32[4,1]"}) {
    for (const char* kind : {"sum", "max"}) {
      expect_same_bits(graph_of(cat("graph(%0: f32[20,8], %1: f32[16,1], %2: f32[8,1]) {\n%3 = ", strided,
                                    "\n%4 = concat(%1, %3) axis=0 : f32[20,1]\n%5 = mul(%0, %4) : f32[20,8]\n%6 = reduce(%5) kind=", kind,
                                    " axes=[1] : f32[20]\nreturn %6\n}")), true);
    }
  }
}

}  // namespace
}  // namespace etch
