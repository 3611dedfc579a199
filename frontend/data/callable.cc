// Calls of user code in pipelines, and the values of variables that functions read there.
#include "etch/data/callable.h"

#include "etch/data/iterator.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <new>

#include "compiler/ir/cat.h"
#include "etch/options.h"
#include "frontend/concrete.h"
#include "frontend/data/frozen_cells.h"

namespace etch {
namespace detail {

constinit thread_local const FrozenValues* FrozenValues::current_ = nullptr;

namespace {

constexpr const char* kWayOut =
    "; what it reads would depend on when the element is made: give the pipeline an etch::function, which reads "
    "variables as they "
    "stood when the iterator was made, or take the value before and capture that";

[[noreturn]] void fail_host_read(const VariableCell& cell) {
  throw Error(cat("a host callable of a data set reads ", description(cell), kWayOut));
}

[[noreturn]] void fail_assigned(const VariableCell& cell, Location where = {}) {
  fail(where, cat("a function of a data set assigns ", description(cell),
                  "; elements are made ahead of time and maybe again, so it may only read variables: take random "
                  "numbers of the "
                  "seed that map_random gives, and carry other state in scan"));
}

}  // namespace

const Tensor& FrozenValues::value(const VariableCell& cell, bool is_assigned) const {
  if (this == &host()) fail_host_read(cell);
  if (is_assigned) fail_assigned(cell);
  const auto found = std::ranges::find(entries, &cell, [](const Entry& entry) { return entry.cell.get(); });
  if (found != entries.end()) return found->value;
  throw Error(
      cat("a function of a data set uses ", description(cell),
          " for elements of a type that came after the first ones, so its value at the iterator's making is not known; "
          "state all types of its elements by with_spec"));
}

const FrozenValues& FrozenValues::host() {
  static const FrozenValues* const none = new FrozenValues();
  return *none;
}

}  // namespace detail

namespace data::detail {

using etch::detail::FrozenValues;
using etch::detail::VariableCell;
using etch::detail::VariableSnapshot;

void rethrow_at(std::string_view stage, int64_t index) {
  const auto rethrow = [&](std::string_view what) {
    std::throw_with_nested(ElementError(cat(stage, ", element ", index, ": ", what)));
  };
  try {
    throw;
  } catch (const ElementError&) {
    throw;
  } catch (const InternalError&) {
    throw;
  } catch (const VariableSnapshot::Unavailable&) {
    rethrow("a host callable of a data set reads a variable");
  } catch (const std::exception& error) {
    rethrow(error.what());
  } catch (...) {
    rethrow("something that is no std::exception was thrown");
  }
  __builtin_unreachable();
}

HostScope::HostScope() noexcept
    : before_(FrozenValues::exchange(&FrozenValues::host())), stands_(VariableSnapshot::current() == nullptr) {
  static_assert(sizeof(VariableSnapshot) <= sizeof snapshot_);
  if (stands_) new (snapshot_) VariableSnapshot();
}

HostScope::~HostScope() {
  if (stands_) std::launder(reinterpret_cast<VariableSnapshot*>(snapshot_))->~VariableSnapshot();
  FrozenValues::exchange(static_cast<const FrozenValues*>(before_));
}

void HostScope::end() {
  if (!stands_) return;
  const VariableSnapshot& snapshot = *std::launder(reinterpret_cast<VariableSnapshot*>(snapshot_));
  if (!snapshot.entries().empty()) etch::detail::fail_host_read(*snapshot.entries()[0].cell);
}

class CellRegistry {
 public:
  CellRegistry() { note_running_call(); }
  void note_running_call() {
    const std::lock_guard lock(mutex_);
    held_ = etch::detail::Concrete::locked_cells();
  }

  /// The values of cells: those that are known, and the others as they stand now, at one moment.
  std::vector<Tensor> take(std::span<VariableCell* const> cells) {
    const std::lock_guard lock(mutex_);
    std::vector<VariableCell*> others(cells.begin(), cells.end());
    for (VariableCell*& cell : others) {
      if (find(*cell)) {
        cell = nullptr;
      } else if (std::ranges::find(held_, cell) != held_.end()) {
        throw Error(cat("a function of a data set reads ", etch::detail::description(*cell), ", which the compiled function that"
                        " loops over it assigns, so which value is meant cannot be told; loop outside and call the function for"
                        " each element"));
      }
    }
    std::vector<Tensor> values = etch::detail::read_together(others);
    for (size_t i = 0; i < cells.size(); ++i) {
      if (others[i]) {
        set(*cells[i], values[i]);
      } else {
        values[i] = find(*cells[i])->value;
      }
    }
    return values;
  }
  void put(VariableCell& cell, const Tensor& value) {
    const std::lock_guard lock(mutex_);
    if (FrozenValues::Entry* entry = find(cell)) {
      entry->value = value;
    } else {
      set(cell, value);
    }
  }

 private:
  FrozenValues::Entry* find(const VariableCell& cell) {
    const auto found =
        std::ranges::find(entries_, &cell, [](const FrozenValues::Entry& entry) { return entry.cell.get(); });
    return found == entries_.end() ? nullptr : &*found;
  }
  void set(VariableCell& cell, const Tensor& value) {
    cell.add_reference();
    entries_.push_back({Ref<VariableCell>(&cell), value});
  }

  std::mutex mutex_;
  std::vector<FrozenValues::Entry> entries_;
  std::vector<const VariableCell*> held_;   // locked by the call in which the walk goes on
};

std::shared_ptr<CellRegistry> make_cell_registry() { return std::make_shared<CellRegistry>(); }
void note_running_call(CellRegistry& cells) { cells.note_running_call(); }

struct FrozenCells::State : FrozenValues {
  CellRegistry* registry = nullptr;
  struct Saved {
    std::string name;
    Tensor value;
  };
  std::vector<Saved> saved;  // what a restored walk takes
  bool is_restored = false;

  void restore(size_t i) {
    entries[i].value = restored(i);
    registry->put(*entries[i].cell, entries[i].value);
  }
  const Tensor& restored(size_t i) const {
    const VariableCell& cell = *entries[i].cell;
    const bool fits = i < saved.size() && saved[i].name == cell.name() && saved[i].value.dtype() == cell.type().dtype &&
                      saved[i].value.shape() == cell.type().shape;
    if (!fits) {
      throw Error(cat("a saved state of a data set has no value for ", etch::detail::description(cell),
                      ", which a function of it reads; it was saved by another function"));
    }
    return saved[i].value;
  }
};

FrozenCells::FrozenCells(CellRegistry* registry) : state_(std::make_unique<State>()) { state_->registry = registry; }
FrozenCells::~FrozenCells() = default;

namespace {

struct Opened : ConcreteFunctionBase {
  static const etch::detail::Concrete& concrete(const ConcreteFunctionBase& of) { return *(of.*(&Opened::concrete_)); }
};

}  // namespace

void FrozenCells::take(const ConcreteFunctionBase& concrete, Location where) {
  std::vector<VariableCell*> cells;
  for (const etch::detail::UsedVariable& use : Opened::concrete(concrete).trace.variables) {
    if (use.is_assigned()) etch::detail::fail_assigned(*use.cell, where);
    const auto is_it = [&](const FrozenValues::Entry& entry) { return entry.cell.get() == use.cell.get(); };
    if (std::ranges::none_of(state_->entries, is_it)) cells.push_back(use.cell.get());
  }
  std::vector<Tensor> values = state_->registry->take(cells);
  for (size_t i = 0; i < cells.size(); ++i) {
    state_->entries.push_back({{}, std::move(values[i])});
    cells[i]->add_reference();
    state_->entries.back().cell = Ref<VariableCell>(cells[i]);
    if (state_->is_restored) state_->restore(state_->entries.size() - 1);
  }
}

void FrozenCells::save(SavedState& state) const {
  for (size_t i = 0; i < state_->entries.size(); ++i) {
    state.set(cat("cells/", i, "/name"), state_->entries[i].cell->name());
    state.set(cat("cells/", i, "/value"), state_->entries[i].value);
  }
}

void FrozenCells::restore(const SavedState& state) {
  state_->saved.clear();
  state_->is_restored = true;
  for (size_t i = 0; state.contains(cat("cells/", i, "/name")); ++i) {
    state_->saved.push_back(
        {state.get<std::string>(cat("cells/", i, "/name")), state.get<Tensor>(cat("cells/", i, "/value"))});
  }
  for (size_t i = 0; i < state_->entries.size(); ++i) state_->restore(i);
}

FrozenScope::FrozenScope(const FrozenCells& cells) : before_(FrozenValues::exchange(cells.state_.get())) {
  if (!functions_run_eagerly()) [[likely]] return;
  if (VariableSnapshot::current() != nullptr) return;
  plain_ = new VariableSnapshot();
  for (const FrozenValues::Entry& entry : cells.state_->entries) {
    static_cast<VariableSnapshot*>(plain_)->put(*entry.cell, entry.value);
  }
}

FrozenScope::~FrozenScope() {
  delete static_cast<VariableSnapshot*>(plain_);
  FrozenValues::exchange(static_cast<const FrozenValues*>(before_));
}

ElementSpec result_spec(const ConcreteFunctionBase& concrete) {
  const etch::detail::Concrete& of = Opened::concrete(concrete);
  ElementSpec spec;
  for (size_t i = 0; i < of.num_results(); ++i)
    spec.tensors.push_back({of.output_types[i].dtype, of.output_types[i].shape});
  return spec;
}

}  // namespace data::detail
}  // namespace etch
