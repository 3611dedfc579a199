// What the emitters of products know about their operands, and how they compute them.
#include <algorithm>

#include "compiler/codegen/dot_parts.h"

namespace etch::codegen {

int DotParts::dot_of(const KernelProgram& program) {
  const auto dot = std::ranges::find(program.body, InstrKind::dot, &Instr::kind);
  return static_cast<int>(dot - program.body.begin());
}

void DotParts::emit_constants() {
  constants_.resize(k_.program.body.size());
  const std::vector<Level> levels = levels_of(k_.program);
  const Cursor nowhere = lanes_along(k_.origin(), n_axis_, Stride::zero, 1, nullptr);
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

Cursor DotParts::lanes_along(const Origin& origin, int axis, std::optional<Stride> stride, int64_t width,
                               llvm::Value* mask) {
  Cursor at;
  at.width = static_cast<int>(width);
  at.mask = {mask, nullptr};
  for (size_t a = 0; a < k_.program.accesses.size(); ++a) {
    const Access& access = k_.program.accesses[a];
    Place place{origin.accesses[a], access.uniform ? Stride::zero : stride.value_or(access.stride), nullptr};
    if (place.stride == Stride::other) place.step = k_.access_stride(a, axis);
    at.accesses.push_back(place);
  }
  for (size_t i = 0; i < k_.program.indices.size(); ++i) {
    at.indices.push_back({origin.indices[i], Stride::other, k_.index_stride(i, axis)});
  }
  return at;
}

void DotParts::emit_operands(int instr, const Cursor& at, std::vector<llvm::Value*>& values) {
  for (int arg : k_.program.body[instr].args) {
    if (!values[arg]) emit_operands(arg, at, values);
  }
  k_.emit(instr, at, values);
}

llvm::Value* DotParts::operand_lanes(int i, const Cursor& at) {
  std::vector<llvm::Value*> values = constants_;
  const int instr = k_.program.body[dot_].args[i];
  emit_operands(instr, at, values);
  llvm::Value* value = splat(b_, values[instr], at.width);
  if (is_floating(dtype_)) return value;
  return b_.CreateIntCast(value, value->getType()->getWithNewType(element_), is_signed_integer(dtype_));
}

}  // namespace etch::codegen
