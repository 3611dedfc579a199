// What stands behind functions: their concrete functions, signatures and reports.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "compiler/compile.h"
#include "etch/function.h"
#include "frontend/tensor_impl.h"

namespace etch::detail {

using Leaves = std::vector<ArgReader::Leaf>;

/// Whose memory a result takes. The trace decides it, never a rule that finds values equal: a result that the callable
/// returned as it got it, or under another shape, is that tensor; every other result is a tensor of its own.
struct Sharing {
  enum class With : uint8_t { nothing, input, result };
  With with = With::nothing;
  int32_t index = 0;  // of the input; of the earlier result
};

/// What one trace of a callable gave.
struct TraceResult {
  Graph graph;
  std::vector<Capture> captures;
  std::vector<Sharing> sharing;  // per result
  std::string result_key;  // structure, types and values of the result
  std::shared_ptr<const void> structure;  // the result with its tensors taken out
};

/// One trace of a function, compiled. Immutable, shared.
class Concrete {
 public:
  std::string function;  // name
  std::string folder;    // unique name, for dumps
  std::string key;       // signature
  Leaves leaves;         // signature, for people
  std::string reason;    // why it was traced
  CompileOptions options;
  int threads = 0;
  TraceResult trace;
  Compiled compiled;
  std::vector<Type> output_types;
  double trace_ms = 0;
  double compile_ms = 0;
  int64_t bytes = 0;

  int num_threads() const;
  /// Runs on the arguments' tensors; the results are new.
  void run(std::span<const TensorImpl* const> arguments, Tensor* results) const;
  /// Runs into existing tensors; Error if they do not fit or overlap.
  void run_into(std::span<const TensorImpl* const> arguments, std::span<Tensor* const> outputs, size_t count) const;

  void retain() const { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() const {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  const TensorImpl& input(std::span<const TensorImpl* const> arguments, size_t i) const;
  void gather_inputs(std::span<const TensorImpl* const> arguments, const void** inputs) const;
  /// Runs the code, and copies the outputs that it found equal to inputs or to other outputs.
  void launch(const void* const* inputs, void* const* outputs) const;

  mutable std::atomic<int64_t> references_{1};
};

/// A reference to a Concrete.
class ConcreteRef {
 public:
  ConcreteRef() = default;
  explicit ConcreteRef(const Concrete* adopted) : concrete_(adopted) {}
  ConcreteRef(const ConcreteRef& other) : concrete_(other.concrete_) {
    if (concrete_) concrete_->retain();
  }
  ConcreteRef(ConcreteRef&& other) noexcept : concrete_(std::exchange(other.concrete_, nullptr)) {}
  ConcreteRef& operator=(ConcreteRef other) noexcept {
    std::swap(concrete_, other.concrete_);
    return *this;
  }
  ~ConcreteRef() {
    if (concrete_) concrete_->release();
  }
  const Concrete* operator->() const { return concrete_; }
  const Concrete* get() const { return concrete_; }
  /// Gives up the reference.
  const Concrete* release() { return std::exchange(concrete_, nullptr); }
  explicit operator bool() const { return concrete_ != nullptr; }

 private:
  const Concrete* concrete_ = nullptr;
};

/// A callable, its options and its concrete functions.
class FunctionCore {
 public:
  FunctionCore(const FunctionType& type, void* callable, FunctionOptions options, Location where);
  ~FunctionCore();

  void* callable() const { return callable_; }
  const std::string& name() const { return options_.name; }
  const FunctionOptions& options() const { return options_; }

  /// The concrete function of a signature; traced and compiled by the first of the threads that ask, the others wait.
  /// `is_call` is false for concrete() and explain(), which count neither as calls nor as retraces.
  ConcreteRef find(const ArgReader& reader, const void* args, bool is_call);
  FunctionStats stats();

  void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void release() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

 private:
  struct Entry {
    std::string key;
    ConcreteRef concrete;  // empty while it is being built
    int64_t last_used = 0;
  };

  ConcreteRef build(const ArgReader& reader, const void* args, Leaves leaves, std::string reason);
  TraceResult trace(const void* args);
  void check_repeatable(const TraceResult& first, const TraceResult& second) const;
  /// Why a signature is new, against the nearest one; called with the lock held.
  std::string retrace_reason(const Leaves& leaves);
  void note_retrace(const std::string& reason, std::string* warning);
  void evict();

  const FunctionType type_;
  void* const callable_;
  FunctionOptions options_;
  std::atomic<int64_t> references_{1};

  std::mutex trace_mutex_;  // one trace at a time: the callable may have state

  std::mutex mutex_;        // guards all below
  std::condition_variable built_;
  std::list<Entry> entries_;
  absl::flat_hash_map<std::string_view, std::list<Entry>::iterator> by_key_;
  Entry* last_ = nullptr;   // the entry of the last call
  int64_t calls_ = 0;
  int64_t num_concrete_ = 0;
  std::vector<int64_t> retrace_calls_;  // at which calls the last retraces happened
  bool warned_ = false;                 // one warning a function is enough
  FunctionStats stats_;
};

/// The report of explain(), the stages of a concrete function and its dump.
std::string explain(const Concrete& concrete);
std::vector<std::string> stages_of(const Concrete& concrete);
std::string text_of(const Concrete& concrete, std::string_view stage);
void dump(const Concrete& concrete, const std::string& folder);

/// `args[0] f32[8,4], args[1] 3`.
std::string signature_text(const Leaves& leaves);
/// How a signature differs from the nearest of others, and what would avoid the retrace.
std::string describe_difference(const Leaves& leaves, const Leaves& nearest);
/// The number of leaves that differ.
int distance(const Leaves& a, const Leaves& b);

}  // namespace etch::detail
