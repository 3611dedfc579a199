// What kernels move, and the line that compares it with the machine.
#include "compiler/kernel_costs.h"

#include <gtest/gtest.h>

#include <string>

#include "compiler/ir/text.h"

namespace etch {
namespace {

Schedule schedule_of(const char* text) { return make_schedule(parse(text).value(), {}).value(); }

TEST(KernelCosts, EachElementThatIsReadOrWrittenCountsOnce) {
  const Schedule schedule = schedule_of(
      "graph(%0: f32[64,32], %1: f32[32]) {\n%2 = add(%0, %1) : f32[64,32]\n%3 = mul(%2, %0) : f32[64,32]\n"
      "return %3\n}");
  ASSERT_EQ(schedule.kernels.size(), 1u);
  EXPECT_EQ(bytes_moved(schedule, schedule.kernels[0]), 2 * 64 * 32 * 4 + 32 * 4);
}

TEST(KernelCosts, ASliceCountsWhatIsReadOfIt) {
  const Schedule schedule = schedule_of(
      "graph(%0: u8[100,3]) {\n%1 = slice(%0) start=[0,1] step=[1,1] : u8[100,1]\n%2 = neg(%1) : u8[100,1]\nreturn %2\n}");
  ASSERT_EQ(schedule.kernels.size(), 1u);
  EXPECT_EQ(bytes_moved(schedule, schedule.kernels[0]), 200);
}

TEST(KernelCosts, SharesAreOfTheProbes) {
  const Graph graph = *parse("graph(%0: f32[1000]) {\n%1 = neg(%0) : f32[1000]\nreturn %1\n}");
  const Schedule schedule = make_schedule(graph, {}).value();
  const double microseconds[] = {2.0};
  const std::string text =
      kernel_costs(schedule, graph, microseconds, {.bytes_per_second = 16e9, .fma_per_second = 4e9});
  EXPECT_EQ(text, schedule.kernels[0].name +
                      ": 2.00 us, 8000 bytes, 25 % of the memory probe, 12 % of the arithmetic probe (1000 iterations of "
                      "about 1 additions)\n");
}

TEST(KernelWork, AProductOfFewRowsIsCutByWhatItReads) {
  const auto iterations = [](const std::string& k) {
    const std::string text = "graph(%0: f32[4," + k + "], %1: f32[" + k + ",512]) {\n%2 = dot(%0, %1) : f32[4,512]\nreturn %2\n}";
    return schedule_of(text.c_str()).kernels.at(0).iterations;
  };
  EXPECT_EQ(iterations("784"), 4 * 2);
  EXPECT_EQ(iterations("100"), 4);
}

TEST(MachinePeaks, AreMeasuredOnce) {
  const MachinePeaks peaks = machine_peaks(2);
  EXPECT_GT(peaks.bytes_per_second, 0);
  EXPECT_GT(peaks.fma_per_second, 0);
  EXPECT_EQ(machine_peaks(2).fma_per_second, peaks.fma_per_second);
}

}  // namespace
}  // namespace etch
