// Loop kernels: every element of the domain on its own, vectorised along the last axis.
#include <algorithm>

#include "compiler/codegen/emit.h"

namespace etch::codegen {

llvm::Function* emit_loop_kernel(const KernelProgram& program, const Target& target, llvm::Module& module,
                                 const std::string& name) {
  KernelEmitter k(program, target, module, name);
  const std::vector<Level> levels = levels_of(program);
  const int count = static_cast<int>(program.body.size());
  // A cheap body is worth two vectors a turn and a second copy without masks.
  const bool cheap = work_of(program, [&](int i) { return levels[i] == Level::element; }) < kCheapWork;
  const int width = std::min(64, lanes_of(program, target) * (cheap ? 2 : 1));

  auto emit_level = [&](Level level, const std::vector<llvm::Value*>& pointers, std::vector<llvm::Value*>& values) {
    Cursor scalars;
    for (llvm::Value* pointer : pointers) scalars.accesses.push_back({pointer, Stride::zero, nullptr});
    for (int i = 0; i < count; ++i) {
      if (levels[i] == level) k.emit(i, scalars, values);
    }
  };
  std::vector<llvm::Value*> origins, of_kernel(count);
  for (size_t a = 0; a < program.accesses.size(); ++a) origins.push_back(k.origin(a));
  emit_level(Level::kernel, origins, of_kernel);

  k.walk_segments(program.rank - 1, [&](const Origin& origin, llvm::Value* from, llvm::Value* to) {
    std::vector<llvm::Value*> of_row = of_kernel;
    emit_level(Level::row, origin.accesses, of_row);
    splat_for_elements(k, levels, width, of_row);
    k.vector_loop(from, to, width, {}, false, target.masked_ops && !cheap,
                  [&](llvm::Value* i, llvm::Value* mask, llvm::ArrayRef<llvm::Value*>) {
      std::vector<llvm::Value*> values = of_row;
      Cursor at = k.cursor(origin, i, width, mask);
      for (int n = 0; n < count; ++n) k.emit(n, at, values);
      return Values{};
    });
  });
  return k.finish();
}

}  // namespace etch::codegen
