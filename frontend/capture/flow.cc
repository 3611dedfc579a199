// The flow of blocks: order, dominators, loops, and what is alive where.
#include "frontend/capture/flow.h"

#include <algorithm>
#include <set>

#include "runtime/check.h"

namespace etch::capture {

Flow::Flow(const Blocks& blocks, bool with_alive) {
  const size_t count = blocks.blocks.size();
  position_.assign(count, -1);
  dominator_.assign(count, -1);
  ways_into_.assign(count, 0);
  from_.resize(count);
  loops_.resize(count);
  alive_.resize(count);
  find_order(blocks);
  find_dominators();
  find_loops(blocks);
  if (with_alive) find_alive(blocks);
}

void Flow::find_order(const Blocks& blocks) {
  std::vector<size_t> next(blocks.blocks.size(), 0);
  std::vector<bool> is_seen(blocks.blocks.size(), false);
  std::vector<int32_t> stack = {0};
  is_seen[0] = true;
  while (!stack.empty()) {
    const int32_t at = stack.back();
    const std::vector<Jump>& jumps = blocks.blocks[at].jumps;
    if (next[at] == jumps.size()) {
      order_.push_back(at);
      stack.pop_back();
      continue;
    }
    const int32_t to = jumps[next[at]++].target;
    if (is_seen[to]) continue;
    is_seen[to] = true;
    stack.push_back(to);
  }
  std::ranges::reverse(order_);
  for (size_t i = 0; i < order_.size(); ++i) position_[order_[i]] = static_cast<int32_t>(i);
  for (int32_t block : order_) {
    for (const Jump& jump : blocks.blocks[block].jumps) {
      ++ways_into_[jump.target];
      from_[jump.target].push_back(block);
    }
  }
}

void Flow::find_dominators() {
  dominator_[0] = 0;
  for (bool changed = true; changed;) {
    changed = false;
    for (int32_t block : order_) {
      if (block == 0) continue;
      int32_t common = -1;
      for (int32_t from : from_[block]) {
        if (dominator_[from] < 0) continue;
        int32_t a = from, b = common < 0 ? from : common;
        while (a != b) (position_[a] > position_[b] ? a : b) = dominator_[position_[a] > position_[b] ? a : b];
        common = a;
      }
      if (common == dominator_[block]) continue;
      dominator_[block] = common;
      changed = true;
    }
  }
}

void Flow::find_loops(const Blocks& blocks) {
  for (int32_t block : order_) {
    for (const Jump& jump : blocks.blocks[block].jumps) {
      const int32_t header = jump.target;
      if (position_[header] > position_[block]) continue;
      ETCH_CHECK(dominates(header, block), "each cycle has one entry");
      std::vector<bool>& has = loops_[header].has;
      has.resize(blocks.blocks.size(), false);
      has[header] = true;
      std::vector<int32_t> open = {block};
      while (!open.empty()) {
        const int32_t at = open.back();
        open.pop_back();
        if (has[at]) continue;
        has[at] = true;
        open.insert(open.end(), from_[at].begin(), from_[at].end());
      }
    }
  }
}

void Flow::find_alive(const Blocks& blocks) {
  std::vector<std::set<Id>> alive(blocks.blocks.size());
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = order_.size(); i-- > 0;) {
      const int32_t at = order_[i];
      const Block& block = blocks.blocks[at];
      std::set<Id> now;
      for (const Jump& jump : block.jumps) {
        now.insert(alive[jump.target].begin(), alive[jump.target].end());
        now.insert(jump.arguments.begin(), jump.arguments.end());
      }
      if (block.condition >= 0) now.insert(block.condition);
      if (at == blocks.end) now.insert(blocks.results.begin(), blocks.results.end());
      for (size_t o = block.ops.size(); o-- > 0;) {
        for (Id result : block.ops[o].results) now.erase(result);
        now.insert(block.ops[o].operands.begin(), block.ops[o].operands.end());
      }
      for (Id parameter : block.parameters) now.erase(parameter);
      if (now == alive[at]) continue;
      alive[at] = std::move(now);
      changed = true;
    }
  }
  for (size_t b = 0; b < alive.size(); ++b) {
    for (Id id : alive[b]) {
      if (!blocks.is_given(id)) alive_[b].push_back(id);
    }
  }
}

}  // namespace etch::capture
