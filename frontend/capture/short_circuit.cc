// Two questions that become one: `a && b` in C++ asks b only if a holds, and where b is cheap it may be computed in any case.
#include <algorithm>
#include <optional>

#include "frontend/capture/blocks.h"

namespace etch::capture {
namespace {

constexpr int kMostWork = 12;   // of what is computed in any case, in additions

class ShortCircuit {
 public:
  ShortCircuit(Blocks& blocks, const TypeTable& types) : blocks_(blocks), types_(types) {}

  void run() {
    ways_.assign(blocks_.blocks.size(), 0);
    for (const Block& block : blocks_.blocks) {
      for (const Jump& jump : block.jumps) ++ways_[jump.target];
    }
    for (size_t b = 0; b < blocks_.blocks.size(); ++b) {
      while (join(static_cast<int32_t>(b))) {
      }
    }
  }

 private:
  /// Joins a question with one that is asked behind one of its answers, if their other answers lead to the same.
  bool join(int32_t first) {
    const Block& block = blocks_.blocks[first];
    if (!asks(block)) return false;
    for (const bool answer : {false, true}) {
      const Jump& to_second = block.jumps[answer];
      const int32_t second = to_second.target;
      const Block& behind = blocks_.blocks[second];
      const bool is_its_own = second != first && ways_[second] == 1 && behind.parameters.empty();
      if (!is_its_own || !asks(behind) || !is_cheap(to_second.ops, behind.ops)) continue;
      for (const bool last : {false, true}) {
        if (leads_to_the_same(block.jumps[!answer], behind.jumps[last])) return join(first, answer, last), true;
      }
    }
    return false;
  }

  bool asks(const Block& block) const {
    return block.condition >= 0 && types_.is_truth(blocks_.types[block.condition]);
  }

  static bool leads_to_the_same(const Jump& a, const Jump& b) {
    return a.target == b.target && a.arguments == b.arguments && a.ops.empty() && b.ops.empty();
  }

  bool is_cheap(const std::vector<BlockOp>& some, const std::vector<BlockOp>& others) const {
    int work = 0;
    for (const std::vector<BlockOp>* ops : {&some, &others}) {
      for (const BlockOp& op : *ops) {
        const std::optional<int> cost = op.what == BlockOp::What::step ? types_.cost_in_any_case(op.kind) : std::optional(1);
        if (!cost) return false;
        work += *cost;
      }
    }
    return work <= kMostWork;
  }

  /// The second question is asked where the first has this answer, and its `last` one leads to where the first's other does.
  void join(int32_t first, bool answer, bool last) {
    Block& block = blocks_.blocks[first];
    Jump to_second = std::move(block.jumps[answer]);
    Block behind = std::exchange(blocks_.blocks[to_second.target], {});
    append(block.ops, std::move(to_second.ops));
    append(block.ops, std::move(behind.ops));
    // Of `a` and `b` both must hold to come to the new end; of `!a` and `!b` none: that is to say not either of `a` and `b`.
    Id second = behind.condition;
    if (answer == last) second = add(block, BlockOp::What::negate, {second});
    block.condition = add(block, answer ? BlockOp::What::both : BlockOp::What::either, {block.condition, second}, block.place);
    block.jumps[answer] = std::move(behind.jumps[!last]);
    --ways_[block.jumps[!answer].target];
    ++blocks_.rules[Rule::short_circuit];
  }

  static void append(std::vector<BlockOp>& to, std::vector<BlockOp> ops) {
    to.insert(to.end(), std::move_iterator(ops.begin()), std::move_iterator(ops.end()));
  }

  Id add(Block& block, BlockOp::What what, std::vector<Id> operands, Kind place = -1) {
    const Id result = blocks_.add(kBool);
    block.ops.push_back({what, place, 0, std::move(operands), {result}});
    return result;
  }

  Blocks& blocks_;
  const TypeTable& types_;
  std::vector<int> ways_;   // into each block
};

}  // namespace

void join_questions(Blocks& blocks, const TypeTable& types) { ShortCircuit(blocks, types).run(); }

}  // namespace etch::capture
