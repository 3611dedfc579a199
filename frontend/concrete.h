// One trace of a function, compiled: its making, its runs and its reports.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "compiler/compile.h"
#include "frontend/counted.h"
#include "frontend/trace_function.h"

namespace etch::detail {

/// A concrete function that also gives what its derivative in some of the inputs and variables reads.
struct Forward {
  std::vector<bool> inputs;     // of the graph, in which it is differentiated
  std::vector<bool> variables;  // of the trace
  std::vector<Value> kept;      // of the trace's events: results that come after its own
  Ref<const Concrete> concrete;
  const Forward* next = nullptr;
};

/// What a concrete function has of them. Grows without a lock.
class Forwards {
 public:
  Forwards() = default;
  ~Forwards() {
    for (const Forward* one = first(); one;) delete std::exchange(one, one->next);
  }
  const Forward* first() const { return first_.load(std::memory_order_acquire); }
  const Forward& add(std::unique_ptr<Forward> forward) {
    Forward& added = *forward.release();
    added.next = first();
    while (!first_.compare_exchange_weak(added.next, &added, std::memory_order_acq_rel)) {
    }
    return added;
  }

 private:
  std::atomic<const Forward*> first_{nullptr};
};

/// One trace of a function, compiled. Immutable, shared; what derivatives need of it is added when they are asked for.
class [[gnu::visibility("hidden")]] Concrete : public Counted<Concrete> {
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
  std::vector<Type> output_types;  // of the results, of what variables are assigned, of the token
  std::vector<int32_t> inputs_beside;  // those beside which results begin, if there are large ones
  double trace_ms = 0;
  double compile_ms = 0;
  int64_t bytes = 0;
  mutable Forwards forwards;

  size_t num_results() const { return trace.num_results; }
  /// Runs on the call's tensors; the results are new. If it throws, all variables are as they were.
  void run(const Call& call, Tensor* results) const { run(call, results, nullptr); }
  /// Sees the tensors that were the inputs of the graph, with the values that variables had.
  using Record = absl::FunctionRef<void(std::span<const Tensor> inputs)>;
  /// The same; `record` is called before variables change, and may throw, too.
  void run(const Call& call, Tensor* results, const Record* record) const;
  /// Runs into existing tensors; Error if they do not fit or share memory with others.
  void run_into(const Call& call, const Destinations& outputs) const;

  /// The variables that runs of this thread hold locked, because they assign them.
  static std::vector<const VariableCell*> locked_cells();

 private:
  class Variables;

  // `variables` is nullptr where the function uses none.
  void gather_inputs(const Call& call, const Variables* variables, const void** inputs) const;
  /// Per input: the buffer of a variable or capture whose packs calls may share; see RunOptions::holders.
  void gather_holders(const Variables* variables, const Buffer** holders) const;
  /// Where the inputs beside which results begin stand.
  absl::InlinedVector<const void*, 8> operands_beside(const void* const* inputs) const;
  /// The tensor that an output shares with an input.
  const TensorImpl& shared_input(const Call& call, const Variables* variables, const Sharing& sharing) const;
  /// Decides where the new values of the variables go, beside `inputs` in memory where a block is new. `results` are those of run(), or
  /// nullptr: memory of its own then.
  void place_variables(const Call& call, Variables& variables, std::span<const void* const> inputs, const Tensor* results,
                       void** outputs) const;
  /// Throws the Error of a destination of run_into that does not do.
  void check_output(const Call& call, const Variables* variables, std::span<Tensor* const> outputs, size_t i) const;
  /// Runs the code, and copies the outputs that it found equal to inputs or to other outputs.
  TurnGuard launch(const Call& call, const Variables* variables, const void* const* inputs, void** outputs,
                   EffectLog* effects) const;
  /// Takes the variables and runs once, and again where a loop wants more turns than are confirmed; no effect is done twice.
  template <class RunOnce>
  void repeat_while_exceeded(const Call& call, RunOnce run_once) const;
  TurnGuard run_with(const Call& call, Variables* variables, Tensor* results, const Record* record, EffectLog* effects) const;
  std::vector<Tensor> input_tensors(const Call& call, const Variables* variables) const;
  TurnGuard run_into_with(const Call& call, Variables* variables, const Destinations& outputs, EffectLog* effects) const;
  bool wants_audit(const Call& call) const;
  void audit(const Call& call, Variables* variables, const TurnGuard& guard, std::span<const Tensor> results,
             const EffectLog& effects) const;
};

/// Traces and compiles.
Ref<Concrete> build_concrete(const Callable& callable, const FunctionOptions& options, const Call& call);

/// The same function with these values of its events as more results.
Ref<const Concrete> build_with_more(const Concrete& concrete, std::span<const Value> more, Location where);

/// The trace of one more run of the callable, as build_concrete makes it.
TraceResult trace_alone(const Callable& callable, const Call& call);

/// Prints and writes what the flags `time` and `dump` ask for. A dump that fails is a warning: the call goes on.
void report_build(const Concrete& concrete);

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
