// A trace whose events go to who captures them.
#include <algorithm>

#include "absl/container/inlined_vector.h"
#include "compiler/ir/cat.h"
#include "compiler/ir/checked.h"
#include "frontend/effects.h"
#include "frontend/trace.h"
#include "frontend/vocabulary.h"

namespace etch::detail {

int32_t Trace::type_index(capture::Ref ref) const { return ref < 0 ? vocabulary_->type_of_given(ref) : types_[ref]; }

Type Trace::type_of(Value value) const {
  return listener_ ? vocabulary_->type(type_index(ref(value))) : events_.type(value);
}

Value Trace::tell(capture::Kind kind, std::span<const capture::Ref> operands) {
  const absl::InlinedVector<int32_t, 2>& results = vocabulary_->kind(kind).results;
  const capture::Ref first = listener_->event(kind, operands, static_cast<int>(results.size()));
  for (int32_t type : results) {
    types_.push_back(type);
    makers_.push_back(kind);
  }
  return {first + first_ref_};
}

void Trace::begin_capture() {
  const auto [listener, vocabulary] = start_->start();
  const int32_t count = events_.num_values();
  refs_.assign(count, 0);
  const std::span<const Value> inputs = events_.inputs();
  for (int32_t i = 0; i < num_arguments_ + num_bound_; ++i) {
    const Type& type = events_.type(inputs[i]);
    refs_[inputs[i].id] = i < num_arguments_ ? vocabulary->argument(i, type) : vocabulary->member(i - num_arguments_, type);
  }
  for (const Tensor& tensor : taken_) {
    const TensorImpl* impl = TensorAccess::get(tensor);
    const Value value = captured_.at(impl);
    refs_[value.id] = vocabulary->capture(*impl);
    listed_[refs_[value.id]] = value;   // where a tape is open
  }
  for (const Capture& capture : captures_) refs_[inputs[capture.input()].id] = vocabulary->capture(*capture.get());
  Value first_token;
  for (const TracedVariable& variable : variables_) {
    if (variable.cell.get() == &token_cell()) first_token = variable.initial.value_or(Value());
    const int32_t slot = vocabulary->slot(*variable.cell, variable.where);
    if (variable.initial) refs_[variable.initial->id] = vocabulary->initial(slot);
  }
  use_names_of(*vocabulary);
  listener_ = listener;
  first_ref_ = count;
  num_plain_ = num_tapes_ > 0 ? count : 0;
  for (int e = 0; e < num_events(); ++e) {
    const Node& event = events_.nodes()[e];
    const bool is_given = (place(event.op) == Place::input && !is_stand_in(event)) || event.result() == first_token;
    if (is_given) continue;
    VariableCell* const cell = is_stand_in(event) ? variable_of(event.operands[0]) : nullptr;
    if (is_stand_in(event) && (cell == nullptr || custom_events().contains(e))) {
      for (Value result : results(event)) refs_[result.id] = refs_[events_.source(result).id];
      continue;
    }
    Origin origin = event.origin;
    for (int32_t* name : {&origin.file, &origin.scope}) {
      if (*name >= 0) *name = vocabulary->name(events_.name_of(*name));
    }
    capture::Kind kind = 0;
    absl::InlinedVector<capture::Ref, 3> operands;
    if (cell) {
      kind = vocabulary->read_kind(vocabulary->slot(*cell, {}), origin);
      operands.push_back(refs_[events_.source(event.result()).id]);
    } else {
      absl::InlinedVector<int32_t, 3> types, of_results;
      for (Value operand : event.operands) {
        operands.push_back(refs_[operand.id]);
        types.push_back(vocabulary->type_index(events_.type(operand)));
      }
      for (Value result : results(event)) of_results.push_back(vocabulary->type_index(events_.type(result)));
      kind = vocabulary->op_kind(event.op, types, of_results, origin);
    }
    const Value first = tell(kind, operands);
    for (int32_t i = 0; i < event.num_results; ++i) refs_[event.first_result + i] = first.id - first_ref_ + i;
  }
}

bool Trace::ask(const TensorImpl& impl) {
  if (outer_ && !can_ask()) {
    fail(impl.where, cat("truth of a traced ", to_string(impl.type()), ": a callable of ", name_,
                         " is recorded once where control_flow is off, so `if` and loops in it cannot depend on tensors; write etch::cond or"
                         " etch::while_loop there, or where() for elements"));
  }
  if (listener_ == nullptr && start_ == nullptr) fail_no_elements(impl, "its truth, as in `if (t)`", {});
  if (listener_ == nullptr) begin_capture();
  const capture::Ref condition = ref(value_of(impl, impl.where));
  const capture::Kind place = condition < 0 ? vocabulary_->given_kind(condition) : makers_[condition];
  if (num_tapes_ > 0) check_questions(place, impl);
  return listener_->ask(condition, place);
}

// ---- Tapes

void Trace::open_tape() {
  had_tape_ = true;
  if (num_tapes_++ > 0 || !is_captured()) return;
  clear();
  num_plain_ = 0;
  listed_.clear();
  told_.clear();
  asked_.clear();
  for (Alias& alias : aliases_) alias.listed = {};
}

Value Trace::known_listed(Value value) const {
  if (value.id >= 0 && value.id < num_plain_) return value;
  if (value.id >= kFirstAlias && aliases_[value.id - kFirstAlias].listed.id >= 0) return aliases_[value.id - kFirstAlias].listed;
  const auto known = listed_.find(ref(value));
  return known == listed_.end() ? Value() : known->second;
}

Value Trace::listed(Value value) {
  if (!is_captured()) return value;
  if (const Value known = known_listed(value); known.id >= 0) return known;
  const Value leaf = events_.leaf(type_of(value));
  list_as(value, leaf);
  return leaf;
}

Value Trace::find_listed(const TensorImpl& impl) {
  if (!is_captured()) return find(impl);
  const bool is_here = impl.kind == TensorImpl::Kind::eager || knows(impl);
  if (!is_here) return {};
  return known_listed(value_of(impl, {}));
}

void Trace::list_as(Value value, Value listed) {
  listed_[ref(value)] = listed;
  told_[listed] = ref(value);
}

Tensor Trace::with_derivative(const TensorImpl& impl, Value stand_in, Location where) {
  if (!is_captured()) return make_traced(id_, stand_in, impl.type(), impl.op, where);
  const Value alias{kFirstAlias + static_cast<int32_t>(aliases_.size())};
  aliases_.push_back({ref(value_of(impl, where)), stand_in});
  return make_traced(id_, alias, impl.type(), impl.op, where);
}

void Trace::list_op(capture::Kind kind, std::span<const Value> operands, Value first) {
  const EventKind& known = vocabulary_->kind(kind);
  std::vector<Value> values;
  for (Value operand : operands) values.push_back(listed(operand));
  Types types;
  if (needs_type(known.op)) types.push_back(vocabulary_->type(known.results[0]));
  const etch::Results made = checked(events_.record(known.op, values, types, in_events(known.place)));
  for (int i = 0; i < made.size(); ++i) list_as({first.id + i}, made[i]);
}

void Trace::list_read(VariableCell& cell, Value before, Value value, Origin place) {
  const Value of = listed(before), on = leaf(cell);
  list_as(value, events_.stand_in({&on, 1}, {&cell.type(), 1}, {&of, 1}, in_events(place))[0]);
}

std::optional<capture::Ref> Trace::ref_told(Value listed) const {
  if (const auto known = told_.find(listed); known != told_.end()) return known->second;
  if (listed.id < num_plain_) return refs_[listed.id];
  const Value source = events_.source(listed);
  return source == listed ? std::nullopt : ref_told(source);
}

void Trace::tell_listed(int event) {
  const Node& node = events_.nodes()[event];
  absl::InlinedVector<capture::Ref, 3> refs;
  absl::InlinedVector<int32_t, 3> types, of_results;
  for (Value operand : node.operands) {
    refs.push_back(*ref_told(operand));
    types.push_back(type_index(refs.back()));
  }
  for (Value result : results(node)) of_results.push_back(vocabulary_->type_index(events_.type(result)));
  const Value first = tell(vocabulary_->op_kind(node.op, types, of_results, in_vocabulary(node.origin)), refs);
  for (int32_t i = 0; i < node.num_results; ++i) list_as({first.id + i}, {node.first_result + i});
}

Value Trace::told(Value listed) {
  if (!is_captured()) return listed;
  std::vector<Value> open = {listed};
  std::vector<int> events;
  FlatSet<int> seen;
  while (!open.empty()) {
    const Value value = events_.source(open.back());
    open.pop_back();
    const int event = events_.index_of(value);
    if (ref_told(value) || !seen.insert(event).second) continue;
    events.push_back(event);
    const Node& node = events_.nodes()[event];
    ETCH_CHECK(place(node.op) != Place::input, "a value of a tape is known or computed");
    open.insert(open.end(), node.operands.begin(), node.operands.end());
  }
  std::ranges::sort(events);
  for (int event : events) tell_listed(event);
  const capture::Ref ref = *ref_told(listed);
  return {ref < 0 ? ref : ref + first_ref_};
}

void Trace::check_questions(capture::Kind place, const TensorImpl& impl) {
  constexpr int kMost = 50;
  if (++asked_[place] <= kMost) return;
  fail(impl.where, cat("function ", name_, " asks for the truth of a traced ", to_string(impl.type()), " more than ", kMost,
                       " times while a GradientTape is open: each answer has a derivative of its own, so a loop that tensors"
                       " end cannot stand in a tape; write it with etch::while_loop or for_range, or make the tape inside of"
                       " the loop"));
}

}  // namespace etch::detail
