// One fuzz case: a random graph run in every way.
#include "tools/fuzz.h"

#include <random>

#include "absl/strings/str_cat.h"
#include "compiler/ir/text.h"
#include "tools/harness.h"
#include "tools/random_graph.h"

namespace etch {
namespace {

struct Way {
  const char* name;
  CompileOptions options;
  int threads;
};

}  // namespace

std::string check_graph(const Graph& graph, uint64_t seed, bool exact) {
  const Way ways[] = {
      {"unfused on 1 thread", {.prune_and_simplify = false, .fuse = false, .verify = true}, 1},
      {"unfused on 2 threads", {.prune_and_simplify = false, .fuse = false}, 2},
      {"simplified, unfused", {.fuse = false, .verify = true}, 1},
      {"fused on 1 thread", {.verify = true}, 1},
      {"fused on 2 threads", {}, 2},
      {"fused without simplification", {.prune_and_simplify = false}, 1},
  };
  std::mt19937_64 random(seed);
  std::vector<Literal> inputs = random_inputs(graph, exact && seed % 2 ? Draw::whole : Draw::special, random);
  std::vector<Literal> expected;
  for (const Way& way : ways) {
    absl::StatusOr<std::vector<Literal>> outputs = run_compiled(graph, way.options, inputs, {.threads = way.threads});
    if (!outputs.ok()) return absl::StrCat(way.name, ": ", outputs.status().ToString());
    if (expected.empty()) expected = *outputs;
    std::string difference = bit_difference(expected, *outputs);
    if (!difference.empty()) return absl::StrCat(ways[0].name, " against ", way.name, ": ", difference);
  }
  std::string eager_difference = bit_difference(expected, run_eagerly(graph, inputs));
  if (!eager_difference.empty()) return absl::StrCat(ways[0].name, " against eager: ", eager_difference);
  absl::StatusOr<std::vector<Literal>> oracle = interpret(graph, inputs);
  if (!oracle.ok()) return absl::StrCat("interpreter: ", oracle.status().ToString());
  if (!exact) return "";
  std::string difference = bit_difference(*oracle, expected);
  return difference.empty() ? "" : absl::StrCat("interpreter against ", ways[0].name, ": ", difference);
}

std::string fuzz_case(uint64_t seed) {
  bool exact = seed % 3 == 0;
  Graph graph = random_graph({.seed = seed, .ops = 4 + static_cast<int>(seed % 25), .exact_only = exact});
  std::string what = check_graph(graph, seed, exact);
  if (what.empty()) return "";
  Graph smallest = shrink(graph, [&](const Graph& g) { return !check_graph(g, seed, exact).empty(); });
  return absl::StrCat("seed ", seed, ": ", what, "\nshrunk: ", check_graph(smallest, seed, exact), "\n",
                      print(smallest));
}

}  // namespace etch
