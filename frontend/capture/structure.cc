// From blocks to nested regions.
//
// A block is emitted with all that it dominates, as far as that lies in the same loop. What leaves a region does so by an
// exit: a block, with the values that it reads. Regions with several exits give a number that says which; the code behind
// tests it.
#include "frontend/capture/structure.h"

#include <algorithm>

#include "frontend/capture/flow.h"
#include "frontend/capture/sort_loop.h"
#include "runtime/check.h"

namespace etch::capture {
namespace {

constexpr int32_t kReturn = -1;   // the exit of the whole program
constexpr int kDeep = 20;         // regions nest no deeper but for loops: what is behind stands beside them instead

struct Exit {
  int32_t target = kReturn;
  std::vector<Id> values;   // of the target's parameters, then of what is alive there
};

struct Outcome {
  std::vector<Exit> exits;  // in the order of the program
  Id which = -1;            // of two exits: whether it is the first, a bool; of more: the target's number, a code
};

class Structuring {
 public:
  explicit Structuring(Blocks blocks) : blocks_(std::move(blocks)), flow_(blocks_) {
    for (size_t id = 0; id < blocks_.types.size(); ++id) renamed_.push_back(static_cast<Id>(id));
    depths_.assign(blocks_.types.size(), 0);
  }

  Structured run() {
    Structured result;
    Outcome outcome = emit({0, {}}, result.program, 0);
    ETCH_CHECK(outcome.exits.size() == 1 && outcome.exits[0].target == kReturn, "the program ends at its end");
    result.program.outputs = outcome.exits[0].values;
    result.types = std::move(blocks_.types);
    result.given = std::move(blocks_.given);
    result.rules = blocks_.rules;
    return result;
  }

 private:
  // ---- Values

  Id now(Id id) const { return renamed_[id]; }

  Id add(TypeId type, int depth) {
    renamed_.push_back(blocks_.add(type));
    depths_.push_back(depth);
    return renamed_.back();
  }

  /// A new value for an old one.
  Id copy(Id id, int depth) { return add(blocks_.types[id], depth); }

  Id add_op(OpenRegion& region, BlockOp::What what, int32_t number, std::vector<Id> operands, TypeId type, int depth) {
    const Id result = add(type, depth);
    region.nodes.push_back({RegionNode::What::op, {what, 0, number, std::move(operands), {result}}, -1, {}});
    return result;
  }

  // ---- Exits

  std::vector<Id> slots(int32_t target) const {
    if (target == kReturn) return blocks_.results;
    std::vector<Id> slots = blocks_.blocks[target].parameters;
    slots.insert(slots.end(), flow_.alive(target).begin(), flow_.alive(target).end());
    return slots;
  }

  Exit exit_by(const Jump& jump) const {
    Exit exit{jump.target, {}};
    for (Id argument : jump.arguments) exit.values.push_back(now(argument));
    for (Id id : flow_.alive(jump.target)) exit.values.push_back(now(id));
    return exit;
  }

  bool comes_before(int32_t a, int32_t b) const {
    if (a == kReturn || b == kReturn) return a != kReturn && b == kReturn;
    return flow_.position(a) < flow_.position(b);
  }

  static const Exit* find(const Outcome& outcome, int32_t target) {
    const auto exit = std::ranges::find(outcome.exits, target, &Exit::target);
    return exit == outcome.exits.end() ? nullptr : &*exit;
  }

  /// Whether an outcome, of several exits, is this one.
  Id is(const Outcome& outcome, int32_t target, OpenRegion& region, int depth) {
    if (outcome.exits.size() > 2) return add_op(region, BlockOp::What::is_code, target, {outcome.which}, kBool, depth);
    if (outcome.exits[0].target == target) return outcome.which;
    return add_op(region, BlockOp::What::negate, 0, {outcome.which}, kBool, depth);
  }

  Outcome without(Outcome outcome, int32_t target, OpenRegion& region, int depth) {
    std::vector<Exit> left;
    for (Exit& exit : outcome.exits) {
      if (exit.target != target) left.push_back(std::move(exit));
    }
    if (left.size() < 2) return {std::move(left), -1};
    if (left.size() > 2) return {std::move(left), outcome.which};
    const Id first = add_op(region, BlockOp::What::is_code, left[0].target, {outcome.which}, kBool, depth);
    return {std::move(left), first};
  }

  // ---- Choices

  /// Whether the outcome of an arm is the first of two exits of both arms.
  Id first_of_two(const Outcome& arm, int32_t first, OpenRegion& region, int depth) {
    if (arm.exits.size() == 2) return arm.which;
    const int32_t is_first = arm.exits[0].target == first;
    return add_op(region, BlockOp::What::code, is_first, {}, kBool, depth);
  }

  /// The number of the exit that an arm takes.
  Id number_of(const Outcome& arm, OpenRegion& region, int depth) {
    if (arm.exits.size() > 2) return arm.which;
    if (arm.exits.size() == 1) return add_op(region, BlockOp::What::code, arm.exits[0].target, {}, kCode, depth);
    RegionNode node{RegionNode::What::choice, {}, -1, std::vector<OpenRegion>(2)};
    for (size_t i = 0; i < 2; ++i) {
      OpenRegion& inner = node.regions[i];
      inner.outputs = {add_op(inner, BlockOp::What::code, arm.exits[i].target, {}, kCode, depth + 1)};
    }
    node.op.operands = {arm.which};
    const Id result = add(kCode, depth);
    node.op.results = {result};
    region.nodes.push_back(std::move(node));
    return result;
  }

  /// Adds the choice between two arms, if anything depends on it, and returns what both together lead to.
  Outcome choose(Id predicate, Kind place, OpenRegion arms[2], Outcome outcomes[2], OpenRegion& region, int depth) {
    RegionNode node{RegionNode::What::choice, {}, place, {}};
    Outcome both;
    for (int i = 0; i < 2; ++i) {
      for (const Exit& exit : outcomes[i].exits) {
        if (!find(both, exit.target)) both.exits.push_back({exit.target, {}});
      }
    }
    std::ranges::sort(both.exits, [&](const Exit& a, const Exit& b) { return comes_before(a.target, b.target); });
    std::vector<std::pair<Id, Id>> given;   // outputs of both arms
    const auto output = [&](Id then, Id otherwise) {
      const auto known = std::ranges::find(given, std::pair(then, otherwise));
      if (known != given.end()) return node.op.results[known - given.begin()];
      given.emplace_back(then, otherwise);
      arms[0].outputs.push_back(then);
      arms[1].outputs.push_back(otherwise);
      node.op.results.push_back(copy(then, depth));
      return node.op.results.back();
    };
    for (Exit& exit : both.exits) {
      const Exit* ends[2] = {find(outcomes[0], exit.target), find(outcomes[1], exit.target)};
      const size_t count = (ends[0] ? ends[0] : ends[1])->values.size();
      for (size_t i = 0; i < count; ++i) {
        Id values[2] = {ends[0] ? ends[0]->values[i] : -1, ends[1] ? ends[1]->values[i] : -1};
        const Id any = ends[0] ? values[0] : values[1];
        const bool is_one = !ends[0] || !ends[1] || values[0] == values[1];
        if (is_one && depths_[any] <= depth) {
          exit.values.push_back(any);
          continue;
        }
        for (int arm = 0; arm < 2; ++arm) {
          if (!ends[arm]) {
            values[arm] = add_op(arms[arm], BlockOp::What::dummy, 0, {}, blocks_.types[any], depth + 1);
          }
        }
        exit.values.push_back(output(values[0], values[1]));
      }
    }
    if (both.exits.size() == 2) {
      ++blocks_.rules[Rule::two_exits];
      const int32_t first = both.exits[0].target;
      const bool by_predicate = outcomes[0].exits.size() == 1 && outcomes[1].exits.size() == 1;
      if (by_predicate && outcomes[0].exits[0].target == first) {
        both.which = predicate;
      } else if (by_predicate) {
        both.which = add_op(region, BlockOp::What::negate, 0, {predicate}, kBool, depth);
      } else {
        const Id then = first_of_two(outcomes[0], first, arms[0], depth + 1);
        both.which = output(then, first_of_two(outcomes[1], first, arms[1], depth + 1));
      }
    } else if (both.exits.size() > 2) {
      ++blocks_.rules[Rule::many_exits];
      const Id then = number_of(outcomes[0], arms[0], depth + 1);
      both.which = output(then, number_of(outcomes[1], arms[1], depth + 1));
    }
    if (node.op.results.empty()) {  // no op has an effect
      ++blocks_.rules[Rule::drop];
      return both;
    }
    node.op.operands = {predicate};
    node.regions.push_back(std::move(arms[0]));
    node.regions.push_back(std::move(arms[1]));
    region.nodes.push_back(std::move(node));
    return both;
  }

  // ---- Blocks

  bool in_loop(int32_t block) const { return loop_ == nullptr || loop_->has[block]; }

  /// What an exit leads to, its values given, with what the block there dominates.
  Outcome emit(const Exit& exit, OpenRegion& region, int depth) {
    if (flow_.loop_at(exit.target)) return emit_loop(exit, region, depth);
    bind(exit);
    Outcome outcome = emit_block(exit.target, region, depth);
    return emit_behind(exit.target, std::move(outcome), region, depth);
  }

  void bind(const Exit& exit) {
    const std::vector<Id> names = slots(exit.target);
    for (size_t i = 0; i < names.size(); ++i) renamed_[names[i]] = exit.values[i];
  }

  void emit_ops(int32_t at, OpenRegion& region, int depth) {
    for (const BlockOp& op : blocks_.blocks[at].ops) {
      BlockOp made = op;
      for (Id& operand : made.operands) operand = now(operand);
      for (Id& result : made.results) {
        const Id id = result;
        result = copy(id, depth);
        renamed_[id] = result;
      }
      region.nodes.push_back({RegionNode::What::op, std::move(made), -1, {}});
    }
  }

  /// One block, and in the arms of its choice what only they lead to.
  Outcome emit_block(int32_t at, OpenRegion& region, int depth) {
    emit_ops(at, region, depth);
    const Block& block = blocks_.blocks[at];
    if (block.jumps.empty()) {
      Outcome outcome{{{kReturn, {}}}, -1};
      for (Id result : blocks_.results) outcome.exits[0].values.push_back(now(result));
      return outcome;
    }
    if (block.jumps.size() == 1) return {{exit_by(block.jumps[0])}, -1};
    OpenRegion arms[2];
    Outcome outcomes[2];
    const Id predicate = now(block.condition);
    const Exit exits[2] = {exit_by(block.jumps[1]), exit_by(block.jumps[0])};  // then, otherwise
    for (int i = 0; i < 2; ++i) {
      const int32_t target = exits[i].target;
      const bool is_inside = flow_.num_ways_into(target) == 1 && in_loop(target) && depth < kDeep + base_depth_;
      outcomes[i] = is_inside ? emit(exits[i], arms[i], depth + 1) : Outcome{{exits[i]}, -1};
    }
    return choose(predicate, block.place, arms, outcomes, region, depth);
  }

  /// What a block dominates and its outcome leads to, one after the other.
  Outcome emit_behind(int32_t block, Outcome outcome, OpenRegion& region, int depth) {
    if (depth > kDeep + base_depth_) {
      ++blocks_.rules[Rule::shallow];
      return outcome;
    }
    while (true) {
      const auto next = std::ranges::find_if(outcome.exits, [&](const Exit& exit) {
        return exit.target != kReturn && exit.target != block && in_loop(exit.target) &&
               flow_.position(exit.target) > flow_.position(block) && flow_.dominates(block, exit.target);
      });
      if (next == outcome.exits.end()) return outcome;
      const Exit exit = *next;
      if (outcome.exits.size() == 1) {
        outcome = emit(exit, region, depth);
        continue;
      }
      ++blocks_.rules[Rule::behind];
      const Id predicate = is(outcome, exit.target, region, depth);
      OpenRegion arms[2];
      Outcome outcomes[2];
      outcomes[1] = without(std::move(outcome), exit.target, arms[1], depth + 1);
      outcomes[0] = emit(exit, arms[0], depth + 1);
      outcome = choose(predicate, blocks_.blocks[exit.target].place, arms, outcomes, region, depth);
    }
  }

  // ---- Loops

  /// Values of a region that leave it, each once, in the order of their first use.
  struct Handed {
    std::vector<Id> values;
    std::vector<Id> becomes;

    Id operator()(Structuring& s, Id value, int outer, int depth) {
      if (s.depths_[value] <= outer) return value;
      const auto known = std::ranges::find(values, value);
      if (known != values.end()) return becomes[known - values.begin()];
      values.push_back(value);
      becomes.push_back(s.copy(value, depth));
      return becomes.back();
    }
  };

  Outcome emit_loop(const Exit& entry, OpenRegion& region, int depth) {
    const int32_t header = entry.target;
    const Loop* outer_loop = std::exchange(loop_, flow_.loop_at(header));
    const int outer_base = std::exchange(base_depth_, depth + 1);
    const std::vector<Id>& parameters = blocks_.blocks[header].parameters;
    RegionNode node{RegionNode::What::loop, {}, blocks_.blocks[header].place, std::vector<OpenRegion>(2)};
    OpenRegion& test = node.regions[0];
    bind(entry);
    for (size_t i = 0; i < parameters.size(); ++i) {
      node.op.operands.push_back(entry.values[i]);
      test.parameters.push_back(copy(parameters[i], depth + 1));
      renamed_[parameters[i]] = test.parameters.back();
    }
    const int stays = tests_first(header);
    Outcome outcome = stays >= 0 ? emit_while(header, stays, node, depth) : emit_whole(header, node, depth);
    loop_ = outer_loop;
    base_depth_ = outer_base;
    if (!node.op.results.empty()) {
      sort_loop(node);
      region.nodes.push_back(std::move(node));
    }
    return emit_behind(header, std::move(outcome), region, depth);
  }

  /// The jump of a header that stays in its loop, if the other one is the only way out; else -1.
  int tests_first(int32_t header) const {
    for (size_t b = 0; b < blocks_.blocks.size(); ++b) {
      if (!loop_->has[b] || static_cast<int32_t>(b) == header) continue;
      for (const Jump& jump : blocks_.blocks[b].jumps) {
        if (!loop_->has[jump.target]) return -1;
      }
    }
    const std::vector<Jump>& jumps = blocks_.blocks[header].jumps;
    if (jumps.size() != 2 || loop_->has[jumps[0].target] == loop_->has[jumps[1].target]) return -1;
    return loop_->has[jumps[1].target] ? 1 : 0;
  }

  /// Test: the header. Body: the rest.
  Outcome emit_while(int32_t header, int stays, RegionNode& node, int depth) {
    OpenRegion& test = node.regions[0];
    OpenRegion& body = node.regions[1];
    emit_ops(header, test, depth + 1);
    const Block& block = blocks_.blocks[header];
    Id goes_on = now(block.condition);
    ++blocks_.rules[Rule::test_first];
    if (stays == 0) {
      ++blocks_.rules[Rule::negated];
      goes_on = add_op(test, BlockOp::What::negate, 0, {goes_on}, kBool, depth + 1);
    }
    Exit inside = exit_by(block.jumps[stays]);
    Exit outside = exit_by(block.jumps[1 - stays]);
    Handed handed;   // becomes what the body takes
    for (Id& value : inside.values) value = handed(*this, value, depth, depth + 1);
    std::vector<Id> results;
    for (Id& value : outside.values) {
      if (depths_[value] <= depth) continue;
      handed(*this, value, depth, depth + 1);
    }
    for (Id value : handed.values) results.push_back(copy(value, depth));
    for (Id& value : outside.values) {
      const auto known = std::ranges::find(handed.values, value);
      if (known != handed.values.end()) value = results[known - handed.values.begin()];
    }
    test.outputs = {goes_on};
    test.outputs.insert(test.outputs.end(), handed.values.begin(), handed.values.end());
    body.parameters = handed.becomes;
    Outcome turn = {{inside}, -1};
    if (inside.target != header) {
      turn = emit(inside, body, depth + 1);
      turn = emit_behind(header, std::move(turn), body, depth + 1);
    }
    ETCH_CHECK(turn.exits.size() == 1 && turn.exits[0].target == header, "the body leads to the header alone");
    const size_t carried = blocks_.blocks[header].parameters.size();
    body.outputs.assign(turn.exits[0].values.begin(), turn.exits[0].values.begin() + static_cast<int64_t>(carried));
    node.op.results = results;
    return {{outside}, -1};
  }

  /// Test: all of the loop. The body hands on what the test gave it.
  Outcome emit_whole(int32_t header, RegionNode& node, int depth) {
    OpenRegion& test = node.regions[0];
    OpenRegion& body = node.regions[1];
    Outcome outcome = emit_block(header, test, depth + 1);
    outcome = emit_behind(header, std::move(outcome), test, depth + 1);
    const Exit* again = find(outcome, header);
    ETCH_CHECK(again != nullptr && outcome.exits.size() > 1, "a loop goes on and ends");
    ++blocks_.rules[Rule::whole];
    const Id goes_on = is(outcome, header, test, depth + 1);
    std::vector<Id> carried(again->values.begin(),
                            again->values.begin() + static_cast<int64_t>(blocks_.blocks[header].parameters.size()));
    Outcome outside = without(std::move(outcome), header, test, depth + 1);
    Handed handed;
    for (Id& value : carried) value = handed(*this, value, depth, depth + 1);
    std::vector<Id*> leaving;
    for (Exit& exit : outside.exits) {
      for (Id& value : exit.values) leaving.push_back(&value);
    }
    if (outside.exits.size() > 1) {
      ++blocks_.rules[Rule::exits_of_loop];
      leaving.push_back(&outside.which);
    }
    for (Id* value : leaving) handed(*this, *value, depth, depth + 1);
    for (Id value : handed.values) node.op.results.push_back(copy(value, depth));
    for (Id* value : leaving) {
      const auto known = std::ranges::find(handed.values, *value);
      if (known != handed.values.end()) *value = node.op.results[known - handed.values.begin()];
    }
    test.outputs = {goes_on};
    test.outputs.insert(test.outputs.end(), handed.values.begin(), handed.values.end());
    body.parameters = handed.becomes;
    body.outputs = std::move(carried);
    return outside;
  }

  Blocks blocks_;
  const Flow flow_;
  std::vector<Id> renamed_;   // what a value of the blocks is called where the emission stands
  std::vector<int> depths_;   // of the regions in which values are defined
  const Loop* loop_ = nullptr;
  int base_depth_ = 0;        // of the region of the innermost loop
};

}  // namespace

Structured structure(Blocks blocks) { return Structuring(std::move(blocks)).run(); }

Structured structure(const Automaton& automaton, const TypeTable& types) {
  Blocks blocks = make_blocks(automaton, types);
  simplify(blocks);
  sink(blocks);
  simplify(blocks);
  join_questions(blocks, types);
  split_jumps(blocks);
  return structure(std::move(blocks));
}

}  // namespace etch::capture
