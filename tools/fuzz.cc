// One fuzz case: a random graph run in every way.
#include "tools/fuzz.h"

#include <random>

#include "absl/strings/str_cat.h"
#include "compiler/ir/text.h"
#include "etch/options.h"
#include "tools/harness.h"
#include "tools/random_graph.h"

namespace etch {
namespace {

struct Way {
  std::string name;
  CompileOptions options;
  RunOptions run;
};

/// One that is not `target`, if this processor runs any.
Target other_target(const Target& target, uint64_t seed) {
  std::vector<Target> others = targets_that_run();
  std::erase(others, target);
  return others.empty() ? target : others[seed % others.size()];
}

std::vector<Way> ways_of(uint64_t seed, const Target& target) {
  std::mt19937_64 random(seed);
  const CompileOptions base{.target = target, .blocks = fuzz_blocks(seed)};
  // Half the time every iteration is a piece of its own.
  auto split = [&] { return RunOptions{.threads = 2, .grain = random() % 2 ? 1 : 1 + static_cast<int64_t>(random() % 64)}; };
  auto with = [&](bool simplify, bool fuse, bool verify) {
    CompileOptions options = base;
    options.prune_and_simplify = simplify;
    options.fuse = fuse;
    options.verify = verify;
    return options;
  };
  std::vector<Way> ways{
      {"unfused on 1 thread", with(false, false, true), {}},
      {"unfused, split over 2 threads", with(false, false, false), split()},
      {"simplified, unfused", with(true, false, true), {}},
      {"fused on 1 thread", with(true, true, true), {}},
      {"fused, split over 2 threads", with(true, true, false), split()},
      {"fused without simplification, split", with(false, true, false), split()},
      {"fused for another target, split", with(true, true, false), split()},
  };
  ways.back().options.target = other_target(target, seed);
  return ways;
}

}  // namespace

/// Small blocks, so that small tensors have several. Those of reductions decide their bits: all ways share them.
BlockSizes fuzz_blocks(uint64_t seed) {
  std::mt19937_64 random(seed + 1);
  auto pick = [&](uint64_t n) { return static_cast<int32_t>(1 + random() % n); };
  BlockSizes blocks;
  if (pick(4) == 1) return blocks;
  blocks.row = 15 + pick(50);
  blocks.column = 15 + pick(20);
  blocks.panel = 64;
  blocks.tile = pick(20);
  blocks.depth = pick(30);
  blocks.dot_rows = 24 * pick(2);
  blocks.dot_row_bytes = 256 * pick(3);
  return blocks;
}

FuzzCase fuzz_graph(uint64_t seed) {
  // Of two thirds the interpreter is the judge to the bit; the others hold ops that are approximate.
  const bool exact = seed % 3 != 0;
  return {random_graph({.seed = seed,
                        .ops = 4 + static_cast<int>(seed % 25),
                        .exact_only = exact,
                        .whole_inputs = exact && seed % 2 != 0}),
          exact};
}

std::string check_graph(const Graph& graph, uint64_t seed, bool exact, const Target& target) {
  const std::vector<Way> ways = ways_of(seed, target);
  std::mt19937_64 random(seed);
  std::vector<Literal> inputs = random_inputs(graph, exact && seed % 2 ? Draw::whole : Draw::special, random);
  std::vector<Literal> expected;
  for (const Way& way : ways) {
    absl::StatusOr<std::vector<Literal>> outputs = run_compiled(graph, way.options, inputs, way.run);
    if (!outputs.ok()) return absl::StrCat(way.name, ": ", outputs.status().ToString());
    if (expected.empty()) expected = *outputs;
    std::string difference = bit_difference(expected, *outputs);
    if (!difference.empty()) return absl::StrCat(ways[0].name, " against ", way.name, ": ", difference);
  }
  if (ways[0].options.blocks == BlockSizes{}) {
    ScopedFlags flags(absl::StrCat("threads=2,grain=", 1 + seed % 5));
    std::string difference = bit_difference(expected, run_eagerly(graph, inputs));
    if (!difference.empty()) return absl::StrCat(ways[0].name, " against eager: ", difference);
  }
  absl::StatusOr<std::vector<Literal>> oracle = interpret(graph, inputs);
  if (!oracle.ok()) return absl::StrCat("interpreter: ", oracle.status().ToString());
  if (!exact) return "";
  std::string difference = bit_difference(*oracle, expected);
  return difference.empty() ? "" : absl::StrCat("interpreter against ", ways[0].name, ": ", difference);
}

std::string fuzz_case(uint64_t seed, const Target& target) {
  const auto [graph, exact] = fuzz_graph(seed);
  std::string what = check_graph(graph, seed, exact, target);
  if (what.empty()) return "";
  Graph smallest = shrink(graph, [&, is_exact = exact](const Graph& g) { return !check_graph(g, seed, is_exact, target).empty(); });
  return absl::StrCat("seed ", seed, ": ", what, "\nshrunk: ", check_graph(smallest, seed, exact, target), "\n",
                      print(smallest));
}

}  // namespace etch
