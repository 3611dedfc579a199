// Random graphs with fixed seeds: every way of running a graph gives the same bits. tools/etch_fuzz.cc runs for longer.
#include <gtest/gtest.h>

#include "compiler/ir/text.h"
#include "compiler/passes/pass.h"
#include "tools/fuzz.h"
#include "tools/random_graph.h"

namespace etch {
namespace {

constexpr uint64_t kCases = 250;

TEST(Fuzz, EveryWayOfRunningARandomGraphGivesTheSameBits) {
  for (uint64_t seed = 1; seed <= kCases; ++seed) EXPECT_EQ(fuzz_case(seed), "");
}

TEST(Fuzz, RandomGraphsAreTheSameForTheSameSeed) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    EXPECT_EQ(print(random_graph({.seed = seed})), print(random_graph({.seed = seed})));
  }
}

TEST(Fuzz, ShrinkingKeepsOnlyWhatFails) {
  // 'Fails' where an output needs a tanh: what is left is one tanh of one input.
  auto has_tanh = [](const Graph& graph) {
    const Graph needed = *find_pass("prune")->run(graph);
    for (const Node& node : needed.nodes()) {
      if (node.op == Op::tanh) return true;
    }
    return false;
  };
  int found = 0;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    Graph graph = random_graph({.seed = seed, .ops = 20});
    if (!has_tanh(graph)) continue;
    ++found;
    Graph smallest = shrink(graph, has_tanh);
    EXPECT_EQ(smallest.size(), 2) << print(smallest);
  }
  EXPECT_GT(found, 5);
}

}  // namespace
}  // namespace etch
