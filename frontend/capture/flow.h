// The flow of blocks: order, dominators, loops, and what is alive where.
#pragma once

#include <vector>

#include "frontend/capture/blocks.h"

namespace etch::capture {

struct Loop {
  std::vector<bool> has;      // by block
};

class Flow {
 public:
  /// @param with_alive alive() will be asked.
  explicit Flow(const Blocks& blocks, bool with_alive = true);

  /// The place of a block in an order in which forward jumps go forward; -1 for one that nothing leads to.
  int32_t position(int32_t block) const { return position_[block]; }
  bool dominates(int32_t a, int32_t b) const {
    while (position_[b] > position_[a]) b = dominator_[b];
    return a == b;
  }
  int num_ways_into(int32_t block) const { return ways_into_[block]; }
  /// The loop that a block is the header of, or nullptr.
  const Loop* loop_at(int32_t header) const { return loops_[header].has.empty() ? nullptr : &loops_[header]; }
  /// What is read in a block or behind it and defined neither there nor as its parameter; ascending.
  const std::vector<Id>& alive(int32_t block) const { return alive_[block]; }

 private:
  void find_order(const Blocks& blocks);
  void find_dominators();
  void find_loops(const Blocks& blocks);
  void find_alive(const Blocks& blocks);

  std::vector<int32_t> order_, position_, dominator_, ways_into_;
  std::vector<std::vector<int32_t>> from_;
  std::vector<Loop> loops_;
  std::vector<std::vector<Id>> alive_;
};

}  // namespace etch::capture
