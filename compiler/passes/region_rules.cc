// Rules of simplify for ops with regions. Each says what becomes of the channels, or makes other nodes in the op's place.
#include "compiler/passes/region_rules.h"

#include <algorithm>
#include <map>
#include <optional>

#include "compiler/ir/ex.h"
#include "compiler/passes/region_edit.h"

namespace etch {
namespace {

using Kind = Fate::Kind;

/// An op's regions and channels, and the ways between them.
struct Ways {
  explicit Ways(const Node& node)
      : regions(regions_of(node.op)), channels(channels_of(node.op, static_cast<int>(node.operands.size()))),
        of_input(channels_of_inputs(regions, channels)) {}

  const Graph& graph(int region) const { return regions[region].region.graph(); }
  Value output(Port port) const { return graph(port.region).outputs()[port.index]; }
  /// The channel that brings a value of a region in, or -1 if the region computes it.
  int source(int region, Value value) const {
    const Graph& inside = graph(region);
    if (place(inside.node(value).op) != Place::input) return -1;
    return of_input[region][std::ranges::find(inside.inputs(), value) - inside.inputs().begin()];
  }

  const std::vector<NamedRegion> regions;
  const std::vector<Channel> channels;
  const std::vector<std::vector<int>> of_input;
};

// ---- What all sources of a channel agree on

/// What a channel carries for certain, as far as it was looked at. Where that is its own, it stays.
using Known = std::optional<Fate>;

/// Both at once: nothing agrees with everything.
Known meet(const Known& a, const Known& b) {
  if (!a || !b) return a ? a : b;
  return *a == *b ? a : Fate{};
}

Known known_operand(const RegionExpr& expr, Value operand) {
  const std::optional<uint64_t> bits = splat_bits(expr.builder.node(operand).op);
  return bits ? Fate{.kind = Kind::number, .bits = *bits} : Fate{.kind = Kind::outside, .outside = operand};
}

Known known_output(const Ways& ways, Port port, const std::vector<Known>& known) {
  const Value value = ways.output(port);
  if (const int source = ways.source(port.region, value); source >= 0) return known[source];
  const std::optional<uint64_t> bits = splat_bits(ways.graph(port.region).node(value).op);
  return bits ? Fate{.kind = Kind::number, .bits = *bits} : Fate{};
}

/// x carried but unchanged, or handed through both arms: x stands outside; a constant stands wherever it is used.
std::optional<RegionEdit> channels_that_are_known(const RegionExpr& expr, const Ways& ways) {
  std::vector<Known> known(ways.channels.size());
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t c = 0; c < known.size(); ++c) {
      Known now;
      const Channel& channel = ways.channels[c];
      if (channel.operand >= 0) now = known_operand(expr, expr.operands[channel.operand]);
      for (Port output : channel.outputs) now = meet(now, known_output(ways, output, known));
      changed |= now != known[c];
      known[c] = now;
    }
  }
  RegionEdit edit(expr.node);
  bool is_better = false;
  std::vector<Value> brought;
  for (size_t c = 0; c < known.size(); ++c) {
    const Channel& channel = ways.channels[c];
    if (channel.decides || !known[c] || known[c]->kind == Kind::stays) continue;
    const bool is_first = is_invariant(channel) && known[c]->kind == Kind::outside &&
                          std::ranges::find(brought, known[c]->outside) == brought.end();
    if (is_first) {
      brought.push_back(known[c]->outside);
      continue;
    }
    edit.fates[c] = *known[c];
    is_better = true;
  }
  if (!is_better) return std::nullopt;
  return edit;
}

// ---- Channels that carry the same

/// The outputs of a region, where the inputs of one class are one value.
std::vector<Value> merged_outputs(const Ways& ways, int region, const std::vector<int>& class_of, GraphBuilder& builder) {
  const Graph& graph = ways.graph(region);
  std::map<int, Value> input_of_class;
  std::vector<Value> inputs;
  for (size_t i = 0; i < graph.inputs().size(); ++i) {
    const auto [found, is_new] = input_of_class.try_emplace(class_of[ways.of_input[region][i]]);
    if (is_new) found->second = builder.input(graph.type(graph.inputs()[i])).value();
    inputs.push_back(found->second);
  }
  absl::StatusOr<std::vector<Value>> made = inline_graph(builder, graph, graph.outputs(), inputs);
  return made.ok() ? *std::move(made) : std::vector<Value>();
}

/// True if two channels begin with one operand, or a region gives one value twice: else no two carry the same.
bool may_carry_the_same(const RegionExpr& expr, const Ways& ways) {
  std::vector<Value> begun;
  for (const Channel& channel : ways.channels) {
    if (channel.operand < 0 || channel.decides) continue;
    const Value operand = expr.operands[channel.operand];
    if (std::ranges::find(begun, operand) != begun.end()) return true;
    begun.push_back(operand);
  }
  return std::ranges::any_of(ways.regions, [](const NamedRegion& region) {
    const std::span<const Value> outputs = region.region.graph().outputs();
    return std::ranges::any_of(outputs, [&](const Value& output) {
      return std::find(outputs.data(), &output, output) != &output;
    });
  });
}

/// x and y begin alike and change alike: y is x. Classes of channels begin as large as operands allow, and are taken apart
/// until what the regions give agrees with them.
std::optional<RegionEdit> channels_that_are_equal(const RegionExpr& expr, const Ways& ways) {
  if (!may_carry_the_same(expr, ways)) return std::nullopt;
  const auto count = static_cast<int>(ways.channels.size());
  const auto type_of = [&](const Channel& channel) {
    return channel.operand >= 0 ? expr.builder.type(expr.operands[channel.operand])
                                : ways.graph(channel.outputs[0].region).type(ways.output(channel.outputs[0]));
  };
  // What tells the channels of a class from those of others: the operand, the class before, what each region gives.
  using Mark = std::vector<int>;
  std::vector<int> class_of(count);
  const auto split = [&](auto mark_of) {
    std::map<Mark, int> first;
    std::vector<int> next(count);
    for (int c = 0; c < count; ++c) next[c] = first.try_emplace(mark_of(c), c).first->second;
    return std::exchange(class_of, next) != class_of;
  };
  std::vector<Type> types;
  split([&](int c) {
    const Channel& channel = ways.channels[c];
    const Type type = type_of(channel);
    const auto known = std::ranges::find(types, type);
    const auto number = static_cast<int>(known - types.begin());
    if (known == types.end()) types.push_back(type);
    Mark mark{number, channel.operand >= 0 ? expr.operands[channel.operand].id : -1, channel.decides ? c : -1,
              channel.result >= 0};
    for (Port port : channel.inputs) mark.push_back(port.region);
    for (Port port : channel.outputs) mark.push_back(-2 - port.region);
    return mark;
  });
  bool is_split = true;
  while (is_split) {
    bool is_fine = false;
    for (int c = 0; c < count; ++c) is_fine |= class_of[c] != c;
    if (!is_fine) return std::nullopt;
    std::vector<std::vector<Value>> outputs;
    for (int r = 0; r < static_cast<int>(ways.regions.size()); ++r) {
      GraphBuilder builder;
      outputs.push_back(merged_outputs(ways, r, class_of, builder));
      if (outputs.back().size() != ways.graph(r).outputs().size()) return std::nullopt;
    }
    is_split = split([&](int c) {
      Mark mark{class_of[c]};
      for (Port port : ways.channels[c].outputs) mark.push_back(outputs[port.region][port.index].id);
      return mark;
    });
  }
  RegionEdit edit(expr.node);
  for (int c = 0; c < count; ++c) {
    if (class_of[c] != c) edit.fates[c] = {.kind = Kind::same, .channel = class_of[c]};
  }
  return edit;
}

// ---- Both arms at once

constexpr int64_t kMostWorkOfArms = 1024;

/// What computing a region anyway costs, in additions; nothing if it cannot be computed so.
std::optional<int64_t> work_in_any_case(const Graph& graph, std::span<const Value> wanted) {
  const std::vector<bool> needed = needed_nodes(graph, wanted);
  int64_t work = 0, per_element = 0;
  for (size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    const Place kind = place(node.op);
    if (!needed[i] || kind == Place::input || kind == Place::splat) continue;
    if (kind != Place::elementwise && kind != Place::view && kind != Place::movement) return std::nullopt;
    per_element += cost_of(node.op);
    work += std::max(1, cost_of(node.op)) * graph.type(node.result()).size();
  }
  constexpr int64_t kMostPerElement = 12;
  return work <= kMostWorkOfArms && per_element <= kMostPerElement ? std::optional(work) : std::nullopt;
}

/// Which region runs where a predicate is true, and where it is false; nothing for loops.
std::optional<std::pair<int, int>> arms_of(const Node& node, const Ways& ways) {
  std::vector<std::optional<uint64_t>> constants(node.operands.size());
  for (const Channel& channel : ways.channels) {
    if (!channel.decides || channel.operand < 0) continue;
    constants[channel.operand] = 1;
    const std::optional<Taken> yes = taken_region(node.op, constants);
    constants[channel.operand] = 0;
    const std::optional<Taken> no = taken_region(node.op, constants);
    if (yes && no) return std::pair(yes->region, no->region);
  }
  return std::nullopt;
}

/// The operand that says which arm runs.
int predicate_of(const Ways& ways) {
  for (const Channel& channel : ways.channels) {
    if (channel.decides) return channel.operand;
  }
  return -1;
}

/// The values that a region takes of an op on these operands.
std::vector<Value> inputs_of(const Ways& ways, int region, std::span<const Value> operands) {
  std::vector<Value> inputs;
  for (int c : ways.of_input[region]) inputs.push_back(operands[ways.channels[c].operand]);
  return inputs;
}

/// Arms that are cheap and without effect: both are computed, and where() takes the results of one.
absl::StatusOr<Replacement> arms_that_are_cheap(const RegionExpr& expr, const Ways& ways) {
  const std::optional<std::pair<int, int>> arms = arms_of(expr.node, ways);
  if (!arms) return Replacement();
  int64_t work = 0;
  for (int arm : {arms->first, arms->second}) {
    const Graph& graph = ways.graph(arm);
    const std::optional<int64_t> own = work_in_any_case(graph, graph.outputs());
    if (!own) return Replacement();
    work += *own;
    for (Value output : graph.outputs()) {
      const Type& type = graph.type(output);
      if (!computes_itself(type.dtype)) return Replacement();
      work += type.size();
    }
  }
  if (work > kMostWorkOfArms) return Replacement();
  std::vector<std::vector<Value>> made(ways.regions.size());
  for (int arm : {arms->first, arms->second}) {
    absl::StatusOr<std::vector<Value>> outputs =
        inline_graph(expr.builder, ways.graph(arm), ways.graph(arm).outputs(), inputs_of(ways, arm, expr.operands), expr.node.origin,
                     expr.improve_node);
    if (!outputs.ok()) return outputs.status();
    made[arm] = *std::move(outputs);
  }
  const Value predicate = expr.operands[predicate_of(ways)];
  std::vector<Value> chosen(expr.node.num_results);
  for (const Channel& channel : ways.channels) {
    if (channel.result < 0) continue;
    Value operands[] = {predicate, {}, {}};
    for (Port port : channel.outputs) {
      if (port.region == arms->first) operands[1] = made[port.region][port.index];
      if (port.region == arms->second) operands[2] = made[port.region][port.index];
    }
    absl::StatusOr<Value> where = expr.builder.emit(Op::where, operands, expr.node.origin);
    if (!where.ok()) return where.status();
    chosen[channel.result] = *where;
  }
  Replacement replacement;
  for (Value value : chosen) replacement.add(value);
  return replacement;
}

// ---- A choice in an arm of a choice

/// The output of a region that becomes result i.
Value output_of(const Ways& ways, int region, int result) {
  for (const Channel& channel : ways.channels) {
    if (channel.result != result) continue;
    for (Port port : channel.outputs) {
      if (port.region == region) return ways.output(port);
    }
  }
  return {};
}

/// A choice, and one of the same results in one of its arms.
struct Nested {
  const RegionExpr& expr;
  const Ways& outer;
  int arm;             // the region in which the inner one stands
  int other;           // and the other one
  const Node& inner;
  const Ways ways;     // of the inner one

  const Graph& graph() const { return outer.graph(arm); }

  /// The results that the outer choice gives where a region of the inner one, or else its own other arm, runs: made in
  /// the builder, with values for the operands of the outer one. Nothing if that fails.
  std::vector<Value> results(GraphBuilder& builder, std::span<const Value> operands, std::optional<int> region) const {
    if (!region) {
      std::vector<Value> wanted;
      for (int i = 0; i < expr.node.num_results; ++i) wanted.push_back(output_of(outer, other, i));
      return made(builder, outer.graph(other), wanted, inputs_of(outer, other, operands));
    }
    const std::vector<Value> given = made(builder, graph(), inner.operands, inputs_of(outer, arm, operands));
    if (given.empty()) return {};
    std::vector<Value> wanted;
    for (int i = 0; i < expr.node.num_results; ++i) wanted.push_back(output_of(ways, *region, inner_result(i)));
    return made(builder, ways.graph(*region), wanted, inputs_of(ways, *region, given));
  }

  /// Which of the inner results the outer one hands on as its i-th.
  int inner_result(int i) const { return output_of(outer, arm, i).id - inner.result().id; }

 private:
  static std::vector<Value> made(GraphBuilder& builder, const Graph& graph, std::span<const Value> wanted,
                                 const std::vector<Value>& inputs) {
    absl::StatusOr<std::vector<Value>> values = inline_graph(builder, graph, wanted, inputs);
    return values.ok() ? *std::move(values) : std::vector<Value>();
  }
};

/// The choice in an arm that gives all that the outer one does, if what it takes is cheap.
const Node* choice_in(const RegionExpr& expr, const Ways& ways, int arm) {
  const Graph& graph = ways.graph(arm);
  const Node* inner = nullptr;
  for (Value output : graph.outputs()) {
    const Node& node = graph.node(output);
    if (place(node.op) != Place::region || (inner != nullptr && inner != &node)) return nullptr;
    inner = &node;
  }
  const bool is_all = inner != nullptr && static_cast<int>(graph.outputs().size()) >= expr.node.num_results;
  return is_all && work_in_any_case(graph, inner->operands) ? inner : nullptr;
}

bool is_truth(const Type& type) { return type.dtype == DType::boolean && type.shape.rank() == 0; }

/// One choice in place of two: the inner one, where its first arm, or else its second, is also the outer one's other arm.
absl::StatusOr<Replacement> both_choices(const RegionExpr& expr, const Nested& nested, bool is_then, bool is_first) {
  absl::StatusOr<std::vector<Value>> operands =
      inline_graph(expr.builder, nested.graph(), nested.inner.operands, inputs_of(nested.outer, nested.arm, expr.operands),
                   expr.node.origin, expr.improve_node);
  if (!operands.ok()) return operands.status();
  Value outer = expr.operands[predicate_of(nested.outer)];
  Value& inner = (*operands)[predicate_of(nested.ways)];
  if (!is_truth(expr.builder.type(outer)) || !is_truth(expr.builder.type(inner))) return Replacement();
  if (is_then == is_first) {
    const absl::StatusOr<Value> negated = expr.builder.emit(Op::logical_not, {{outer}}, expr.node.origin);
    if (!negated.ok()) return negated.status();
    outer = *negated;
  }
  const Value both[] = {outer, inner};
  const absl::StatusOr<Value> predicate =
      expr.builder.emit(is_first ? Op::logical_or : Op::logical_and, both, expr.node.origin);
  if (!predicate.ok()) return predicate.status();
  inner = *predicate;
  absl::StatusOr<Results> made = expr.builder.emit_all(nested.inner.op, *operands, {}, expr.node.origin);
  if (!made.ok()) return made.status();
  Replacement replacement;
  for (int i = 0; i < expr.node.num_results; ++i) replacement.add((*made)[nested.inner_result(i)]);
  return replacement;
}

/// `a ? (b ? x : y) : y` is `a && b ? x : y`, and likewise for the other three places of the equal arm, where b is cheap.
absl::StatusOr<Replacement> choices_with_an_equal_arm(const RegionExpr& expr, const Ways& ways) {
  const std::optional<std::pair<int, int>> arms = arms_of(expr.node, ways);
  if (!arms || expr.node.num_results == 0) return Replacement();
  for (const bool is_then : {true, false}) {
    const int arm = is_then ? arms->first : arms->second, other = is_then ? arms->second : arms->first;
    const Node* inner = choice_in(expr, ways, arm);
    if (inner == nullptr) continue;
    const Nested nested{expr, ways, arm, other, *inner, Ways(*inner)};
    const std::optional<std::pair<int, int>> inner_arms = arms_of(*inner, nested.ways);
    if (!inner_arms) continue;
    GraphBuilder scratch;
    std::map<Value, Value, decltype([](Value a, Value b) { return a.id < b.id; })> known;
    std::vector<Value> operands;
    for (Value operand : expr.operands) {
      const auto [found, is_new] = known.try_emplace(operand);
      if (is_new) found->second = scratch.input(expr.builder.type(operand)).value();
      operands.push_back(found->second);
    }
    const std::vector<Value> wanted = nested.results(scratch, operands, std::nullopt);
    const bool is_first = !wanted.empty() && nested.results(scratch, operands, inner_arms->first) == wanted;
    const bool is_second = !wanted.empty() && nested.results(scratch, operands, inner_arms->second) == wanted;
    if (!is_first && !is_second) continue;
    return both_choices(expr, nested, is_then, is_first);
  }
  return Replacement();
}

// ---- Short loops

constexpr int kMostTurns = 8;
constexpr int64_t kMostUnrolledNodes = 64;

/// Runs through a loop by making the nodes of its turns outside of it.
class Unroller {
 public:
  Unroller(const RegionExpr& expr, const Ways& ways) : expr_(expr), ways_(ways), now_(ways.channels.size()) {
    for (size_t c = 0; c < now_.size(); ++c) {
      const Channel& channel = ways.channels[c];
      if (channel.operand >= 0) now_[c] = expr.operands[channel.operand];
      if (channel.decides && channel.operand < 0) test_ = channel.outputs[0];
    }
    body_ = 1 - test_.region;
  }

  bool is_loop() const { return test_.region >= 0 && ways_.regions.size() == 2; }

  /// How many turns it takes, if constants alone say so, and few.
  std::optional<int> count() {
    const std::vector<Value> start = now_;
    const std::vector<bool> counts = deciding_channels();
    for (size_t c = 0; c < counts.size(); ++c) {
      const bool is_known = now_[c].id < 0 || splat_bits(expr_.builder.node(now_[c]).op);
      if (counts[c] && !is_known) return std::nullopt;
    }
    std::optional<int> turns;
    for (int turn = 0; turn <= kMostTurns; ++turn) {
      const std::optional<bool> goes_on = step(counts);
      if (goes_on == false) turns = turn;
      if (goes_on != true) break;
    }
    now_ = start;
    return turns;
  }

  /// The results after so many turns.
  absl::StatusOr<Replacement> run(int turns) {
    const std::vector<bool> all(now_.size(), true);
    for (int turn = 0; turn < turns; ++turn) step(all);
    move(test_.region, all);
    std::vector<Value> values(expr_.node.num_results);
    for (size_t c = 0; c < now_.size(); ++c) {
      if (ways_.channels[c].result >= 0) values[ways_.channels[c].result] = now_[c];
    }
    if (!status_.ok()) return status_;
    Replacement replacement;
    for (Value value : values) replacement.add(value);
    return replacement;
  }

  /// Nodes of one turn.
  int64_t size() const {
    int64_t nodes = 0;
    for (const NamedRegion& region : ways_.regions) {
      nodes += region.region.num_nodes() - static_cast<int64_t>(region.region.graph().inputs().size());
    }
    return nodes;
  }

 private:
  /// The channels on which it depends whether the loop goes on.
  std::vector<bool> deciding_channels() const {
    std::vector<bool> decides(now_.size());
    std::vector<Port> open{test_};
    while (!open.empty()) {
      const Port port = open.back();
      open.pop_back();
      const Graph& graph = ways_.graph(port.region);
      const Value wanted[] = {ways_.output(port)};
      const std::vector<bool> needed = needed_nodes(graph, wanted);
      for (size_t i = 0; i < graph.inputs().size(); ++i) {
        const int source = ways_.of_input[port.region][i];
        if (!needed[graph.index_of(graph.inputs()[i])] || decides[source]) continue;
        decides[source] = true;
        for (Port output : ways_.channels[source].outputs) open.push_back(output);
      }
    }
    return decides;
  }

  /// Runs a region for some of the channels that it gives; what it says if it is the test.
  std::optional<bool> move(int region, const std::vector<bool>& chosen) {
    std::vector<Value> inputs, wanted;
    for (int c : ways_.of_input[region]) inputs.push_back(chosen[c] ? now_[c] : Value{});
    std::vector<size_t> given;
    for (size_t c = 0; c < now_.size(); ++c) {
      for (Port output : ways_.channels[c].outputs) {
        if (output.region != region || !(chosen[c] || ways_.channels[c].decides)) continue;
        given.push_back(c);
        wanted.push_back(ways_.output(output));
      }
    }
    absl::StatusOr<std::vector<Value>> made =
        inline_graph(expr_.builder, ways_.graph(region), wanted, inputs, expr_.node.origin, expr_.improve_node);
    if (!made.ok()) {
      status_ = made.status();
      return std::nullopt;
    }
    std::optional<bool> goes_on;
    for (size_t i = 0; i < given.size(); ++i) {
      now_[given[i]] = (*made)[i];
      const std::optional<uint64_t> bits = splat_bits(expr_.builder.node((*made)[i]).op);
      if (ways_.channels[given[i]].decides && bits) goes_on = *bits != 0;
    }
    return goes_on;
  }

  /// A turn; whether there is one, if that is known.
  std::optional<bool> step(const std::vector<bool>& chosen) {
    const std::optional<bool> goes_on = move(test_.region, chosen);
    if (goes_on == true) move(body_, chosen);
    return status_.ok() ? goes_on : std::nullopt;
  }

  const RegionExpr& expr_;
  const Ways& ways_;
  std::vector<Value> now_;  // per channel
  Port test_{-1, 0};
  int body_ = 0;
  absl::Status status_;
};

/// A loop of few turns that it counts from constants: its turns, one after the other.
absl::StatusOr<Replacement> loop_that_is_short(const RegionExpr& expr, const Ways& ways) {
  Unroller unroller(expr, ways);
  if (!unroller.is_loop() || unroller.size() > kMostUnrolledNodes) return Replacement();
  const std::optional<int> turns = unroller.count();
  if (!turns || *turns * unroller.size() > kMostUnrolledNodes) return Replacement();
  return unroller.run(*turns);
}

// ---- The list

/// Says what becomes of the channels.
template <std::optional<RegionEdit> (*kRule)(const RegionExpr&, const Ways&)>
absl::StatusOr<Replacement> edited(const RegionExpr& expr, const Ways& ways) {
  const std::optional<RegionEdit> edit = kRule(expr, ways);
  if (!edit) return Replacement();
  return edit_regions(expr.builder, expr.graph, expr.node, expr.operands, *edit, expr.improve_region);
}

using RegionRule = absl::StatusOr<Replacement> (*)(const RegionExpr& expr, const Ways& ways);

constexpr RegionRule kRules[] = {
    edited<channels_that_are_known>,
    edited<channels_that_are_equal>,
    choices_with_an_equal_arm,
    arms_that_are_cheap,
    loop_that_is_short,
};

}  // namespace

absl::StatusOr<Replacement> region_rule(const RegionExpr& expr) {
  const Ways ways(expr.node);
  for (RegionRule rule : kRules) {
    absl::StatusOr<Replacement> made = rule(expr, ways);
    if (!made.ok() || !made->values().empty()) return made;
  }
  return Replacement();
}

}  // namespace etch
