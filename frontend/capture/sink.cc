// Ops with which ways end move behind the place where the ways meet, so that code after an `if` stands once.
#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "frontend/capture/blocks.h"
#include "frontend/capture/flow.h"

namespace etch::capture {
namespace {

class Sinking {
 public:
  explicit Sinking(Blocks& blocks) : blocks_(blocks), flow_(blocks, false) {}

  void run() {
    for (size_t b = 0; b < blocks_.blocks.size(); ++b) {  // it grows
      while (sink_into(static_cast<int32_t>(b))) {
      }
    }
  }

 private:
  struct Place {
    int32_t block;
    size_t jump;
  };

  Jump& jump_at(const Place& place) { return blocks_.blocks[place.block].jumps[place.jump]; }

  std::vector<Place> ways_into(int32_t target) const {
    std::vector<Place> ways;
    for (size_t b = 0; b < blocks_.blocks.size(); ++b) {
      const Block& block = blocks_.blocks[b];
      for (size_t i = 0; i < block.jumps.size(); ++i) {
        if (block.jumps[i].target == target) ways.push_back({static_cast<int32_t>(b), i});
      }
    }
    return ways;
  }

  void count_uses() {
    uses_.assign(blocks_.types.size(), 0);
    const auto count = [&](const std::vector<Id>& ids) {
      for (Id id : ids) ++uses_[id];
    };
    for (const Block& block : blocks_.blocks) {
      for (const BlockOp& op : block.ops) count(op.operands);
      if (block.condition >= 0) ++uses_[block.condition];
      for (const Jump& jump : block.jumps) {
        for (const BlockOp& op : jump.ops) count(op.operands);
        count(jump.arguments);
      }
    }
    count(blocks_.results);
  }

  /// For each result of a jump's last op the parameters that it is passed to; nothing if it is used elsewhere, too.
  using Passed = std::vector<std::vector<size_t>>;
  std::optional<Passed> passed_by(const Jump& jump) const {
    Passed passed;
    for (Id result : jump.ops.back().results) {
      std::vector<size_t>& to = passed.emplace_back();
      for (size_t i = 0; i < jump.arguments.size(); ++i) {
        if (jump.arguments[i] == result) to.push_back(i);
      }
      if (to.size() != static_cast<size_t>(uses_[result])) return std::nullopt;
    }
    return passed;
  }

  /// Ways whose last ops are one: what they do, to which parameters results go, and whether they go back to the header of a
  /// loop: some that do and some that do not must not meet before it, or the loop would have two entries.
  using Key = std::tuple<BlockOp::What, Kind, int32_t, size_t, Passed, bool>;

  bool sink_into(int32_t target) {
    const std::vector<Place> ways = ways_into(target);
    if (ways.size() < 2) return false;
    count_uses();
    std::map<Key, std::vector<Place>> groups;
    for (const Place& way : ways) {
      const Jump& jump = jump_at(way);
      if (jump.ops.empty()) continue;
      const BlockOp& op = jump.ops.back();
      if (std::optional<Passed> passed = passed_by(jump)) {
        const bool is_back = flow_.position(way.block) >= 0 && flow_.dominates(target, way.block);
        groups[{op.what, op.kind, op.number, op.operands.size(), *std::move(passed), is_back}].push_back(way);
      }
    }
    if (groups.size() == 2) {  // all ways agree, those that go back as well
      const auto& [key, members] = *groups.begin();
      Key other = key;
      std::get<bool>(other) = true;
      const auto back = groups.find(other);
      const bool is_both = back != groups.begin() && back != groups.end();
      if (is_both && members.size() + back->second.size() == ways.size()) {
        groups = {{key, ways}};
        ++blocks_.rules[Rule::sink_back];
      }
    }
    const std::vector<Place>* largest = nullptr;
    const Key* key = nullptr;
    for (const auto& [one, members] : groups) {
      if (largest && members.size() <= largest->size()) continue;
      largest = &members;
      key = &one;
    }
    if (largest == nullptr || largest->size() < 2) return false;
    if (largest->size() == ways.size()) {
      ++blocks_.rules[Rule::sink];
      move(target, *largest, std::get<Passed>(*key));
    } else {
      ++blocks_.rules[Rule::join];
      join(target, *largest);  // the new block is visited in its turn
    }
    return true;
  }

  /// The last op of all ways into a block becomes its first one.
  void move(int32_t target, const std::vector<Place>& ways, const Passed& passed) {
    Block& block = blocks_.blocks[target];
    std::vector<BlockOp> last;
    for (const Place& way : ways) {
      last.push_back(std::move(jump_at(way).ops.back()));
      jump_at(way).ops.pop_back();
    }
    BlockOp op = last[0];
    std::vector<std::pair<Id, Id>> renamed;  // parameters that are results of the op now
    for (size_t r = 0; r < op.results.size(); ++r) {
      op.results[r] = blocks_.add(blocks_.types[last[0].results[r]]);
      for (size_t i : passed[r]) renamed.emplace_back(block.parameters[i], op.results[r]);
    }
    for (size_t k = 0; k < op.operands.size(); ++k) {
      const auto same = [&](const BlockOp& other) { return other.operands[k] == last[0].operands[k]; };
      if (std::ranges::all_of(last, same)) continue;
      op.operands[k] = blocks_.add(blocks_.types[last[0].operands[k]]);
      block.parameters.push_back(op.operands[k]);
      for (size_t w = 0; w < ways.size(); ++w) jump_at(ways[w]).arguments.push_back(last[w].operands[k]);
    }
    block.ops.insert(block.ops.begin(), std::move(op));
    drop_parameters(target, ways, passed);
    rename(renamed);
  }

  void drop_parameters(int32_t target, const std::vector<Place>& ways, const Passed& passed) {
    std::vector<size_t> dropped;
    for (const std::vector<size_t>& to : passed) dropped.insert(dropped.end(), to.begin(), to.end());
    std::ranges::sort(dropped, std::greater());
    for (size_t i : dropped) {
      std::vector<Id>& parameters = blocks_.blocks[target].parameters;
      parameters.erase(parameters.begin() + static_cast<int64_t>(i));
      for (const Place& way : ways) {
        std::vector<Id>& arguments = jump_at(way).arguments;
        arguments.erase(arguments.begin() + static_cast<int64_t>(i));
      }
    }
  }

  void rename(const std::vector<std::pair<Id, Id>>& renamed) {
    const auto one = [&](Id& id) {
      for (const auto& [from, to] : renamed) {
        if (id == from) id = to;
      }
    };
    for (Block& block : blocks_.blocks) {
      for (BlockOp& op : block.ops) std::ranges::for_each(op.operands, one);
      if (block.condition >= 0) one(block.condition);
      for (Jump& jump : block.jumps) {
        for (BlockOp& op : jump.ops) std::ranges::for_each(op.operands, one);
        std::ranges::for_each(jump.arguments, one);
      }
    }
    std::ranges::for_each(blocks_.results, one);
  }

  /// Some of the ways into a block meet before it.
  void join(int32_t target, const std::vector<Place>& ways) {
    const auto meeting = static_cast<int32_t>(blocks_.blocks.size());
    Block block;
    for (Id parameter : blocks_.blocks[target].parameters) {
      block.parameters.push_back(blocks_.add(blocks_.types[parameter]));
    }
    block.jumps = {{target, {}, block.parameters}};
    for (const Place& way : ways) jump_at(way).target = meeting;
    blocks_.blocks.push_back(std::move(block));
    flow_ = Flow(blocks_, false);
  }

  Blocks& blocks_;
  Flow flow_;
  std::vector<int> uses_;
};

}  // namespace

void sink(Blocks& blocks) { Sinking(blocks).run(); }

}  // namespace etch::capture
