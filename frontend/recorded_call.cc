// Which values of a function its derivative reads, and the code that gives them.
#include "frontend/recorded_call.h"

#include <algorithm>
#include <memory>

#include "compiler/ir/cat.h"
#include "compiler/ir/checked.h"
#include "compiler/ir/gradient.h"

namespace etch::detail {
namespace {

/// A value that is read instead of this one: what only moves elements is not worth keeping.
Value kept_for(const Events& events, Value value) {
  while (is_movement(events.node(value).op)) value = events.node(value).operands[0];
  return value;
}

bool is_given(const Node& node) {
  return place(node.op) == Place::input || place(node.op) == Place::splat || place(node.op) == Place::index;
}

/// The values that the derivative in some of the inputs reads, beside inputs and outputs.
std::vector<Value> find_kept(const TraceResult& trace, const std::vector<bool>& inputs) {
  Events events = trace.events;
  const int num_values = events.num_values();
  Recorder recorder(events);
  std::vector<Value> targets, cotangents, sources;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i]) sources.push_back(events.inputs()[i]);
  }
  for (Value output : trace.outputs) {
    if (!is_floating(events.type(output).dtype)) continue;
    targets.push_back(output);
    cotangents.push_back(checked(events.input(Type(events.type(output)))));
  }
  const Gradients gradients = make_gradients(recorder, {targets, cotangents, sources, trace.groups});

  std::vector<bool> seen(events.num_values(), false);
  std::vector<Value> open, kept;
  for (const std::optional<Value>& gradient : gradients.values) {
    if (gradient) open.push_back(*gradient);
  }
  while (!open.empty()) {
    Value value = open.back();
    open.pop_back();
    if (value.id < num_values) value = kept_for(events, value);
    if (seen[value.id]) continue;
    seen[value.id] = true;
    const Node& node = events.node(value);
    if (value.id >= num_values) {
      open.insert(open.end(), node.operands.begin(), node.operands.end());
    } else if (!is_given(node) && std::ranges::find(trace.outputs, value) == trace.outputs.end()) {
      kept.push_back(value);
    }
  }
  std::ranges::sort(kept, {}, &Value::id);
  return kept;
}

const Forward& forward_of(const Concrete& concrete, std::vector<bool> inputs, Location where) {
  for (const Forward* known = concrete.forwards.first(); known; known = known->next) {
    if (known->inputs == inputs) return *known;
  }
  auto forward = std::make_unique<Forward>();
  forward->kept = find_kept(concrete.trace, inputs);
  forward->concrete = build_with_more(concrete, forward->kept, where);
  forward->inputs = std::move(inputs);
  return concrete.forwards.add(std::move(forward));
}

/// The tensors that stand in the variables of a function.
std::vector<Tensor> read_variables(const Concrete& concrete) {
  std::vector<Tensor> tensors;
  for (const UsedVariable& use : concrete.trace.variables) tensors.push_back(use.cell->read());
  return tensors;
}

/// The tensors that a call takes, in the order of the function's inputs.
std::vector<const TensorImpl*> inputs_of(const Concrete& concrete, const Call& call,
                                         std::span<const Tensor> variables) {
  const TraceResult& trace = concrete.trace;
  std::vector<const TensorImpl*> inputs(call.reader.tensors().begin(), call.reader.tensors().end());
  inputs.resize(trace.events.inputs().size());
  for (const Capture& capture : trace.captures) inputs[capture.input()] = capture.get();
  for (size_t i = 0; i < variables.size(); ++i) {
    if (trace.variables[i].input >= 0) inputs[trace.variables[i].input] = TensorAccess::get(variables[i]);
  }
  return inputs;
}

/// Per input, whether it is of floats that depend on a watched tensor.
std::vector<bool> find_dependent(std::span<const TensorImpl* const> inputs, const EagerEvents& log) {
  std::vector<bool> depends;
  for (const TensorImpl* input : inputs) depends.push_back(is_floating(input->dtype) && log.depends(*input));
  return depends;
}

bool any(const std::vector<bool>& list) { return std::ranges::find(list, true) != list.end(); }

}  // namespace

void run_recorded(const Concrete& concrete, const Call& call, Tensor* results, EagerEvents& log) {
  // What stands in the variables decides which code runs. Nothing is compiled with their locks held: if another thread
  // assigns one of them meanwhile, the call begins again.
  const std::vector<UsedVariable>& used = concrete.trace.variables;
  while (true) {
    const std::vector<Tensor> before = read_variables(concrete);
    const std::vector<const TensorImpl*> inputs = inputs_of(concrete, call, before);
    std::vector<bool> depends = find_dependent(inputs, log);
    if (!any(depends)) {
      if (used.empty()) return concrete.run(call, results);
      if (concrete.run_if(before, call, results, {})) return;
      continue;
    }
    const Forward& forward = forward_of(concrete, std::move(depends), call.where);
    std::vector<Tensor> tensors(forward.concrete->num_results()), after(used.size());
    if (used.empty()) {
      forward.concrete->run(call, tensors.data());
    } else if (!forward.concrete->run_if(before, call, tensors.data(), after)) {
      continue;
    }
    const std::vector<Value> values = log.record_call(concrete.trace.events, concrete.trace.groups, inputs);
    const std::vector<Value>& outputs = concrete.trace.outputs;
    size_t next = 0;
    for (; next < concrete.num_results(); ++next) log.hold(values[outputs[next].id], *results++ = tensors[next]);
    for (Value kept : forward.kept) log.hold(values[kept.id], tensors[next++]);
    for (size_t i = 0; i < used.size(); ++i) {
      if (used[i].is_assigned()) log.hold(values[outputs[used[i].output].id], after[i]);
    }
    return;
  }
}

void check_unrecorded(const Concrete& concrete, const Call& call, const EagerEvents& log) {
  const std::vector<Tensor> variables = read_variables(concrete);
  if (!any(find_dependent(inputs_of(concrete, call, variables), log))) return;
  fail(call.where, cat("call_into of function ", concrete.function, " cannot be recorded by a tape: it writes to memory;"
                       " call the function, or stop_recording()"));
}

}  // namespace etch::detail
