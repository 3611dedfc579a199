// What the tapes of a thread write down of eager ops and calls: events, and the tensors that are their values.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "frontend/event_log.h"
#include "frontend/tensor_impl.h"
#include "runtime/flat_map.h"

namespace etch::detail {

struct TraceResult;

/// An operand of an eager op: a tensor, or a number that is given by its bits.
struct EventOperand {
  const TensorImpl* impl = nullptr;  // nullptr for a number
  DType dtype = DType::f32;
  uint64_t bits = 0;
};

/// One log for all tapes of a thread, kept as long as one of them is open: a tape is a stretch of it. Only what depends
/// on a watched tensor is written down. Not every value has a tensor: what a call of a function, or a derivative,
/// computed on its way is computed again where it is needed.
class EagerEvents : public EventLog {
 public:
  /// The value that stands for a tensor, if there is one.
  Value find(const TensorImpl& impl) const;
  /// The same; a tensor that is not known becomes an input.
  Value value_of(const TensorImpl& impl);
  /// Says which tensor a value is.
  void hold(Value value, const Tensor& tensor);
  /// The tensor of a value, or none.
  const Tensor& tensor(Value value) const;
  void drop(Value value) { tensors_[value.id] = Tensor(); }
  /// Drops the tensors of what ops computed in events begin..end.
  void drop(int begin, int end);

  /// True if the tensor depends on one that was watched.
  bool depends(const TensorImpl& impl) const;
  void watch(Value value);
  /// To be called when events were written down by somebody else: their values depend on a watched one if an operand
  /// does.
  void extend();

  /// Writes down an op that ran. Operands is a list of EventOperand.
  template <class Operands>
  void record(const AnyOp& op, const Operands& operands, std::span<const Type> wanted, const Tensors& results,
              Location where) {
    bool is_needed = false;
    for (const EventOperand& operand : operands) is_needed = is_needed || (operand.impl && depends(*operand.impl));
    if (!is_needed) return;
    absl::InlinedVector<Value, 3> values;
    for (const EventOperand& operand : operands) values.push_back(value_of(operand, where));
    append(op, values, wanted, results, where);
  }

  /// Writes down a call, one group: all its events, on these tensors. Returns the value that stands for each value of
  /// the call's events.
  std::vector<Value> record_call(const TraceResult& trace, std::span<const Tensor> inputs);

  /// True if a tape wants to know of reads of the variable: it was watched, or it is trainable and a tape watches those.
  bool watches(const VariableCell& cell) const;
  /// Writes down one read of a variable, whose value is this tensor, if a tape wants to know of it.
  void record_read(VariableCell& cell, const Tensor& tensor, Location where);

  /// How many tapes record now, and how many of them watch the trainable variables that are read.
  int num_recording = 0;
  int num_watching = 0;
  /// How many tapes may want something of it. The last one may be destroyed by another thread.
  std::atomic<int> num_open{0};

 private:
  Value value_of(const EventOperand& operand, Location where);
  void append(const AnyOp& op, std::span<const Value> operands, std::span<const Type> wanted, const Tensors& results,
              Location where);
  std::vector<Tensor> tensors_;  // by value
  std::vector<bool> depends_;    // by value
  int num_extended_ = 0;         // events
  FlatMap<uint64_t, Value> values_;  // by the numbers of tensors
};

/// The log of this thread's tapes, if there is one; a new one for `open_eager_events`.
EagerEvents* eager_events();
EagerEvents& open_eager_events();
/// One tape less wants the log.
void close_eager_events(EagerEvents& events);

namespace tapes {
[[gnu::tls_model("initial-exec")]] extern constinit thread_local EagerEvents* recording;
}

/// The log if tapes of this thread record what it does now, or nullptr: looked at by every eager op and call.
inline EagerEvents* recording_events() { return tapes::recording; }
/// To be called when num_recording changed.
void update_recording();

}  // namespace etch::detail
