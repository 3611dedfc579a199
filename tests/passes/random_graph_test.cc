// Passes on random graphs of exact ops: the interpreter's bits stay, NaNs included, and nothing is left to simplify.
#include <gtest/gtest.h>

#include "compiler/ir/interpreter.h"
#include "compiler/ir/text.h"
#include "compiler/passes/pass.h"
#include "tools/harness.h"
#include "tools/random_graph.h"

namespace etch {
namespace {

constexpr uint64_t kGraphs = 300;

class PassOnRandomGraphs : public testing::TestWithParam<const Pass*> {};

TEST_P(PassOnRandomGraphs, KeepsTheBits) {
  for (uint64_t seed = 1; seed <= kGraphs; ++seed) {
    const Graph before = random_graph({.seed = seed, .ops = 30, .exact_only = true});
    absl::StatusOr<Graph> after = GetParam()->run(before);
    ASSERT_TRUE(after.ok()) << after.status() << "\n" << print(before);
    ASSERT_TRUE(verify(*after).ok()) << print(*after);
    std::mt19937_64 random(seed);
    const std::vector<Literal> inputs = random_inputs(before, Draw::special, random);
    absl::StatusOr<std::vector<Literal>> expected = interpret(before, inputs);
    absl::StatusOr<std::vector<Literal>> actual = interpret(*after, inputs);
    ASSERT_TRUE(expected.ok() && actual.ok());
    ASSERT_TRUE(*actual == *expected) << "seed " << seed << "\n" << print(before) << print(*after);
  }
}

INSTANTIATE_TEST_SUITE_P(All, PassOnRandomGraphs, testing::ValuesIn([] {
                           std::vector<const Pass*> all;
                           for (const Pass& pass : passes()) all.push_back(&pass);
                           return all;
                         }()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST(SimplifyTwice, ChangesNothingTheSecondTime) {
  const Pass& simplify = *find_pass("simplify");
  for (uint64_t seed = 1; seed <= kGraphs; ++seed) {
    const Graph graph = random_graph({.seed = seed, .ops = 30});
    const Graph once = simplify.run(graph).value();
    ASSERT_TRUE(simplify.run(once).value() == once) << "seed " << seed << "\n" << print(once);
  }
}

}  // namespace
}  // namespace etch
