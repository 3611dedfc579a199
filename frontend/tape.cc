// What stands behind a GradientTape: a stretch of the events of its trace or thread, and which of them it recorded.
#include <pthread.h>

#include <algorithm>
#include <map>
#include <optional>

#include "absl/container/flat_hash_set.h"
#include "compiler/ir/cat.h"
#include "etch/gradient_tape.h"
#include "frontend/dispatch.h"
#include "frontend/eager_events.h"
#include "frontend/run_graph.h"
#include "frontend/trace.h"

namespace etch::detail {
namespace {

/// Computes values that were just written down, the events from `begin` on, and whatever else has no tensor on the way.
/// What counts as one op there is one compiled graph.
class Evaluation {
 public:
  Evaluation(EagerEvents& log, int begin, std::span<const NodeRange> groups) : log_(log), begin_(begin) {
    for (int i = begin; i < log.num_events(); ++i) unit_.push_back(i);
    for (const NodeRange& group : groups) {  // outer ones come after inner ones
      std::fill(unit_.begin() + (group.begin - begin), unit_.begin() + (group.end - begin), group.begin);
    }
  }

  void run(std::span<const Value> wanted, Location where) {
    for (Value value : wanted) want(value, -1);
    while (!open_.empty()) {
      const int node = open_.back();
      open_.pop_back();
      for (Value operand : log_.events().nodes()[node].operands) want(operand, node);
    }
    std::map<int, std::vector<Value>> last_used;  // by unit
    for (const auto& [value, unit] : last_use_) last_used[unit].push_back({value});
    for (const auto& [unit, outputs] : outputs_) {
      run_unit(outputs, where);
      if (log_.num_recording > 0) continue;  // tapes may ask for it
      for (Value value : last_used[unit]) log_.drop(value);
    }
  }

 private:
  /// A value that a new node uses, or, with -1, the caller.
  void want(Value value, int user) {
    const int node = log_.events().index_of(value);
    if (node < begin_ || log_.tensor(value).defined()) return;
    const int unit = unit_[node - begin_];
    const int user_unit = user < 0 ? -1 : unit_[user - begin_];
    const Place place = etch::place(log_.events().nodes()[node].op);
    const bool is_made_anew = place == Place::splat || place == Place::index;  // by each unit that needs it
    if (user < 0 || (unit != user_unit && !is_made_anew)) {
      std::vector<Value>& outputs = outputs_[unit];
      if (std::ranges::find(outputs, value) == outputs.end()) outputs.push_back(value);
      int& last = last_use_.try_emplace(value.id, user_unit).first->second;
      last = user < 0 || last < 0 ? -1 : std::max(last, user_unit);
    }
    if (seen_.insert(node).second) open_.push_back(node);
  }

  void run_unit(const std::vector<Value>& outputs, Location where) {
    const Excerpt excerpt = log_.events().excerpt(outputs, [&](Value value) { return log_.tensor(value).defined(); });
    std::vector<const Tensor*> inputs;
    for (Value input : excerpt.inputs) inputs.push_back(&log_.tensor(input));
    const std::vector<Tensor> results = run_graph(excerpt.graph, inputs, "gradient", where);
    for (size_t i = 0; i < outputs.size(); ++i) log_.hold(outputs[i], results[i]);
  }

  EagerEvents& log_;
  const int begin_;
  std::vector<int> unit_;  // per new node: the first node of its unit
  std::map<int, std::vector<Value>> outputs_;  // of each unit, in the order of the units
  std::map<int32_t, int> last_use_;  // of each output: the unit, or -1 for the caller
  absl::flat_hash_set<int> seen_;
  std::vector<int> open_;
};

}  // namespace

class [[gnu::visibility("hidden")]] Tape {
 public:
  Tape(TapeOptions options, Location) : persistent_(options.persistent) { open(); }

  ~Tape() {
    if (state_ == State::open && trace_ == nullptr) close();
  }

  void watch(Handles tensors, Location where) {
    check_usable("watch", where);
    advance();
    bool any = false;
    for (const Tensor* tensor : tensors) {
      const TensorImpl& impl = impl_of(*tensor, where);
      if (!is_floating(impl.dtype)) continue;
      any = true;
      const Value value = value_of(impl, where);
      grow();
      depends_[value.id] = true;
      if (eager_) eager_->watch(value);
    }
    if (!any) {
      fail(where, cat("watch: ", tensors.empty() ? "there is no tensor" : cat(types_of(tensors), " has no gradient"),
                      "; only tensors of ", list_dtypes(is_floating), " have"));
    }
    has_watched_ = true;
  }

  void gradient(Handles targets, Handles output_gradients, Handles sources, GradientOptions options, Location where) {
    check_usable("gradient", where);
    advance();
    if (!has_watched_) {
      fail(where, "gradient: the tape watched nothing; call watch(x) before computing with x");
    }
    check_targets(targets, output_gradients, where);
    check_sources(sources, where);
    std::vector<Value> of, in;
    for (const Tensor* source : sources) {
      const TensorImpl& impl = *TensorAccess::get(*source);
      if (is_floating(impl.dtype)) in.push_back(known(impl));
    }
    const EndOfUse end(*this);
    const int begin = log().num_events();
    Recorder recorder(log().events());
    std::vector<Value> cotangents;
    for (size_t i = 0; i < targets.size(); ++i) {
      const Value target = known(impl_of(*targets[i], where));
      if (target.id < 0) continue;  // nothing that the tape knows
      of.push_back(target);
      if (!output_gradients.empty()) {
        cotangents.push_back(value_of(impl_of(*output_gradients[i], where), where));
        continue;
      }
      const Type type = recorder.type(target);
      cotangents.push_back(constant(recorder, bits_of(1, type.dtype), type).value());
    }
    const Gradients made = make_gradients(recorder, {of, cotangents, in, log().groups(), recorded_});
    std::string why;
    const bool all_none = std::ranges::none_of(made.values, [](const auto& value) { return value.has_value(); });
    if (all_none && options.unconnected == Unconnected::none && !sources.empty()) why = why_none(of, in);
    give(made, begin, sources, options, where);
    if (!why.empty()) {
      fail(where, cat("gradient: ", sources.size() == 1 ? "there is none: " : "no source has one: ", why,
                      "; ask for {.unconnected = Unconnected::zeros} where that is meant"));
    }
  }

  std::string why_no_gradient(Handles targets, const Tensor& source, Location where) {
    check_usable("why_no_gradient", where);
    advance();
    check_targets(targets, {}, where);
    const Value in = known(impl_of(source, where));
    if (in.id < 0 || !depends(in)) {
      return "the tape does not know the source: it was neither watched nor computed from what was";
    }
    std::vector<Value> of;
    for (const Tensor* target : targets) {
      if (const Value value = known(impl_of(*target, where)); value.id >= 0) of.push_back(value);
    }
    if (has_gradient(log().events(), of, in, recorded_)) return "";
    return etch::why_no_gradient(log().events(), of, in, recorded_);
  }

  void pause(Location where) {
    check_usable("stop_recording", where);
    advance();
    if (paused_++ == 0) count_recording(-1);
  }

  void go_on() {
    if (state_ == State::used) return;
    if (trace_ && (Trace::current() != trace_ || trace_->id() != log_id_)) return;  // it has ended
    advance();
    if (--paused_ == 0) count_recording(1);
  }

  void reset(Location where) {
    if (state_ == State::open) {
      check_usable("reset", where);
      if (trace_ == nullptr) close();
    }
    open();
  }

 private:
  enum class State : uint8_t { open, used };

  /// The end of a call of gradient: one that is not persistent records no more from here on, and forgets everything
  /// then.
  class EndOfUse {
   public:
    explicit EndOfUse(Tape& tape) : tape_(tape) {
      if (tape.persistent_) return;
      if (tape.paused_++ == 0) tape.count_recording(-1);
    }
    ~EndOfUse() {
      if (tape_.persistent_) return;
      --tape_.paused_;
      tape_.state_ = State::used;
      if (tape_.trace_ == nullptr) close_eager_events(*tape_.eager_);
    }

   private:
    Tape& tape_;
  };

  void open() {
    state_ = State::open;
    trace_ = Trace::current();
    eager_ = trace_ ? nullptr : &open_eager_events();
    log_id_ = log().id();
    thread_ = pthread_self();
    has_watched_ = false;
    recorded_.assign(log().num_events(), false);
    depends_.assign(log().events().num_values(), false);
    if (paused_ == 0) count_recording(1);
  }

  EventLog& log() { return trace_ ? static_cast<EventLog&>(*trace_) : *eager_; }

  void count_recording(int n) {
    if (trace_) return;
    eager_->num_recording += n;
    update_recording();
  }

  void close() {
    if (paused_ == 0 && thread_ == pthread_self()) count_recording(-1);
    close_eager_events(*eager_);
  }

  void check_usable(std::string_view op, Location where) {
    if (state_ == State::used) {
      fail(where, cat(op, ": the tape was used up by its first call of gradient; make it with {.persistent = true}, or"
                      " reset() it"));
    }
    if (thread_ != pthread_self()) fail(where, cat(op, ": the tape belongs to another thread, which made it"));
    Trace* const now = Trace::current();
    if (trace_ == nullptr && now) {
      fail(where, cat(op, ": the tape was made outside of the trace of function ", now->name(),
                      ", which it does not record; make it inside"));
    }
    if (trace_ && (now != trace_ || now->id() != log_id_)) {
      fail(where, cat(op, ": the tape was made in a trace that has ended or is not the innermost one"));
    }
  }

  void grow() {
    recorded_.resize(log().num_events(), false);
    depends_.resize(log().events().num_values(), false);
  }

  /// Looks at the events since the last time: recorded is what depends on a watched value and happened while the tape
  /// recorded.
  void advance() {
    const auto first = static_cast<int>(recorded_.size());
    grow();
    if (paused_ > 0) return;
    const Events& events = log().events();
    for (int i = first; i < log().num_events(); ++i) {
      const Node& node = events.nodes()[i];
      recorded_[i] = std::ranges::any_of(node.operands, [&](Value operand) { return depends_[operand.id]; });
      if (!recorded_[i]) continue;
      for (Value result : results(node)) depends_[result.id] = true;
    }
  }

  bool depends(Value value) const { return value.id < static_cast<int32_t>(depends_.size()) && depends_[value.id]; }

  Value known(const TensorImpl& impl) const { return trace_ ? trace_->find(impl) : eager_->find(impl); }
  Value value_of(const TensorImpl& impl, Location where) {
    if (trace_) return trace_->value_of(impl, where);
    if (impl.kind != TensorImpl::Kind::eager) fail_no_elements(impl, "recording it", where);
    return eager_->value_of(impl);
  }

  static std::string types_of(Handles tensors) {
    std::string text;
    for (const Tensor* tensor : tensors) {
      text += cat(text.empty() ? "" : ", ", to_string(TensorAccess::get(*tensor)->type()));
    }
    return text;
  }

  static std::string numbered(std::string_view word, size_t i, size_t n) {
    return n == 1 ? cat("the ", word) : cat(word, " ", i + 1, " of ", n);
  }

  void check_targets(Handles targets, Handles output_gradients, Location where) const {
    if (targets.empty()) fail(where, "gradient: there is no target");
    for (size_t i = 0; i < targets.size(); ++i) {
      const std::string which = numbered("target", i, targets.size());
      if (!targets[i]->defined()) fail(where, cat("gradient: ", which, " ", kHoldsNothing));
      const Type type = TensorAccess::get(*targets[i])->type();
      if (!is_floating(type.dtype)) {
        fail(where, cat("gradient: ", which, " is ", to_string(type), "; only ", list_dtypes(is_floating),
                        " have gradients; cast before the ops that should be differentiated"));
      }
      if (output_gradients.empty()) continue;
      const Type given = impl_of(*output_gradients[i], where).type();
      if (given == type) continue;
      fail(where, cat("gradient: the output gradient of ", which, " is ", to_string(given), ", but the target is ",
                      to_string(type)));
    }
  }

  void check_sources(Handles sources, Location where) const {
    for (size_t i = 0; i < sources.size(); ++i) {
      const std::string which = numbered("source", i, sources.size());
      if (!sources[i]->defined()) fail(where, cat("gradient: ", which, " ", kHoldsNothing));
      const TensorImpl& impl = *TensorAccess::get(*sources[i]);
      if (!is_floating(impl.dtype)) continue;
      if (const Value value = known(impl); value.id >= 0 && depends(value)) continue;
      fail(where, cat("gradient: ", which, ", ", to_string(impl.type()),
                      ", is unknown to the tape: it was neither watched nor computed from what was watched; call watch"
                      " with it before computing"));
    }
  }

  std::string why_none(std::span<const Value> targets, std::span<const Value> sources) {
    if (sources.empty()) return "only tensors of floats have gradients";
    return etch::why_no_gradient(log().events(), targets, sources[0], recorded_);
  }

  /// Puts the gradients in the place of the sources.
  void give(const Gradients& made, int begin, Handles sources, GradientOptions options, Location where) {
    std::vector<Value> present;
    for (const std::optional<Value>& value : made.values) {
      if (value) present.push_back(*value);
    }
    if (trace_ == nullptr) {
      Evaluation(*eager_, begin, made.groups).run(present, where);
      eager_->extend();
    }
    size_t next = 0;
    for (Tensor* source : sources) {
      const Type type = TensorAccess::get(*source)->type();
      const std::optional<Value> value = is_floating(type.dtype) ? made.values[next++] : std::nullopt;
      if (value) {
        *source = tensor_of(*value, where);
      } else {
        *source = options.unconnected == Unconnected::zeros ? detail::constant(type, 0, "gradient", where) : Tensor();
      }
    }
  }

  Tensor tensor_of(Value value, Location where) {
    if (trace_ == nullptr) return eager_->tensor(value);
    const Events& events = trace_->events();
    return make_traced(trace_->id(), value, events.type(value), events.node(value).op, where);
  }

  const bool persistent_;
  State state_ = State::open;
  int paused_ = 0;
  Trace* trace_ = nullptr;        // where it was made, or
  EagerEvents* eager_ = nullptr;  // those of the thread
  uint64_t log_id_ = 0;
  pthread_t thread_{};
  bool has_watched_ = false;
  std::vector<bool> recorded_;  // per event
  std::vector<bool> depends_;   // per value: on a watched one
};

Tape* make_tape(TapeOptions options, Location where) { return new Tape(options, where); }
void destroy_tape(Tape* tape) { delete tape; }
void watch(Tape* tape, Handles tensors, Location where) { tape->watch(tensors, where); }
void gradient(Tape* tape, Handles targets, Handles output_gradients, Handles sources, GradientOptions options,
              Location where) {
  tape->gradient(targets, output_gradients, sources, options, where);
}
std::string why_no_gradient(Tape* tape, Handles targets, const Tensor& source, Location where) {
  return tape->why_no_gradient(targets, source, where);
}
void stop_recording(Tape* tape, Location where) { tape->pause(where); }
void go_on_recording(Tape* tape) { tape->go_on(); }
void reset(Tape* tape, Location where) { tape->reset(where); }

void fail_structure(std::string_view what, size_t expected, size_t given, Location where) {
  fail(where, cat("gradient: ", given, " ", what, " are given for ", expected, " targets"));
}

}  // namespace etch::detail
