// The recording of ops into a graph.
#include "frontend/trace.h"

#include <algorithm>
#include <atomic>
#include <new>

#include "compiler/ir/cat.h"
#include "frontend/eager_events.h"
#include "frontend/effects.h"
#include "frontend/summary/default_writer.h"
#include "frontend/user_words.h"
#include "frontend/vocabulary.h"

namespace etch::detail {
namespace {

// Looked at by every op: without a call of the loader.
[[gnu::tls_model("initial-exec")]] constinit thread_local const Scope* innermost_scope = nullptr;
[[gnu::tls_model("initial-exec")]] constinit thread_local TraceScope* innermost_trace = nullptr;

std::string_view file_of(Location where) {
  std::string_view file = where.file_name();
  return file.substr(file.rfind('/') + 1);
}

}  // namespace

std::string made_by(const TensorImpl& impl) {
  std::string text = cat("a traced ", to_string(impl.type()));
  const bool has_place = impl.where.line() != 0;
  if (!impl.op && !has_place) return text + ", an argument";
  text += impl.op ? cat(", the result of ", user_name(name(*impl.op))) : ", the value of a variable";
  if (has_place) text += cat(" at ", file_of(impl.where), ":", impl.where.line());
  return text;
}

Scope::Scope(std::string_view name, Location where)
    : name_(name), parent_(innermost_scope), has_place_(true), depth_(parent_ ? parent_->depth_ + 1 : 1) {
  where_ = parent_ && parent_->has_place_ ? parent_->where_ : where;
  innermost_scope = this;
  begin_group();
}

Scope::Scope(std::string_view name)
    : name_(name), parent_(innermost_scope), has_place_(false), depth_(parent_ ? parent_->depth_ + 1 : 1) {
  innermost_scope = this;
  begin_group();
}

void Scope::begin_group() {
  const EventLog* log = EventLog::current();
  if (log == nullptr) return;
  log_ = log->id();
  first_event_ = log->num_events();
}

Scope::~Scope() {
  innermost_scope = parent_;
  if (log_ == 0) return;
  EventLog* log = EventLog::current();
  if (log && log->id() == log_) log->end_group(first_event_);
}

const Scope* Scope::innermost() { return innermost_scope; }

std::string Scope::path() const {
  std::string path(name_);
  for (const Scope* scope = parent_; scope; scope = scope->parent_) path = cat(scope->name_, "/", path);
  return path;
}

Location Scope::place_of(Location where) {
  return innermost_scope && innermost_scope->has_place_ ? innermost_scope->where_ : where;
}

void fail_in_op(Location where, const std::string& message) {
  const std::string path = innermost_scope ? innermost_scope->path() : "";
  fail(Scope::place_of(where), message.starts_with(path) ? message : cat("in ", path, ": ", message));
}

TraceScope::TraceScope(Trace* trace) : trace_(trace), outer_(innermost_trace), outer_scope_(innermost_scope) {
  innermost_trace = this;
  innermost_scope = nullptr;
  tapes::recording = nullptr;  // those around do not record what happens inside
}

TraceScope::~TraceScope() {
  innermost_trace = outer_;
  innermost_scope = outer_scope_;
  if (outer_ == nullptr || outer_->trace_ == nullptr) update_recording();
}

int trace_nesting() {
  int nesting = 0;
  for (const TraceScope* scope = innermost_trace; scope; scope = scope->outer_) nesting += scope->trace_ != nullptr;
  return nesting;
}

const Trace* find_trace(uint64_t id);
const Trace* find_trace(uint64_t id) {
  for (const TraceScope* scope = innermost_trace; scope; scope = scope->outer_) {
    if (scope->trace_ && scope->trace_->id() == id) return scope->trace_;
  }
  return nullptr;
}

bool Trace::is_open(uint64_t id) { return find_trace(id) != nullptr; }

Trace* Trace::innermost() {
  for (const TraceScope* scope = innermost_trace; scope; scope = scope->outer_) {
    if (scope->trace_) return scope->trace_;
  }
  return nullptr;
}

void note_made_variable(Location where) {
  if (Trace* trace = Trace::innermost()) trace->whole().made_variables_.push_back(where);
}

bool ask_frozen(const VariableCell& cell) {
  Trace* trace = Trace::innermost();
  return trace ? trace->whole().ask_frozen(cell) : flag_now(cell);
}

bool Trace::ask_frozen(const VariableCell& cell) {
  const auto [it, is_new] = frozen_.try_emplace(&cell, flag_now(cell));
  if (is_new) {
    cell.add_reference();
    guards_.push_back({Ref<const VariableCell>(&cell), it->second});
  }
  return it->second;
}

InitScope::InitScope() {
  static_assert(sizeof(TraceScope) <= sizeof scope_ && alignof(TraceScope) <= 8);
  new (scope_) TraceScope(nullptr);
}

InitScope::~InitScope() { reinterpret_cast<TraceScope*>(scope_)->~TraceScope(); }

Trace* Trace::current() { return innermost_trace ? innermost_trace->trace_ : nullptr; }

EventLog::EventLog() {
  static std::atomic<uint64_t> next{1};
  id_ = next.fetch_add(1, std::memory_order_relaxed);
}

Value EventLog::leaf(VariableCell& cell) {
  const auto [known, is_new] = leaves_.try_emplace(&cell);
  if (!is_new) return known->second;
  cell.add_reference();
  const Value leaf = known->second = events_.leaf(cell.type());
  variables_.emplace(leaf, Ref<VariableCell>(&cell));
  return leaf;
}

Value EventLog::find_leaf(const VariableCell& cell) const {
  const auto known = leaves_.find(&cell);
  return known == leaves_.end() ? Value() : known->second;
}

VariableCell* EventLog::variable_of(Value leaf) const {
  const auto known = variables_.find(leaf);
  return known == variables_.end() ? nullptr : known->second.get();
}

std::vector<VariableCell*> EventLog::variables_read(int begin, int end) const {
  std::vector<VariableCell*> read;
  for (int i = begin; i < end; ++i) {
    const Node& event = events_.nodes()[i];
    if (!is_stand_in(event) || custom_events_.contains(i)) continue;
    VariableCell* const cell = variable_of(event.operands[0]);
    if (cell && std::ranges::find(read, cell) == read.end()) read.push_back(cell);
  }
  return read;
}

etch::Results EventLog::record_custom(std::span<const Value> operands, std::span<const Type> types, std::span<const Value> of,
                                CustomEvent custom) {
  custom_events_.emplace(num_events(), custom);
  return events_.stand_in(operands, types, of, in_events(origin(custom.where)));
}

std::vector<Value> EventLog::repeat(const RecordedBackward& backward, std::span<const Value> cotangents) {
  RecordedBackward::Again again = backward.repeat(events_, cotangents);
  repeat_groups(backward.groups, backward.begin, again.events);
  repeat_custom_events(CustomEvents(custom_events_), backward.begin, again.events);
  return std::move(again.gradients);
}

void EventLog::repeat_groups(std::span<const NodeRange> groups, int begin, const Events::Repeated& repeated) {
  for (const NodeRange& group : groups) {
    const NodeRange moved{repeated.places[group.begin - begin], repeated.places[group.end - begin]};
    if (moved.end > moved.begin) groups_.push_back(moved);
  }
}

void EventLog::repeat_custom_events(const CustomEvents& events, int begin, const Events::Repeated& repeated) {
  const auto num_places = static_cast<int>(repeated.places.size());
  const auto rename = [&](Value& value) {
    if (value.id >= 0 && repeated.values[value.id].id >= 0) value = repeated.values[value.id];
  };
  for (auto [event, custom] : events) {
    if (event < begin || event >= begin + num_places - 1) continue;
    if (custom.recorded) {
      RecordedBackward& recorded = *custom.recorded;  // follows the stand-in, among what was repeated
      recorded.begin = repeated.places[recorded.begin - begin];
      recorded.end = repeated.places[recorded.end - begin];
      std::ranges::for_each(recorded.cotangents, rename);
      std::ranges::for_each(recorded.gradients, rename);
      for (NodeRange& group : recorded.groups) {
        group = {repeated.places[group.begin - begin], repeated.places[group.end - begin]};
      }
    }
    custom_events_.insert_or_assign(repeated.places[event - begin], std::move(custom));
  }
}

EventLog* EventLog::current() {
  Trace* const trace = Trace::current();
  if (trace && !trace->is_listed()) return nullptr;
  return trace ? static_cast<EventLog*>(trace) : recording_events();
}

void EventLog::use_names_of(Vocabulary& vocabulary) {
  vocabulary_ = &vocabulary;
  files_.clear();
  last_file_ = nullptr;
  for (const Scope* scope = innermost_scope; scope; scope = scope->parent_) scope->named_in_ = 0;
}

Origin EventLog::in_events(Origin place) {
  if (vocabulary_ == nullptr) return place;
  for (int32_t* name : {&place.file, &place.scope}) {
    if (*name >= 0) *name = events_.name(vocabulary_->name_of(*name));
  }
  return place;
}

Origin EventLog::in_vocabulary(Origin place) {
  for (int32_t* name : {&place.file, &place.scope}) {
    if (*name >= 0) *name = vocabulary_->name(events_.name_of(*name));
  }
  return place;
}

void EventLog::clear() {
  events_ = Events();
  groups_.clear();
  custom_events_ = CustomEvents();
  leaves_.clear();
  variables_.clear();
}

int32_t EventLog::name_index(std::string_view name) { return vocabulary_ ? vocabulary_->name(name) : events_.name(name); }

Origin EventLog::origin(Location where) {
  Origin origin;
  if (where.line() != 0) {
    if (where.file_name() != last_file_) {
      auto [it, is_new] = files_.try_emplace(where.file_name(), -1);
      if (is_new) it->second = name_index(file_of(where));
      last_file_ = where.file_name();
      last_file_index_ = it->second;
    }
    origin.file = last_file_index_;
    origin.line = static_cast<int32_t>(where.line());
  }
  if (const Scope* scope = Scope::innermost()) {
    if (scope->named_in_ != id_) {
      scope->index_ = name_index(scope->path());
      scope->named_in_ = id_;
    }
    origin.scope = scope->index_;
  }
  return origin;
}

Tensor Trace::argument(const Type& type) {
  const int32_t index = num_arguments_++;
  if (listener_) return make_traced(id_, Value{vocabulary_->argument(index, type)}, type, std::nullopt, {});
  absl::StatusOr<Value> value = events_.input(type);
  if (!value.ok()) throw Error(std::string(value.status().message()));
  return make_traced(id_, *value, type, std::nullopt, {});
}

void Trace::bind(const TensorImpl& impl) {
  const int32_t index = num_bound_++;
  if (listener_) {
    captured_.try_emplace(&impl, Value{vocabulary_->member(index, impl.type())});
    return;
  }
  absl::StatusOr<Value> value = events_.input(impl.type());
  if (!value.ok()) throw Error(std::string(value.status().message()));
  captured_.try_emplace(&impl, *value);
}

Value Trace::value_of(const TensorImpl& impl, Location where) {
  switch (impl.kind) {
    case TensorImpl::Kind::traced: break;
    case TensorImpl::Kind::spec: fail_no_elements(impl, "computing with it", where);
    case TensorImpl::Kind::eager: {
      if (outer_) return take(impl, where);
      if (listener_) {
        const auto known = captured_.find(&impl);
        return known != captured_.end() ? known->second : Value{vocabulary_->capture(impl)};
      }
      auto [it, is_new] = captured_.try_emplace(&impl);
      if (is_new) {
        captures_.emplace_back(impl, static_cast<int32_t>(events_.inputs().size()));
        it->second = input(impl.type(), where);
      }
      return it->second;
    }
  }
  if (impl.trace == id_) return impl.value;
  if (outer_ && outer_->knows(impl)) return take(impl, where);
  if (const Trace* outer = find_trace(impl.trace)) {
    fail(where, cat("function ", name_, " uses ", made_by(impl), " of another trace, that of function ", outer->name(),
                    "; pass it as an argument, or call the inner function instead of asking for concrete()"));
  }
  fail_no_elements(impl, "computing with it", where);
}

bool Trace::knows(const TensorImpl& impl) const {
  return impl.kind == TensorImpl::Kind::traced && (impl.trace == id_ || (outer_ && outer_->knows(impl)));
}

Value Trace::take(const TensorImpl& impl, Location where) {
  if (listener_) return Value{vocabulary_->capture(impl)};
  const auto [it, is_new] = captured_.try_emplace(&impl);
  if (is_new) {
    taken_.push_back(TensorAccess::share(&impl));
    it->second = input(impl.type(), where);
  }
  return it->second;
}

Value Trace::input(const Type& type, Location where) {
  absl::StatusOr<Value> value = events_.input(type, origin(where));
  if (!value.ok()) fail(where, std::string(value.status().message()));
  return *value;
}

TracedVariable& Trace::variable(VariableCell& cell, Location where) {
  const auto [it, is_new] = variable_index_.try_emplace(&cell, variables_.size());
  if (is_new) {
    cell.add_reference();
    variables_.push_back({Ref<VariableCell>(&cell), where, {}, {}});
  }
  return variables_[it->second];
}

Value Trace::first_value(VariableCell& cell, Location where) {
  if (listener_) return Value{vocabulary_->initial(vocabulary_->slot(cell, where))};
  const bool starts_effects = outer_ == nullptr && &cell == &token_cell();
  return starts_effects ? constant(0, cell.type(), where) : input(cell.type(), where);
}

Value Trace::current(VariableCell& cell, Location where) {
  TracedVariable& variable = this->variable(cell, where);
  if (!variable.assigned && !variable.initial) variable.initial = first_value(cell, where);
  return variable.assigned ? *variable.assigned : *variable.initial;
}

Tensor Trace::read(VariableCell& cell, Location where) {
  if (&cell == &token_cell()) return value_of(cell, where);
  where = Scope::place_of(where);
  if (listener_) {
    const Value before = current(cell, where);
    const capture::Ref of = ref(before);
    const Origin place = origin(where);
    const Value value = tell(vocabulary_->read_kind(vocabulary_->slot(cell, where), place), {&of, 1});
    if (num_tapes_ > 0) list_read(cell, before, value, place);
    return make_traced(id_, value, cell.type(), std::nullopt, where);
  }
  const Value of = current(cell, where), on = leaf(cell);
  const Value value = events_.stand_in({&on, 1}, {&cell.type(), 1}, {&of, 1}, origin(where))[0];
  return make_traced(id_, value, cell.type(), std::nullopt, where);
}

Tensor Trace::value_of(VariableCell& cell, Location where) {
  where = Scope::place_of(where);
  return make_traced(id_, current(cell, where), cell.type(), std::nullopt, where);
}

void Trace::assign(VariableCell& cell, const Tensor& value, Location where) {
  where = Scope::place_of(where);
  const Value assigned = value_of(impl_of(value, where), where);
  variable(cell, where).assigned = assigned;
}

void Trace::record_backwards() {
  std::vector<int> events;
  for (const auto& [event, custom] : custom_events()) events.push_back(event);
  if (events.empty()) return;
  const std::vector<TracedVariable> before = variables_;
  const TraceScope scope(this);
  for (int event : events) record_backward(event, 1);
  for (size_t i = 0; i < variables_.size(); ++i) {  // the call itself assigns nothing of it
    variables_[i].assigned = i < before.size() ? before[i].assigned : std::nullopt;
  }
}

void Trace::record_backward(int event, int order) {
  constexpr int kMaxOrder = 3;
  const CustomEvent custom = custom_events().at(event);  // a copy: more may come
  if (order > kMaxOrder) {
    custom_events().at(event).failure =
        cat("derivatives of the order ", kMaxOrder + 1, " through calls of a traced function are not kept; ask for them"
            " where its ops are traced");
    return;
  }
  RecordedBackward recorded;
  recorded.begin = num_events();
  std::vector<Tensor> cotangents;
  for (Value result : results(events_.nodes()[event])) {
    const Type type = events_.type(result);
    recorded.cotangents.push_back(events_.leaf(type));
    cotangents.push_back(make_traced(id_, recorded.cotangents.back(), type, std::nullopt, custom.where));
  }
  const size_t first_group = groups().size();
  try {
    for (const Tensor& gradient : custom.run(cotangents)) {
      const TensorImpl* impl = TensorAccess::get(gradient);
      recorded.gradients.push_back(impl ? value_of(*impl, custom.where) : Value());
    }
  } catch (const Error& error) {
    custom_events().at(event).failure = error.what();
    return;
  }
  recorded.groups.assign(groups().begin() + static_cast<int64_t>(first_group), groups().end());
  groups().resize(first_group);
  const int end = num_events();
  for (int inner = recorded.begin; inner < end; ++inner) {
    if (custom_events().contains(inner)) record_backward(inner, order + 1);
  }
  recorded.end = num_events();
  custom_events().at(event).recorded = std::move(recorded);
}

Value Trace::find(const TensorImpl& impl) const {
  if (impl.kind == TensorImpl::Kind::traced && (impl.trace == id_ || !outer_)) {
    return impl.trace == id_ ? impl.value : Value();
  }
  const auto known = captured_.find(&impl);
  return known == captured_.end() ? Value() : known->second;
}

Value Trace::constant(uint64_t bits, const Type& type, Location where) {
  return record(splat_op(bits), {}, {&type, 1}, where)[0];
}

Tensors Trace::emit(const AnyOp& op, std::span<const Value> operands, std::span<const Type> wanted, Location where) {
  Tensors tensors;
  for (Value value : record(op, operands, wanted, where)) {
    tensors.push_back(make_traced(id_, value, type_of(value), op, where));
  }
  return tensors;
}

etch::Results Trace::record(const AnyOp& op, std::span<const Value> operands, std::span<const Type> wanted,
                            Location where) {
  const auto fail_op = [&](const absl::Status& status) {
    const Scope* scope = Scope::innermost();
    const std::string in = scope ? cat("in ", scope->path(), ": ") : "";
    fail(where, in + in_user_words(std::string(status.message())));
  };
  if (listener_) {
    absl::InlinedVector<capture::Ref, 3> refs;
    absl::InlinedVector<int32_t, 3> types;
    for (Value operand : operands) {
      refs.push_back(ref(operand));
      types.push_back(type_index(refs.back()));
    }
    const absl::StatusOr<capture::Kind> kind =
        vocabulary_->op_kind(op, types, wanted, origin(where), listener_->expected());
    if (!kind.ok()) fail_op(kind.status());
    const Value first = tell(*kind, refs);
    if (num_tapes_ > 0) list_op(*kind, operands, first);
    return {first.id, static_cast<int32_t>(vocabulary_->kind(*kind).results.size())};
  }
  absl::StatusOr<etch::Results> results = events_.record(op, operands, wanted, origin(where));
  if (!results.ok()) fail_op(results.status());
  return *results;
}

uint64_t id_of_innermost_trace() {
  if (innermost_trace == nullptr) [[likely]] return 0;
  for (const TraceScope* scope = innermost_trace; scope; scope = scope->outer_) {
    if (scope->trace_) return scope->trace_->id();
  }
  return 0;
}

void fail_no_elements(const TensorImpl& impl, std::string_view want, Location where) {
  if (impl.kind == TensorImpl::Kind::spec) {
    fail(where, cat(want, ": the tensor is a TensorSpec ", to_string(impl.type()),
                    ", which has no elements; only concrete() and explain() take it"));
  }
  const Trace* trace = find_trace(impl.trace);
  if (trace && Trace::current() == nullptr) {
    fail(where, cat(want, ": the tensor is ", made_by(impl), ", and function ", trace->name(),
                    " is being traced, so it has no elements yet; an init_scope can only use what is there before the"
                    " function is called"));
  }
  if (trace) {
    fail(where, cat(want, ": the tensor is ", made_by(impl), ", and function ", trace->name(),
                    " is being traced, so it has no elements yet; compute with ops such as where(), return the tensor"
                    " and read the result, or debug with run_functions_eagerly(true)"));
  }
  fail(where, cat(want, ": the tensor is ", made_by(impl),
                  ", and it escaped: its trace has ended or runs in another thread; return it from the function"
                  " instead of storing it outside"));
}

}  // namespace etch::detail
