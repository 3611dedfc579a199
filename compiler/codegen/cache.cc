// The kernel cache of this process: equal programs share one compiled kernel.
#include <algorithm>
#include <condition_variable>
#include <exception>
#include <functional>
#include <list>
#include <mutex>
#include <new>
#include <utility>

#include "absl/hash/hash.h"
#include "compiler/codegen/codegen.h"
#include "compiler/codegen/kernel_key.h"
#include "compiler/codegen/session.h"
#include "runtime/clock.h"
#include "runtime/flat_map.h"
#include "runtime/fork.h"
#include "runtime/parallel.h"
#include "runtime/rounding.h"
#include "runtime/stack.h"

namespace etch {
namespace {

using codegen::CompiledModule;

/// Kernels that the cache keeps alive although no function uses them any more.
constexpr size_t kKeptKernels = 512;

// A module costs about a millisecond of its own, but LLVM's time per kernel grows with what the module holds.
constexpr int64_t kKernelsPerModule = 16;

/// About how long LLVM takes for a program, in instructions of its body: what stands around these takes longer than most bodies.
int64_t weight_of(const KernelProgram& program) { return 60 + static_cast<int64_t>(program.body.size()); }

/// A kernel that some call compiles or has compiled.
struct Slot {
  explicit Slot(KernelKey its_key) : key(std::move(its_key)) {}

  const KernelKey key;
  bool ready = false;
  absl::Status status;
  std::weak_ptr<const CompiledKernel> kernel;
  KernelHandle kept;  // set while the slot stands in recent_
  std::list<std::shared_ptr<Slot>>::iterator in_recent;
};
using SlotPtr = std::shared_ptr<Slot>;

/// A key to look up without a copy of the program.
struct KeyView {
  const KernelProgram& program;
  const CodegenOptions& options;
};
KeyView view(KeyView key) { return key; }
KeyView view(const SlotPtr& slot) { return {slot->key.program, slot->key.options}; }

struct KeyHash {
  using is_transparent = void;
  size_t operator()(const auto& key) const { return absl::HashOf(view(key).program, view(key).options); }
};
struct KeyEqual {
  using is_transparent = void;
  bool operator()(const auto& a, const auto& b) const {
    return view(a).program == view(b).program && view(a).options == view(b).options;
  }
};

/// Slots by key, and the kernels used last. Never destroyed: kernels may outlive every static object.
class Cache {
 public:
  static Cache& get() {
    static Cache* const cache = new Cache;
    return *cache;
  }

  absl::StatusOr<std::vector<KernelHandle>> compile(std::span<const KernelProgram* const> programs,
                                                    const CodegenOptions& options, CompileCounts* counts, bool verify,
                                                    int threads);
  KernelHandle find(KeyView key);
  /// Drops the slot of a kernel that is gone.
  void forget(const SlotPtr& slot);
  void trim();
  CompileCounts totals();

 private:
  Cache() = default;
  struct Request {
    const KernelProgram* program = nullptr;
    SlotPtr slot;
    KernelHandle kernel;
  };
  /// What is compiled in one module, and what came of it.
  struct Part {
    std::vector<Request*> requests;
    int64_t weight = 0;
    absl::Status status;
    std::exception_ptr error;
    CompileCounts counts;
  };

  bool find_or_claim(Request& request, const CodegenOptions& options);
  void keep(const SlotPtr& slot, const KernelHandle& kernel, std::vector<KernelHandle>& dropped);
  absl::Status compile_claimed(std::span<Request* const> claimed, const CodegenOptions& options, bool verify, int threads,
                               CompileCounts& counts);
  static std::vector<Part> divide(std::span<Request* const> claimed, int threads);
  void compile_part(Part& part, const CodegenOptions& options, bool verify);
  absl::Status reason_of(const std::exception& error) const noexcept;
  void give_up(std::span<Request* const> claimed, const absl::Status& reason);
  absl::Status wait_for_others(std::span<Request> requests, std::vector<KernelHandle>& dropped);

  void start_as_child();

  std::mutex mutex_;
  std::condition_variable changed_;
  FlatSet<SlotPtr, KeyHash, KeyEqual> slots_;
  std::list<SlotPtr> recent_;  // used last in front
  CompileCounts totals_;
  const absl::Status out_of_memory_ = absl::ResourceExhaustedError("out of memory");
  const ForkHandler fork_handler_{ForkOrder::kernel_cache, this,
                                  [](void* self) {
                                    static_cast<Cache*>(self)->mutex_.lock();
                                    return true;
                                  },
                                  [](void* self) { static_cast<Cache*>(self)->mutex_.unlock(); },
                                  [](void* self) { static_cast<Cache*>(self)->start_as_child(); }};
};

class Kernel final : public CompiledKernel {
 public:
  Kernel(const codegen::CompiledFunction& function, std::shared_ptr<const void> code, SlotPtr slot)
      : function_(function), code_(std::move(code)), slot_(std::move(slot)) {}
  ~Kernel() override { Cache::get().forget(slot_); }
  KernelFn fn() const override { return function_.fn; }
  int64_t scratch_bytes() const override { return function_.scratch_bytes; }

 private:
  codegen::CompiledFunction function_;
  std::shared_ptr<const void> code_;
  SlotPtr slot_;
};

absl::StatusOr<std::vector<KernelHandle>> Cache::compile(std::span<const KernelProgram* const> programs,
                                                         const CodegenOptions& options, CompileCounts* counts,
                                                         bool verify, int threads) {
  std::vector<KernelHandle> dropped;  // destroyed without the lock
  std::vector<Request> requests(programs.size());
  for (size_t i = 0; i < programs.size(); ++i) requests[i].program = programs[i];
  CompileCounts mine;
  bool complete = false;
  while (!complete) {
    std::vector<Request*> claimed;
    claimed.reserve(requests.size());
    absl::Status status;
    const auto start = Clock::now();
    try {
      {
        std::lock_guard lock(mutex_);
        for (Request& request : requests) {
          if (!request.kernel && find_or_claim(request, options)) claimed.push_back(&request);
          if (request.kernel) keep(request.slot, request.kernel, dropped);
        }
      }
      status = compile_claimed(claimed, options, verify, threads, mine);
    } catch (const std::exception& error) {
      give_up(claimed, reason_of(error));
      throw;
    }
    if (!status.ok()) return status;
    if (!claimed.empty()) {
      mine.kernels_compiled += claimed.size();
      mine.milliseconds += milliseconds_since(start);
    }
    status = wait_for_others(requests, dropped);
    if (!status.ok()) return status;
    complete = true;
    for (const Request& request : requests) complete = complete && request.kernel;
  }
  mine.kernels_reused = static_cast<int64_t>(requests.size()) - mine.kernels_compiled;
  std::vector<KernelHandle> kernels;
  for (Request& request : requests) kernels.push_back(std::move(request.kernel));

  std::lock_guard lock(mutex_);
  totals_.add(mine);
  if (counts) {
    counts->add(mine);
    counts->code_bytes = codegen::live_code_bytes();
  }
  return kernels;
}

/// Finds the kernel, or the slot where another call compiles it; else claims it for this call and returns true. Under
/// the lock. Where memory runs out nothing is claimed.
bool Cache::find_or_claim(Request& request, const CodegenOptions& options) {
  auto found = slots_.find(KeyView{*request.program, options});
  if (found != slots_.end()) {
    request.slot = *found;
    if (!request.slot->ready) return false;
    request.kernel = request.slot->kernel.lock();
    if (request.kernel) return false;
  }
  auto slot = std::make_shared<Slot>(KernelKey{*request.program, options});
  if (found != slots_.end()) slots_.erase(found);
  slots_.insert(slot);
  request.slot = std::move(slot);
  return true;
}

KernelHandle Cache::find(KeyView key) {
  std::lock_guard lock(mutex_);
  auto found = slots_.find(key);
  return found == slots_.end() ? nullptr : (*found)->kernel.lock();
}

/// Marks the kernel as the one used last. What falls out goes to `dropped`. Under the lock.
void Cache::keep(const SlotPtr& slot, const KernelHandle& kernel, std::vector<KernelHandle>& dropped) {
  if (slot->kept) {
    recent_.splice(recent_.begin(), recent_, slot->in_recent);
    return;
  }
  const bool full = recent_.size() >= kKeptKernels;
  if (full) dropped.emplace_back();  // the place first: a kernel must not go under the lock because there is none
  recent_.push_front(slot);
  slot->in_recent = recent_.begin();
  slot->kept = kernel;
  if (!full) return;
  dropped.back() = std::exchange(recent_.back()->kept, nullptr);
  recent_.pop_back();
}

/// Compiles what this call claimed, in modules side by side where there is work for several threads. Every module is compiled,
/// also after a failure: others may wait for what was claimed.
absl::Status Cache::compile_claimed(std::span<Request* const> claimed, const CodegenOptions& options, bool verify, int threads,
                                    CompileCounts& counts) {
  if (claimed.empty()) return absl::OkStatus();
  std::vector<Part> parts = divide(claimed, threads);
  auto compile_parts = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) compile_part(parts[i], options, verify);
  };
  const auto body = [](void* context, int, int64_t begin, int64_t end) {
    (*static_cast<decltype(compile_parts)*>(context))(begin, end);
  };
  const auto start = Clock::now();
  parallel_tasks(std::ssize(parts), threads, body, &compile_parts);
  const double spent = milliseconds_since(start);
  absl::Status status;
  CompileCounts all;
  for (Part& part : parts) {
    // Another thread may lack what this one has, such as a stack.
    if (std::exchange(part.error, nullptr)) compile_part(part, options, verify);
    if (part.error) std::rethrow_exception(part.error);
    status.Update(part.status);
    all.add(part.counts);
  }
  // What runs side by side adds up to more than it takes.
  const double share = std::min(1.0, spent / std::exchange(all.milliseconds, 0.0));
  all.llvm_milliseconds *= share;
  all.link_milliseconds *= share;
  counts.add(all);
  return status;
}

/// The modules: the longest programs first, each to the module that has least to do.
std::vector<Cache::Part> Cache::divide(std::span<Request* const> claimed, int threads) {
  int64_t weight = 0, longest = 1;
  for (const Request* request : claimed) {
    weight += weight_of(*request->program);
    longest = std::max(longest, weight_of(*request->program));
  }
  const auto count = std::ssize(claimed);
  // The longest program is waited for, so more threads than keep busy meanwhile gain nothing.
  const int64_t side_by_side = num_workers(ceil_div(weight, longest), 1, threads);
  std::vector<Part> parts(std::min(count, std::max(side_by_side, ceil_div(count, kKernelsPerModule))));
  const auto load = [](const Part& part) { return std::pair(std::ssize(part.requests) >= kKernelsPerModule, part.weight); };
  std::vector<Request*> order(claimed.begin(), claimed.end());
  std::ranges::stable_sort(order, std::greater(), [](const Request* request) { return weight_of(*request->program); });
  for (Request* request : order) {
    Part& part = *std::ranges::min_element(parts, {}, load);
    part.requests.push_back(request);
    part.weight += weight_of(*request->program);
  }
  return parts;
}

/// Compiles a module, on whatever thread, and tells those who wait for its kernels.
void Cache::compile_part(Part& part, const CodegenOptions& options, bool verify) try {
  const auto start = Clock::now();
  std::vector<const KernelProgram*> programs;
  for (const Request* request : part.requests) programs.push_back(request->program);
  absl::StatusOr<CompiledModule> module =
      with_large_stack([&] { return codegen::compile_module(programs, options, verify); });
  if (module.ok()) part.counts = std::move(module->counts);
  part.counts.modules = 1;
  part.counts.milliseconds = milliseconds_since(start);
  part.status = module.status();
  std::lock_guard lock(mutex_);
  for (size_t i = 0; i < part.requests.size(); ++i) {
    Request& request = *part.requests[i];
    request.slot->ready = true;
    request.slot->status = module.status();
    if (!module.ok()) {
      slots_.erase(request.slot);
      continue;
    }
    request.kernel = std::make_shared<Kernel>(module->functions[i], module->code, request.slot);
    request.slot->kernel = request.kernel;
  }
  changed_.notify_all();
} catch (...) {
  part.error = std::current_exception();
}

/// What those who wait are told. Where memory is short there may be none left to say so.
absl::Status Cache::reason_of(const std::exception& error) const noexcept try {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return out_of_memory_;
  return absl::InternalError(error.what());
} catch (const std::bad_alloc&) {
  return out_of_memory_;
}

/// Tells those who wait for claimed kernels that none will come.
void Cache::give_up(std::span<Request* const> claimed, const absl::Status& reason) {
  std::lock_guard lock(mutex_);
  for (Request* request : claimed) {
    if (request->slot->ready) continue;
    request->slot->ready = true;
    request->slot->status = reason;
    slots_.erase(request->slot);
  }
  changed_.notify_all();
}

/// Takes the kernels that other calls, or this one under an equal key, compile. A kernel may be gone again: it stays
/// null.
absl::Status Cache::wait_for_others(std::span<Request> requests, std::vector<KernelHandle>& dropped) {
  std::unique_lock lock(mutex_);
  for (Request& request : requests) {
    changed_.wait(lock, [&] { return request.slot->ready; });
    if (!request.slot->status.ok()) return request.slot->status;
    if (!request.kernel) request.kernel = request.slot->kernel.lock();
    if (request.kernel) keep(request.slot, request.kernel, dropped);
  }
  return absl::OkStatus();
}

void Cache::forget(const SlotPtr& slot) {
  std::lock_guard lock(mutex_);
  auto found = slots_.find(slot);
  // A new slot of the same key may stand there already.
  if (found != slots_.end() && *found == slot) slots_.erase(found);
}

/// What other threads of the parent were compiling will not come.
void Cache::start_as_child() {
  erase_if(slots_, [](const SlotPtr& slot) { return !slot->ready; });
  new (&changed_) std::condition_variable;  // the old one remembers threads that wait
  mutex_.unlock();
}

void Cache::trim() {
  std::list<SlotPtr> dropped;
  std::vector<KernelHandle> kernels;  // destroyed without the lock
  std::lock_guard lock(mutex_);
  kernels.reserve(recent_.size());  // first: a kernel must not go under the lock because there is no memory
  dropped.swap(recent_);
  for (const SlotPtr& slot : dropped) kernels.push_back(std::exchange(slot->kept, nullptr));
}

CompileCounts Cache::totals() {
  std::lock_guard lock(mutex_);
  CompileCounts counts = totals_;
  counts.code_bytes = codegen::live_code_bytes();
  return counts;
}

}  // namespace

absl::StatusOr<std::vector<KernelHandle>> compile_kernels(std::span<const KernelProgram* const> programs,
                                                          const CodegenOptions& options, CompileCounts* counts,
                                                          bool verify, int threads) {
  return Cache::get().compile(programs, options, counts, verify, threads);
}

KernelHandle find_kernel(const KernelProgram& program, const CodegenOptions& options) {
  return Cache::get().find({program, options});
}

void trim_kernel_cache() { Cache::get().trim(); }

void CompileCounts::add(const CompileCounts& part) {
  kernels_compiled += part.kernels_compiled;
  kernels_reused += part.kernels_reused;
  modules += part.modules;
  milliseconds += part.milliseconds;
  llvm_milliseconds += part.llvm_milliseconds;
  link_milliseconds += part.link_milliseconds;
  for (const auto& [kind, more] : part.emitted) {
    EmittedCounts& sum = emitted[kind];
    sum.kernels += more.kernels;
    sum.instructions += more.instructions;
  }
}

std::string CompileCounts::emitted_text() const {
  std::string text;
  for (const auto& [kind, of_kind] : emitted) {
    text += (text.empty() ? "" : ", ") + std::to_string(of_kind.kernels) + " " + std::string(name(kind)) + " of " +
            std::to_string(of_kind.instructions) + " instructions";
  }
  return text;
}

CompileCounts codegen_totals() { return Cache::get().totals(); }

}  // namespace etch
