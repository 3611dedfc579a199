// Random graphs with fixed seeds: every way of running a graph gives the same bits. tools/etch_fuzz.cc runs for longer.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>

#include "compiler/compile.h"
#include "compiler/ir/text.h"
#include "compiler/passes/pass.h"
#include "compiler/schedule/schedule.h"
#include "runtime/parallel.h"
#include "tools/fuzz.h"
#include "tools/random_graph.h"
#include "tools/shrink.h"

namespace etch {
namespace {

constexpr uint64_t kCases = 1000;

std::string kind_of(const KernelProgram& program) {
  if (program.has(Role::results)) return "blocks' results";
  return std::string(name(program.kind())) + (program.has(Role::block) ? " in blocks" : "");
}

TEST(Fuzz, EveryWayOfRunningARandomGraphGivesTheSameBits) {
  const int64_t splits = num_split_loops();
  for (uint64_t seed = 1; seed <= kCases; ++seed) EXPECT_EQ(fuzz_case(seed), "");
  EXPECT_GT(num_split_loops() - splits, static_cast<int64_t>(10 * kCases)) << "'split over two threads' did not split";
}

TEST(Fuzz, EveryOpStandsInGraphs) {
  std::map<Op, int> count;
  const auto count_ops = [&](const Graph& graph) {
    for (const Node& node : graph.nodes()) ++count[node.op];
  };
  for (uint64_t seed = 1; seed <= kCases; ++seed) {
    count_ops(fuzz_graph(seed).graph);
    count_ops(random_graph({.seed = seed, .ops = 12, .region_depth = 1}));
  }
  for (int i = 0; i < kNumOps; ++i) {
    EXPECT_GT(count[static_cast<Op>(i)], 0) << name(static_cast<Op>(i)) << " is not drawn by tools/random_graph.cc";
  }
}

TEST(Fuzz, LaunchesOfAKindAreSplit) {
  // Pieces are one iteration long at least half the time, so a launch of several iterations is split.
  std::map<std::string, int> several;
  int bitcasts = 0, long_products = 0, deep = 0, panels = 0, tiles = 0, exact = 0;
  for (uint64_t seed = 1; seed <= kCases; ++seed) {
    const FuzzCase fuzz = fuzz_graph(seed);
    exact += fuzz.exact;
    for (const Node& node : fuzz.graph.nodes()) bitcasts += node.op == Op::bitcast;
    const Graph lowered = find_pass("lower_reductions")->run(fuzz.graph).value();
    const BlockSizes blocks = fuzz_blocks(seed);
    const Schedule schedule = make_schedule(lowered, {.blocks = blocks}).value();
    for (const ScheduledKernel& kernel : schedule.kernels) {
      if (kernel.call) {
        if (kernel.iterations > 1) several["library call"] += 1;
        continue;
      }
      const KernelProgram& program = kernel.program;
      const int64_t last = kernel.sizes[program.rank() - 1];
      if (kernel.iterations > 1) several[kind_of(program)] += 1;
      deep += program.rank() > 9;
      long_products += program.kind() == KernelKind::dot && last > 256;
      panels += program.kind() == KernelKind::column && last > blocks.panel;
      tiles += program.kind() == KernelKind::loop && last > blocks.tile;
    }
  }
  for (const char* kind : {"loop", "row", "column", "dot", "row in blocks", "column in blocks", "blocks' results",
                           "library call"}) {
    EXPECT_GT(several[kind], 3) << kind;
  }
  EXPECT_GT(bitcasts, 10);
  EXPECT_GT(long_products, 3);
  EXPECT_GT(deep, 0) << "no domain of more than 9 axes";
  EXPECT_GT(panels, 10);
  EXPECT_GT(tiles, 10);
  EXPECT_GT(exact, static_cast<int>(kCases / 2));
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
  for (uint64_t seed = 1; seed <= 800; ++seed) {
    Graph graph = random_graph({.seed = seed, .ops = 20});
    if (!has_tanh(graph)) continue;
    ++found;
    Graph smallest = shrink(graph, has_tanh);
    EXPECT_EQ(smallest.nodes().size(), 2u) << print(smallest);
  }
  EXPECT_GT(found, 5);
}

constexpr uint64_t kRegionCases = 500;  // each compiles twice

TEST(Fuzz, GraphsWithRegionsAreTheSameInTextPassesInterpreterAndCode) {
  for (uint64_t seed = 1; seed <= kRegionCases; ++seed) EXPECT_EQ(fuzz_region_case(seed), "");
}

/// How many ops with this place there are, in the regions of a graph too.
int count_regions(const Graph& graph, int depth, std::map<int, int>& by_depth) {
  int count = 0;
  for (const Node& node : graph.nodes()) {
    if (place(node.op) != Place::region) continue;
    ++by_depth[depth];
    ++count;
    for (const NamedRegion& region : regions_of(node.op)) {
      count += count_regions(region.region.graph(), depth + 1, by_depth);
    }
  }
  return count;
}

TEST(Fuzz, ControlFlowInOneKernelGivesTheSameBits) {
  for (uint64_t seed = 1; seed <= 120; ++seed) EXPECT_EQ(fuzz_native_case(seed), "");
}

TEST(Fuzz, RowsInLanesGiveTheSameBits) {
  int masked = 0;
  for (uint64_t seed = 1; seed <= 120; ++seed) {
    EXPECT_EQ(fuzz_rows_case(seed), "");
    const std::optional<Graph> graph = fuzz_rows_graph(seed);
    if (!graph) continue;
    const Schedule schedule = make_schedule(*run_passes(*graph, pass_options({}), {}), {}).value();
    for (const ScheduledKernel& kernel : schedule.kernels) {
      masked += !kernel.is_opaque() && kernel.program.kind() == KernelKind::masked;
    }
  }
  EXPECT_GT(masked, 40);
}

TEST(Fuzz, ManyRegionsAreOneKernel) {
  int native = 0, others = 0, loops = 0;
  for (uint64_t seed = 1; seed <= kRegionCases; ++seed) {
    const Graph graph = run_passes(fuzz_region_graph(seed), pass_options({}), {}).value();
    const Schedule schedule = make_schedule(graph, {}).value();
    for (const ScheduledKernel& kernel : schedule.kernels) {
      others += kernel.flow != nullptr;
      if (kernel.is_opaque() || kernel.program.kind() != KernelKind::scalar) continue;
      ++native;
      for (const Instr& instr : kernel.program.body) loops += instr.kind == InstrKind::loop;
    }
  }
  EXPECT_GT(native, 100);
  EXPECT_GT(loops, 80);
  EXPECT_GT(others, 20);
}

TEST(Fuzz, RegionsNest) {
  std::map<int, int> by_depth;
  int conds = 0, loops = 0;
  for (uint64_t seed = 1; seed <= 1500; ++seed) {
    const Graph graph = fuzz_region_graph(seed);
    count_regions(graph, 1, by_depth);
    for (const Node& node : graph.nodes()) {
      conds += node.op == Op::cond;
      loops += node.op == Op::while_loop;
    }
  }
  EXPECT_GT(conds, 200);
  EXPECT_GT(loops, 200);
  EXPECT_GT(by_depth[2], 100);
  EXPECT_GT(by_depth[3], 20);
}

TEST(Fuzz, ShrinkingLooksIntoRegions) {
  // 'Fails' where an output needs a tanh, in whatever region: what is left is one tanh of one input.
  std::function<bool(const Graph&)> holds_tanh = [&](const Graph& graph) {
    for (const Node& node : graph.nodes()) {
      if (node.op == Op::tanh) return true;
      for (const NamedRegion& region : regions_of(node.op)) {
        if (holds_tanh(region.region.graph())) return true;
      }
    }
    return false;
  };
  const auto has_tanh = [&](const Graph& graph) { return holds_tanh(find_pass("prune")->run(graph).value()); };
  int found = 0;
  for (uint64_t seed = 1; seed <= 800; ++seed) {
    const Graph graph = random_graph({.seed = seed, .ops = 12, .region_depth = 3});
    if (!has_tanh(graph)) continue;
    ++found;
    const Graph smallest = shrink(graph, has_tanh);
    EXPECT_EQ(smallest.nodes().size(), 2u) << print(smallest);
  }
  EXPECT_GT(found, 3);
}

}  // namespace
}  // namespace etch
