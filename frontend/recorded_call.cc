// Which values of a function its derivative reads, and the code that gives them.
#include "frontend/recorded_call.h"

#include <algorithm>
#include <memory>

#include "compiler/ir/cat.h"
#include "compiler/ir/checked.h"
#include "compiler/ir/gradient.h"

namespace etch::detail {
namespace {

std::span<const Value> results_of(const TraceResult& trace) {
  return std::span(trace.outputs).first(trace.num_results);
}

/// A value that is read instead of this one: what only moves elements is not worth keeping.
Value kept_for(const Events& events, Value value) {
  while (is_movement(events.node(value).op)) value = events.node(value).operands[0];
  return value;
}

bool is_given(const Node& node) {
  return place(node.op) == Place::input || place(node.op) == Place::splat || place(node.op) == Place::index;
}

/// The values that the derivative in some of the inputs reads, beside inputs and results.
std::vector<Value> find_kept(const TraceResult& trace, const std::vector<bool>& inputs) {
  Events events = trace.events;
  const int num_values = events.num_values();
  Recorder recorder(events);
  std::vector<Value> targets, cotangents, sources;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i]) sources.push_back(events.inputs()[i]);
  }
  for (Value result : results_of(trace)) {
    if (!is_floating(events.type(result).dtype)) continue;
    targets.push_back(result);
    cotangents.push_back(checked(events.input(Type(events.type(result)))));
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
    } else if (!is_given(node) && std::ranges::find(results_of(trace), value) == results_of(trace).end()) {
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

/// Per input of the graph, whether it is of floats that depend on a watched tensor. What a function reads of variables are
/// reads of its own.
std::vector<bool> find_dependent(const Concrete& concrete, const Call& call, const EagerEvents& log) {
  std::vector<bool> depends(concrete.trace.graph.inputs().size(), false);
  const auto find = [&](size_t input, const TensorImpl& impl) {
    depends[input] = is_floating(impl.dtype) && log.depends(impl);
  };
  size_t next = 0;
  for (const TensorImpl* tensor : call.reader.tensors()) find(next++, *tensor);
  for (const Capture& capture : concrete.trace.captures) find(capture.input(), *capture.get());
  return depends;
}

bool any(const std::vector<bool>& list) { return std::ranges::find(list, true) != list.end(); }

}  // namespace

void run_recorded(const Concrete& concrete, const Call& call, Tensor* results, EagerEvents& log) {
  std::vector<bool> depends = find_dependent(concrete, call, log);
  if (!any(depends)) return concrete.run(call, results);

  const TraceResult& trace = concrete.trace;
  const Forward& forward = forward_of(concrete, std::move(depends), call.where);
  std::vector<Tensor> tensors(trace.num_results + forward.kept.size()), inputs;
  forward.concrete->run(call, tensors.data(), &inputs);
  const std::vector<Value> values = log.record_call(trace.events, trace.groups, inputs);
  size_t next = 0;
  for (Value result : results_of(trace)) log.hold(values[result.id], *results++ = tensors[next++]);
  for (Value kept : forward.kept) log.hold(values[kept.id], tensors[next++]);
}

void check_unrecorded(const Concrete& concrete, const Call& call, const EagerEvents& log) {
  if (!any(find_dependent(concrete, call, log))) return;
  fail(call.where, cat("call_into of function ", concrete.function, " cannot be recorded by a tape: it writes to memory;"
                       " call the function, or stop_recording()"));
}

}  // namespace etch::detail
