// Goldens of the passes: each .ir file below this folder says which passes to run, holds a graph and the graph that
// must come out; both must compute the same bits. ETCH_UPDATE_GOLDENS=1 rewrites the expected parts.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <sstream>

#include "compiler/ir/interpreter.h"
#include "compiler/ir/text.h"
#include "compiler/passes/pass.h"
#include "tests/golden.h"
#include "tools/harness.h"

namespace etch {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRun = "// RUN: ";
constexpr int kInputSets = 12;
constexpr char kFolder[] = "tests/passes";

/// The passes that a golden's first line names.
std::vector<std::string> passes_of(const Golden& golden) {
  std::vector<std::string> passes;
  if (!golden.before.starts_with(kRun)) return passes;
  std::istringstream names(golden.before.substr(kRun.size(), golden.before.find('\n') - kRun.size()));
  for (std::string name; std::getline(names, name, ',');) passes.push_back(name);
  return passes;
}

absl::StatusOr<Graph> run(const std::vector<std::string>& names, Graph graph) {
  for (const std::string& name : names) {
    const Pass* pass = find_pass(name);
    if (!pass) return absl::NotFoundError("no pass " + name);
    absl::StatusOr<Graph> next = pass->run(graph);
    if (!next.ok()) return next;
    if (absl::Status status = verify(*next); !status.ok()) return status;
    graph = *std::move(next);
  }
  return graph;
}

/// Sums and products of floats depend on their order unless they are exact; small integers keep them exact.
bool sums_floats(const Graph& graph) {
  return std::any_of(graph.nodes().begin(), graph.nodes().end(), [&](const Node& node) {
    return is_floating(graph.type(node.result()).dtype) && (node.op == Op::dot || node.op == Op::reduce);
  });
}

class Goldens : public testing::TestWithParam<std::string> {
 protected:
  fs::path path_ = fs::path(ETCH_SOURCE_DIR) / kFolder / GetParam();
};

TEST_P(Goldens, TextComesOutAsExpected) {
  const Golden golden = read_golden(path_);
  const std::vector<std::string> passes = passes_of(golden);
  ASSERT_FALSE(passes.empty()) << "the file must start with // RUN: pass[,pass]";
  absl::StatusOr<Graph> before = parse(golden.before);
  ASSERT_TRUE(before.ok()) << before.status();
  absl::StatusOr<Graph> after = run(passes, *before);
  ASSERT_TRUE(after.ok()) << after.status();
  if (updates_goldens()) return write_golden(path_, golden, print(*after));
  ASSERT_TRUE(golden.has_after) << "the file has no expected part; ETCH_UPDATE_GOLDENS=1 writes it";
  EXPECT_EQ(print(*after), golden.after);
}

TEST_P(Goldens, BothSidesComputeTheSameBits) {
  const Golden golden = read_golden(path_);
  absl::StatusOr<Graph> before = parse(golden.before);
  ASSERT_TRUE(before.ok()) << before.status();
  absl::StatusOr<Graph> after = parse(golden.after);
  ASSERT_TRUE(after.ok()) << after.status();
  const Draw draw = sums_floats(*before) ? Draw::units : Draw::special;
  std::mt19937_64 random(20261123);
  for (int set = 0; set < kInputSets; ++set) {
    const std::vector<Literal> inputs = random_inputs(*before, draw, random);
    absl::StatusOr<std::vector<Literal>> expected = interpret(*before, inputs);
    ASSERT_TRUE(expected.ok()) << expected.status();
    absl::StatusOr<std::vector<Literal>> actual = interpret(*after, inputs);
    ASSERT_TRUE(actual.ok()) << actual.status();
    ASSERT_EQ(actual->size(), expected->size());
    for (size_t i = 0; i < expected->size(); ++i) {
      EXPECT_TRUE((*actual)[i] == (*expected)[i]) << "output " << i << " of input set " << set << " differs";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Files, Goldens, testing::ValuesIn(golden_files(kFolder)),
                         [](const auto& info) { return golden_test_name(info.param); });

TEST(GoldenFiles, EveryPassHasSomeAndNoFolderIsOfNoPass) {
  const std::vector<std::string> files = golden_files(kFolder);
  for (const Pass& pass : passes()) {
    const std::string folder = std::string(pass.name) + "/";
    EXPECT_TRUE(std::any_of(files.begin(), files.end(), [&](const std::string& f) { return f.starts_with(folder); }))
        << pass.name << " has no golden";
  }
  for (const std::string& file : files) {
    const std::vector<std::string> run = passes_of(read_golden(fs::path(ETCH_SOURCE_DIR) / kFolder / file));
    EXPECT_TRUE(std::find(run.begin(), run.end(), file.substr(0, file.find('/'))) != run.end())
        << file << " does not run the pass of its folder";
  }
}

}  // namespace
}  // namespace etch
