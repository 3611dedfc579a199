// The recording of ops into a graph, and the scopes that name them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "frontend/event_log.h"
#include "frontend/tensor_impl.h"

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

/// How many traces are open on this thread, one inside the other.
int trace_nesting();

/// The events of one run of a callable, on the thread that traces.
class Trace : public EventLog {
 public:
  /// @param name of the function, for errors.
  explicit Trace(std::string name) : name_(std::move(name)) {}

  const std::string& name() const { return name_; }

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
  /// A value with the same bits in every element.
  Value constant(uint64_t bits, const Type& type, Location where);

  std::vector<Capture>& captures() { return captures_; }

  /// The trace that this thread records into, or nullptr.
  static Trace* current();

 private:
  /// The results of an op; Error if it is illegal.
  etch::Results record(const AnyOp& op, std::span<const Value> operands, std::span<const Type> wanted, Location where);

  std::string name_;
  std::vector<Capture> captures_;
  absl::flat_hash_map<const TensorImpl*, Value> captured_;
};

/// Makes a trace the current one of this thread for as long as it stands. Scopes around do not name its ops.
class TraceScope {
 public:
  explicit TraceScope(Trace& trace);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  friend class EventLog;
  friend class Trace;
  friend const Trace* find_trace(uint64_t id);
  friend int trace_nesting();
  Trace& trace_;
  TraceScope* outer_;
  const Scope* outer_scope_;
};

/// Throws the Error of somebody who wants elements of a tensor that has none: one of a trace, or a spec.
[[noreturn]] void fail_no_elements(const TensorImpl& impl, std::string_view want, Location where);

}  // namespace etch::detail
