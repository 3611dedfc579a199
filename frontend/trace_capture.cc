// A trace whose events go to who captures them.
#include "absl/container/inlined_vector.h"
#include "compiler/ir/cat.h"
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
  for (const Capture& capture : captures_) refs_[inputs[capture.input()].id] = vocabulary->capture(*capture.get());
  for (const TracedVariable& variable : variables_) {
    const int32_t slot = vocabulary->slot(*variable.cell, variable.where);
    if (variable.initial) refs_[variable.initial->id] = vocabulary->initial(slot);
  }
  use_names_of(*vocabulary);
  listener_ = listener;
  first_ref_ = count;
  for (int e = 0; e < num_events(); ++e) {
    const Node& event = events_.nodes()[e];
    const bool is_given = place(event.op) == Place::input && !is_stand_in(event);
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
  if (outer_) {
    fail(impl.where, cat("truth of a traced ", to_string(impl.type()), ": a callable of ", name_,
                         " is recorded once, so `if` and loops in it cannot depend on tensors; write etch::cond or"
                         " etch::while_loop there, or where() for elements"));
  }
  if (listener_ == nullptr && start_ == nullptr) fail_no_elements(impl, "its truth, as in `if (t)`", {});
  if (listener_ == nullptr) begin_capture();
  const capture::Ref condition = ref(value_of(impl, impl.where));
  return listener_->ask(condition, condition < 0 ? vocabulary_->given_kind(condition) : makers_[condition]);
}

void Trace::check_not_captured(std::string_view what, Location where) const {
  if (!is_captured()) return;
  fail(where, cat(what, ": function ", name_,
                  " tests traced tensors by `if` or loops, and derivatives inside of such a function are not computed yet;"
                  " take them of a function without, or write the choice with where()"));
}

}  // namespace etch::detail
