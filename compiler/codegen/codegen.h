// Code generation: kernel programs in, machine code in this process out. The one door to LLVM.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "compiler/codegen/target.h"
#include "compiler/schedule/kernel.h"
#include "runtime/kernel_abi.h"

namespace etch {

/// What decides a kernel's machine code beside its program; all of it is part of the key.
struct CodegenOptions {
  Target target = host_target();
  bool fast_math = false;  // lets LLVM reassociate and contract; bits may differ
  bool operator==(const CodegenOptions&) const = default;
};

/// Machine code of one kernel; alive as long as the handle. Equal programs share it.
class CompiledKernel {
 public:
  virtual ~CompiledKernel() = default;
  virtual KernelFn fn() const = 0;
  /// Memory that each of its calls needs as scratch.
  virtual int64_t scratch_bytes() const = 0;
};
using KernelHandle = std::shared_ptr<const CompiledKernel>;

/// What the kernels of one kind came to that went through LLVM. A function that several of a module call counts once.
struct EmittedCounts {
  int64_t kernels = 0;
  int64_t instructions = 0;  // of LLVM, as it gets them for code generation
};

struct CompileCounts {
  int64_t kernels_compiled = 0;  // programs that went through LLVM
  int64_t kernels_reused = 0;    // programs found in the cache
  int64_t modules = 0;
  double milliseconds = 0;       // spent in code generation
  double llvm_milliseconds = 0;  // of those, in LLVM's passes: its share, where modules compile side by side
  double link_milliseconds = 0;  // of those, to bring objects to where they run: likewise
  std::map<KernelKind, EmittedCounts> emitted;
  int64_t code_bytes = 0;        // machine code alive now, of all functions

  /// Adds what a part of the work came to, but for code_bytes.
  void add(const CompileCounts& part);
  /// What was emitted, by kind: '1 loop of 151 instructions, 2 row of 584 instructions'.
  std::string emitted_text() const;
};

/// Columns of the panels in which products with such sums read their second operand.
int64_t panel_columns(DType sums, const Target& target);

/// The kernels of these programs, in order: cached ones are reused, all the others are compiled in one module (several
/// if there are many, or if there is work for several threads). Equal programs compile once, also when several threads ask at
/// once. With `verify` LLVM's verifier runs on every new module. FailedPrecondition if this processor lacks what the target has.
absl::StatusOr<std::vector<KernelHandle>> compile_kernels(std::span<const KernelProgram* const> programs,
                                                          const CodegenOptions& options, CompileCounts* counts,
                                                          bool verify = false, int threads = 1);

/// The kernel of this program if the cache holds it, else null.
KernelHandle find_kernel(const KernelProgram& program, const CodegenOptions& options);

/// What stage of code generation to print.
enum class CodeStage : uint8_t { loops, llvm, optimized_llvm, assembly };

/// The code of one program as text, for any target of this machine's kind: nothing is run. `loops` is short pseudo-code
/// of the loop nest.
absl::StatusOr<std::string> print_code(const KernelProgram& program, const CodegenOptions& options, CodeStage stage,
                                       const std::string& name);

/// Forgets cached kernels that no handle uses.
void trim_kernel_cache();

/// Totals of this process.
CompileCounts codegen_totals();

}  // namespace etch
