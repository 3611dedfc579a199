// One fuzz case: a random graph run in every way.
#include "tools/fuzz.h"

#include <algorithm>
#include <random>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "compiler/ir/cat.h"
#include "compiler/ir/checked.h"
#include "compiler/ir/text.h"
#include "compiler/passes/pass.h"
#include "etch/options.h"
#include "runtime/check.h"
#include "tools/harness.h"
#include "tools/random_graph.h"
#include "tools/shrink.h"

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

/// Each output would overwrite the first input of its type that is left.
std::vector<int> overwrites_of(const Graph& graph) {
  std::vector<int> overwrites;
  std::vector<bool> taken(graph.inputs().size());
  for (Value output : graph.outputs()) {
    size_t input = 0;
    while (input < taken.size() && (taken[input] || graph.type(graph.inputs()[input]) != graph.type(output))) ++input;
    overwrites.push_back(input < taken.size() ? static_cast<int>(input) : -1);
    if (input < taken.size()) taken[input] = true;
  }
  return overwrites;
}

std::vector<Way> ways_of(const Graph& graph, uint64_t seed, const Target& target) {
  std::mt19937_64 random(seed);
  CompileOptions base{.target = target, .blocks = fuzz_blocks(seed)};
  if (seed % 2 == 0) base.cache_bytes = 0;  // every result goes past the caches
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
      {"fused, block by block, split", with(true, true, false), split()},
      {"fused without simplification, block by block", with(false, true, true), {}},
      {"fused for another target, split", with(true, true, false), split()},
  };
  ways.back().options.target = other_target(target, seed);
  for (Way& way : ways) {
    if (way.name.find("block by block") != std::string::npos) way.options.stripes.rows = 1 + static_cast<int32_t>(seed % 4);
  }
  if (has_regions(graph)) ways.push_back({"fused, each region with kernels of its own", with(true, true, true), {}});
  if (has_regions(graph)) ways.back().options.native_regions = ways.back().options.masked_regions = false;
  for (size_t i = 1; i < ways.size(); ++i) ways[i].options.overwrites = overwrites_of(graph);
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
  const std::vector<Way> ways = ways_of(graph, seed, target);
  std::mt19937_64 random(seed);
  std::vector<Literal> inputs = random_inputs(graph, exact && seed % 2 ? Draw::whole : Draw::special, random);
  absl::StatusOr<std::vector<Literal>> oracle = interpret(graph, inputs);
  if (absl::IsOutOfRange(oracle.status())) return "";  // shrinking may take away what keeps indices in range
  if (!oracle.ok()) return absl::StrCat("interpreter: ", oracle.status().ToString());
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

namespace {

constexpr int64_t kMaxRegionRuns = 5000;

std::string check_text(const Graph& graph) {
  const std::string text = print(graph);
  absl::StatusOr<Graph> read = parse(text);
  if (!read.ok()) return absl::StrCat("its text: ", read.status().ToString());
  if (!(*read == graph)) return "its text reads back to another graph";
  if (print(*read) != text) return "its text changes when it is read and printed again";
  if (absl::HashOf(Region(*read)) != absl::HashOf(Region(graph))) return "equal graphs have different hashes";
  return "";
}

/// What is wrong with `after`, which must compute what is expected.
std::string check_after(const Graph& after, std::span<const Literal> inputs, std::span<const Literal> expected) {
  if (absl::Status status = verify(after); !status.ok()) return status.ToString();
  if (std::string wrong = check_text(after); !wrong.empty()) return wrong;
  absl::StatusOr<std::vector<Literal>> outputs = interpret(after, inputs, {.max_region_runs = kMaxRegionRuns});
  if (!outputs.ok()) return outputs.status().ToString();
  return bit_difference(expected, *outputs);
}

}  // namespace

std::string check_regions(const Graph& graph, uint64_t seed) {
  std::mt19937_64 random(seed);
  const std::vector<Literal> inputs = random_inputs(graph, Draw::special, random);
  if (absl::Status status = verify(graph); !status.ok()) return status.ToString();
  if (std::string wrong = check_text(graph); !wrong.empty()) return wrong;
  absl::StatusOr<std::vector<Literal>> expected = interpret(graph, inputs, {.max_region_runs = kMaxRegionRuns});
  if (absl::IsResourceExhausted(expected.status()) || absl::IsOutOfRange(expected.status())) return "";
  if (!expected.ok()) return expected.status().ToString();
  try {
    Graph all = graph;
    for (const Pass& pass : passes()) {
      for (const Graph* before : {&graph, static_cast<const Graph*>(&all)}) {
        absl::StatusOr<Graph> after = pass.run(*before);
        if (!after.ok()) return cat(pass.name, ": ", after.status().ToString());
        const std::string wrong = check_after(*after, inputs, *expected);
        if (!wrong.empty()) return cat(before == &all ? "passes up to " : "only ", pass.name, ": ", wrong);
        if (before == &all) all = *std::move(after);
      }
    }
    const Pass& prune = *find_pass("prune");
    const Graph once = prune.run(graph).value();
    if (!(prune.run(once).value() == once)) return "prune finds more the second time";
    const std::vector<Way> ways = ways_of(graph, seed, host_target());
    for (size_t i : {size_t{0}, 1 + seed % (ways.size() - 1)}) {  // each compiles all over again
      const Way& way = ways[i];
      absl::StatusOr<std::vector<Literal>> outputs = run_compiled(graph, way.options, inputs, way.run);
      if (!outputs.ok()) return cat(way.name, ": ", outputs.status().ToString());
      const std::string difference = bit_difference(*expected, *outputs);
      if (!difference.empty()) return cat("interpreter against ", way.name, ": ", difference);
    }
  } catch (const InternalError& error) {
    return error.what();
  }
  return "";
}

Graph fuzz_region_graph(uint64_t seed) {
  return random_graph({.seed = seed,
                       .ops = 3 + static_cast<int>(seed % 12),
                       .exact_only = true,
                       .region_depth = 1 + static_cast<int>(seed % 4),
                       .small_values = seed % 3 != 0});
}

std::string fuzz_region_case(uint64_t seed) {
  const Graph graph = fuzz_region_graph(seed);
  const std::string what = check_regions(graph, seed);
  if (what.empty()) return "";
  const Graph smallest = shrink(graph, [&](const Graph& g) { return !check_regions(g, seed).empty(); });
  return absl::StrCat("seed ", seed, ": ", what, "\nshrunk: ", check_regions(smallest, seed), "\n", print(smallest));
}

namespace {

/// What differs between the ways, of which the first one is right; graphs whose loops do not end in time are not judged.
std::string compare_ways(const Graph& graph, uint64_t seed, const std::vector<Way>& ways) {
  std::mt19937_64 random(seed);
  const std::vector<Literal> inputs = random_inputs(graph, Draw::special, random);
  const absl::Status ends = interpret(graph, inputs, {.max_region_runs = kMaxRegionRuns}).status();
  if (absl::IsResourceExhausted(ends) || absl::IsOutOfRange(ends)) return "";
  std::vector<Literal> expected;
  for (const Way& way : ways) {
    absl::StatusOr<std::vector<Literal>> outputs = run_compiled(graph, way.options, inputs, way.run);
    if (!outputs.ok()) return cat(way.name, ": ", outputs.status().ToString());
    if (expected.empty()) expected = *outputs;
    const std::string difference = bit_difference(expected, *outputs);
    if (!difference.empty()) return cat(ways[0].name, " against ", way.name, ": ", difference);
  }
  return "";
}

std::string check_native(const Graph& graph, uint64_t seed) {
  const std::vector<Way> ways{
      {"op by op", {.prune_and_simplify = false, .fuse = false}, {}},
      {"one kernel", {.prune_and_simplify = false, .verify = true}, {}},
      {"one kernel, simplified", {}, {}},
      {"one kernel for another target", {.target = other_target(host_target(), seed)}, {}},
      {"kernels for regions", {.native_regions = false, .masked_regions = false}, {}},
  };
  return compare_ways(graph, seed, ways);
}

std::string check_rows(const Graph& graph, uint64_t seed) {
  const std::vector<Way> ways{
      {"op by op", {.prune_and_simplify = false, .fuse = false}, {}},
      {"lanes", {.prune_and_simplify = false, .verify = true}, {}},
      {"lanes, simplified and split", {}, {.threads = 2, .grain = 1 + static_cast<int64_t>(seed % 20)}},
      {"lanes for another target", {.target = other_target(host_target(), seed)}, {}},
      {"no lanes", {.masked_regions = false}, {}},
  };
  return compare_ways(graph, seed, ways);
}

/// A loop that does in each of so many rows what a node does.
Graph in_each_row(const Graph& from, const Node& node, int64_t num_rows) {
  const Type counter{DType::i64, {}};
  const auto stacked = [&](Value value) {
    Type type = from.type(value);
    type.shape.insert(0, num_rows);
    return type;
  };
  struct Inputs {
    std::vector<Value> carried, rows;
  };
  const auto add_inputs = [&](GraphBuilder& builder) {
    Inputs inputs;
    inputs.carried.push_back(checked(builder.input(counter)));
    for (Value result : results(node)) inputs.carried.push_back(checked(builder.input(stacked(result))));
    for (Value operand : node.operands) inputs.rows.push_back(checked(builder.input(stacked(operand))));
    return inputs;
  };
  const auto emit = [](GraphBuilder& builder, const AnyOp& op, std::vector<Value> operands) {
    return checked(builder.emit(op, operands));
  };

  GraphBuilder test;
  std::vector<Value> handed = add_inputs(test).carried;
  handed.insert(handed.begin(), emit(test, Op::less, {handed[0], checked(test.constant(num_rows, counter))}));

  GraphBuilder body;
  const Inputs in = add_inputs(body);
  std::vector<Value> operands, next{emit(body, Op::add, {in.carried[0], checked(body.constant(1, counter))})};
  for (Value rows : in.rows) operands.push_back(emit(body, op::Gather{0}, {rows, in.carried[0]}));
  const Results made = checked(body.emit_all(node.op, operands, from.result_types(node)));
  for (int r = 0; r < made.size(); ++r) {
    Type row = from.type(Value{node.first_result + r});
    row.shape.insert(0, 1);
    const Value operand[] = {made[r]};
    next.push_back(emit(body, op::UpdateSlice{0},
                        {in.carried[1 + r], checked(body.emit(Op::reshape, operand, row)), in.carried[0]}));
  }

  GraphBuilder outer;
  std::vector<Value> rows;
  for (Value operand : node.operands) rows.push_back(checked(outer.input(stacked(operand))));
  std::vector<Value> given{checked(outer.constant(0, counter))};
  for (Value result : results(node)) given.push_back(checked(outer.constant(0, stacked(result))));
  given.insert(given.end(), rows.begin(), rows.end());
  const op::WhileLoop loop{Region(std::move(test).finish(handed)), Region(std::move(body).finish(next))};
  const Results stacks = checked(outer.emit_all(loop, given, {}));
  std::vector<Value> outputs;
  for (int r = 1; r < stacks.size(); ++r) outputs.push_back(stacks[r]);
  return std::move(outer).finish(outputs);
}

}  // namespace

std::string fuzz_native_case(uint64_t seed) {
  const Graph graph = random_graph({.seed = seed,
                                    .ops = 3 + static_cast<int>(seed % 12),
                                    .region_depth = 1 + static_cast<int>(seed % 3),
                                    .small_values = true});
  const std::string what = check_native(graph, seed);
  if (what.empty()) return "";
  const Graph smallest = shrink(graph, [&](const Graph& g) { return !check_native(g, seed).empty(); });
  return cat("seed ", seed, ": ", what, "\nshrunk: ", check_native(smallest, seed), "\n", print(smallest));
}

std::optional<Graph> fuzz_rows_graph(uint64_t seed) {
  const Graph graph = random_graph({.seed = seed,
                                    .ops = 3 + static_cast<int>(seed % 12),
                                    .region_depth = 1 + static_cast<int>(seed % 3),
                                    .small_values = true});
  const auto has_room = [&](Value value) { return graph.type(value).shape.rank() < kMaxRank; };  // for the axis of the rows
  for (const Node& node : graph.nodes()) {
    if (place(node.op) != Place::region) continue;
    bool fits = std::ranges::all_of(node.operands, has_room);
    for (Value result : results(node)) fits &= has_room(result);
    if (fits) return in_each_row(graph, node, 17 + static_cast<int64_t>(seed % 50));
  }
  return std::nullopt;
}

std::string fuzz_rows_case(uint64_t seed) {
  const std::optional<Graph> graph = fuzz_rows_graph(seed);
  if (!graph) return "";
  const std::string what = check_rows(*graph, seed);
  if (what.empty()) return "";
  const Graph smallest = shrink(*graph, [&](const Graph& g) { return !check_rows(g, seed).empty(); });
  return cat("seed ", seed, ": ", what, "\nshrunk: ", check_rows(smallest, seed), "\n", print(smallest));
}

}  // namespace etch
