// Blocks without parameters that always stand for one value, and without what nobody reads.
#include <algorithm>
#include <numeric>

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

/// Puts other values in the place of parameters, each of which stands for itself or for one that stays.
void replace(Blocks& blocks, const std::vector<Id>& stands_for, Rule rule) {
  const auto rename = [&](Id& id) { id = stands_for[id]; };
  for_each_op(blocks, [&](BlockOp& op) { std::ranges::for_each(op.operands, rename); });
  for_each_jump(blocks, [&](Jump& jump) { std::ranges::for_each(jump.arguments, rename); });
  std::vector<bool> is_wanted(blocks.types.size(), true);
  for (Block& block : blocks.blocks) {
    if (block.condition >= 0) rename(block.condition);
    for (Id parameter : block.parameters) {
      is_wanted[parameter] = stands_for[parameter] == parameter;
      blocks.rules[rule] += !is_wanted[parameter];
    }
  }
  std::ranges::for_each(blocks.results, rename);
  keep_parameters(blocks, is_wanted);
}

std::vector<Id> themselves(const Blocks& blocks) {
  std::vector<Id> ids(blocks.types.size());
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}

constexpr Id kNothing = -1;

/// Parameters for which every way passes the same value, as far as can be: at first each stands for nothing yet, then for
/// the one value that it was given, then for itself.
void propagate(Blocks& blocks) {
  std::vector<Id> stands_for = themselves(blocks);
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
  for (size_t id = 0; id < stands_for.size(); ++id) {
    if (stands_for[id] == kNothing) stands_for[id] = static_cast<Id>(id);  // of blocks that nothing leads to
  }
  replace(blocks, stands_for, Rule::one_value);
}

/// Parameters that are given one value beside themselves. propagate() takes one for itself, too, where the value is a
/// parameter that stood for another one at first.
bool propagate_own(Blocks& blocks) {
  std::vector<Id> only(blocks.types.size(), kNothing);
  std::vector<bool> goes(blocks.types.size(), false);
  for_each_jump(blocks, [&](const Jump& jump) {
    const std::vector<Id>& parameters = blocks.blocks[jump.target].parameters;
    for (size_t i = 0; i < parameters.size(); ++i) {
      const Id parameter = parameters[i], given = jump.arguments[i];
      if (given == parameter) continue;
      goes[parameter] = only[parameter] == kNothing || (goes[parameter] && only[parameter] == given);
      only[parameter] = given;
    }
  });
  std::vector<Id> stands_for = themselves(blocks);
  bool is_any = false;
  for (size_t id = 0; id < goes.size(); ++id) {
    if (!goes[id] || goes[only[id]]) continue;  // another round takes those behind one that goes
    stands_for[id] = only[id];
    is_any = true;
  }
  if (is_any) replace(blocks, stands_for, Rule::one_value);
  return is_any;
}

/// Equal parameters of a block: those to which every jump passes equal values.
bool merge_parameters(Blocks& blocks) {
  std::vector<std::vector<const Jump*>> into(blocks.blocks.size());
  for_each_jump(blocks, [&](const Jump& jump) { into[jump.target].push_back(&jump); });
  std::vector<Id> stands_for = themselves(blocks);
  bool is_any = false;
  for (size_t b = 0; b < blocks.blocks.size(); ++b) {
    const std::vector<Id>& parameters = blocks.blocks[b].parameters;
    for (size_t i = 0; i < parameters.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        const auto equal = [&](const Jump* jump) { return jump->arguments[i] == jump->arguments[j]; };
        if (stands_for[parameters[j]] != parameters[j] || !std::ranges::all_of(into[b], equal)) continue;
        stands_for[parameters[i]] = parameters[j];
        is_any = true;
        break;
      }
    }
  }
  if (is_any) replace(blocks, stands_for, Rule::equal);
  return is_any;
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
    blocks.rules[Rule::unread] += static_cast<int64_t>(std::erase_if(block.ops, is_unread));
    for (Jump& jump : block.jumps) blocks.rules[Rule::unread] += static_cast<int64_t>(std::erase_if(jump.ops, is_unread));
  }
  keep_parameters(blocks, is_read);
}

}  // namespace

void simplify(Blocks& blocks) {
  do {
    propagate(blocks);
    while (propagate_own(blocks)) {
    }
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
      ++blocks.rules[Rule::between];
      Block between;
      between.ops = std::move(jump.ops);
      between.jumps = {{jump.target, {}, std::move(jump.arguments)}};
      jump = {static_cast<int32_t>(blocks.blocks.size()), {}, {}};
      blocks.blocks.push_back(std::move(between));
    }
  }
}

}  // namespace etch::capture
