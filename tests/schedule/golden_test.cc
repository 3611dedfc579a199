// Goldens of the schedule: each .ir file of this folder holds a graph and the text of its fused schedule, which must also
// compute the bits of the unfused one. ETCH_UPDATE_GOLDENS=1 rewrites the expected parts.
#include <gtest/gtest.h>

#include "compiler/ir/text.h"
#include "compiler/schedule/schedule.h"
#include "compiler/schedule/verify_schedule.h"
#include "runtime/parallel.h"
#include "tests/golden.h"
#include "tools/harness.h"

namespace etch {
namespace {

constexpr char kFolder[] = "tests/schedule";

class ScheduleGolden : public testing::TestWithParam<std::string> {
 protected:
  std::filesystem::path path_ = std::filesystem::path(ETCH_SOURCE_DIR) / kFolder / GetParam();
};

TEST_P(ScheduleGolden, FusedScheduleIsTheExpectedOne) {
  const Golden golden = read_golden(path_);
  absl::StatusOr<Graph> graph = parse(golden.before);
  ASSERT_TRUE(graph.ok()) << graph.status();
  absl::StatusOr<Schedule> schedule = make_schedule(*graph, {});
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  EXPECT_EQ(verify(*schedule, *graph), absl::OkStatus());
  const std::string actual = to_string(*schedule, *graph);
  if (updates_goldens()) return write_golden(path_, golden, actual);
  ASSERT_TRUE(golden.has_after) << "no expected part; ETCH_UPDATE_GOLDENS=1 writes it";
  EXPECT_EQ(actual, golden.after);
}

TEST_P(ScheduleGolden, EveryWayOfRunningComputesTheSameBits) {
  absl::StatusOr<Graph> graph = parse(read_golden(path_).before);
  ASSERT_TRUE(graph.ok()) << graph.status();
  std::mt19937_64 random(1);
  const std::vector<Literal> inputs = random_inputs(*graph, Draw::special, random);
  const CompileOptions unfused_options{.prune_and_simplify = false, .fuse = false};
  absl::StatusOr<std::vector<Literal>> unfused = run_compiled(*graph, unfused_options, inputs, {});
  ASSERT_TRUE(unfused.ok()) << unfused.status();
  const int64_t splits = num_split_loops();
  for (const Target& target : targets_that_run()) {
    for (int64_t grain : {1, 3, 64}) {
      const CompileOptions fused_options{.prune_and_simplify = false, .target = target};
      absl::StatusOr<std::vector<Literal>> fused =
          run_compiled(*graph, fused_options, inputs, {.threads = 2, .grain = grain});
      ASSERT_TRUE(fused.ok()) << fused.status();
      EXPECT_EQ(bit_difference(*unfused, *fused), "") << target.cpu << " grain " << grain;
    }
  }
  EXPECT_GT(num_split_loops(), splits) << "no launch was split";
}

INSTANTIATE_TEST_SUITE_P(Files, ScheduleGolden, testing::ValuesIn(golden_files(kFolder)),
                         [](const auto& info) { return golden_test_name(info.param); });

}  // namespace
}  // namespace etch
