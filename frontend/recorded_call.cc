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
  value = events.source(value);
  while (is_movement(events.node(value).op)) value = events.source(events.node(value).operands[0]);
  return value;
}

bool is_given(const Node& node) {
  return place(node.op) == Place::input || place(node.op) == Place::splat || place(node.op) == Place::index;
}

/// The derivatives that users gave in a trace that has ended.
class RecordedGradients final : public CustomGradients {
 public:
  RecordedGradients(Recorder& recorder, Events& events, const CustomEvents& custom)
      : recorder_(recorder), events_(events), custom_(custom) {}

  std::optional<std::vector<Ex>> differentiate(int node, std::span<const Ex> cotangents,
                                               std::span<const NodeRange>) override {
    const auto found = custom_.find(node);
    if (found == custom_.end()) return std::nullopt;
    const CustomEvent& custom = found->second;
    check_recorded(custom);
    const std::vector<Value> given = with_zeros(recorder_, node, cotangents);
    std::vector<Ex> gradients;
    for (Value gradient : custom.recorded->repeat(events_, given).gradients) {
      gradients.push_back(gradient.id < 0 ? Ex() : Ex(recorder_, gradient));
    }
    return gradients;
  }

 private:
  Recorder& recorder_;
  Events& events_;
  const CustomEvents& custom_;
};

/// Where the derivative of a call is wanted.
struct Sources {
  std::vector<bool> inputs;     // of the graph
  std::vector<bool> variables;  // of the trace

  bool any() const {
    return std::ranges::find(inputs, true) != inputs.end() || std::ranges::find(variables, true) != variables.end();
  }
};

}  // namespace

std::vector<KeptValue> find_kept(const TraceResult& trace, const std::vector<bool>& inputs, const std::vector<bool>& variables) {
  Events events = trace.events;
  const int num_values = events.num_values();
  Recorder recorder(events);
  std::vector<Value> targets, cotangents, sources;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i]) sources.push_back(events.inputs()[i]);
  }
  for (size_t i = 0; i < variables.size(); ++i) {
    if (variables[i]) sources.push_back(trace.variables[i].leaf);
  }
  for (Value result : results_of(trace)) {
    if (!is_floating(events.type(result).dtype)) continue;
    targets.push_back(result);
    cotangents.push_back(events.leaf(Type(events.type(result))));
  }
  RecordedGradients custom(recorder, events, trace.custom_events);
  const Gradients gradients = make_gradients(recorder, {targets, cotangents, sources, trace.groups, {}, &custom});

  std::vector<bool> seen(events.num_values(), false);
  std::vector<KeptValue> open, kept;
  for (const std::optional<Value>& gradient : gradients.values) {
    if (gradient) open.push_back({*gradient, {}, {}});
  }
  while (!open.empty()) {
    auto [value, reader, origin] = open.back();
    open.pop_back();
    if (value.id < num_values) value = kept_for(events, value);
    if (seen[value.id]) continue;
    seen[value.id] = true;
    const Node& node = events.node(value);
    if (value.id >= num_values) {
      for (const Value operand : node.operands) open.push_back({operand, name(node.op), node.origin});
    } else if (!is_given(node) && std::ranges::find(results_of(trace), value) == results_of(trace).end()) {
      kept.push_back({value, reader, origin});
    }
  }
  std::ranges::sort(kept, {}, [](const KeptValue& one) { return one.value.id; });
  return kept;
}

namespace {

const Forward& forward_of(const Concrete& concrete, const Sources& sources, Location where) {
  for (const Forward* known = concrete.forwards.first(); known; known = known->next) {
    if (known->inputs == sources.inputs && known->variables == sources.variables) return *known;
  }
  auto forward = std::make_unique<Forward>();
  for (const KeptValue& kept : find_kept(concrete.trace, sources.inputs, sources.variables)) forward->kept.push_back(kept.value);
  forward->concrete = build_with_more(concrete, forward->kept, where);
  forward->inputs = sources.inputs;
  forward->variables = sources.variables;
  return concrete.forwards.add(std::move(forward));
}

/// Which inputs are floats that depend on a watched tensor, and which variables that the function reads a tape watches.
Sources find_sources(const Concrete& concrete, const Call& call, const EagerEvents& log) {
  Sources sources;
  sources.inputs.resize(concrete.trace.graph.inputs().size());
  const auto find = [&](size_t input, const TensorImpl& impl) {
    sources.inputs[input] = is_floating(impl.dtype) && log.depends(impl);
  };
  size_t next = 0;
  for (const TensorImpl* tensor : call.reader.tensors()) find(next++, *tensor);
  for (const Capture& capture : concrete.trace.captures) find(capture.input(), *capture.get());
  for (const UsedVariable& use : concrete.trace.variables) {
    sources.variables.push_back(use.leaf.id >= 0 && log.watches(*use.cell));
  }
  return sources;
}

}  // namespace

void run_recorded(const Concrete& concrete, const Call& call, Tensor* results, EagerEvents& log) {
  const Sources sources = find_sources(concrete, call, log);
  if (!sources.any()) return concrete.run(call, results);

  const TraceResult& trace = concrete.trace;
  const Forward& forward = forward_of(concrete, sources, call.where);
  std::vector<Tensor> tensors(trace.num_results + forward.kept.size());
  const auto record = [&](std::span<const Tensor> inputs) {
    const std::vector<Value> values = log.record_call(trace, inputs);
    size_t next = 0;
    for (Value result : results_of(trace)) log.hold(values[result.id], tensors[next++]);
    for (Value kept : forward.kept) log.hold(values[kept.id], tensors[next++]);
  };
  const Concrete::Record before_variables_change = record;
  forward.concrete->run(call, tensors.data(), &before_variables_change);
  std::move(tensors.begin(), tensors.begin() + static_cast<ptrdiff_t>(trace.num_results), results);
}

void check_unrecorded(const Concrete& concrete, const Call& call, const EagerEvents& log) {
  if (!find_sources(concrete, call, log).any()) return;
  fail(call.where, cat("call_into of function ", concrete.function, " cannot be recorded by a tape: it writes to memory;"
                       " call the function, or stop_recording()"));
}

}  // namespace etch::detail
