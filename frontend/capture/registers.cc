// What each state must hold for what comes after it.
//
// A use is a place where a value is read, named by the decisions that lead to it from a state and its position there. At
// each node that is the state it reads some value; uses that read the same value at each of them are one register. So
// what a state holds is found by comparing runs, and nobody needs to know the program's variables.
#include "frontend/capture/registers.h"

#include <algorithm>
#include <limits>

#include "absl/hash/hash.h"
#include "compiler/ir/cat.h"
#include "etch/error.h"
#include "frontend/capture/cycles.h"
#include "runtime/check.h"

namespace etch::capture {
namespace {

constexpr Ref kNone = std::numeric_limits<Ref>::max();     // there is no such place
constexpr Ref kNotKnown = std::numeric_limits<Ref>::max() - 1;

struct Use {
  enum class Part : uint8_t { condition, operand, result, final };
  Decisions path;
  Part part = Part::condition;
  int32_t event = 0;  // of the node
  int32_t index = 0;  // of the operand or result; the slot
};

struct Register {
  std::vector<Use> uses;     // the first one names it
  std::vector<Ref> values;   // at each instance
};

struct Held {
  std::vector<int32_t> instances;
  std::vector<Register> registers;
  FlatMap<std::vector<Ref>, int32_t> by_values;
  std::vector<std::vector<Source>> operands[2];
  std::vector<Source> arguments[2];
  bool has_direct_uses = false;
};

Use after(uint8_t decision, const Use& use) {
  Use result = use;
  result.path.insert(result.path.begin(), decision);
  return result;
}

class Registers {
 public:
  Registers(Recorder& recorder, const std::vector<State>& states)
      : recorder_(recorder), trie_(recorder.trie()), states_(states), held_(states.size()) {}

  const Decisions& wrong() const { return wrong_; }

  std::optional<Automaton> find(const std::vector<Decisions>& instances) {
    constexpr int kRounds = 24;
    find_instances(instances);
    for (int round = 0; round < kRounds; ++round) {
      const size_t num_endings = trie_.endings.size();
      find_slots();
      if (!find_uses()) return std::nullopt;
      const bool is_new = find_split() || (trie_.endings.size() > num_endings && find_slots());
      if (!is_new) break;
    }
    return automaton();
  }

 private:
  void add_instance(int32_t state, int32_t node) {
    constexpr size_t kMost = 160;
    std::vector<int32_t>& instances = held_[state].instances;
    if (instances.size() < kMost && std::ranges::find(instances, node) == instances.end()) instances.push_back(node);
  }

  void find_instances(const std::vector<Decisions>& more) {
    constexpr size_t kEdges = 64, kOnCycles = 10;
    for (size_t w = 0; w < states_.size(); ++w) add_instance(static_cast<int32_t>(w), states_[w].node);
    for (const State& state : states_) {
      for (const int decision : {0, 1}) {
        const int32_t target = state.successors[decision];
        if (target == kEnd || held_[target].instances.size() >= kEdges) continue;
        add_instance(target, recorder_.child(state.node, decision));
      }
    }
    const std::vector<int32_t> cycles = cycles_of(states_);
    for (int round = 0; round < 3; ++round) {
      std::vector<std::vector<int32_t>> before;
      for (const Held& held : held_) before.push_back(held.instances);
      for (size_t w = 0; w < states_.size(); ++w) {
        for (const int decision : {0, 1}) {
          const int32_t target = states_[w].successors[decision];
          if (target == kEnd || cycles[w] < 0 || cycles[w] != cycles[target]) continue;
          for (int32_t node : before[w]) {
            if (held_[target].instances.size() >= kOnCycles) break;
            if (const int32_t next = recorder_.child(node, decision); next >= 0 && !trie_.nodes[next].is_end()) {
              add_instance(target, next);
            }
          }
        }
      }
    }
    for (const Decisions& path : more) {
      int32_t state = 0, node = Trie::kRoot;
      for (uint8_t decision : path) {
        state = states_[state].successors[decision];
        node = trie_.nodes[node].children[decision];
        if (state == kEnd || node < 0 || trie_.nodes[node].is_end()) break;
        add_instance(state, node);
      }
    }
  }

  /// The slots that any path assigns; true if there are more than before.
  bool find_slots() {
    const size_t before = slots_.size();
    for (const Ending& ending : trie_.endings) {
      for (const Final& final : ending.finals) {
        if (std::ranges::find(slots_, final.slot) == slots_.end()) slots_.push_back(final.slot);
      }
    }
    std::ranges::sort(slots_);
    return slots_.size() > before;
  }

  /// What stands at a use seen from a node.
  Ref value(int32_t node, const Use& use, bool may_run = true) {
    int32_t at = trie_.find(node, use.path);
    if (at < 0 && !may_run) return kNotKnown;
    if (at < 0) at = recorder_.node_at(node, use.path);
    if (at < 0) return kNone;
    const TrieNode& there = trie_.nodes[at];
    switch (use.part) {
      case Use::Part::condition: return there.is_end() ? kNone : there.condition;
      case Use::Part::operand: {
        if (use.event >= there.end - there.begin) return kNone;
        const Event& event = trie_.events[there.begin + use.event];
        return use.index < event.num_operands ? trie_.operands[event.first_operand + use.index] : kNone;
      }
      case Use::Part::result:
      case Use::Part::final: break;
    }
    if (!there.is_end()) return kNone;
    const Ending& ending = trie_.ending_of(at);
    if (use.part == Use::Part::result) {
      return use.index < static_cast<int32_t>(ending.results.size()) ? ending.results[use.index] : kNone;
    }
    const auto final = std::ranges::find(ending.finals, use.index, &Final::slot);
    return final != ending.finals.end() ? final->value : recorder_.program().initial(use.index);
  }

  bool is_local(int32_t node, Ref value) const { return value >= trie_.nodes[node].end_value; }

  /// The source of a use at a state, where it may become a register; nothing if the instances disagree.
  std::optional<Source> source(int32_t w, const Use& use) {
    Held& held = held_[w];
    const int32_t first = states_[w].node;
    const Ref known = value(first, use);
    ETCH_CHECK(known != kNone, "a use is where it was found");
    if (is_local(first, known)) {
      const int32_t offset = known - trie_.nodes[first].end_value;
      for (int32_t node : held.instances) {
        const Ref there = value(node, use);
        if (there == kNone || there - trie_.nodes[node].end_value != offset) return disagree(node, use);
      }
      return Source{Source::From::local, offset};
    }
    std::vector<Ref> values;
    for (int32_t node : held.instances) {
      values.push_back(value(node, use));
      if (values.back() == kNone || is_local(node, values.back())) return disagree(node, use);
    }
    const auto next = static_cast<int32_t>(held.registers.size());
    const auto [known_register, is_new] = held.by_values.try_emplace(values, next);
    if (is_new) {
      held.registers.push_back({{use}, std::move(values)});
      recorder_.count(Rule::hold);
    } else {
      constexpr size_t kUses = 16;
      std::vector<Use>& uses = held.registers[known_register->second].uses;
      if (uses.size() < kUses) uses.push_back(use);
      recorder_.count(Rule::share);
    }
    return Source{Source::From::held, known_register->second};
  }

  std::optional<Source> disagree(int32_t node, const Use& use) {
    wrong_ = trie_.path(node);
    wrong_.insert(wrong_.end(), use.path.begin(), use.path.end());
    return std::nullopt;
  }

  bool find_uses() {
    for (Held& held : held_) held = {std::move(held.instances), {}, {}, {}, {}, false};
    bool changed = true;
    while (changed) {
      changed = false;
      for (auto w = static_cast<int32_t>(states_.size()) - 1; w >= 0; --w) {
        if (!held_[w].has_direct_uses && !find_direct_uses(w)) return false;
        for (const uint8_t decision : {0, 1}) {
          const int32_t target = states_[w].successors[decision];
          if (target == kEnd) continue;
          std::vector<Source>& arguments = held_[w].arguments[decision];
          while (arguments.size() < held_[target].registers.size()) {
            const Use use = after(decision, held_[target].registers[arguments.size()].uses[0]);
            const std::optional<Source> argument = source(w, use);
            if (!argument) return false;
            arguments.push_back(*argument);
            changed = true;
          }
        }
      }
    }
    return true;
  }

  bool find_direct_uses(int32_t w) {
    Held& held = held_[w];
    held.has_direct_uses = true;
    if (!source(w, {})) return false;
    for (const uint8_t decision : {0, 1}) {
      const int32_t child = trie_.nodes[states_[w].node].children[decision];
      for (int32_t e = 0; e < trie_.nodes[child].end - trie_.nodes[child].begin; ++e) {
        std::vector<Source>& operands = held.operands[decision].emplace_back();
        const int32_t num_operands = trie_.events[trie_.nodes[child].begin + e].num_operands;
        for (int32_t k = 0; k < num_operands; ++k) {
          const std::optional<Source> operand = source(w, {{decision}, Use::Part::operand, e, k});
          if (!operand) return false;
          operands.push_back(*operand);
        }
      }
      if (!trie_.nodes[child].is_end()) continue;
      const auto num_results = static_cast<int32_t>(trie_.ending_of(child).results.size());
      for (int32_t i = 0; i < num_results + static_cast<int32_t>(slots_.size()); ++i) {
        const bool is_result = i < num_results;
        const Use use{{decision}, is_result ? Use::Part::result : Use::Part::final, 0,
                      is_result ? i : slots_[i - num_results]};
        const std::optional<Source> argument = source(w, use);
        if (!argument) return false;
        held.arguments[decision].push_back(*argument);
      }
    }
    return true;
  }

  /// Finds nodes at which uses that are taken for one read different values, among what is recorded. They become instances;
  /// true if there are any.
  bool find_split() {
    bool is_new = false;
    for (size_t w = 0; w < states_.size(); ++w) {
      for (const int decision : {0, 1}) {
        const int32_t target = states_[w].successors[decision];
        if (target == kEnd) continue;
        for (int32_t node : held_[w].instances) {
          const int32_t next = trie_.nodes[node].children[decision];
          if (next < 0 || std::ranges::find(held_[target].instances, next) != held_[target].instances.end()) continue;
          if (!splits(target, next)) continue;
          add_instance(target, next);
          recorder_.count(Rule::split);
          is_new = true;
        }
      }
    }
    return is_new;
  }

  bool splits(int32_t state, int32_t node) {
    for (const Register& one : held_[state].registers) {
      Ref first = kNotKnown;
      for (const Use& use : one.uses) {
        const Ref now = value(node, use, false);
        if (now == kNotKnown) continue;
        if (first != kNotKnown && now != first) return true;
        first = now;
      }
    }
    return false;
  }

  Edge edge_to(int32_t node) const {
    Edge edge;
    const TrieNode& to = trie_.nodes[node];
    edge.num_values = to.end_value - to.first_value;
    for (int32_t e = to.begin; e < to.end; ++e) {
      const Event& event = trie_.events[e];
      const Ref end = e + 1 < to.end ? trie_.events[e + 1].first_value : to.end_value;
      edge.steps.push_back({event.kind, 0, event.num_operands, event.first_value - to.first_value,
                            end - event.first_value});
    }
    return edge;
  }

  static void add_operands(Edge& edge, size_t step, std::span<const Source> operands) {
    edge.steps[step].first_operand = static_cast<int32_t>(edge.operands.size());
    edge.operands.insert(edge.operands.end(), operands.begin(), operands.end());
  }

  static Source at_start(Ref value) {
    return value >= 0 ? Source{Source::From::local, value} : Source{Source::From::given, value};
  }

  Automaton automaton() {
    Automaton result;
    result.slots = slots_;
    const int32_t end = trie_.find(Trie::kRoot, trie_.continuation(Trie::kRoot));
    result.end = trie_.ending_of(end).what;
    result.num_results = static_cast<int32_t>(trie_.ending_of(end).results.size());
    result.entry = edge_to(Trie::kRoot);
    for (size_t e = 0; e < result.entry.steps.size(); ++e) {
      std::vector<Source> operands;
      for (Ref operand : trie_.operands_of(trie_.events[trie_.nodes[Trie::kRoot].begin + e])) {
        operands.push_back(at_start(operand));
      }
      add_operands(result.entry, e, operands);
    }
    if (states_.empty()) {
      const Ending& ending = trie_.ending_of(Trie::kRoot);
      for (Ref value : ending.results) result.entry.arguments.push_back(at_start(value));
      for (int32_t slot : slots_) {
        result.entry.arguments.push_back(at_start(value(Trie::kRoot, {{}, Use::Part::final, 0, slot})));
      }
      return result;
    }
    result.entry.target = 0;
    for (const Register& one : held_[0].registers) result.entry.arguments.push_back(at_start(one.values[0]));
    for (size_t w = 0; w < states_.size(); ++w) result.states.push_back(state_of(w));
    return result;
  }

  AutomatonState state_of(size_t w) {
    const Held& held = held_[w];
    AutomatonState state;
    state.num_registers = static_cast<int32_t>(held.registers.size());
    state.condition = 0;  // its use is found first
    state.place = trie_.nodes[states_[w].node].place;
    state.path = trie_.path(states_[w].node);
    for (const Register& one : held.registers) state.uses.push_back(one.uses[0].path);
    std::ranges::sort(state.uses);
    state.uses.erase(std::unique(state.uses.begin(), state.uses.end()), state.uses.end());
    for (const int decision : {0, 1}) {
      const int32_t child = trie_.nodes[states_[w].node].children[decision];
      Edge& edge = state.edges[decision] = edge_to(child);
      edge.target = states_[w].successors[decision];
      edge.is_merged = edge.target != kEnd && states_[edge.target].node != child;
      for (size_t e = 0; e < edge.steps.size(); ++e) add_operands(edge, e, held.operands[decision][e]);
      edge.arguments = held.arguments[decision];
    }
    return state;
  }

  Recorder& recorder_;
  const Trie& trie_;
  const std::vector<State>& states_;
  std::vector<Held> held_;
  std::vector<int32_t> slots_;
  Decisions wrong_;
};

}  // namespace

std::optional<Automaton> find_registers(Recorder& recorder, const std::vector<State>& states,
                                        const std::vector<Decisions>& instances, Decisions& wrong) {
  Registers registers(recorder, states);
  std::optional<Automaton> automaton = registers.find(instances);
  if (!automaton) wrong = registers.wrong();
  return automaton;
}

}  // namespace etch::capture
