// Variables: their cells, and reads and assignments, eager and traced.
#include "etch/variable.h"

#include <sched.h>

#include <algorithm>

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/dispatch.h"
#include "frontend/eager_events.h"
#include "frontend/trace.h"
#include "frontend/variable_cell.h"
#include "frontend/variables_together.h"
#include "runtime/check.h"
#include "runtime/packs.h"

namespace etch {
namespace detail {
namespace {

std::string default_name(Location where) {
  const std::string name = at(where);
  return name.size() < 2 ? "variable" : name.substr(0, name.size() - 2);
}

VariableOptions named(VariableOptions options, Location where) {
  if (options.name.empty()) options.name = default_name(where);
  return options;
}

VariableCell& cell_of(const Variable& variable, Location where) {
  VariableCell* cell = VariableAccess::get(variable);
  if (cell == nullptr) fail(where, "the variable holds nothing: it was made by default or moved from; assign one first");
  return *cell;
}

/// The same of one that has a value.
VariableCell& built_cell_of(const Variable& variable, Location where) {
  VariableCell& cell = cell_of(variable, where);
  if (!cell.is_built()) [[unlikely]] {
    fail(where, cat(description(cell), ": it gets its value by the first call of its layer, or by build()"));
  }
  return cell;
}

/// The tensor to start with. Error for one without elements.
const TensorImpl& check_initial(const Tensor& initial, const VariableOptions& options, Location where) {
  const TensorImpl& impl = impl_of(initial, where);
  if (impl.kind == TensorImpl::Kind::eager) return impl;
  if (impl.kind == TensorImpl::Kind::spec) fail_no_elements(impl, cat("making variable ", options.name), where);
  fail(where, cat("variable ", options.name, ": its initial value is ", made_by(impl),
                  ", which has no elements yet; give a callable that makes it, which runs at once: Variable([&] {"
                  " return zeros(3); })"));
}

/// Error unless a value may be put into a variable. `op` is what the user called.
void check_type(const VariableCell& cell, const TensorImpl& impl, std::string_view op, Location where) {
  if (impl.type() == cell.type()) return;
  const bool is_sum = op != "assign";
  fail(where, cat(op, ": ", description(cell), " cannot take ", is_sum ? "the result, " : "", to_string(impl.type()),
                  "; the dtype and shape of a variable are fixed: cast, reshape or reduce the value"));
}

/// The tensor that an operand becomes in a variable.
Tensor tensor_of(const Operand& value, const VariableCell& cell, std::string_view op) {
  if (value.tensor() == nullptr) {
    return constant(cell.type(), number_bits(value.number(), cell.type().dtype, value.where(), op), op, value.where());
  }
  const TensorImpl* impl = TensorAccess::get(*value.tensor());
  if (impl == nullptr) fail(value.where(), cat(op, ": the value for ", description(cell), " ", kHoldsNothing));
  check_type(cell, *impl, op, value.where());
  return *value.tensor();
}

/// Puts in what `change` makes of the value that stands there.
template <class Change>
void update(const Variable& variable, std::string_view op, Location where, const Change& change) {
  VariableCell& cell = built_cell_of(variable, where);
  const auto changed = [&](const Tensor& before) {
    Tensor after = change(before);
    check_type(cell, *TensorAccess::get(after), op, where);
    return after;
  };
  if (Trace* trace = Trace::current()) {
    return trace->assign(cell, changed(trace->value_of(cell, where)), where);
  }
  while (true) {  // nothing is computed with the lock held; who comes too late begins again
    const Tensor before = cell.read();
    Tensor after = changed(before);
    if (cell.replace(TensorAccess::get(before), after)) return;
  }
}

}  // namespace

void retain(VariableCell* cell) noexcept { cell->add_reference(); }
void release(VariableCell* cell) noexcept { cell->drop_reference(); }
void retain(const VariableCell* cell) noexcept { cell->add_reference(); }
void release(const VariableCell* cell) noexcept { cell->drop_reference(); }

bool VariableCell::trainable() const { return options_.trainable && !ask_frozen(*this); }

VariableCell::VariableCell(Tensor initial, VariableOptions options, Location where)
    : options_(named(std::move(options), where)),
      type_(check_initial(initial, options_, where).type()),
      state_(State::built),
      tensor_(std::move(initial)) {}

VariableCell::VariableCell(VariableOptions options, Location where) : options_(named(std::move(options), where)) {}

bool VariableCell::begin_build(Location where) {
  while (true) {
    State state = State::empty;
    if (state_.compare_exchange_strong(state, State::building, std::memory_order_acquire)) {
      builder_.store(pthread_self(), std::memory_order_relaxed);
      return true;
    }
    if (state == State::built) return false;
    const bool is_own = builder_.load(std::memory_order_relaxed) == pthread_self();
    if (is_own) fail(where, cat("variable ", name(), " is needed to make its own value"));
    state_.wait(State::building, std::memory_order_acquire);
  }
}

void VariableCell::end_build(Tensor initial, Location where) {
  type_ = check_initial(initial, options_, where).type();
  lock();
  tensor_ = std::move(initial);
  unlock();
  state_.store(State::built, std::memory_order_release);
  state_.notify_all();
}

void VariableCell::cancel_build() noexcept {
  builder_.store({}, std::memory_order_relaxed);
  state_.store(State::empty, std::memory_order_release);
  state_.notify_all();
}

/// What another thread of the parent was building will not come.
void VariableCell::start_as_child() {
  if (state_.load() == State::building && builder_.load() != pthread_self()) state_.store(State::empty);
  unlock();
}

constinit thread_local VariableSnapshot* VariableSnapshot::current_ = nullptr;

VariableSnapshot::VariableSnapshot() {
  ETCH_CHECK(current_ == nullptr, "a snapshot stands inside of another one");
  current_ = this;
}

VariableSnapshot::~VariableSnapshot() { current_ = nullptr; }

Tensor& VariableSnapshot::at(VariableCell& cell) {
  const auto known = std::ranges::find(entries_, &cell, [](const Entry& entry) { return entry.cell.get(); });
  if (known != entries_.end()) return known->value;
  constexpr int kTries = 10000;
  for (int i = 0; i < kTries; ++i) {
    if (!cell.try_lock()) {
      sched_yield();
      continue;
    }
    Tensor value = cell.tensor();
    cell.unlock();
    put(cell, std::move(value));
    return entries_.back().value;
  }
  is_incomplete_ = true;
  throw Unavailable();
}

void VariableSnapshot::put(VariableCell& cell, Tensor value) {
  cell.add_reference();
  entries_.push_back({Ref<VariableCell>(&cell), value, value});
}

Tensor VariableCell::read() {
  if (VariableSnapshot* snapshot = VariableSnapshot::current()) [[unlikely]] return snapshot->at(*this);
  lock();
  Tensor tensor = tensor_;
  unlock();
  return tensor;
}

bool VariableCell::replace(const TensorImpl* before, Tensor& after) {
  if (VariableSnapshot* snapshot = VariableSnapshot::current()) [[unlikely]] {
    Tensor& there = snapshot->at(*this);
    const bool is_there = TensorAccess::get(there) == before;
    if (is_there) std::swap(there, after);
    return is_there;
  }
  lock();
  const bool is_there = TensorAccess::get(tensor_) == before;
  if (is_there) std::swap(tensor_, after);
  unlock();
  if (is_there) drop_packs(TensorAccess::get(after)->buffer);
  return is_there;
}

void VariableCell::assign(Tensor value) {
  if (VariableSnapshot* snapshot = VariableSnapshot::current()) [[unlikely]] {
    std::swap(snapshot->at(*this), value);
    return;
  }
  lock();
  std::swap(tensor_, value);
  unlock();
  drop_packs(TensorAccess::get(value)->buffer);
}

std::string description(const VariableCell& cell) {
  if (!cell.is_built()) return cat("variable ", cell.name(), ", not built yet");
  return cat("variable ", cell.name(), " ", to_string(cell.type()));
}

namespace {

/// Holds the locks of cells, each once, taken by ascending numbers.
class AllLocked {
 public:
  explicit AllLocked(std::span<VariableCell* const> cells) : cells_(cells.begin(), cells.end()) {
    std::erase(cells_, nullptr);
    std::ranges::sort(cells_, {}, &VariableCell::number);
    cells_.erase(std::ranges::unique(cells_).begin(), cells_.end());
    for (VariableCell* cell : cells_) cell->lock();
  }
  ~AllLocked() {
    for (VariableCell* cell : cells_) cell->unlock();
  }
  AllLocked(const AllLocked&) = delete;
  AllLocked& operator=(const AllLocked&) = delete;

 private:
  std::vector<VariableCell*> cells_;
};

}  // namespace

std::vector<Tensor> read_together(std::span<VariableCell* const> cells) {
  std::vector<Tensor> values(cells.size());
  if (VariableSnapshot* snapshot = VariableSnapshot::current()) [[unlikely]] {
    for (size_t i = 0; i < cells.size(); ++i) {
      if (cells[i]) values[i] = snapshot->at(*cells[i]);
    }
    return values;
  }
  const AllLocked locked(cells);
  for (size_t i = 0; i < cells.size(); ++i) {
    if (cells[i]) values[i] = cells[i]->tensor();
  }
  return values;
}

std::vector<Tensor> read_together(std::span<VariableCell* const> cells, const std::function<void()>& meanwhile) {
  ETCH_CHECK(VariableSnapshot::current() == nullptr, "states are saved within a run that only compares");
  const AllLocked locked(cells);
  std::vector<Tensor> values;
  VariableSnapshot snapshot;  // so that `meanwhile` may read the cells
  for (VariableCell* cell : cells) {
    values.push_back(cell->tensor());
    snapshot.put(*cell, cell->tensor());
  }
  try {
    meanwhile();
  } catch (const VariableSnapshot::Unavailable&) {
    throw Error("the state of an object depends on a variable that another thread is about to assign");
  }
  return values;
}

void assign_together(std::span<VariableCell* const> cells, std::vector<Tensor> values) {
  if (VariableSnapshot* snapshot = VariableSnapshot::current()) [[unlikely]] {
    for (size_t i = 0; i < cells.size(); ++i) std::swap(snapshot->at(*cells[i]), values[i]);
    return;
  }
  const AllLocked locked(cells);
  for (size_t i = 0; i < cells.size(); ++i) {
    std::swap(cells[i]->tensor(), values[i]);
    drop_packs(TensorAccess::get(values[i])->buffer);
  }
}

}  // namespace detail

using detail::built_cell_of;
using detail::cell_of;

Variable::Variable(const Tensor& initial, VariableOptions options, Location where)
    : cell_(new detail::VariableCell(initial, detail::named(std::move(options), where), where)) {
  detail::note_made_variable(where);
}

Variable Variable::deferred(VariableOptions options, Location where) {
  Variable variable;
  variable.cell_ = Ref(new detail::VariableCell(std::move(options), where));
  return variable;
}

bool Variable::built() const { return cell_ && cell_->is_built(); }

void Variable::build(const std::function<Tensor()>& initialiser, Location where) const {
  detail::VariableCell& cell = cell_of(*this, where);
  if (cell.is_built() || !cell.begin_build(where)) return;
  try {
    cell.end_build(init_scope(initialiser), where);
  } catch (...) {
    cell.cancel_build();
    throw;
  }
  detail::note_made_variable(where);
}

DType Variable::dtype(Location where) const { return built_cell_of(*this, where).type().dtype; }

const Shape& Variable::shape(Location where) const { return built_cell_of(*this, where).type().shape; }

const std::string& Variable::name(Location where) const { return cell_of(*this, where).name(); }

bool Variable::trainable(Location where) const { return cell_of(*this, where).trainable(); }

Tensor Variable::value(Location where) const {
  detail::VariableCell& cell = built_cell_of(*this, where);
  if (detail::Trace* trace = detail::Trace::current()) return trace->read(cell, where);
  // Each read is a tensor of its own, as in a trace: what is watched is the one or the other.
  const Tensor there = cell.read();
  Tensor read = detail::alias(*detail::TensorAccess::get(there), cell.type().dtype, cell.type().shape);
  if (detail::EagerEvents* log = detail::recording_events()) [[unlikely]] log->record_read(cell, read, where);
  return read;
}

void Variable::assign(const Operand& value) const {
  detail::VariableCell& cell = built_cell_of(*this, value.where());
  Tensor tensor = detail::tensor_of(value, cell, "assign");
  if (detail::Trace* trace = detail::Trace::current()) return trace->assign(cell, tensor, value.where());
  const detail::TensorImpl& impl = *detail::TensorAccess::get(tensor);
  const bool is_eager = impl.kind == detail::TensorImpl::Kind::eager;
  if (!is_eager) fail_no_elements(impl, cat("assigning to ", description(cell)), value.where());
  cell.assign(std::move(tensor));
}

void Variable::assign_add(const Operand& delta) const {
  detail::update(*this, "assign_add", delta.where(),
                 [&](const Tensor& value) { return add(Operand(value, delta.where()), delta); });
}

void Variable::assign_sub(const Operand& delta) const {
  detail::update(*this, "assign_sub", delta.where(),
                 [&](const Tensor& value) { return sub(Operand(value, delta.where()), delta); });
}

Tensor::Tensor(const Variable& variable, Location where) { *this = variable.value(where); }

}  // namespace etch
