// Executables made by hand: steps, split launches, scratch memory, error slots and checks.
#include "runtime/executable.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <numeric>
#include <thread>

#include "etch/buffer.h"
#include "runtime/parallel.h"

namespace etch {
namespace {

// The functions that stand for kernels. Buffers and sizes are what the Executable says.

/// out[i] = in[i] + sizes[0].
void add_constant(void* const* buffers, const int64_t* sizes, int64_t begin, int64_t end, std::byte*) {
  const auto* in = static_cast<const int64_t*>(buffers[0]);
  auto* out = static_cast<int64_t*>(buffers[1]);
  for (int64_t i = begin; i < end; ++i) out[i] = in[i] + sizes[0];
}

/// Sorts each of the rows of sizes[0] elements, downwards: a library call that splits by rows.
void sort_rows(void* const* buffers, const int64_t* sizes, int64_t begin, int64_t end, std::byte* scratch) {
  const int64_t n = sizes[0];
  const auto* in = static_cast<const int64_t*>(buffers[0]);
  auto* out = static_cast<int64_t*>(buffers[1]);
  auto* row = reinterpret_cast<int64_t*>(scratch);
  for (int64_t r = begin; r < end; ++r) {
    std::copy_n(in + r * n, n, row);
    std::sort(row, row + n, std::greater<>());
    std::copy_n(row, n, out + r * n);
  }
}

/// out[i] = table[index[i]], and what is wrong with an index goes to the error slot, the last buffer.
void gather(void* const* buffers, const int64_t* sizes, int64_t begin, int64_t end, std::byte*) {
  const auto* table = static_cast<const int64_t*>(buffers[0]);
  const auto* index = static_cast<const int64_t*>(buffers[1]);
  auto* out = static_cast<int64_t*>(buffers[2]);
  auto* error = static_cast<IndexError*>(buffers[3]);
  for (int64_t i = begin; i < end; ++i) {
    const bool good = index[i] >= 0 && index[i] < sizes[0];
    out[i] = good ? table[index[i]] : 0;
    if (!good) report_index(error, i, index[i]);
  }
}

/// An Executable under construction.
struct Maker {
  int32_t slot(Slot::Kind kind, int64_t index) {
    executable.slots.push_back({kind, index});
    return static_cast<int32_t>(executable.slots.size()) - 1;
  }
  Launch& launch(Step::Kind kind, std::string name, KernelFn fn, std::vector<int32_t> slots,
                 std::vector<int64_t> sizes, int64_t iterations, int64_t grain) {
    Launch launch;
    launch.fn = fn;
    launch.first_slot = static_cast<int32_t>(executable.slot_pool.size());
    launch.num_slots = static_cast<int32_t>(slots.size());
    launch.first_size = static_cast<int32_t>(executable.sizes_pool.size());
    launch.iterations = iterations;
    launch.grain = grain;
    executable.slot_pool.insert(executable.slot_pool.end(), slots.begin(), slots.end());
    executable.sizes_pool.insert(executable.sizes_pool.end(), sizes.begin(), sizes.end());
    executable.steps.push_back({kind, static_cast<int32_t>(executable.launches.size())});
    executable.launches.push_back(launch);
    executable.names.push_back(std::move(name));
    return executable.launches.back();
  }
  void check(int32_t slot, Shape shape, int64_t extent, std::string text) {
    executable.steps.push_back({Step::Kind::check, static_cast<int32_t>(executable.checks.size())});
    executable.checks.push_back({slot, 0, shape, extent, std::move(text)});
  }
  Executable executable;
};

/// out = sort(in + 5), row by row, in two steps with a temporary between them.
Executable add_then_sort(int64_t rows, int64_t columns) {
  Maker m;
  const int32_t in = m.slot(Slot::Kind::input, 0), out = m.slot(Slot::Kind::output, 0);
  const int32_t sum = m.slot(Slot::Kind::arena, 0);
  m.executable.arena_bytes = rows * columns * 8;
  m.executable.outputs = {{rows * columns * 8}, {rows * columns * 8, Output::SameAs::input, 0}};
  m.launch(Step::Kind::launch, "add", add_constant, {in, sum}, {5}, rows * columns, 1 << 20);
  m.launch(Step::Kind::call, "sort", sort_rows, {sum, out}, {columns}, rows, 1 << 20).scratch_bytes = columns * 8;
  return m.executable;
}

std::vector<int64_t> sorted_by_hand(std::vector<int64_t> values, int64_t columns) {
  for (int64_t& value : values) value += 5;
  for (auto row = values.begin(); row != values.end(); row += columns) std::sort(row, row + columns, std::greater<>());
  return values;
}

std::vector<int64_t> some_values(int64_t n) {
  std::vector<int64_t> values(n);
  for (int64_t i = 0; i < n; ++i) values[i] = i * 7919 % 1009;
  return values;
}

std::vector<int64_t> run(const Executable& executable, const std::vector<int64_t>& in, const RunOptions& options) {
  std::vector<int64_t> out(in.size(), -1);
  const void* inputs[] = {in.data()};
  void* outputs[] = {out.data(), nullptr};
  executable.run(inputs, outputs, options);
  return out;
}

TEST(Executable, StepsRunInOrder) {
  const std::vector<int64_t> in = some_values(60);
  EXPECT_EQ(run(add_then_sort(6, 10), in, {}), sorted_by_hand(in, 10));
}

TEST(Executable, AGrainOfTheRunSplitsEveryLaunch) {
  const std::vector<int64_t> in = some_values(600);
  const Executable executable = add_then_sort(60, 10);
  int64_t before = num_split_loops();
  run(executable, in, {.threads = 2});
  EXPECT_EQ(num_split_loops() - before, 0) << "its own grain is too large";
  for (int64_t grain : {1, 7, 59}) {
    before = num_split_loops();
    EXPECT_EQ(run(executable, in, {.threads = 2, .grain = grain}), sorted_by_hand(in, 10)) << grain;
    EXPECT_EQ(num_split_loops() - before, 2) << grain;
  }
  before = num_split_loops();
  run(executable, in, {.threads = 1, .grain = 1});
  EXPECT_EQ(num_split_loops() - before, 0) << "one thread has nothing to split for";
}

TEST(Executable, WorkersHaveScratchOfTheirOwn) {
  const Executable executable = add_then_sort(60, 10);
  const int64_t temporaries = 60 * 10 * 8;
  EXPECT_EQ(executable.memory_bytes({.threads = 1}), temporaries + 128);
  EXPECT_EQ(executable.memory_bytes({.threads = 4}), temporaries + 128) << "no split, one worker";
  EXPECT_EQ(executable.memory_bytes({.threads = 4, .grain = 1}), temporaries + 4 * 128);
  EXPECT_EQ(executable.memory_bytes({.threads = 4, .grain = 30}), temporaries + 2 * 128);
}

TEST(Executable, ManyThreadsRunIt) {
  const Executable executable = add_then_sort(50, 20);
  const std::vector<int64_t> in = some_values(1000), expected = sorted_by_hand(in, 20);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) wrong += run(executable, in, {.threads = 1 + t % 3, .grain = 3}) != expected;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Executable, AWarmRunTakesNoFreshMemory) {
  const std::vector<int64_t> in = some_values(1000);
  const Executable executable = add_then_sort(50, 20);
  run(executable, in, {.threads = 2, .grain = 1});
  const int64_t before = memory_stats().allocations;
  for (int i = 0; i < 10; ++i) run(executable, in, {.threads = 2, .grain = 1});
  EXPECT_EQ(memory_stats().allocations, before);
}

/// The same on rows in blocks, the sums in the memory of a block.
Executable add_then_sort_in_blocks(int64_t rows, int64_t columns, int64_t segment, int64_t block) {
  Executable executable = add_then_sort(rows, columns);
  const int64_t row_bytes = columns * 8;
  executable.slots[2] = {Slot::Kind::stripe, 0, row_bytes};
  LaunchGroup group{0, 2, 0};
  executable.stripes = {{group, rows, segment, block, 1, block * row_bytes + 64}};
  executable.steps = {{Step::Kind::stripes, 0}};
  executable.arena_bytes = 0;
  return executable;
}

TEST(Stripes, RunAllLaunchesOnEachBlock) {
  const int64_t rows = 50, columns = 20;
  const std::vector<int64_t> in = some_values(rows * columns);
  const std::vector<int64_t> expected = run(add_then_sort(rows, columns), in, {.threads = 1});
  for (const int64_t segment : {50, 25, 7}) {
    for (const int64_t block : {1, 3, 7}) {
      const Executable executable = add_then_sort_in_blocks(rows, columns, segment, block);
      for (const int threads : {1, 2, 3}) {
        for (const int64_t grain : {0, 1, 2}) {
          EXPECT_EQ(run(executable, in, {.threads = threads, .grain = grain}), expected) << segment << " " << block;
        }
      }
    }
  }
}

/// Rows of different lengths are sorted by one group, each from one input into one output.
Executable sort_together(const std::vector<int64_t>& rows, int64_t columns) {
  Maker m;
  LaunchGroup group;
  group.count = static_cast<int32_t>(rows.size());
  for (int32_t i = 0; i < group.count; ++i) {
    const int32_t in = m.slot(Slot::Kind::input, i), out = m.slot(Slot::Kind::output, i);
    Launch& launch = m.launch(Step::Kind::launch, "sort", sort_rows, {in, out}, {columns}, rows[i], 64);
    launch.scratch_bytes = columns * 8;
    group.parts += parts_of(launch);
    m.executable.outputs.push_back({rows[i] * columns * 8});
  }
  m.executable.steps = {{Step::Kind::group, 0}};
  m.executable.groups = {group};
  return m.executable;
}

std::vector<std::vector<int64_t>> run_together(const Executable& executable, const std::vector<int64_t>& rows,
                                               int64_t columns, const RunOptions& options) {
  std::vector<std::vector<int64_t>> in, out;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
  for (const int64_t n : rows) {
    in.push_back(some_values(n * columns));
    out.emplace_back(n * columns, -1);
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    inputs.push_back(in[i].data());
    outputs.push_back(out[i].data());
  }
  executable.run(inputs.data(), outputs.data(), options);
  return out;
}

TEST(LaunchGroup, IsOneLoopOverTheIterationsOfAll) {
  const std::vector<int64_t> rows{5, 0, 64, 1, 1, 33, 60};
  const Executable executable = sort_together(rows, 10);
  const auto expected = run_together(executable, rows, 10, {.threads = 1});
  for (size_t i = 0; i < rows.size(); ++i) {
    std::vector<int64_t> sorted = some_values(rows[i] * 10);
    for (auto row = sorted.begin(); row != sorted.end(); row += 10) std::sort(row, row + 10, std::greater<>());
    EXPECT_EQ(expected[i], sorted);
  }
  for (const int threads : {2, 3, 4}) {
    for (const int64_t grain : {0, 1, 7, 40}) {
      const int64_t before = num_split_loops();
      EXPECT_EQ(run_together(executable, rows, 10, {.threads = threads, .grain = grain}), expected) << grain;
      EXPECT_EQ(num_split_loops() - before, 1) << grain;
    }
  }
}

TEST(LaunchGroup, RunsOneByOneWhereAllTogetherAreLittle) {
  const std::vector<int64_t> rows{5, 20, 30};
  const Executable executable = sort_together(rows, 10);
  const int64_t before = num_split_loops();
  EXPECT_EQ(run_together(executable, rows, 10, {.threads = 2}), run_together(executable, rows, 10, {.threads = 1}));
  EXPECT_EQ(num_split_loops(), before);
  EXPECT_EQ(executable.memory_bytes({.threads = 2}), 128);
}

TEST(LaunchGroup, HasScratchForEachWorkerAndTakesNoFreshMemory) {
  const std::vector<int64_t> rows{60, 60, 60};
  const Executable executable = sort_together(rows, 10);
  EXPECT_EQ(executable.memory_bytes({.threads = 1}), 128);
  EXPECT_EQ(executable.memory_bytes({.threads = 2}), 2 * 128);
  EXPECT_EQ(executable.memory_bytes({.threads = 8}), 3 * 128) << "there is work for three";
  EXPECT_EQ(executable.memory_bytes({.threads = 8, .grain = 1}), 8 * 128);
  run_together(executable, rows, 10, {.threads = 2});
  const int64_t before = memory_stats().allocations;
  for (int i = 0; i < 10; ++i) run_together(executable, rows, 10, {.threads = 2});
  EXPECT_EQ(memory_stats().allocations, before);
}

TEST(LaunchGroup, IsTimedTakesPartInChecksAndHasText) {
  Executable executable = sort_together({64, 32}, 10);
  EXPECT_EQ(to_string(executable),
            "s0: input 0\n"
            "s1: output 0\n"
            "s2: input 1\n"
            "s3: output 1\n"
            "group of 2, 1536 parts of 1024\n"
            "  launch sort(s0, s1) for 64 by 64, scratch 80\n"
            "  launch sort(s2, s3) for 32 by 64, scratch 80\n"
            "output 0: 5120 bytes\n"
            "output 1: 2560 bytes\n");
  std::vector<int64_t> in(640), out(640), other(320);
  const void* inputs[] = {in.data(), in.data()};
  void* outputs[] = {out.data(), other.data()};
  const std::vector<double> times = executable.profile(inputs, outputs, {}, 1);
  ASSERT_EQ(times.size(), 2u);
  EXPECT_NEAR(times[0], 2 * times[1], 1e-9 * times[0]) << "by their share of the work";
  EXPECT_FALSE(executable.can_fail_after_writing(1));
  executable.steps.push_back({Step::Kind::check, 0});
  EXPECT_TRUE(executable.can_fail_after_writing(1));
}

/// out = table[index], 3 x 4 of them, with a check.
Executable checked_gather() {
  Maker m;
  const int32_t table = m.slot(Slot::Kind::input, 0), index = m.slot(Slot::Kind::input, 1);
  const int32_t out = m.slot(Slot::Kind::output, 0), error = m.slot(Slot::Kind::arena, 0);
  m.executable.arena_bytes = sizeof(IndexError);
  m.executable.outputs = {{12 * 8}};
  Launch& launch = m.launch(Step::Kind::launch, "gather", gather, {table, index, out, error}, {5}, 12, 4);
  launch.error_slot = error;
  launch.num_errors = 1;
  m.check(error, {3, 4}, 5, "demo.cc:12: gather");
  return m.executable;
}

std::string error_of_gather(std::vector<int64_t> index, const RunOptions& options) {
  const std::vector<int64_t> table{10, 11, 12, 13, 14};
  std::vector<int64_t> out(12);
  const void* inputs[] = {table.data(), index.data()};
  void* outputs[] = {out.data()};
  try {
    checked_gather().run(inputs, outputs, options);
  } catch (const Error& error) {
    return error.what();
  }
  for (int i = 0; i < 12; ++i) EXPECT_EQ(out[i], table[index[i]]);
  return "";
}

TEST(Executable, ACheckPassesAndFails) {
  std::vector<int64_t> index{0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1};
  EXPECT_EQ(error_of_gather(index, {}), "");
  index[11] = 9;
  EXPECT_EQ(error_of_gather(index, {}), "demo.cc:12: gather: index 9, at [2,3] of the indices, is not in 0..4; clip the indices first");
}

TEST(Executable, TheLowestFailingIndexIsNamedOnAnyNumberOfThreads) {
  std::vector<int64_t> index(12, 0);
  index[6] = -1;
  index[8] = 5;
  index[11] = 7;
  for (int threads : {1, 2, 4}) {
    EXPECT_EQ(error_of_gather(index, {.threads = threads, .grain = 1}),
              "demo.cc:12: gather: index -1, at [1,2] of the indices, is not in 0..4; negative indices do not count from "
              "the end");
  }
}

TEST(Executable, ProfileTimesEachLaunch) {
  const std::vector<int64_t> in = some_values(60);
  std::vector<int64_t> out(60);
  const void* inputs[] = {in.data()};
  void* outputs[] = {out.data(), nullptr};
  const std::vector<double> times = add_then_sort(6, 10).profile(inputs, outputs, {}, 3);
  ASSERT_EQ(times.size(), 2u);
  EXPECT_GE(times[0], 0);
}

TEST(Executable, KnowsWhetherAStepCanFailAfterAnOutputIsWritten) {
  Executable executable = checked_gather();
  EXPECT_TRUE(executable.can_fail_after_writing(0));
  std::swap(executable.steps[0], executable.steps[1]);
  EXPECT_FALSE(executable.can_fail_after_writing(0)) << "the check comes first";
  EXPECT_FALSE(add_then_sort(6, 10).can_fail_after_writing(0));
}

TEST(Executable, HasText) {
  EXPECT_EQ(to_string(add_then_sort(6, 10)),
            "s0: input 0\n"
            "s1: output 0\n"
            "s2: memory at 0\n"
            "launch add(s0, s2) for 60 by 1048576\n"
            "call sort(s2, s1) for 6 by 1048576, scratch 80\n"
            "output 0: 480 bytes\n"
            "output 1: 480 bytes, the same as input 0\n");
  EXPECT_EQ(to_string(checked_gather()),
            "s0: input 0\n"
            "s1: input 1\n"
            "s2: output 0\n"
            "s3: memory at 0\n"
            "launch gather(s0, s1, s2, s3) for 12 by 4, errors in s3\n"
            "check s3[0]: demo.cc:12: gather\n"
            "output 0: 96 bytes\n");
}

}  // namespace
}  // namespace etch
