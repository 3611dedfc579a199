// Goldens of the schedule: each .ir file of this folder holds a graph and the text of its fused schedule, which must also
// compute the bits of the unfused one. ETCH_UPDATE_GOLDENS=1 rewrites the expected parts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "compiler/ir/text.h"
#include "compiler/schedule/verify_schedule.h"
#include "tools/harness.h"

namespace etch {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSeparator = "// ===\n";

fs::path folder() { return fs::path(ETCH_SOURCE_DIR) / "tests" / "schedule"; }

std::vector<std::string> golden_files() {
  std::vector<std::string> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder())) {
    if (entry.path().extension() == ".ir") files.push_back(entry.path().filename().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

class ScheduleGolden : public testing::TestWithParam<std::string> {};

TEST_P(ScheduleGolden, FusedScheduleIsTheExpectedOneAndComputesTheSameBits) {
  std::string text = read(folder() / GetParam());
  size_t separator = text.find(kSeparator);
  std::string before = text.substr(0, separator);
  absl::StatusOr<Graph> graph = parse(before);
  ASSERT_TRUE(graph.ok()) << graph.status();
  absl::StatusOr<Schedule> schedule = make_schedule(*graph, {});
  ASSERT_TRUE(schedule.ok()) << schedule.status();
  EXPECT_EQ(verify(*schedule, *graph), absl::OkStatus());
  std::string actual = to_string(*schedule, *graph);
  if (std::getenv("ETCH_UPDATE_GOLDENS")) {
    std::ofstream(folder() / GetParam(), std::ios::binary) << before << kSeparator << actual;
  } else {
    ASSERT_NE(separator, text.npos) << "no expected part";
    EXPECT_EQ(actual, text.substr(separator + kSeparator.size()));
  }

  std::mt19937_64 random(1);
  std::vector<Literal> inputs = random_inputs(*graph, Draw::special, random);
  absl::StatusOr<std::vector<Literal>> unfused =
      run_compiled(*graph, {.prune_and_simplify = false, .fuse = false}, inputs, {.threads = 1});
  absl::StatusOr<std::vector<Literal>> fused =
      run_compiled(*graph, {.prune_and_simplify = false}, inputs, {.threads = 2});
  ASSERT_TRUE(unfused.ok()) << unfused.status();
  ASSERT_TRUE(fused.ok()) << fused.status();
  EXPECT_EQ(bit_difference(*unfused, *fused), "");
}

INSTANTIATE_TEST_SUITE_P(Files, ScheduleGolden, testing::ValuesIn(golden_files()), [](const auto& info) {
  std::string name = info.param.substr(0, info.param.find('.'));
  return name;
});

}  // namespace
}  // namespace etch
