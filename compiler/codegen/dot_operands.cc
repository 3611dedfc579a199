// What the emitters of products know about their operands, and how they compute them.
#include <algorithm>

#include "compiler/codegen/dot_parts.h"

namespace etch::codegen {

int DotParts::dot_of(const KernelProgram& program) {
  const auto dot = std::ranges::find(program.body, InstrKind::dot, &Instr::kind);
  return static_cast<int>(dot - program.body.begin());
}

void DotParts::find_operands() {
  for (int i = 0; i < 2; ++i) {
    std::vector<int>& instrs = operands_[i];
    instrs = {k_.program.body[dot_].args[i]};
    for (size_t n = 0; n < instrs.size(); ++n) {
      const Instr& instr = k_.program.body[instrs[n]];
      instrs.insert(instrs.end(), instr.args.begin(), instr.args.end());
    }
    std::ranges::sort(instrs);
    instrs.erase(std::ranges::unique(instrs).begin(), instrs.end());
  }
}

void DotParts::emit_constants() {
  constants_.resize(k_.program.body.size());
  const std::vector<Level> levels = levels_of(k_.program);
  const Cursor nowhere = lanes_along(k_.origin(), Stride::zero, n_axis_, 1, nullptr);
  for (size_t i = 0; i < constants_.size(); ++i) {
    if (levels[i] == Level::kernel) k_.emit(static_cast<int>(i), nowhere, constants_);
  }
}

std::optional<int> DotParts::plain_access(int i) const {
  const Instr& instr = k_.program.body[k_.program.body[dot_].args[i]];
  if (instr.kind != InstrKind::load || blocking_.dtype != instr.dtype) return std::nullopt;
  if (k_.program.accesses[instr.slot].dtype != instr.dtype) return std::nullopt;
  return instr.slot;
}

Stride DotParts::stride_along(int access, int axis) const {
  const Access& of = k_.program.accesses[access];
  if (of.uniform) return Stride::zero;
  return axis == n_axis_ ? of.stride : axis == k_axis_ ? of.steps : Stride::other;
}

bool DotParts::lies_across(int i) const {
  return std::ranges::any_of(operands_[i], [&](int n) {
    const Instr& instr = k_.program.body[n];
    if (instr.kind != InstrKind::load) return false;
    return stride_along(instr.slot, n_axis_) == Stride::one && stride_along(instr.slot, k_axis_) != Stride::zero;
  });
}

Origin DotParts::move_operand(int i, const Origin& origin, int axis, llvm::Value* index) {
  Origin moved = origin;
  for (const int n : operands_[i]) {
    const Instr& instr = k_.program.body[n];
    if (instr.kind != InstrKind::load) continue;
    const Stride stride = stride_along(instr.slot, axis);
    if (stride == Stride::zero) continue;
    llvm::Value* elements = stride == Stride::one ? index : b_.CreateMul(index, k_.access_stride(instr.slot, axis));
    moved.accesses[instr.slot] = k_.advance(instr.slot, origin.accesses[instr.slot], elements);
  }
  return moved;
}

Cursor DotParts::lanes_along(const Origin& origin, std::optional<Stride> stride, int axis, int64_t width, llvm::Value* mask) {
  Cursor at;
  at.width = static_cast<int>(width);
  at.mask = {mask, nullptr};
  for (int a = 0; a < static_cast<int>(k_.program.accesses.size()); ++a) {
    const Stride own = stride_along(a, axis);
    Place place{origin.accesses[a], own == Stride::zero ? own : stride.value_or(own), nullptr};
    if (place.stride == Stride::other) place.step = k_.access_stride(a, axis);
    at.accesses.push_back(place);
  }
  for (size_t i = 0; i < k_.program.indices.size(); ++i) {
    at.indices.push_back({origin.indices[i], Stride::other, k_.index_stride(i, axis)});
  }
  return at;
}

void DotParts::emit_unvarying(int i, int axis, const Cursor& at, std::vector<llvm::Value*>& values) {
  std::vector<bool> varies(k_.program.body.size());
  for (const int n : operands_[i]) {
    const Instr& instr = k_.program.body[n];
    if (instr.kind == InstrKind::load) varies[n] = stride_along(instr.slot, axis) != Stride::zero;
    for (const int arg : instr.args) varies[n] = varies[n] || varies[arg];
    if (!varies[n]) k_.emit(n, at, values);
  }
}

std::vector<llvm::Value*> DotParts::values_along(int i, const Origin& origin, int axis, int64_t width) {
  std::vector<llvm::Value*> values = constants_;
  emit_unvarying(i, axis, lanes_along(origin, Stride::zero, axis, 1, nullptr), values);
  for (const int n : operands_[i]) {
    if (values[n]) values[n] = splat(b_, values[n], static_cast<int>(width));
  }
  return values;
}

llvm::Value* DotParts::operand_lanes(int i, const Cursor& at, std::vector<llvm::Value*> values) {
  for (const int n : operands_[i]) k_.emit(n, at, values);
  llvm::Value* value = splat(b_, values[k_.program.body[dot_].args[i]], at.width);
  if (is_floating(dtype_)) return value;
  return b_.CreateIntCast(value, value->getType()->getWithNewType(element_), is_signed_integer(dtype_));
}

void DotParts::compute_steps(int i, const Origin& origin, llvm::Value* steps, llvm::Value* to) {
  const std::vector<llvm::Value*> known = values_along(i, origin, k_axis_, blocking_.lanes);
  k_.vector_loop(k_.i64(0), steps, static_cast<int>(blocking_.lanes), {}, true, k_.target.masked_ops,
                 [&](llvm::Value* p, const Mask& mask, llvm::ArrayRef<llvm::Value*>) {
    const Origin from = move_operand(i, origin, k_axis_, p);
    const Cursor lanes = lanes_along(from, std::nullopt, k_axis_, blocking_.lanes, mask.lanes);
    store(operand_lanes(i, lanes, known), at(to, p));
    return Values{};
  });
}

void DotParts::compute_panels(const Origin& corner, llvm::Value* columns, llvm::Value* steps, llvm::Value* to,
                              llvm::Value* next_panel) {
  const int64_t width = blocking_.panel();
  llvm::Value* panel = k_.i64(width);
  llvm::Value* whole = b_.CreateAnd(columns, k_.i64(-width));
  const auto row = [&](const Origin& origin, llvm::Value* column, llvm::Value* mask, const std::vector<llvm::Value*>& known,
                       llvm::Value* place) {
    const Cursor lanes = lanes_along(move_operand(1, origin, n_axis_, column), std::nullopt, n_axis_, width, mask);
    store(operand_lanes(1, lanes, known), place);
  };
  k_.loop(k_.i64(0), steps, k_.i64(1), {to}, true, [&](llvm::Value* p, llvm::ArrayRef<llvm::Value*> now) {
    const Origin origin = move_operand(1, corner, k_axis_, p);
    const std::vector<llvm::Value*> known = values_along(1, origin, n_axis_, width);
    k_.loop(k_.i64(0), whole, panel, {now[0]}, true, [&](llvm::Value* j, llvm::ArrayRef<llvm::Value*> place) {
      row(origin, j, nullptr, known, place[0]);
      return Values{at(place[0], next_panel)};
    });
    return Values{at(now[0], panel)};
  });
  k_.if_then(b_.CreateICmpSLT(whole, columns), [&] {
    llvm::Value* mask = k_.mask_of_count(b_.CreateSub(columns, whole), static_cast<int>(width));
    llvm::Value* last = at(to, b_.CreateMul(b_.CreateUDiv(whole, panel), next_panel));
    k_.loop(k_.i64(0), steps, k_.i64(1), {last}, true, [&](llvm::Value* p, llvm::ArrayRef<llvm::Value*> now) {
      row(move_operand(1, corner, k_axis_, p), whole, mask, constants_, now[0]);
      return Values{at(now[0], panel)};
    });
  });
}

void DotParts::compute_turned_panels(const Origin& corner, llvm::Value* columns, llvm::Value* steps, llvm::Value* to,
                                     llvm::Value* next_panel) {
  llvm::Value *panel = k_.i64(blocking_.panel()), *one = k_.i64(1);
  k_.loop(k_.i64(0), columns, panel, {to}, false, [&](llvm::Value* j, llvm::ArrayRef<llvm::Value*> now) {
    llvm::Value* some = min(b_.CreateSub(columns, j), panel);
    count(k_.i64(0), some, one, false, [&](llvm::Value* c) {
      const Origin column = move_operand(1, corner, n_axis_, b_.CreateAdd(j, c));
      compute_steps(1, column, steps, at(turned_lines_, b_.CreateMul(c, k_.i64(kProductLeading))));
    });
    call_loop("transpose_b", {turned_lines_, k_.i64(kProductLeading), one, some, steps, now[0]});
    return Values{at(now[0], next_panel)};
  });
}

}  // namespace etch::codegen
