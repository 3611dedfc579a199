// What the emitters of products share beside their operands: loops.
#include "compiler/codegen/dot_parts.h"

#include <utility>

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

int64_t panel_columns(DType sums, const Target& target) { return codegen::Blocking(sums, target, {}).panel(); }

}  // namespace etch
