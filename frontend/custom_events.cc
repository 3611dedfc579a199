// Derivatives that users gave: their making, and what they do once their trace has ended.
#include "frontend/custom_events.h"

#include <memory>
#include <utility>

#include "compiler/ir/cat.h"
#include "frontend/dispatch.h"
#include "frontend/eager_events.h"
#include "frontend/trace.h"

namespace etch::detail {
namespace {

std::string numbered(size_t i, size_t n) { return n == 1 ? "the argument" : cat("tensor ", i + 1, " of ", n); }

/// The value of a float tensor in the log that this thread writes.
Value value_in(EventLog& log, const TensorImpl& impl, Location where) {
  if (Trace* trace = Trace::current()) return trace->listed(trace->value_of(impl, where));
  return static_cast<EagerEvents&>(log).value_of(impl);
}

/// What a backward function is asked for, and the check of what it gives.
struct Operands {
  std::vector<std::optional<Type>> arguments;  // per tensor of the arguments: its type if it has a gradient
  std::vector<Variable> variables;
  Location where;

  std::vector<Tensor> check(std::vector<Tensor> gradients) const {
    const size_t expected = arguments.size() + variables.size();
    if (gradients.size() != expected) {
      fail(where, cat("custom_gradient: the backward function gives ", gradients.size(), " gradients, but there are ",
                      arguments.size(), " tensors among the arguments",
                      variables.empty() ? "" : cat(" and ", variables.size(), " variables")));
    }
    std::vector<Tensor> checked;
    for (size_t i = 0; i < expected; ++i) {
      const bool is_variable = i >= arguments.size();
      if (!is_variable && !arguments[i]) continue;
      const Type type = is_variable ? VariableAccess::get(variables[i - arguments.size()])->type() : *arguments[i];
      const TensorImpl* given = TensorAccess::get(gradients[i]);
      if (given && given->type() != type) {
        fail(where, cat("custom_gradient: the backward function gives ", to_string(given->type()), " for ",
                        is_variable ? description(*VariableAccess::get(variables[i - arguments.size()]))
                                    : cat(numbered(i, arguments.size()), ", which is ", to_string(type))));
      }
      checked.push_back(std::move(gradients[i]));
    }
    return checked;
  }
};

/// The variables of floats that were read since `begin`; the trainable ones or all.
std::vector<Variable> variables_read(const EventLog& log, int begin, bool trainable) {
  std::vector<Variable> variables;
  for (VariableCell* cell : log.variables_read(begin, log.num_events())) {
    const bool counts = cell->trainable() || !trainable;
    if (counts && is_floating(cell->type().dtype)) variables.push_back(VariableAccess::share(*cell));
  }
  return variables;
}

}  // namespace

RecordedBackward::Again RecordedBackward::repeat(Events& events, std::span<const Value> given) const {
  std::vector<Value> values(events.num_values());
  for (size_t i = 0; i < given.size(); ++i) values[cotangents[i].id] = given[i];
  Again again{events.repeat(events, begin, end, std::move(values)), gradients};
  for (Value& gradient : again.gradients) {
    if (gradient.id >= 0 && again.events.values[gradient.id].id >= 0) gradient = again.events.values[gradient.id];
  }
  return again;
}

void check_recorded(const CustomEvent& custom) {
  if (!custom.recorded) {
    fail(custom.where, cat("custom_gradient: the backward function cannot be used outside of the trace: ", custom.failure));
  }
}

std::vector<Value> with_zeros(ExMaker& maker, int node, std::span<const Ex> cotangents) {
  const Results of = results(maker.nodes().nodes()[node]);
  std::vector<Value> values;
  for (size_t i = 0; i < cotangents.size(); ++i) {
    const Type type = maker.type(of[static_cast<int>(i)]);
    values.push_back(cotangents[i].is_none() ? etch::constant(maker, 0, type).value() : cotangents[i].value());
  }
  return values;
}

CustomCall::CustomCall(Location where) : where_(where) {
  EventLog* log = EventLog::current();
  if (log == nullptr) return;
  log_ = log->id();
  first_event_ = log->num_events();
}

void CustomCall::end(std::span<const Tensor> arguments, const CustomResults& results, RunBackwardOf run) {
  EventLog* const log = EventLog::current();
  if (log == nullptr || log->id() != log_) return;
  Trace* const trace = Trace::current();
  EagerEvents* const eager = trace ? nullptr : static_cast<EagerEvents*>(log);

  auto operands = std::make_shared<Operands>();
  operands->where = where_;
  operands->variables = variables_read(*log, first_event_, results.keeps);
  if (!operands->variables.empty() && !results.takes_variables) {
    fail(where_, cat("custom_gradient: the function reads ", description(*VariableAccess::get(operands->variables[0])),
                     ", in which its backward function gives no gradient; pass its value as an argument, or let the"
                     " backward function take the variables as well"));
  }
  bool is_needed = trace || !operands->variables.empty();
  for (const Tensor& argument : arguments) {
    const TensorImpl& impl = impl_of(argument, where_);
    const bool has_gradient = is_floating(impl.dtype);
    operands->arguments.push_back(has_gradient ? std::optional(impl.type()) : std::nullopt);
    is_needed = is_needed || (has_gradient && eager->depends(impl));
  }
  if (!is_needed) return;

  std::vector<Value> values;
  for (const Tensor& argument : arguments) {
    const TensorImpl& impl = *TensorAccess::get(argument);
    if (is_floating(impl.dtype)) values.push_back(value_in(*log, impl, where_));
  }
  for (const Variable& variable : operands->variables) values.push_back(log->leaf(*VariableAccess::get(variable)));
  std::vector<Tensor*> floats;
  std::vector<Type> types;
  std::vector<Value> of;
  for (Tensor* result : results.tensors) {
    const TensorImpl& impl = impl_of(*result, where_);
    if (!is_floating(impl.dtype)) continue;
    floats.push_back(result);
    types.push_back(impl.type());
    if (trace) of.push_back(value_in(*log, impl, where_));
  }
  if (floats.empty() || values.empty()) return;

  // Results that are no floats have no cotangent of their own.
  std::vector<std::optional<Type>> no_floats;
  for (Tensor* result : results.tensors) {
    const Type type = TensorAccess::get(*result)->type();
    no_floats.push_back(is_floating(type.dtype) ? std::nullopt : std::optional(type));
  }
  const auto backward = [run = std::move(run), operands, no_floats](std::span<const Tensor> cotangents) {
    std::vector<Tensor> all;
    size_t next = 0;
    for (const std::optional<Type>& type : no_floats) {
      all.push_back(type ? constant(*type, 0, "custom_gradient", operands->where) : cotangents[next++]);
    }
    return operands->check(run(all, operands->variables));
  };
  const int end = log->num_events();
  const etch::Results made = log->record_custom(values, types, of, {backward, std::nullopt, {}, where_});
  for (size_t i = 0; i < floats.size(); ++i) {
    const TensorImpl& impl = *TensorAccess::get(*floats[i]);
    const Value value = made[static_cast<int>(i)];
    if (trace) {
      *floats[i] = trace->with_derivative(impl, value, where_);
    } else {
      Tensor result = alias(impl, impl.dtype, impl.shape);
      eager->hold(value, result);
      *floats[i] = std::move(result);
    }
  }
  if (eager == nullptr) return;
  eager->extend();
  if (!results.keeps) eager->drop(first_event_, end);
}

}  // namespace etch::detail
