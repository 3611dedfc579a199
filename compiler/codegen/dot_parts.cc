// What the emitters of products share beside their operands: loops.
#include "compiler/codegen/dot_parts.h"

#include <algorithm>
#include <utility>

#include "compiler/codegen/kept_bytes.h"
#include "runtime/rounding.h"

namespace etch::codegen {

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

namespace etch {

int64_t kept_bytes(const KernelProgram& program, std::span<const int64_t> sizes, const Target& target) {
  const int n = program.axis(Role::vector), k = program.rank() - 1;
  if (!program.has_tiles() || k != n + 1) return 0;
  int64_t rows = 1;
  for (int axis = program.axis(Role::row); axis < n; ++axis) rows *= sizes[axis];
  const codegen::Blocking blocking(codegen::DotParts::sums_of(program), target, program.blocks);
  const int64_t blocks = ceil_div(sizes[k], blocking.depth);
  if (rows <= blocking.rows || blocks > codegen::Blocking::kMostKept || blocks < 2) return 0;
  const int64_t panels = ceil_div(sizes[n], blocking.panel());
  const int64_t columns = std::min(panels * blocking.panel(), blocking.columns);
  return blocking.bytes((blocks - 1) * blocking.copied_steps() * columns);
}

int64_t panel_columns(DType sums, const Target& target) { return codegen::Blocking(sums, target, {}).panel(); }

}  // namespace etch
