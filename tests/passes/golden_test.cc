// Goldens of the passes: each .ir file below this folder says which passes to run, holds a graph and the graph that
// must come out; both must compute the same bits. ETCH_UPDATE_GOLDENS=1 rewrites the expected parts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "compiler/ir/interpreter.h"
#include "compiler/ir/text.h"
#include "compiler/passes/pass.h"

namespace etch {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRun = "// RUN: ";
constexpr std::string_view kSeparator = "// ===\n";
constexpr int kInputSets = 12;

fs::path golden_folder() { return fs::path(ETCH_SOURCE_DIR) / "tests" / "passes"; }

std::vector<std::string> golden_files() {
  std::vector<std::string> files;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(golden_folder())) {
    if (entry.path().extension() == ".ir") files.push_back(fs::relative(entry.path(), golden_folder()).string());
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

struct Golden {
  std::vector<std::string> passes;
  std::string before;  // with the comments on top
  std::string after;
  bool has_after = false;
};

Golden split(const std::string& text) {
  Golden golden;
  const size_t separator = text.find(kSeparator);
  golden.before = text.substr(0, separator);
  golden.has_after = separator != text.npos;
  if (golden.has_after) golden.after = text.substr(separator + kSeparator.size());
  if (!golden.before.starts_with(kRun)) return golden;
  std::istringstream names(golden.before.substr(kRun.size(), golden.before.find('\n') - kRun.size()));
  for (std::string name; std::getline(names, name, ',');) golden.passes.push_back(name);
  return golden;
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
  return std::any_of(graph.nodes().begin(), graph.nodes().end(), [](const Node& node) {
    return is_floating(node.type.dtype) && (node.op == Op::dot || node.op == Op::reduce);
  });
}

template <class T>
T random_element(std::mt19937_64& random, bool only_small) {
  if constexpr (std::is_same_v<T, bool>) {
    return random() & 1;
  } else if constexpr (std::is_floating_point_v<T>) {
    if (only_small) return static_cast<T>(static_cast<int>(random() % 3) - 1);
    using Limits = std::numeric_limits<T>;
    const T specials[] = {0, T(-0.0), 1, -1, Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(),
                          -Limits::quiet_NaN(), Limits::max(), Limits::lowest(), Limits::min(), Limits::denorm_min(),
                          -Limits::denorm_min(), Limits::epsilon(), T(0.5), T(-2.5), T(1e9)};
    if (random() % 2) return specials[random() % std::size(specials)];
    return std::uniform_real_distribution<T>(-10, 10)(random);
  } else {
    using Limits = std::numeric_limits<T>;
    const T specials[] = {0, 1, T(-1), 2, 3, 7, Limits::max(), Limits::min(), T(Limits::max() - 1)};
    if (random() % 2) return specials[random() % std::size(specials)];
    return static_cast<T>(random());
  }
}

Literal random_literal(const Type& type, std::mt19937_64& random, bool only_small) {
  Literal literal{type, std::vector<std::byte>(type.bytes())};
  dispatch(type.dtype, [&]<class T>() {
    for (size_t at = 0; at < literal.bytes.size(); at += sizeof(T)) {
      const T element = random_element<T>(random, only_small);
      std::memcpy(literal.bytes.data() + at, &element, sizeof(T));
    }
  });
  return literal;
}

class Goldens : public testing::TestWithParam<std::string> {
 protected:
  fs::path path_ = golden_folder() / GetParam();
};

TEST_P(Goldens, TextComesOutAsExpected) {
  const Golden golden = split(read(path_));
  ASSERT_FALSE(golden.passes.empty()) << "the file must start with // RUN: pass[,pass]";
  absl::StatusOr<Graph> before = parse(golden.before);
  ASSERT_TRUE(before.ok()) << before.status();
  absl::StatusOr<Graph> after = run(golden.passes, *before);
  ASSERT_TRUE(after.ok()) << after.status();
  if (std::getenv("ETCH_UPDATE_GOLDENS")) {
    std::ofstream(path_, std::ios::binary) << golden.before << kSeparator << print(*after);
    return;
  }
  ASSERT_TRUE(golden.has_after) << "the file has no expected part; ETCH_UPDATE_GOLDENS=1 writes it";
  EXPECT_EQ(print(*after), golden.after);
}

TEST_P(Goldens, BothSidesComputeTheSameBits) {
  const Golden golden = split(read(path_));
  absl::StatusOr<Graph> before = parse(golden.before);
  ASSERT_TRUE(before.ok()) << before.status();
  absl::StatusOr<Graph> after = parse(golden.after);
  ASSERT_TRUE(after.ok()) << after.status();
  const bool only_small = sums_floats(*before);
  std::mt19937_64 random(20261123);
  for (int set = 0; set < kInputSets; ++set) {
    std::vector<Literal> inputs;
    for (Value input : before->inputs()) inputs.push_back(random_literal((*before)[input].type, random, only_small));
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

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param.substr(0, info.param.find(".ir"));
  std::replace_if(name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, Goldens, testing::ValuesIn(golden_files()), test_name);

TEST(GoldenFiles, EveryPassHasSome) {
  for (const Pass& pass : passes()) {
    EXPECT_TRUE(fs::is_directory(golden_folder() / pass.name)) << pass.name;
  }
}

}  // namespace
}  // namespace etch
