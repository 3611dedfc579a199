// What the emitters of products share: their loops, and what they know about operands and how they compute them.
#include <algorithm>
#include <utility>

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

void DotParts::count(llvm::Value* from, llvm::Value* to, llvm::Value* step, bool guard,
                     llvm::function_ref<void(llvm::Value*)> body) {
  k_.loop(from, to, step, {}, guard, [&](llvm::Value* i, llvm::ArrayRef<llvm::Value*>) {
    body(i);
    return Values{};
  });
}

llvm::Function* DotParts::shared(const std::string& name, llvm::ArrayRef<llvm::Type*> arguments,
                                 llvm::function_ref<void(llvm::Function*)> body) {
  const std::string full_name = name + "." + std::string(etch::name(blocking_.dtype));
  if (llvm::Function* known = module_.getFunction(full_name)) return known;
  auto* type = llvm::FunctionType::get(b_.getVoidTy(), arguments, false);
  auto* f = llvm::Function::Create(type, llvm::GlobalValue::InternalLinkage, full_name, module_);
  f->addFnAttrs(llvm::AttrBuilder(k_.context, k_.function->getAttributes().getFnAttrs()));
  llvm::IRBuilderBase::InsertPointGuard guard(b_);
  llvm::Function* const kernel = std::exchange(k_.function, f);
  b_.SetInsertPoint(llvm::BasicBlock::Create(k_.context, "entry", f));
  body(f);
  b_.CreateRetVoid();
  k_.function = kernel;
  return f;
}

void DotParts::call_loop(const char* name, llvm::ArrayRef<llvm::Value*> arguments) {
  llvm::SmallVector<llvm::Type*, 12> types;
  for (llvm::Value* argument : arguments) types.push_back(argument->getType());
  auto* type = llvm::FunctionType::get(b_.getVoidTy(), types, false);
  const std::string symbol = product_loop_symbol(name, blocking_.dtype, blocking_.vector_bytes);
  llvm::FunctionCallee loop = module_.getOrInsertFunction(symbol, type);
  llvm::cast<llvm::Function>(loop.getCallee())->setDoesNotThrow();
  b_.CreateCall(loop, arguments);
}

}  // namespace etch::codegen
