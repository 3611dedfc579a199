// One run of a function's callable that records a graph, and the comparison of two such runs.
#pragma once

#include <pthread.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "compiler/ir/events.h"
#include "compiler/ir/gradient.h"
#include "etch/function.h"
#include "frontend/event_log.h"
#include "frontend/tensor_impl.h"
#include "frontend/variable_cell.h"

namespace etch::detail {

using Leaves = std::vector<ArgReader::Leaf>;

/// Held while a callable is traced: a mutex that knows whether this thread holds it.
class TraceMutex {
 public:
  void lock() {
    mutex_.lock();
    owner_.store(pthread_self(), std::memory_order_relaxed);
  }
  bool try_lock() {
    const bool is_free = mutex_.try_lock();
    if (is_free) owner_.store(pthread_self(), std::memory_order_relaxed);
    return is_free;
  }
  void unlock() {
    owner_.store({}, std::memory_order_relaxed);
    mutex_.unlock();
  }
  bool is_held_here() const { return owner_.load(std::memory_order_relaxed) == pthread_self(); }

 private:
  std::mutex mutex_;
  std::atomic<pthread_t> owner_{};
};

/// Whether the callable of a function can still be run: concrete functions may outlive it.
struct CallableLife {
  TraceMutex one_run;     // at a time: the callable may have state
  bool is_over = false;   // guarded by it
};

/// What a function wraps, with its type erased.
struct Callable {
  FunctionType type;
  void* self = nullptr;
  ObjectReader object;
  std::string name;  // of the function
  bool control_flow = true;  // it may test traced tensors
  bool trust_loops = false;
  bool audit = true;
  std::shared_ptr<CallableLife> life = std::make_shared<CallableLife>();
};

class Confirmation;

/// Whose memory a result takes. The trace decides it, never a rule that finds values equal: a result that the callable
/// returned as it got it, or under another shape, is that tensor; every other result is a tensor of its own.
struct Sharing {
  enum class With : uint8_t { nothing, argument, capture, variable, result };
  With with = With::nothing;
  int32_t index = 0;  // of the call's tensor; of the capture; of the variable, whose value at the beginning it is; of the
                      // earlier output

  bool is_with_input() const { return with == With::argument || with == With::capture || with == With::variable; }
};

/// A variable that a function reads or assigns. Its new value is an output, behind the results.
struct UsedVariable {
  Ref<VariableCell> cell;
  Location where;       // of the first use in the trace
  int32_t input = -1;   // of the graph: its value when the call begins, unless that is not read
  int32_t output = -1;  // of the graph: its value when the call ends, unless that is the same
  Value leaf{};           // of the events: what its reads depend on, unless it is not read
  bool in_place = false;  // the new value may be written over the old one

  bool is_assigned() const { return output >= 0; }
};

/// How a callable that tests tensors became known.
struct CaptureReport {
  int64_t runs = 0;         // of the callable
  int64_t checks = 0;       // of them such that confirm what is known
  int64_t ops = 0;          // in all runs
  int64_t states = 0;
  bool is_proved = false;   // all paths were run
  int64_t paths = 0;        // if there is no loop
  int64_t turns = 0;        // up to which loops were run
  bool remembers = false;   // each condition is asked once
  double milliseconds = 0;
};

/// What one trace of a callable gave.
struct TraceResult {
  Events events;                  // what was recorded, op by op: derivatives are taken of this
  std::vector<NodeRange> groups;  // of events that count as one op
  CustomEvents custom_events;     // stand-ins with a derivative that a user gave
  int num_events = 0;             // of the call; behind them stand those of backward functions
  std::vector<Value> outputs;     // of `events`: the results in order, then what is assigned to variables, in theirs,
                                  // then the token
  size_t num_results = 0;
  int32_t token = -1;             // of `outputs`, the last one: what comes after all effects, or -1 if there are none
  Graph graph;                    // the same with equal ops merged; inputs: the tensors of the call, then captures and
                                  // variables as they were found
  std::vector<Capture> captures;
  std::vector<UsedVariable> variables;    // in the order of their locks
  std::vector<Sharing> sharing;           // per output
  std::vector<FlagGuard> guards;          // what it asked about variables
  std::string result_key;                 // structure, types and values of the result
  std::shared_ptr<const void> structure;  // the result with its tensors taken out
  std::shared_ptr<CaptureReport> capture; // of a callable that tests tensors
  std::shared_ptr<Confirmation> confirmation;  // of the same: confirms more of it while it is used
};

/// Makes the value that comes after all effects the last output.
void add_token(TraceResult& trace, Value token);

/// Closes the graph of a trace whose events, outputs, captures and variables stand, and finds what its outputs share.
void finish_trace(TraceResult& trace);

/// Runs the callable and records what it does. Error if it changes what was read of its object; tensors that it assigned
/// there are put back, also when it throws. Exceptions of the callable pass. Where the run makes variables, the call is read
/// anew and the callable runs once more; Error if it makes some again.
TraceResult trace_callable(const Callable& callable, const Call& call);

/// The first thing that the trace was told about variables and that is otherwise now, or none.
const FlagGuard* broken_guard(const TraceResult& trace);
/// `variable w f32[2] was trainable and is frozen now`.
std::string change_text(const FlagGuard& broken);

/// The same trace with values of its events, which come after the results, as more of them.
TraceResult with_more_results(const TraceResult& trace, std::span<const Value> more);

/// Error if two traces of one signature differ.
void check_repeatable(const Callable& callable, const TraceResult& first, const TraceResult& second, Location where);

/// Error if a trace of now uses other captured tensors, variables or values than the one that was compiled; names their places.
void check_captures(const Callable& callable, const TraceResult& compiled, const TraceResult& now, Location where);

}  // namespace etch::detail
