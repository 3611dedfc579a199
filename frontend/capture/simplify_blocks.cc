// Blocks without parameters that always stand for one value, and without what nobody reads.
#include <algorithm>

#include "frontend/capture/blocks.h"

namespace etch::capture {
namespace {

template <class F>
void for_each_jump(Blocks& blocks, F f) {
  for (Block& block : blocks.blocks) {
    for (Jump& jump : block.jumps) f(jump);
  }
}

template <class F>
void for_each_op(Blocks& blocks, F f) {
  for (Block& block : blocks.blocks) {
    for (BlockOp& op : block.ops) f(op);
    for (Jump& jump : block.jumps) {
      for (BlockOp& op : jump.ops) f(op);
    }
  }
}

/// Takes away, from parameters and all that is passed to them, what is not wanted.
void keep_parameters(Blocks& blocks, const std::vector<bool>& is_wanted) {
  for_each_jump(blocks, [&](Jump& jump) {
    std::vector<Id> kept;
    const std::vector<Id>& parameters = blocks.blocks[jump.target].parameters;
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (is_wanted[parameters[i]]) kept.push_back(jump.arguments[i]);
    }
    jump.arguments = std::move(kept);
  });
  for (Block& block : blocks.blocks) {
    std::erase_if(block.parameters, [&](Id parameter) { return !is_wanted[parameter]; });
  }
}

/// Parameters for which every way passes the same value, as far as can be: at first each stands for nothing yet, then for
/// the one value that it was given, then for itself.
void propagate(Blocks& blocks) {
  constexpr Id kNothing = -1;
  std::vector<Id> stands_for(blocks.types.size());
  for (size_t id = 0; id < stands_for.size(); ++id) stands_for[id] = static_cast<Id>(id);
  for (const Block& block : blocks.blocks) {
    for (Id parameter : block.parameters) stands_for[parameter] = kNothing;
  }
  for (bool changed = true; changed;) {
    changed = false;
    for_each_jump(blocks, [&](const Jump& jump) {
      const std::vector<Id>& parameters = blocks.blocks[jump.target].parameters;
      for (size_t i = 0; i < parameters.size(); ++i) {
        Id& now = stands_for[parameters[i]];
        const Id given = stands_for[jump.arguments[i]];
        if (given == kNothing || given == now || now == parameters[i]) continue;
        now = now == kNothing ? given : parameters[i];
        changed = true;
      }
    });
  }
  const auto rename = [&](Id& id) {
    if (stands_for[id] != kNothing) id = stands_for[id];
  };
  for_each_op(blocks, [&](BlockOp& op) { std::ranges::for_each(op.operands, rename); });
  for_each_jump(blocks, [&](Jump& jump) { std::ranges::for_each(jump.arguments, rename); });
  for (Block& block : blocks.blocks) {
    if (block.condition >= 0) rename(block.condition);
  }
  std::ranges::for_each(blocks.results, rename);
  std::vector<bool> is_wanted(blocks.types.size(), true);
  for (const Block& block : blocks.blocks) {
    for (Id parameter : block.parameters) is_wanted[parameter] = stands_for[parameter] == parameter;
  }
  keep_parameters(blocks, is_wanted);
}

/// Equal parameters of a block: those to which every jump passes equal values.
bool merge_parameters(Blocks& blocks) {
  std::vector<std::vector<const Jump*>> into(blocks.blocks.size());
  for_each_jump(blocks, [&](const Jump& jump) { into[jump.target].push_back(&jump); });
  std::vector<Id> renamed(blocks.types.size());
  for (size_t id = 0; id < renamed.size(); ++id) renamed[id] = static_cast<Id>(id);
  std::vector<bool> is_wanted(blocks.types.size(), true);
  bool is_any = false;
  for (size_t b = 0; b < blocks.blocks.size(); ++b) {
    const std::vector<Id>& parameters = blocks.blocks[b].parameters;
    for (size_t i = 0; i < parameters.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        const auto equal = [&](const Jump* jump) { return jump->arguments[i] == jump->arguments[j]; };
        if (!is_wanted[parameters[j]] || !std::ranges::all_of(into[b], equal)) continue;
        renamed[parameters[i]] = parameters[j];
        is_wanted[parameters[i]] = false;
        is_any = true;
        break;
      }
    }
  }
  if (!is_any) return false;
  const auto rename = [&](Id& id) { id = renamed[id]; };
  for_each_op(blocks, [&](BlockOp& op) { std::ranges::for_each(op.operands, rename); });
  for_each_jump(blocks, [&](Jump& jump) { std::ranges::for_each(jump.arguments, rename); });
  for (Block& block : blocks.blocks) {
    if (block.condition >= 0) rename(block.condition);
  }
  std::ranges::for_each(blocks.results, rename);
  keep_parameters(blocks, is_wanted);
  return true;
}

/// What conditions and results need. All ops are pure.
void remove_unread(Blocks& blocks) {
  std::vector<bool> is_read(blocks.types.size(), false);
  std::vector<const BlockOp*> maker(blocks.types.size(), nullptr);
  std::vector<std::vector<Id>> passed(blocks.types.size());  // to each parameter
  for_each_op(blocks, [&](const BlockOp& op) {
    for (Id result : op.results) maker[result] = &op;
  });
  for_each_jump(blocks, [&](const Jump& jump) {
    const std::vector<Id>& parameters = blocks.blocks[jump.target].parameters;
    for (size_t i = 0; i < parameters.size(); ++i) passed[parameters[i]].push_back(jump.arguments[i]);
  });
  std::vector<Id> open(blocks.results);
  for (const Block& block : blocks.blocks) {
    if (block.condition >= 0) open.push_back(block.condition);
  }
  while (!open.empty()) {
    const Id id = open.back();
    open.pop_back();
    if (is_read[id]) continue;
    is_read[id] = true;
    if (maker[id]) open.insert(open.end(), maker[id]->operands.begin(), maker[id]->operands.end());
    open.insert(open.end(), passed[id].begin(), passed[id].end());
  }
  const auto is_unread = [&](const BlockOp& op) {
    return std::ranges::none_of(op.results, [&](Id result) { return is_read[result]; });
  };
  for (Block& block : blocks.blocks) {
    std::erase_if(block.ops, is_unread);
    for (Jump& jump : block.jumps) std::erase_if(jump.ops, is_unread);
  }
  keep_parameters(blocks, is_read);
}

}  // namespace

void simplify(Blocks& blocks) {
  do {
    propagate(blocks);
  } while (merge_parameters(blocks));
  remove_unread(blocks);
}

void split_jumps(Blocks& blocks) {
  std::vector<int> ways(blocks.blocks.size(), 0);
  for_each_jump(blocks, [&](const Jump& jump) { ++ways[jump.target]; });
  for (size_t b = 0; b < blocks.blocks.size(); ++b) {
    for (size_t i = 0; i < blocks.blocks[b].jumps.size(); ++i) {
      Jump& jump = blocks.blocks[b].jumps[i];
      if (jump.ops.empty()) continue;
      if (jump.target < static_cast<int32_t>(ways.size()) && ways[jump.target] == 1 &&
          blocks.blocks[jump.target].parameters.empty()) {
        std::vector<BlockOp>& ops = blocks.blocks[jump.target].ops;
        ops.insert(ops.begin(), std::move_iterator(jump.ops.begin()), std::move_iterator(jump.ops.end()));
        jump.ops.clear();
        continue;
      }
      Block between;
      between.ops = std::move(jump.ops);
      between.jumps = {{jump.target, {}, std::move(jump.arguments)}};
      jump = {static_cast<int32_t>(blocks.blocks.size()), {}, {}};
      blocks.blocks.push_back(std::move(between));
    }
  }
}

}  // namespace etch::capture
