// What tapes write down of eager ops.
#include "frontend/eager_events.h"

#include "compiler/ir/checked.h"
#include "frontend/trace_function.h"
#include "runtime/check.h"

namespace etch::detail {
namespace {

[[gnu::tls_model("initial-exec")]] constinit thread_local EagerEvents* events_of_thread = nullptr;

/// Unlike that of any other tensor.
uint64_t number_of(const TensorImpl& impl) {
  static std::atomic<uint64_t> next{1};
  std::atomic<uint64_t>& number = impl.number;
  uint64_t known = number.load(std::memory_order_relaxed);
  if (known != 0) return known;
  const uint64_t mine = next.fetch_add(1, std::memory_order_relaxed);
  return number.compare_exchange_strong(known, mine, std::memory_order_relaxed) ? mine : known;
}

}  // namespace

namespace tapes {
constinit thread_local EagerEvents* recording = nullptr;
}

Value EagerEvents::find(const TensorImpl& impl) const {
  const uint64_t number = impl.number.load(std::memory_order_relaxed);
  if (number == 0) return {};
  const auto known = values_.find(number);
  return known == values_.end() ? Value() : known->second;
}

Value EagerEvents::value_of(const TensorImpl& impl) {
  if (const Value known = find(impl); known.id >= 0) return known;
  const Value value = checked(events_.input(impl.type()));
  hold(value, TensorAccess::share(&impl));
  return value;
}

void EagerEvents::hold(Value value, const Tensor& tensor) {
  tensors_.resize(events_.num_values());
  tensors_[value.id] = tensor;
  values_.try_emplace(number_of(*TensorAccess::get(tensor)), value);
}

const Tensor& EagerEvents::tensor(Value value) const {
  static const Tensor none;
  return value.id < static_cast<int32_t>(tensors_.size()) ? tensors_[value.id] : none;
}

void EagerEvents::drop(int begin, int end) {
  for (int i = begin; i < end; ++i) {
    const Node& event = events_.nodes()[i];
    if (place(event.op) == Place::input) continue;  // nothing could compute it again
    for (Value result : results(event)) drop(result);
  }
}

bool EagerEvents::depends(const TensorImpl& impl) const {
  const Value value = find(impl);
  return value.id >= 0 && value.id < static_cast<int32_t>(depends_.size()) && depends_[value.id];
}

void EagerEvents::watch(Value value) {
  extend();
  depends_[value.id] = true;
}

void EagerEvents::extend() {
  depends_.resize(events_.num_values(), false);
  for (; num_extended_ < num_events(); ++num_extended_) {
    const Node& event = events_.nodes()[num_extended_];
    bool depends = false;
    for (Value operand : event.operands) depends = depends || depends_[operand.id];
    if (!depends) continue;
    for (Value result : results(event)) depends_[result.id] = true;
  }
}

Value EagerEvents::value_of(const EventOperand& operand, Location where) {
  if (operand.impl) return value_of(*operand.impl);
  const Type type{operand.dtype, {}};
  return checked(events_.record(splat_op(operand.bits), {}, {&type, 1}, origin(where)))[0];
}

void EagerEvents::append(const AnyOp& op, std::span<const Value> operands, std::span<const Type> wanted,
                         const Tensors& results, Location where) {
  const etch::Results made = checked(events_.record(op, operands, wanted, origin(where)));
  for (int i = 0; i < made.size(); ++i) hold(made[i], results[i]);
  extend();
}

std::vector<Value> EagerEvents::record_call(const TraceResult& trace, std::span<const Tensor> inputs) {
  const Events& events = trace.events;
  std::vector<Value> values(events.num_values());
  for (size_t i = 0; i < inputs.size(); ++i) {
    values[events.inputs()[i].id] = value_of(*TensorAccess::get(inputs[i]));
  }
  for (const UsedVariable& use : trace.variables) {
    if (use.leaf.id < 0) continue;
    const Value leaf = values[use.leaf.id] = this->leaf(*use.cell);
    if (watches(*use.cell)) watch(leaf);
  }
  const int begin = num_events();
  Events::Repeated repeated =
      events_.repeat(events, 0, static_cast<int>(events.nodes().size()), std::move(values));
  repeat_groups(trace.groups, 0, repeated);
  repeat_custom_events(trace.custom_events, 0, repeated);
  end_group(begin);
  tensors_.resize(events_.num_values());
  extend();
  return std::move(repeated.values);
}

bool EagerEvents::watches(const VariableCell& cell) const {
  if (!is_floating(cell.type().dtype)) return false;
  if (cell.trainable() && num_watching > 0) return true;
  const Value leaf = find_leaf(cell);
  return leaf.id >= 0 && leaf.id < static_cast<int32_t>(depends_.size()) && depends_[leaf.id];
}

void EagerEvents::record_read(VariableCell& cell, const Tensor& tensor, Location where) {
  if (!watches(cell)) return;
  const Value leaf = this->leaf(cell);
  watch(leaf);
  hold(events_.stand_in({&leaf, 1}, {&cell.type(), 1}, {}, origin(where))[0], tensor);
  extend();
}

EagerEvents* eager_events() {
  EagerEvents*& events = events_of_thread;
  if (events && events->num_open.load(std::memory_order_acquire) == 0) {  // another thread destroyed the last tape
    delete events;
    events = nullptr;
    update_recording();
  }
  return events;
}

EagerEvents& open_eager_events() {
  EagerEvents* events = eager_events();
  if (events == nullptr) events = events_of_thread = new EagerEvents;
  events->num_open.fetch_add(1, std::memory_order_relaxed);
  return *events;
}

void close_eager_events(EagerEvents& events) {
  if (&events != events_of_thread) {
    events.num_open.fetch_sub(1, std::memory_order_release);
    return;
  }
  if (events.num_open.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  delete &events;
  events_of_thread = nullptr;
  update_recording();
}

void update_recording() {
  tapes::recording = events_of_thread && events_of_thread->num_recording > 0 ? events_of_thread : nullptr;
}

}  // namespace etch::detail
