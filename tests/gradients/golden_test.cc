// Goldens: each .ir file below this folder holds a graph and the gradient of its outputs in its inputs, simplified.
// ETCH_UPDATE_GOLDENS=1 rewrites the expected parts.
#include <gtest/gtest.h>

#include "compiler/ir/text.h"
#include "compiler/passes/run_passes.h"
#include "tests/golden.h"
#include "tools/harness.h"

namespace etch {
namespace {

constexpr char kFolder[] = "tests/gradients";

class GradientGoldens : public testing::TestWithParam<std::string> {};

TEST_P(GradientGoldens, TextComesOutAsExpected) {
  const std::filesystem::path path = std::filesystem::path(ETCH_SOURCE_DIR) / kFolder / GetParam();
  const Golden golden = read_golden(path);
  absl::StatusOr<Graph> graph = parse(golden.before);
  ASSERT_TRUE(graph.ok()) << graph.status();
  absl::StatusOr<Graph> gradient = run_passes(differentiate_all(*graph).graph, {.fuse = false, .verify = true});
  ASSERT_TRUE(gradient.ok()) << gradient.status();
  if (updates_goldens()) return write_golden(path, golden, print(*gradient));
  ASSERT_TRUE(golden.has_after) << "the file has no expected part; ETCH_UPDATE_GOLDENS=1 writes it";
  EXPECT_EQ(print(*gradient), golden.after);
}

INSTANTIATE_TEST_SUITE_P(Files, GradientGoldens, testing::ValuesIn(golden_files(kFolder)),
                         [](const auto& info) { return golden_test_name(info.param); });

}  // namespace
}  // namespace etch
