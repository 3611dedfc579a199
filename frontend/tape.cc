// What stands behind a GradientTape: a stretch of the events of its trace or thread, and which of them it recorded.
#include <pthread.h>

#include <algorithm>
#include <map>
#include <optional>

#include "compiler/ir/cat.h"
#include "etch/custom_gradient.h"
#include "etch/gradient_tape.h"
#include "frontend/dispatch.h"
#include "frontend/eager_events.h"
#include "frontend/run_graph.h"
#include "frontend/trace.h"
#include "runtime/flat_map.h"

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
  FlatSet<int> seen_;
  std::vector<int> open_;
};

}  // namespace

class [[gnu::visibility("hidden")]] Tape {
 public:
  explicit Tape(TapeOptions options) : options_(options) { open(); }

  ~Tape() {
    if (state_ == State::open && trace_ == nullptr) close();
    close_in_trace();
  }

  void watch(std::span<const Source> sources, Location where) {
    check_usable("watch", where);
    advance();
    bool any = false;
    for (const Source& source : sources) {
      if (!is_floating(type_of(source, where).dtype)) continue;
      any = true;
      const Value value = source.variable() ? log().leaf(cell_of(source)) : value_of(impl_of(source.tensor(), where), where);
      grow();
      depends_[value.id] = true;
      if (eager_) eager_->watch(value);
    }
    if (!any) {
      fail(where, cat("watch: ", sources.empty() ? "there is no tensor" : cat(types_of(sources), " has no gradient"),
                      "; only tensors of ", list_dtypes(is_floating), " have"));
    }
    has_watched_ = true;
  }

  std::vector<Tensor> gradient(const GradientQuestion& question, Location where) {
    check_usable("gradient", where);
    advance();
    if (!has_watched_) {
      fail(where, "gradient: the tape watched nothing: no trainable variable was read since it was made, and watch(x) was"
                  " not called before computing with x");
    }
    check_targets(question.targets, question.output_gradients, where);
    check_sources(question.sources, where);
    std::vector<Value> of, in;
    for (const Source& source : question.sources) {
      if (is_floating(type_of(source, where).dtype)) in.push_back(known(source));
    }
    const EndOfUse end(*this);
    const int begin = log().num_events();
    Recorder recorder(log().events());
    std::vector<Value> cotangents;
    for (size_t i = 0; i < question.targets.size(); ++i) {
      const Value target = known(impl_of(question.targets[i], where));
      if (target.id < 0) continue;  // nothing that the tape knows
      of.push_back(target);
      if (!question.output_gradients.empty()) {
        cotangents.push_back(value_of(impl_of(question.output_gradients[i], where), where));
        continue;
      }
      const Type type = recorder.type(target);
      cotangents.push_back(constant(recorder, bits_of(1, type.dtype), type).value());
    }
    UserGradients custom(*this, recorder, begin, where);
    const Gradients made = make_gradients(recorder, {of, cotangents, in, log().groups(), recorded_, &custom, first_event_});
    if (trace_ && !trace_->is_captured()) note_gradients(of, made);
    std::string why;
    const bool all_none = std::ranges::none_of(made.values, [](const auto& value) { return value.has_value(); });
    const bool is_error = all_none && question.options.unconnected == Unconnected::none && !question.may_all_be_none;
    if (is_error && !question.sources.empty()) why = why_none(of, in);
    std::vector<Tensor> gradients = give(made, begin, question, where);
    if (!why.empty()) {
      fail(where, cat("gradient: ", gradients.size() == 1 ? "there is none: " : "no source has one: ", why,
                      "; ask for {.unconnected = Unconnected::zeros} where that is meant"));
    }
    return gradients;
  }

  std::string why_no_gradient(std::span<const Tensor> targets, const Source& source, Location where) {
    check_usable("why_no_gradient", where);
    advance();
    check_targets(targets, {}, where);
    (void)type_of(source, where);
    const Value in = known(source);
    if (in.id < 0 || !depends(in)) {
      return source.variable() ? "the tape does not know the source: it was neither watched nor read while it recorded"
                               : "the tape does not know the source: it was neither watched nor computed from what was";
    }
    std::vector<Value> of;
    for (const Tensor& target : targets) {
      if (const Value value = known(impl_of(target, where)); value.id >= 0) of.push_back(value);
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
    close_in_trace();
    open();
  }

 private:
  enum class State : uint8_t { open, used };

  /// The end of a call of gradient: one that is not persistent records no more from here on, and forgets everything
  /// then.
  class EndOfUse {
   public:
    explicit EndOfUse(Tape& tape) : tape_(tape) {
      if (tape.options_.persistent) return;
      if (tape.paused_++ == 0) tape.count_recording(-1);
    }
    ~EndOfUse() {
      if (tape_.options_.persistent) return;
      --tape_.paused_;
      tape_.state_ = State::used;
      if (tape_.trace_ == nullptr) close_eager_events(*tape_.eager_);
      tape_.close_in_trace();
    }

   private:
    Tape& tape_;
  };

  /// The derivatives that users gave of what this tape recorded.
  class UserGradients final : public CustomGradients {
   public:
    UserGradients(Tape& tape, Recorder& recorder, int begin, Location where)
        : tape_(tape), recorder_(recorder), begin_(begin), where_(where) {}

    std::optional<std::vector<Ex>> differentiate(int node, std::span<const Ex> cotangents,
                                                 std::span<const NodeRange> made) override {
      const auto found = tape_.log().custom_events().find(node);
      if (found == tape_.log().custom_events().end()) return std::nullopt;
      const CustomEvent custom = found->second;  // a copy: more may come
      const std::vector<Value> given = with_zeros(recorder_, node, cotangents);
      std::vector<Ex> gradients;
      for (Value gradient : custom.run ? run(custom, given, made) : repeat(custom, given)) {
        gradients.push_back(gradient.id < 0 ? Ex() : Ex(recorder_, gradient));
      }
      return gradients;
    }

   private:
    std::vector<Value> run(const CustomEvent& custom, std::span<const Value> given, std::span<const NodeRange> made) {
      if (tape_.eager_) Evaluation(*tape_.eager_, begin_, made).run(given, where_);
      std::vector<Tensor> cotangents;
      for (Value value : given) cotangents.push_back(tape_.tensor_of(value, custom.where));
      if (tape_.eager_) tape_.eager_->extend();  // what the function computes of cotangents alone depends as they do
      std::vector<Value> gradients;
      for (const Tensor& gradient : custom.run(cotangents)) {
        const TensorImpl* impl = TensorAccess::get(gradient);
        gradients.push_back(impl ? tape_.value_of(*impl, custom.where) : Value());
      }
      return gradients;
    }

    std::vector<Value> repeat(const CustomEvent& custom, std::span<const Value> given) {
      check_recorded(custom);
      return tape_.log().repeat(*custom.recorded, given);
    }

    Tape& tape_;
    Recorder& recorder_;
    const int begin_;
    const Location where_;
  };

  /// For explain: what of the trace is its backward pass.
  void note_gradients(std::span<const Value> targets, const Gradients& made) {
    AskedGradients asked{{targets.begin(), targets.end()}, {}};
    for (const std::optional<Value>& gradient : made.values) {
      if (gradient) asked.gradients.push_back(*gradient);
    }
    log().custom_events().asked.push_back(std::move(asked));
  }

  void open() {
    state_ = State::open;
    trace_ = Trace::current();
    if (trace_) trace_->open_tape();
    is_in_trace_ = trace_ != nullptr;
    eager_ = trace_ ? nullptr : &open_eager_events();
    log_id_ = log().id();
    thread_ = pthread_self();
    has_watched_ = false;
    first_event_ = log().num_events();
    recorded_.assign(first_event_, false);
    depends_.assign(log().events().num_values(), false);
    if (paused_ == 0) count_recording(1);
  }

  EventLog& log() { return trace_ ? static_cast<EventLog&>(*trace_) : *eager_; }

  void count_recording(int n) {
    if (trace_) return;
    eager_->num_recording += n;
    if (options_.watch_accessed_variables) eager_->num_watching += n;
    update_recording();
  }

  void close_in_trace() {
    if (is_in_trace_ && Trace::is_open(log_id_)) trace_->close_tape();
    is_in_trace_ = false;
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
      if (options_.watch_accessed_variables) watch_read(i, node);
      recorded_[i] = std::ranges::any_of(node.operands, [&](Value operand) { return depends_[operand.id]; });
      if (!recorded_[i]) continue;
      for (Value result : results(node)) depends_[result.id] = true;
    }
  }

  /// Watches the variable that an event reads, if it is trainable.
  void watch_read(int event, const Node& node) {
    if (!is_stand_in(node) || log().custom_events().contains(event)) return;
    const VariableCell* cell = log().variable_of(node.operands[0]);
    if (cell == nullptr || !cell->trainable() || !is_floating(cell->type().dtype)) return;
    depends_[node.operands[0].id] = true;
    has_watched_ = true;
  }

  bool depends(Value value) const { return value.id < static_cast<int32_t>(depends_.size()) && depends_[value.id]; }

  Value known(const TensorImpl& impl) const { return trace_ ? trace_->find_listed(impl) : eager_->find(impl); }
  Value known(const Source& source) {
    if (source.variable()) return log().find_leaf(cell_of(source));
    return known(*TensorAccess::get(source.tensor()));
  }
  static VariableCell& cell_of(const Source& source) { return *VariableAccess::get(*source.variable()); }
  static Type type_of(const Source& source, Location where) {
    if (source.variable() == nullptr) return impl_of(source.tensor(), where).type();
    return {source.variable()->dtype(where), source.variable()->shape(where)};
  }
  Value value_of(const TensorImpl& impl, Location where) {
    if (trace_) return trace_->listed(trace_->value_of(impl, where));
    if (impl.kind != TensorImpl::Kind::eager) fail_no_elements(impl, "recording it", where);
    return eager_->value_of(impl);
  }

  static std::string text_of(const Source& source) {
    return source.variable() ? description(cell_of(source)) : to_string(TensorAccess::get(source.tensor())->type());
  }
  static std::string types_of(std::span<const Source> sources) {
    std::string text;
    for (const Source& source : sources) text += cat(text.empty() ? "" : ", ", text_of(source));
    return text;
  }

  static std::string numbered(std::string_view word, size_t i, size_t n) {
    return n == 1 ? cat("the ", word) : cat(word, " ", i + 1, " of ", n);
  }

  void check_targets(std::span<const Tensor> targets, std::span<const Tensor> output_gradients, Location where) const {
    if (targets.empty()) fail(where, "gradient: there is no target");
    for (size_t i = 0; i < targets.size(); ++i) {
      const std::string which = numbered("target", i, targets.size());
      if (!targets[i].defined()) fail(where, cat("gradient: ", which, " ", kHoldsNothing));
      const Type type = TensorAccess::get(targets[i])->type();
      if (!is_floating(type.dtype)) {
        fail(where, cat("gradient: ", which, " is ", to_string(type), "; only ", list_dtypes(is_floating),
                        " have gradients; cast before the ops that should be differentiated"));
      }
      if (output_gradients.empty()) continue;
      const Type given = impl_of(output_gradients[i], where).type();
      if (given == type) continue;
      fail(where, cat("gradient: the output gradient of ", which, " is ", to_string(given), ", but the target is ",
                      to_string(type)));
    }
  }

  void check_sources(std::span<const Source> sources, Location where) {
    for (size_t i = 0; i < sources.size(); ++i) {
      const Source& source = sources[i];
      const std::string which = numbered("source", i, sources.size());
      const bool is_defined = source.variable() ? source.variable()->defined() : source.tensor().defined();
      if (!is_defined) fail(where, cat("gradient: ", which, " ", kHoldsNothing));
      if (!is_floating(type_of(source, where).dtype)) continue;
      if (const Value value = known(source); value.id >= 0 && depends(value)) continue;
      fail(where, cat("gradient: ", which, ", ", text_of(source), ", is unknown to the tape: ", why_unknown(source)));
    }
  }

  std::string why_unknown(const Source& source) const {
    if (source.variable() == nullptr) {
      return "it was neither watched nor computed from what was watched; call watch with it before computing";
    }
    if (!options_.watch_accessed_variables) {
      return "the tape watches no variables by itself; call watch with it before it is read";
    }
    if (!source.variable()->trainable()) {
      return "it is not trainable, so the tape does not watch it by itself; call watch with it before it is read";
    }
    return "it was not read while the tape recorded; leave it out, or call watch with it";
  }

  std::string why_none(std::span<const Value> targets, std::span<const Value> sources) {
    if (sources.empty()) return "only tensors of floats have gradients";
    if (has_gradient(log().events(), targets, sources[0], recorded_)) {
      return "the backward function of a custom_gradient gives none";
    }
    return etch::why_no_gradient(log().events(), targets, sources[0], recorded_);
  }

  std::vector<Tensor> give(const Gradients& made, int begin, const GradientQuestion& question, Location where) {
    std::vector<Value> present;
    for (const std::optional<Value>& value : made.values) {
      if (value) present.push_back(*value);
    }
    if (trace_ == nullptr) {
      Evaluation(*eager_, begin, made.groups).run(present, where);
      eager_->extend();
    }
    size_t next = 0;
    std::vector<Tensor> gradients;
    for (const Source& source : question.sources) {
      const Type type = type_of(source, where);
      const std::optional<Value> value = is_floating(type.dtype) ? made.values[next++] : std::nullopt;
      if (value) {
        gradients.push_back(tensor_of(*value, where));
      } else if (question.options.unconnected == Unconnected::zeros) {
        gradients.push_back(detail::constant(type, 0, "gradient", where));
      } else {
        gradients.emplace_back();
      }
    }
    return gradients;
  }

  Tensor tensor_of(Value value, Location where) {
    if (trace_ == nullptr) return eager_->tensor(value);
    const Events& events = trace_->events();
    const AnyOp op = events.node(value).op;
    return make_traced(trace_->id(), trace_->told(value), events.type(value), op, where);
  }

  const TapeOptions options_;
  State state_ = State::open;
  int paused_ = 0;
  Trace* trace_ = nullptr;        // where it was made, or
  bool is_in_trace_ = false;      // which knows that it is open
  EagerEvents* eager_ = nullptr;  // those of the thread
  uint64_t log_id_ = 0;
  pthread_t thread_{};
  bool has_watched_ = false;
  int first_event_ = 0;         // when the tape was opened
  std::vector<bool> recorded_;  // per event
  std::vector<bool> depends_;   // per value: on a watched one
};

Tape* make_tape(TapeOptions options, Location) { return new Tape(options); }
void destroy_tape(Tape* tape) { delete tape; }
void watch(Tape* tape, std::span<const Source> sources, Location where) { tape->watch(sources, where); }
std::vector<Tensor> gradient(Tape* tape, const GradientQuestion& question, Location where) {
  return tape->gradient(question, where);
}
std::string why_no_gradient(Tape* tape, std::span<const Tensor> targets, const Source& source, Location where) {
  return tape->why_no_gradient(targets, source, where);
}
void stop_recording(Tape* tape, Location where) { tape->pause(where); }
void go_on_recording(Tape* tape) { tape->go_on(); }
void reset(Tape* tape, Location where) { tape->reset(where); }

void fail_structure(std::string_view what, size_t expected, size_t given, Location where) {
  fail(where, cat("gradient: ", given, " ", what, " are given for ", expected, " targets"));
}

}  // namespace etch::detail
