// The recording of ops into a graph, and the scopes that name them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontend/capture/program.h"
#include "frontend/event_log.h"
#include "frontend/tensor_impl.h"
#include "frontend/variable_cell.h"
#include "runtime/flat_map.h"

namespace etch::detail {

/// The part of a function that is written under one name: a composite op such as softmax, or an inlined function. Ops
/// inside of a composite op belong to the place where the user called the outermost one.
class Scope {
 public:
  /// A composite op.
  Scope(std::string_view name, Location where);
  /// An inlined function: its ops have places of their own.
  explicit Scope(std::string_view name);
  ~Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  static const Scope* innermost();
  /// `block/softmax`.
  std::string path() const;
  /// The place of an op: `where`, or the one of the outermost composite op around.
  static Location place_of(Location where);
  int depth() const { return depth_; }

 private:
  friend class EventLog;
  friend class TraceScope;
  void begin_group();

  std::string_view name_;
  const Scope* parent_;
  bool has_place_;
  int depth_;
  Location where_;
  // The path's index in the log that last asked: building it costs more than an op.
  mutable uint64_t named_in_ = 0;
  mutable int32_t index_ = -1;
  // Its ops are a group of this log, if there was one when it began.
  int32_t first_event_ = 0;
  uint64_t log_ = 0;
};

/// An Error of an op, at Scope::place_of(where); within a composite op that the message does not start with, it says so.
[[noreturn]] void fail_in_op(Location where, const std::string& message);

/// How many traces are open on this thread, one inside the other; those that an init_scope pauses count.
int trace_nesting();

/// `a traced f32[2], the result of less at demo.cc:12`, as far as it is known.
std::string made_by(const TensorImpl& impl);

/// The id of the innermost trace of this thread, also where an init_scope pauses it; 0 if there is none.
uint64_t id_of_innermost_trace();

/// Tells the innermost trace of this thread, also where an init_scope pauses it, that a variable was made.
void note_made_variable(Location where);

/// What a trace reads or assigns of a variable.
struct TracedVariable {
  Ref<VariableCell> cell;
  Location where;                  // of the first use
  std::optional<Value> initial;    // the input that is its value when the function begins, if that is read
  std::optional<Value> assigned;   // its value now, if that is another one
};

/// The numbers of a range: start, start + step, ...; none of them, nor what follows the last one, is too large for its dtype.
struct Progression {
  int64_t start = 0, step = 1;
};

/// Who captures what a trace does when it asks for the truth of a tensor.
class CaptureStart {
 public:
  /// The listener of the run that is under way, and what it is described in.
  virtual std::pair<capture::Listener*, Vocabulary*> start() = 0;

 protected:
  ~CaptureStart() = default;
};

/// The events of one run of a callable, on the thread that traces. A plain one keeps them. From the first question on, or
/// where it was made for a listener, that listener has them.
class Trace : public EventLog {
 public:
  /// @param name of the function, for errors.
  explicit Trace(std::string name, CaptureStart* capture = nullptr) : name_(std::move(name)), start_(capture) {}
  Trace(std::string name, Vocabulary& vocabulary, capture::Listener& listener) : name_(std::move(name)), listener_(&listener) {
    vocabulary_ = &vocabulary;
  }
  /// A region of a trace, or of none: what tensors of that, and captures, stand for becomes an input.
  struct RegionOf {
    Trace* outer = nullptr;
  };
  Trace(std::string name, RegionOf region, CaptureStart* capture) : name_(std::move(name)), outer_(region.outer), start_(capture) {}
  Trace(std::string name, RegionOf region, Vocabulary& vocabulary, capture::Listener& listener)
      : Trace(std::move(name), vocabulary, listener) {
    outer_ = region.outer;
  }

  const std::string& name() const { return name_; }
  /// This trace, or the one that it is a region of in the end.
  Trace& whole() { return outer_ ? outer_->whole() : *this; }

  /// The next argument.
  Tensor argument(const Type& type);
  /// The next input is what this eager tensor stands for in the trace; the first of equal ones counts.
  void bind(const TensorImpl& impl);
  /// The value of a tensor: one of this trace, or a capture, which becomes the next input. Error for a tensor of
  /// another trace.
  Value value_of(const TensorImpl& impl, Location where);
  /// The same, or none for a tensor that the trace does not know.
  Value find(const TensorImpl& impl) const;
  /// Records an op; Error if it is illegal.
  Tensors emit(const AnyOp& op, std::span<const Value> operands, std::span<const Type> wanted, Location where);
  /// One read of a variable at this point of the trace.
  Tensor read(VariableCell& cell, Location where);
  /// The value of a variable at this point, which is no read of it: no derivative passes through.
  Tensor value_of(VariableCell& cell, Location where);
  /// Puts a value into a variable, as far as the rest of the trace sees it.
  void assign(VariableCell& cell, const Tensor& value, Location where);
  /// A value with the same bits in every element.
  Value constant(uint64_t bits, const Type& type, Location where);
  /// The truth of a bool scalar, as this run is told. Error if the trace is not to be captured.
  bool ask(const TensorImpl& impl);

  /// True if questions have answers here.
  bool can_ask() const { return listener_ || start_; }
  /// Notes that a tensor of rank 1 holds these numbers, so that loops over them count.
  void note_progression(const TensorImpl& impl, Progression numbers) {
    if (impl.trace == id_) progressions_[impl.value] = numbers;
  }
  /// What was noted of a tensor, or nullptr.
  const Progression* progression(const TensorImpl& impl) const {
    const auto known = progressions_.find(impl.value);
    return impl.trace == id_ && known != progressions_.end() ? &known->second : nullptr;
  }

  /// True from the first question on: there is no list of events, and values are those of the vocabulary.
  bool is_captured() const { return listener_ != nullptr; }
  /// The same value, as the listener knows it.
  capture::Ref ref(Value value) const {
    if (value.id >= kFirstAlias) return aliases_[value.id - kFirstAlias].ref;
    return value.id < 0 ? value.id : value.id >= first_ref_ ? value.id - first_ref_ : refs_[value.id];
  }
  /// Its type, of a captured trace.
  int32_t type_index(capture::Ref ref) const;

  // A captured trace keeps its events as a list, too, as long as tapes are open in it: derivatives are taken of this. What
  // they compute is told to the listener like any other op.

  void open_tape();
  void close_tape() { --num_tapes_; }
  bool has_tape() const { return num_tapes_ > 0; }
  /// True if a tape was open at some time.
  bool had_tape() const { return had_tape_; }
  /// True if the trace of that number is open on this thread.
  static bool is_open(uint64_t id);
  /// True if events() holds what the trace does now.
  bool is_listed() const { return !is_captured() || num_tapes_ > 0; }
  /// What stands for a value in events(): a leaf for one from before.
  Value listed(Value value);
  /// What stands for a tensor there, or none.
  Value find_listed(const TensorImpl& impl);
  /// From now on a value of events() stands for this one.
  void list_as(Value value, Value listed);
  /// The same tensor, for which a stand-in of events() stands.
  Tensor with_derivative(const TensorImpl& impl, Value stand_in, Location where);
  /// The value of one of events(), which is told to the listener if it was not.
  Value told(Value listed);

  std::vector<Capture>& captures() { return captures_; }
  /// Tensors of the trace around a region that it uses, and captures, in the order of their first use.
  const std::vector<Tensor>& taken() const { return taken_; }
  /// In the order of their first use.
  std::vector<TracedVariable>& variables() { return variables_; }
  /// Runs what backward functions there are on cotangents that are to come, so that calls of the function can be
  /// differentiated when the trace has ended. To be called last.
  void record_backwards();
  /// Whether a variable is frozen; the answer is the same for the whole trace.
  bool ask_frozen(const VariableCell& cell);
  std::vector<FlagGuard>& guards() { return guards_; }
  /// The places where the callable made variables.
  const std::vector<Location>& made_variables() const { return made_variables_; }

  /// The trace that this thread records into, or nullptr, also inside of an init_scope.
  static Trace* current();

 private:
  /// The results of an op; Error if it is illegal.
  etch::Results record(const AnyOp& op, std::span<const Value> operands, std::span<const Type> wanted, Location where);
  Value input(const Type& type, Location where);
  Value current(VariableCell& cell, Location where);
  /// What stands in a variable when the trace begins. The token begins with a constant.
  Value first_value(VariableCell& cell, Location where);
  /// True for a tensor of this trace or of those that it is a region of.
  bool knows(const TensorImpl& impl) const;
  Value take(const TensorImpl& impl, Location where);
  TracedVariable& variable(VariableCell& cell, Location where);

  /// Tells a listener what happened so far, and all that is to come.
  void begin_capture();
  Value tell(capture::Kind kind, std::span<const capture::Ref> operands);
  Type type_of(Value value) const;
  void list_op(capture::Kind kind, std::span<const Value> operands, Value first);
  void list_read(VariableCell& cell, Value before, Value value, Origin place);
  void tell_listed(int event);
  /// The number of a value of events() for the listener, if it has one.
  std::optional<capture::Ref> ref_told(Value listed) const;
  Value known_listed(Value value) const;
  void check_questions(capture::Kind place, const TensorImpl& impl);

  void record_backward(int event, int order);
  /// The innermost one of this thread, also where an init_scope pauses it.
  static Trace* innermost();

  friend void note_made_variable(Location where);
  friend bool ask_frozen(const VariableCell& cell);

  std::string name_;
  Trace* outer_ = nullptr;
  std::vector<Tensor> taken_;
  std::vector<Capture> captures_;
  FlatMap<const TensorImpl*, Value> captured_;
  std::vector<TracedVariable> variables_;
  FlatMap<const VariableCell*, size_t> variable_index_;
  std::vector<Location> made_variables_;
  std::vector<FlagGuard> guards_;
  FlatMap<const VariableCell*, bool> frozen_;
  FlatMap<Value, Progression> progressions_;
  int32_t num_arguments_ = 0, num_bound_ = 0;

  // Of a captured trace. Values up to first_ref_ are of the list before; those behind it are results, in order.
  CaptureStart* start_ = nullptr;
  capture::Listener* listener_ = nullptr;
  int32_t first_ref_ = 0;
  std::vector<capture::Ref> refs_;
  std::vector<int32_t> types_;          // of results
  std::vector<capture::Kind> makers_;   // of results

  // Of one in which tapes are open.
  int num_tapes_ = 0;
  bool had_tape_ = false;
  int32_t num_plain_ = 0;   // values of the list from before the first question, which are themselves
  FlatMap<capture::Ref, Value> listed_;
  FlatMap<Value, capture::Ref> told_;
  struct Alias {
    capture::Ref ref;
    Value listed;   // or none, if that list is gone
  };
  static constexpr int32_t kFirstAlias = 1 << 30;
  std::vector<Alias> aliases_;   // values of the trace that are others for the listener, with a derivative of their own
  FlatMap<capture::Kind, int> asked_;
};

/// Makes a trace the current one of this thread, or with nullptr none, for as long as it stands. Scopes around do not name
/// its ops.
class TraceScope {
 public:
  explicit TraceScope(Trace* trace);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  friend class EventLog;
  friend class Trace;
  friend const Trace* find_trace(uint64_t id);
  friend int trace_nesting();
  friend uint64_t id_of_innermost_trace();
  Trace* trace_;
  TraceScope* outer_;
  const Scope* outer_scope_;
};

/// Throws the Error of somebody who wants elements of a tensor that has none: one of a trace, or a spec.
[[noreturn]] void fail_no_elements(const TensorImpl& impl, std::string_view want, Location where);

}  // namespace etch::detail
