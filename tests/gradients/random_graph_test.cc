// The gradients of random graphs are sound graphs of the right types, and fused code computes the bits of unfused code.
#include <gtest/gtest.h>

#include "compiler/ir/text.h"
#include "tools/harness.h"
#include "tools/random_graph.h"

namespace etch {
namespace {

TEST(RandomGraphs, HaveSoundGradients) {
  int num_gradients = 0;
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    const Graph graph = random_graph({.seed = seed, .ops = 20, .region_depth = static_cast<int>(seed % 2)});
    const GradientGraph gradient = differentiate_all(graph);
    ASSERT_TRUE(verify(gradient.graph).ok()) << "seed " << seed << "\n" << print(graph) << print(gradient.graph);
    for (size_t i = 0; i < gradient.outputs.size(); ++i) {
      if (!gradient.outputs[i]) {
        EXPECT_FALSE(why_no_gradient(graph, float_outputs(graph), graph.inputs()[i]).empty());
        continue;
      }
      ++num_gradients;
      const Value output = gradient.graph.outputs()[*gradient.outputs[i]];
      EXPECT_EQ(gradient.graph.type(output), graph.type(graph.inputs()[i])) << "seed " << seed;
    }
    const GradientGraph forward = differentiate_forward(graph, float_outputs(graph), graph.inputs());
    ASSERT_TRUE(verify(forward.graph).ok()) << "seed " << seed;
  }
  EXPECT_GT(num_gradients, 400);
}

TEST(RandomGraphs, HaveGradientsThatFuseToTheSameBits) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    const Graph graph = random_graph({.seed = seed, .ops = 10});
    const Graph gradient = differentiate_all(graph).graph;
    if (gradient.outputs().empty()) continue;
    std::mt19937_64 random(seed);
    const std::vector<Literal> inputs = random_inputs(gradient, Draw::special, random);
    const auto unfused = run_compiled(gradient, {.fuse = false, .verify = true}, inputs, {.threads = 1});
    ASSERT_TRUE(unfused.ok()) << unfused.status() << "\n" << print(gradient);
    const auto fused = run_compiled(gradient, {.verify = true}, inputs, {.threads = 2, .grain = 1});
    ASSERT_TRUE(fused.ok()) << fused.status() << "\n" << print(gradient);
    EXPECT_EQ(bit_difference(*fused, *unfused), "") << "seed " << seed << "\n" << print(gradient);
  }
}

}  // namespace
}  // namespace etch
