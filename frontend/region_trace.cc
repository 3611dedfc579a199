// The recording of a callable as a region of a trace.
#include "frontend/region_trace.h"

#include <algorithm>

#include "compiler/passes/inline_graph.h"
#include "runtime/check.h"

namespace etch::detail {
namespace {

Ref<VariableCell> share(const Ref<VariableCell>& cell) {
  cell->add_reference();
  return Ref<VariableCell>(cell.get());
}

bool contains(const std::vector<Ref<VariableCell>>& cells, const VariableCell& cell) {
  return std::ranges::any_of(cells, [&](const Ref<VariableCell>& one) { return one.get() == &cell; });
}

}  // namespace

std::vector<Tensor> RegionTrace::arguments(std::span<const Type> types) {
  std::vector<Tensor> tensors;
  for (const Type& type : types) {
    tensors.push_back(argument(type));
    arguments_.push_back(TensorAccess::get(tensors.back())->value);
  }
  return tensors;
}

Tensor RegionTrace::tensor(Value value) { return make_traced(id(), value, events().type(value), std::nullopt, {}); }

Value RegionTrace::assigned(const VariableCell& cell) {
  for (const TracedVariable& variable : variables()) {
    if (variable.cell.get() == &cell) return variable.assigned.value_or(Value());
  }
  return {};
}

Value RegionTrace::input_of(const RegionPort& port) const {
  if (port.argument >= 0) return arguments_.empty() ? Value() : arguments_[port.argument];
  if (port.tensor) return find(*port.tensor);
  for (const TracedVariable& variable : const_cast<RegionTrace*>(this)->variables()) {
    if (variable.cell.get() == port.cell) return variable.initial.value_or(Value());
  }
  return {};
}

Region RegionTrace::region(std::span<const RegionPort> ports, std::span<const RegionOutput> outputs) const {
  std::vector<Value> computed;
  for (const RegionOutput& output : outputs) {
    if (output.port < 0) computed.push_back(output.value);
  }
  const Graph graph = events().close(computed);
  GraphBuilder builder;
  std::vector<Value> inputs(graph.inputs().size()), of_port;
  for (const RegionPort& port : ports) {
    of_port.push_back(builder.input(port.type).value());
    const Value input = input_of(port);
    if (input.id < 0) continue;
    const auto index = std::ranges::find(events().inputs(), input) - events().inputs().begin();
    inputs[index] = of_port.back();
  }
  const std::vector<Value> made = inline_graph(builder, graph, graph.outputs(), inputs).value();
  std::vector<Value> results;
  size_t next = 0;
  for (const RegionOutput& output : outputs) results.push_back(output.port < 0 ? made[next++] : of_port[output.port]);
  return Region(std::move(builder).finish(results));
}

void RegionUses::add(RegionTrace& region) {
  for (const Tensor& tensor : region.taken()) {
    const TensorImpl* impl = TensorAccess::get(tensor);
    const bool is_known =
        std::ranges::any_of(tensors_, [&](const Tensor& known) { return TensorAccess::get(known) == impl; });
    if (!is_known) tensors_.push_back(tensor);
  }
  for (const TracedVariable& variable : region.variables()) add_variable(variable);
}

void RegionUses::add_variable(const TracedVariable& variable) {
  where_.try_emplace(variable.cell.get(), variable.where);
  if (contains(assigned_, *variable.cell)) return;
  const auto known = std::ranges::find_if(read_, [&](const auto& one) { return one.get() == variable.cell.get(); });
  if (!variable.assigned) {
    if (known == read_.end()) read_.push_back(share(variable.cell));
    return;
  }
  if (known != read_.end()) read_.erase(known);
  assigned_.push_back(share(variable.cell));
}

Location RegionUses::where(const VariableCell& cell) const { return where_.at(&cell); }

std::vector<RegionPort> RegionUses::invariants() const {
  std::vector<RegionPort> ports;
  for (const Tensor& tensor : tensors_) {
    const TensorImpl* impl = TensorAccess::get(tensor);
    ports.push_back({.tensor = impl, .type = impl->type()});
  }
  for (const Ref<VariableCell>& cell : read_) ports.push_back({.cell = cell.get(), .type = cell->type()});
  return ports;
}

}  // namespace etch::detail
