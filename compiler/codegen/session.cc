// The LLVM session of this process: modules are built, optimised lightly, emitted as objects and linked by JITLink.
#include "compiler/codegen/session.h"

#include <llvm/ADT/SmallString.h>
#include <llvm/Analysis/AliasAnalysis.h>
#include <llvm/Analysis/AssumptionCache.h>
#include <llvm/Analysis/BasicAliasAnalysis.h>
#include <llvm/Analysis/BlockFrequencyInfo.h>
#include <llvm/Analysis/BranchProbabilityInfo.h>
#include <llvm/Analysis/LoopInfo.h>
#include <llvm/Analysis/OptimizationRemarkEmitter.h>
#include <llvm/Analysis/PostDominators.h>
#include <llvm/Analysis/ProfileSummaryInfo.h>
#include <llvm/Analysis/ScalarEvolution.h>
#include <llvm/Analysis/TargetLibraryInfo.h>
#include <llvm/Analysis/TargetTransformInfo.h>
#include <llvm/ExecutionEngine/Orc/Core.h>
#include <llvm/ExecutionEngine/Orc/ExecutorProcessControl.h>
#include <llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h>
#include <llvm/IR/DiagnosticHandler.h>
#include <llvm/IR/DiagnosticInfo.h>
#include <llvm/IR/DiagnosticPrinter.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/MCContext.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Pass.h>
#include <llvm/Support/CommandLine.h>
#include <llvm/Support/MemoryBuffer.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Target/TargetOptions.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar.h>
#include <llvm/Transforms/Scalar/LoopPassManager.h>
#include <llvm/Transforms/Scalar/LoopRotation.h>
#include <llvm/Transforms/Scalar/LoopUnrollPass.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>

#include <algorithm>
#include <pthread.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <mutex>

#include "absl/cleanup/cleanup.h"
#include "compiler/codegen/code_memory.h"
#include "compiler/codegen/emit.h"
#include "runtime/check.h"
#include "runtime/clock.h"
#include "runtime/fork.h"
#include "runtime/product_loops.h"
#include "runtime/stack.h"

namespace etch::codegen {
namespace {

/// The largest frame that a kernel may have, in bytes: it runs on threads with small stacks.
constexpr int kLargestFrame = 16 << 10;

/// What LLVM says about a module. Without a handler it would print.
class Diagnostics final : public llvm::DiagnosticHandler {
 public:
  explicit Diagnostics(std::string& text) : text_(text) {}
  bool handleDiagnostics(const llvm::DiagnosticInfo& info) override {
    if (info.getSeverity() != llvm::DS_Error && info.getSeverity() != llvm::DS_Warning) return true;
    llvm::raw_string_ostream out(text_);
    llvm::DiagnosticPrinterRawOStream printer(out);
    info.print(printer);
    out << "\n";
    return true;
  }

 private:
  std::string& text_;
};

/// A fork waits until no thread is inside of LLVM, and the next ones wait for it: a child cannot use locks and tables that
/// another thread has left half done.
pthread_rwlock_t compiling = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;
const ForkHandler fork_waits_for_compiling(
    ForkOrder::compiling, nullptr, [](void*) { return pthread_rwlock_wrlock(&compiling) == 0; },
    [](void*) { pthread_rwlock_unlock(&compiling); },
    // The lock names the thread that holds it, which has another number in the child.
    [](void*) { compiling = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP; });

/// Stands while this thread is inside of LLVM.
class InsideLlvm {
 public:
  InsideLlvm() {
    if (depth_++ == 0) pthread_rwlock_rdlock(&compiling);
  }
  ~InsideLlvm() {
    if (--depth_ == 0) pthread_rwlock_unlock(&compiling);
  }
  InsideLlvm(const InsideLlvm&) = delete;
  InsideLlvm& operator=(const InsideLlvm&) = delete;

 private:
  static inline constinit thread_local int depth_ = 0;
};

/// What linking on this thread reports beside its result, or null. It may be about another thread's object, for LLVM lets any
/// thread do what is outstanding.
constinit thread_local std::string* link_reports = nullptr;

/// The analyses that the passes of fold_turns ask for; all that LLVM has would make the library several times as large.
struct Analyses {
  explicit Analyses(llvm::TargetMachine& machine) {
    const auto add = []<class Manager, class... Pass>(Manager& manager, Pass... passes) {
      (manager.registerPass([=] { return passes; }), ...);
    };
    llvm::AAManager aliases;
    aliases.registerFunctionAnalysis<llvm::BasicAA>();
    functions.registerPass([&] { return std::move(aliases); });
    functions.registerPass([&] { return machine.getTargetIRAnalysis(); });
    add(functions, llvm::AssumptionAnalysis(), llvm::BasicAA(), llvm::BlockFrequencyAnalysis(),
        llvm::BranchProbabilityAnalysis(), llvm::DominatorTreeAnalysis(), llvm::PostDominatorTreeAnalysis(),
        llvm::LoopAnalysis(), llvm::OptimizationRemarkEmitterAnalysis(), llvm::PassInstrumentationAnalysis(),
        llvm::ScalarEvolutionAnalysis(), llvm::TargetLibraryAnalysis());
    add(loops, llvm::PassInstrumentationAnalysis());
    add(modules, llvm::PassInstrumentationAnalysis(), llvm::ProfileSummaryAnalysis());
    modules.registerPass([&] { return llvm::FunctionAnalysisManagerModuleProxy(functions); });
    functions.registerPass([&] { return llvm::ModuleAnalysisManagerFunctionProxy(modules); });
    functions.registerPass([&] { return llvm::LoopAnalysisManagerFunctionProxy(loops); });
    loops.registerPass([&] { return llvm::FunctionAnalysisManagerLoopProxy(functions); });
  }

  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::ModuleAnalysisManager modules;
};

/// What a thread needs to compile, kept between modules: making it takes longer than a small kernel.
class Worker {
 public:
  explicit Worker(const Target& target) : target_(target) {
    std::string error;
    std::string triple = llvm::sys::getProcessTriple();
    const llvm::Target* backend = llvm::TargetRegistry::lookupTarget(triple, error);
    llvm::TargetOptions options;
    options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
    machine_.reset(backend->createTargetMachine(triple, target.cpu, target.features, options, llvm::Reloc::PIC_,
                                                llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default, true));
  }

  const Target& target() const { return target_; }

  /// The module of these programs, as emitted.
  std::unique_ptr<llvm::Module> build(llvm::LLVMContext& context, std::span<const KernelProgram* const> programs,
                                      std::span<const std::string> names, const CodegenOptions& options) {
    auto module = std::make_unique<llvm::Module>("etch", context);
    module->setTargetTriple(machine_->getTargetTriple().str());
    module->setDataLayout(machine_->createDataLayout());
    for (size_t i = 0; i < programs.size(); ++i) {
      const KernelProgram& program = *programs[i];
      switch (program.kind()) {
#define ETCH_KERNEL(kind, takes) \
  case KernelKind::kind: emit_##kind##_kernel(program, options, *module, names[i]); break;
#include "compiler/schedule/kernels.def"
#undef ETCH_KERNEL
      }
    }
    return module;
  }

  /// Checks the module, and lets LLVM say if a frame becomes too large.
  static void verify(llvm::Module& module) {
    std::string text;
    llvm::raw_string_ostream out(text);
    const bool broken = llvm::verifyModule(module, &out);
    if (broken) module.print(out, nullptr);
    ETCH_CHECK(!broken, text);
    for (llvm::Function& function : module) {
      if (!function.isDeclaration()) function.addFnAttr("warn-stack-size", std::to_string(kLargestFrame));
    }
  }

  /// The emitters hoist and vectorise; what is left is to drop what they computed twice or never used. Loops over scalars
  /// are written down as they stand in the graph: these passes make them as fast as a C compiler does. Of masked lanes too
  /// the emitter leaves what does not change to be hoisted; but masks it has put into the form in which they are fast.
  void optimize(llvm::Module& module) {
    llvm::legacy::FunctionPassManager passes(&module), scalar_passes(&module), masked_passes(&module);
    passes.add(llvm::createEarlyCSEPass());
    if (llvm::any_of(module, has_scalar_loops)) add_scalar_passes(scalar_passes);
    if (llvm::any_of(module, has_masked_loops)) add_masked_passes(masked_passes);
    const auto passes_of = [&](const llvm::Function& function) {
      return has_scalar_loops(function) ? &scalar_passes : has_masked_loops(function) ? &masked_passes : &passes;
    };
    for (llvm::legacy::FunctionPassManager* some : {&passes, &scalar_passes, &masked_passes}) {
      some->doInitialization();
      for (llvm::Function& function : module) {
        if (!function.isDeclaration() && passes_of(function) == some) some->run(function);
      }
      some->doFinalization();
    }
    if (llvm::any_of(module, folds_turns)) fold_turns(module);
  }

  std::unique_ptr<llvm::MemoryBuffer> emit_object(llvm::Module& module) {
    if (!emitter_) emitter_ = std::make_unique<Emitter>(*machine_);
    if (!emitter_->works) return nullptr;
    emitter_->passes.run(module);
    auto object = llvm::MemoryBuffer::getMemBufferCopy(emitter_->out.str(), "etch");
    emitter_->object.clear();
    return object;
  }

  std::string emit_assembly(llvm::Module& module) {
    llvm::SmallString<0> text;
    llvm::raw_svector_ostream out(text);
    llvm::legacy::PassManager passes;
    if (machine_->addPassesToEmitFile(passes, out, nullptr, llvm::CodeGenFileType::AssemblyFile)) return {};
    passes.run(module);
    return text.str().str();
  }

 private:
  static bool has_scalar_loops(const llvm::Function& function) { return function.hasFnAttribute(kScalarLoops); }

  static bool has_masked_loops(const llvm::Function& function) { return function.hasFnAttribute(kMaskedLoops); }

  static bool folds_turns(const llvm::Function& function) {
    return function.getFnAttribute(kScalarLoops).getValueAsString() == kFoldTurns;
  }

  static void add_scalar_passes(llvm::legacy::FunctionPassManager& passes) {
    passes.add(llvm::createEarlyCSEPass());
    passes.add(llvm::createCFGSimplificationPass());
    passes.add(llvm::createInstructionCombiningPass());
    passes.add(llvm::createLICMPass());
    passes.add(llvm::createEarlyCSEPass());
  }

  static void add_masked_passes(llvm::legacy::FunctionPassManager& passes) {
    passes.add(llvm::createEarlyCSEPass());
    passes.add(llvm::createCFGSimplificationPass());
    passes.add(llvm::createLICMPass());
    passes.add(llvm::createEarlyCSEPass());
  }

  /// Writes turns out, so that sums and products of integers fold over several of them.
  void fold_turns(llvm::Module& module) {
    Analyses analyses(*machine_);
    llvm::FunctionPassManager passes;
    passes.addPass(llvm::createFunctionToLoopPassAdaptor(llvm::LoopRotatePass()));
    passes.addPass(llvm::LoopUnrollPass(llvm::LoopUnrollOptions().setRuntime(true)));
    passes.addPass(llvm::InstCombinePass());
    passes.addPass(llvm::SimplifyCFGPass());
    for (llvm::Function& function : module) {
      if (folds_turns(function)) passes.run(function, analyses.functions);
    }
  }

  /// The passes from LLVM's IR to an object, for any number of modules: to set them up takes longer than to run them on a small
  /// kernel.
  struct Emitter {
    explicit Emitter(llvm::TargetMachine& machine)
        : out(object), works(!machine.addPassesToEmitMC(passes, context, out, true)) {}

    llvm::SmallVector<char, 0> object;  // of the module that runs
    llvm::raw_svector_ostream out;
    llvm::legacy::PassManager passes;
    llvm::MCContext* context = nullptr;
    const bool works;
  };

  Target target_;
  std::unique_ptr<llvm::TargetMachine> machine_;
  std::unique_ptr<Emitter> emitter_;
};

/// Passes that take time and gain nothing. Loop strength reduction is half of a small kernel's code generation, and the
/// emitters choose addresses that the processor computes for nothing; what the second scheduler orders, after registers are
/// given out, processors order again. LLVM has no other switch for them.
void disable_passes() {
  auto& options = llvm::cl::getRegisteredOptions();
  for (const char* name : {"disable-lsr", "disable-post-ra"}) {
    auto found = options.find(name);
    if (found != options.end()) static_cast<llvm::cl::opt<bool>*>(found->second)->setValue(true);
  }
}

/// What kernels call: for indices that are wrong, and where the processor has no instruction (only processors without FMA or
/// SSE4.1, and large copies).
llvm::orc::SymbolMap library_functions(llvm::orc::ExecutionSession& session) {
  llvm::orc::SymbolMap symbols;
  auto add = [&](llvm::StringRef name, auto* function) {
    symbols[session.intern(name)] = {llvm::orc::ExecutorAddr::fromPtr(function), llvm::JITSymbolFlags::Exported};
  };
#define ETCH_LIBRARY_FUNCTION(name)                        \
  add(#name, static_cast<double (*)(double)>(&std::name)); \
  add(#name "f", static_cast<float (*)(float)>(&std::name));
  ETCH_LIBRARY_FUNCTION(floor)
  ETCH_LIBRARY_FUNCTION(ceil)
  ETCH_LIBRARY_FUNCTION(trunc)
#undef ETCH_LIBRARY_FUNCTION
  add("fma", static_cast<double (*)(double, double, double)>(&std::fma));
  add("fmaf", static_cast<float (*)(float, float, float)>(&std::fma));
  // Under the default rounding mode nearbyint is roundeven.
  add("roundeven", static_cast<double (*)(double)>(&std::nearbyint));
  add("roundevenf", static_cast<float (*)(float)>(&std::nearbyint));
  add("memcpy", &std::memcpy);
  add("memset", &std::memset);
  add(kReportIndex, &report_index);
  for (const ProductLoopsOfVectors* loops : {&kProductLoops16, &kProductLoops32, &kProductLoops64}) {
    const auto add_loops = [&](DType dtype, const auto& of_dtype) {
      const auto symbol = [&](const char* name) { return product_loop_symbol(name, dtype, loops->vector_bytes); };
      add(symbol("copy_a"), of_dtype.copy_a);
      add(symbol("copy_b"), of_dtype.copy_b);
      add(symbol("transpose_b"), of_dtype.transpose_b);
      add(symbol("batch"), of_dtype.batch);
      add(symbol("tiles"), of_dtype.tiles);
      add(symbol("tiles_of_pieces"), of_dtype.tiles_of_pieces);
      add(symbol("strips"), of_dtype.strips);
    };
    add_loops(DType::f32, loops->f32);
    add_loops(DType::f64, loops->f64);
    add_loops(DType::i32, loops->i32);
    add_loops(DType::i64, loops->i64);
  }
  return symbols;
}

/// Counts what each kernel and the functions behind it, which it calls, came to.
void count_instructions(const llvm::Module& module, std::span<const KernelProgram* const> programs,
                        std::span<const std::string> names, CompileCounts& counts) {
  EmittedCounts* of_kind = nullptr;
  size_t next = 0;
  for (const llvm::Function& function : module) {
    if (next < names.size() && function.getName() == names[next]) {
      of_kind = &counts.emitted[programs[next++]->kind()];
      of_kind->kernels += 1;
    }
    if (of_kind) of_kind->instructions += function.getInstructionCount();
  }
}

/// One per process and never destroyed: kernels may outlive every static object.
class Session {
 public:
  static absl::StatusOr<Session*> get() {
    static Session* const session = make();
    if (!session) return absl::FailedPreconditionError("LLVM has no just-in-time linker for this machine");
    return session;
  }
  /// The session if there is one.
  static Session* existing() { return existing_.load(std::memory_order_acquire); }

  // Around a fork.
  void lock_all() {
    mutex_.lock();
    memory_.lock();
  }
  void unlock_all() {
    memory_.unlock();
    mutex_.unlock();
  }

  /// A worker of a target for this thread to use and to give back.
  class Lease {
   public:
    Lease(Session& session, const Target& target) : session_(session) {
      {
        std::lock_guard lock(session.mutex_);
        auto fits = [&](const std::unique_ptr<Worker>& worker) { return worker->target() == target; };
        auto found = std::find_if(session.idle_.rbegin(), session.idle_.rend(), fits);
        if (found != session.idle_.rend()) {
          worker_ = std::move(*found);
          session.idle_.erase(std::next(found).base());
        }
      }
      if (!worker_) worker_ = std::make_unique<Worker>(target);
    }
    ~Lease() {
      std::lock_guard lock(session_.mutex_);
      try {
        session_.idle_.push_back(std::move(worker_));
      } catch (const std::bad_alloc&) {
        // The next compile makes another one.
      }
    }
    Worker* operator->() { return worker_.get(); }

   private:
    Session& session_;
    std::unique_ptr<Worker> worker_;
  };

  /// Links an object; its symbols are those names. ResourceExhausted if the system gives no memory for the code.
  absl::StatusOr<CompiledModule> link(std::unique_ptr<llvm::MemoryBuffer> object, std::span<const std::string> names,
                                      std::span<const int64_t> scratch_bytes) {
    llvm::orc::ResourceTrackerSP tracker = dylib_->createResourceTracker();
    auto code = std::shared_ptr<const void>(static_cast<const void*>(nullptr), [this, tracker](const void*) {
      const InsideLlvm inside;
      if (llvm::Error error = tracker->remove()) llvm::consumeError(std::move(error));
      // The names of freed symbols stay in LLVM's pool until somebody asks.
      if (removed_.fetch_add(1) % 256 == 255) session_.getSymbolStringPool()->clearDeadEntries();
    });
    std::string reports;
    link_reports = &reports;
    auto stop_reports = absl::MakeCleanup([] { link_reports = nullptr; });
    llvm::Error error = linker_.add(tracker, std::move(object));
    ETCH_CHECK(!error, toString(std::move(error)));
    llvm::orc::SymbolLookupSet symbols;
    std::vector<llvm::orc::SymbolStringPtr> interned;
    for (const std::string& name : names) {
      interned.push_back(session_.intern(name));
      symbols.add(interned.back());
    }
    auto found = session_.lookup(llvm::orc::makeJITDylibSearchOrder(dylib_), std::move(symbols));
    if (!found) {
      const std::string what = toString(found.takeError());
      return absl::ResourceExhaustedError("new code cannot be placed in memory: " + (reports.empty() ? what : reports));
    }
    CompiledModule result;
    for (size_t i = 0; i < names.size(); ++i) {
      result.functions.push_back({(*found)[interned[i]].getAddress().toPtr<KernelFn>(), scratch_bytes[i]});
    }
    result.code = std::move(code);
    return result;
  }

  /// A name that no other symbol has.
  std::string new_name() { return "etch_kernel_" + std::to_string(next_name_.fetch_add(1)); }

  int64_t live_bytes() const { return memory_.live_bytes(); }

 private:
  static Session* make() {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    disable_passes();
    auto control = llvm::orc::SelfExecutorProcessControl::Create();
    if (!control) {
      llvm::consumeError(control.takeError());
      return nullptr;
    }
    auto* session = new Session(std::move(*control));
    existing_.store(session, std::memory_order_release);
    return session;
  }

  explicit Session(std::unique_ptr<llvm::orc::ExecutorProcessControl> control)
      : session_(std::move(control)), linker_(session_, memory_), dylib_(&session_.createBareJITDylib("etch")) {
    llvm::cantFail(dylib_->define(llvm::orc::absoluteSymbols(library_functions(session_))));
    session_.setErrorReporter([](llvm::Error error) {
      const std::string text = toString(std::move(error));
      if (link_reports) *link_reports += (link_reports->empty() ? "" : "; ") + text;
    });
  }

  static inline std::atomic<Session*> existing_{nullptr};

  CodeMemory memory_;
  llvm::orc::ExecutionSession session_;
  llvm::orc::ObjectLinkingLayer linker_;
  llvm::orc::JITDylib* dylib_;
  std::atomic<int64_t> next_name_{0};
  std::atomic<int64_t> removed_{0};  // modules
  std::mutex mutex_;
  std::vector<std::unique_ptr<Worker>> idle_;
};

void unlock_session(void*) {
  if (Session* session = Session::existing()) session->unlock_all();
}

// No member of the session, which is made inside of LLVM: a fork that waits for this thread keeps handlers from being made.
const ForkHandler fork_handler(
    ForkOrder::session, nullptr,
    [](void*) {
      if (Session* session = Session::existing()) session->lock_all();
      return true;
    },
    unlock_session, unlock_session);

}  // namespace

absl::StatusOr<CompiledModule> compile_module(std::span<const KernelProgram* const> programs,
                                              const CodegenOptions& options, bool verify) {
  if (std::string missing = missing_features(options.target); !missing.empty()) {
    return absl::FailedPreconditionError("this processor cannot run code for " + options.target.cpu + ": it lacks " +
                                         missing);
  }
  const InsideLlvm inside;
  absl::StatusOr<Session*> session = Session::get();
  if (!session.ok()) return session.status();
  std::vector<std::string> names;
  for (size_t i = 0; i < programs.size(); ++i) names.push_back((*session)->new_name());
  std::unique_ptr<llvm::MemoryBuffer> object;
  std::vector<int64_t> scratch_bytes;
  CompileCounts counts;
  {
    Session::Lease worker(**session, options.target);
    llvm::LLVMContext context;
    std::string complaints;
    context.setDiagnosticHandler(std::make_unique<Diagnostics>(complaints));
    std::unique_ptr<llvm::Module> module = worker->build(context, programs, names, options);
    if (verify) Worker::verify(*module);
    for (const std::string& name : names) scratch_bytes.push_back(scratch_bytes_of(*module->getFunction(name)));
    const auto start = Clock::now();
    worker->optimize(*module);
    count_instructions(*module, programs, names, counts);
    object = worker->emit_object(*module);
    counts.llvm_milliseconds = milliseconds_since(start);
    ETCH_CHECK(complaints.empty() || !verify, complaints);
  }
  ETCH_CHECK(object, "this machine's code cannot be written as an object");
  const auto start = Clock::now();
  absl::StatusOr<CompiledModule> linked = (*session)->link(std::move(object), names, scratch_bytes);
  if (!linked.ok()) return linked;
  counts.link_milliseconds = milliseconds_since(start);
  linked->counts = std::move(counts);
  return linked;
}

int64_t live_code_bytes() {
  const Session* session = Session::existing();
  return session ? session->live_bytes() : 0;
}

}  // namespace etch::codegen

namespace etch {

absl::StatusOr<std::string> print_code(const KernelProgram& program, const CodegenOptions& options, CodeStage stage,
                                       const std::string& name) {
  using namespace codegen;
  if (stage == CodeStage::loops) return print_loops(program, name);
  return with_large_stack([&]() -> absl::StatusOr<std::string> {
    const InsideLlvm inside;
    absl::StatusOr<Session*> session = Session::get();
    if (!session.ok()) return session.status();
    Session::Lease worker(**session, options.target);
    llvm::LLVMContext context;
    const KernelProgram* programs[] = {&program};
    const std::string names[] = {name};
    std::unique_ptr<llvm::Module> module = worker->build(context, programs, names, options);
    if (stage != CodeStage::llvm) worker->optimize(*module);
    if (stage == CodeStage::assembly) return worker->emit_assembly(*module);
    std::string text;
    llvm::raw_string_ostream out(text);
    module->print(out, nullptr);
    return text;
  });
}

}  // namespace etch
