// The LLVM session of this process: programs in, functions in memory out. No cache: see cache.cc.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/codegen/codegen.h"

namespace etch::codegen {

/// A function of a module.
struct CompiledFunction {
  KernelFn fn = nullptr;
  int64_t scratch_bytes = 0;
};

/// The functions of one module, in the order of its programs; the code lives as long as `code`.
struct CompiledModule {
  std::shared_ptr<const void> code;
  std::vector<CompiledFunction> functions;
  CompileCounts counts;  // of LLVM, linking and what was emitted
};

/// Compiles all programs in one module; with `verify` LLVM's verifier checks it. Thread-safe.
absl::StatusOr<CompiledModule> compile_module(std::span<const KernelProgram* const> programs,
                                              const CodegenOptions& options, bool verify);

/// Bytes of machine code and its constants alive now.
int64_t live_code_bytes();

/// Short pseudo-code of the loop nest.
std::string print_loops(const KernelProgram& program, const std::string& name);

}  // namespace etch::codegen
