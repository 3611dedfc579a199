// From an automaton to blocks with parameters.
#include <algorithm>

#include "frontend/capture/blocks.h"
#include "frontend/capture/cycles.h"
#include "runtime/flat_map.h"

namespace etch::capture {
namespace {

class Maker {
 public:
  Maker(const Automaton& automaton, const TypeTable& types) : automaton_(automaton), types_(types) {}

  Blocks make() {
    find_given();
    const auto count = static_cast<int32_t>(automaton_.states.size());
    result_.blocks.resize(count + 2);
    result_.end = count + 1;
    // Types of parameters follow from what is passed to them, over edges that are reached.
    result_.blocks[0].jumps.push_back(jump(automaton_.entry, {}));
    std::vector<int32_t> open;
    receive(result_.blocks[0].jumps[0], open);
    for (size_t i = 0; i < open.size(); ++i) {
      const int32_t at = open[i];
      if (at == result_.end) continue;
      const AutomatonState& state = automaton_.states[at - 1];
      Block& block = result_.blocks[at];
      block.condition = block.parameters[state.condition];
      block.place = state.place;
      const std::vector<Id> held = block.parameters;
      for (const Edge& edge : state.edges) {
        Jump made = jump(edge, held);
        receive(made, open);
        result_.blocks[at].jumps.push_back(std::move(made));
      }
    }
    result_.results = result_.blocks[result_.end].parameters;
    return std::move(result_);
  }

 private:
  void find_given() {
    const auto note = [&](const Source& source) {
      if (source.from == Source::From::given && given_.try_emplace(source.index, result_.types.size()).second) {
        result_.given.push_back(source.index);
        result_.add(types_.of_given(source.index));
      }
    };
    const auto note_edge = [&](const Edge& edge) {
      std::ranges::for_each(edge.operands, note);
      std::ranges::for_each(edge.arguments, note);
    };
    note_edge(automaton_.entry);
    for (const AutomatonState& state : automaton_.states) std::ranges::for_each(state.edges, note_edge);
  }

  Jump jump(const Edge& edge, std::span<const Id> held) {
    Jump jump;
    jump.target = edge.target == kEnd ? result_.end : edge.target + 1;
    std::vector<Id> local;
    const auto id = [&](const Source& source) {
      switch (source.from) {
        case Source::From::local: return local[source.index];
        case Source::From::held: return held[source.index];
        case Source::From::given: break;
      }
      return static_cast<Id>(given_.at(source.index));
    };
    for (const Edge::Step& step : edge.steps) {
      BlockOp op{BlockOp::What::step, step.kind, 0, {}, {}};
      for (const Source& source : edge.operands_of(step)) op.operands.push_back(id(source));
      for (int i = 0; i < step.num_values; ++i) {
        op.results.push_back(result_.add(types_.of_result(step.kind, i)));
        local.push_back(op.results.back());
      }
      jump.ops.push_back(std::move(op));
    }
    for (const Source& source : edge.arguments) jump.arguments.push_back(id(source));
    return jump;
  }

  /// Makes the parameters of a jump's target, if this is the first one to it.
  void receive(const Jump& jump, std::vector<int32_t>& open) {
    Block& block = result_.blocks[jump.target];
    if (std::ranges::find(open, jump.target) != open.end()) return;
    open.push_back(jump.target);
    for (Id argument : jump.arguments) block.parameters.push_back(result_.add(result_.types[argument]));
  }

  const Automaton& automaton_;
  const TypeTable& types_;
  Blocks result_;
  FlatMap<Ref, size_t> given_;
};

/// Cycles with several entries get one: a block that takes the parameters of all of them, and a number that says to which
/// one it leads.
class OneEntry {
 public:
  explicit OneEntry(Blocks& blocks) : blocks_(blocks) {}

  void run() {
    std::vector<bool> all(blocks_.blocks.size(), true);
    visit(all);
  }

 private:
  /// The cycles among some blocks, and inside of each of them, without its entry, again.
  void visit(const std::vector<bool>& among) {
    const std::vector<int32_t> parts = parts_of(among);
    int32_t count = 0;
    for (int32_t part : parts) count = std::max(count, part + 1);
    for (int32_t part = 0; part < count; ++part) {
      std::vector<bool> members(blocks_.blocks.size(), false);
      bool is_any = false;
      for (size_t b = 0; b < parts.size(); ++b) {
        if (parts[b] == part) members[b] = is_any = true;
      }
      if (!is_any) continue;
      const std::vector<int32_t> entries = entries_of(members);
      if (entries.empty()) continue;
      const int32_t entry = entries.size() == 1 ? entries[0] : dispatch(entries);
      members.resize(blocks_.blocks.size(), entries.size() > 1);  // the tests behind the new entry are members
      members[entry] = false;
      visit(members);
    }
  }

  std::vector<int32_t> parts_of(const std::vector<bool>& among) const {
    // Blocks have up to two successors, as states.
    std::vector<State> states(among.size());
    for (size_t b = 0; b < among.size(); ++b) {
      for (size_t i = 0; among[b] && i < blocks_.blocks[b].jumps.size(); ++i) {
        const int32_t target = blocks_.blocks[b].jumps[i].target;
        if (target < static_cast<int32_t>(among.size()) && among[target]) states[b].successors[i] = target;
      }
    }
    return cycles_of(states);
  }

  std::vector<int32_t> entries_of(const std::vector<bool>& members) const {
    std::vector<int32_t> entries;
    for (size_t b = 0; b < blocks_.blocks.size(); ++b) {
      if (b < members.size() && members[b]) continue;
      for (const Jump& jump : blocks_.blocks[b].jumps) {
        if (jump.target >= static_cast<int32_t>(members.size()) || !members[jump.target]) continue;
        if (std::ranges::find(entries, jump.target) == entries.end()) entries.push_back(jump.target);
      }
    }
    std::ranges::sort(entries);
    return entries;
  }

  int32_t dispatch(const std::vector<int32_t>& entries) {
    const auto entry = static_cast<int32_t>(blocks_.blocks.size());
    Block dispatcher;
    dispatcher.parameters.push_back(blocks_.add(kCode));
    std::vector<size_t> first;  // parameter of each entry
    for (int32_t to : entries) {
      first.push_back(dispatcher.parameters.size());
      for (Id parameter : blocks_.blocks[to].parameters) {
        dispatcher.parameters.push_back(blocks_.add(blocks_.types[parameter]));
      }
    }
    const size_t num_parameters = dispatcher.parameters.size();
    ++blocks_.rules[Rule::dispatch];
    for (Block& block : blocks_.blocks) {
      for (Jump& jump : block.jumps) {
        const auto to = std::ranges::find(entries, jump.target);
        if (to == entries.end()) continue;
        const size_t which = to - entries.begin();
        std::vector<Id> arguments(num_parameters, -1);
        arguments[0] = add_op(jump, {BlockOp::What::code, 0, static_cast<int32_t>(which), {}, {}}, kCode);
        std::ranges::copy(jump.arguments, arguments.begin() + static_cast<int64_t>(first[which]));
        for (size_t i = 1; i < num_parameters; ++i) {
          if (arguments[i] >= 0) continue;
          arguments[i] = add_op(jump, {BlockOp::What::dummy, 0, 0, {}, {}}, blocks_.types[dispatcher.parameters[i]]);
        }
        jump.target = entry;
        jump.arguments = std::move(arguments);
      }
    }
    add_tests(std::move(dispatcher), entries, first);
    return entry;
  }

  Id add_op(Jump& jump, BlockOp op, TypeId type) {
    op.results = {blocks_.add(type)};
    jump.ops.push_back(std::move(op));
    return jump.ops.back().results[0];
  }

  void add_tests(Block dispatcher, const std::vector<int32_t>& entries, const std::vector<size_t>& first) {
    const std::vector<Id> held = dispatcher.parameters;
    const auto jump_to = [&](size_t which) {
      const auto begin = held.begin() + static_cast<int64_t>(first[which]);
      const auto size = static_cast<int64_t>(blocks_.blocks[entries[which]].parameters.size());
      return Jump{entries[which], {}, {begin, begin + size}};
    };
    Block block = std::move(dispatcher);
    for (size_t i = 0; i + 1 < entries.size(); ++i) {
      const Id is = blocks_.add(kBool);
      block.ops.push_back({BlockOp::What::is_code, 0, static_cast<int32_t>(i), {held[0]}, {is}});
      block.condition = is;
      block.place = blocks_.blocks[entries[0]].place;
      const bool is_last = i + 2 == entries.size();
      const auto next = static_cast<int32_t>(blocks_.blocks.size()) + 1;
      block.jumps = {is_last ? jump_to(i + 1) : Jump{next, {}, {}}, jump_to(i)};
      blocks_.blocks.push_back(std::move(block));
      block = {};
    }
  }

  Blocks& blocks_;
};

}  // namespace

Blocks make_blocks(const Automaton& automaton, const TypeTable& types) {
  Blocks blocks = Maker(automaton, types).make();
  OneEntry(blocks).run();
  return blocks;
}

}  // namespace etch::capture
