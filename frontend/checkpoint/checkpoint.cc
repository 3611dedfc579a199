// Checkpoints: how the state of a program is taken and written.
#include "etch/checkpoint.h"

#include <set>
#include <system_error>

#include "compiler/ir/cat.h"
#include "frontend/checkpoint/checkpoint_state.h"
#include "frontend/checkpoint/places.h"
#include "frontend/concrete.h"
#include "frontend/flags.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"
#include "frontend/variables_together.h"

namespace etch {
namespace detail {

TensorFile take_snapshot(const CheckpointState& state, Location where) {
  if (trace_nesting() > 0) {
    fail(where,
         "a checkpoint cannot be saved inside of a traced function, whose variables have their new values when it is over; "
         "save it outside, after the call");
  }
  if (!Concrete::locked_cells().empty()) {
    fail(where, "a checkpoint cannot be saved by what a compiled function calls while it runs, since that is changing variables;"
                " save it after the call");
  }
  const Places places = find_places(state.objects, state.with_random_states);
  TensorFile file;
  std::vector<std::string> names;
  std::vector<VariableCell*> cells;
  for (const VariablePlace& place : places.variables) {
    if (!place.cell().is_built()) continue;
    names.push_back(place.name());
    cells.push_back(&place.cell());
    for (const std::string& name : place.names) {
      if (name != place.name()) file.metadata.aliases.emplace(name, place.name());
    }
  }
  const std::vector<SlotPlace> slots = places.slots();
  for (const SlotPlace& slot : slots) {
    if (!slot.cell().is_built()) continue;
    names.push_back(slot.name);
    cells.push_back(&slot.cell());
    if (!slot.owner.empty()) file.metadata.slots.emplace(slot.name, slot.owner);
  }
  const std::vector<Tensor> values = read_together(cells, [&] {
    for (const NamedObject& object : state.objects) {
      if (!object.host.save) continue;
      for (const auto& [name, value] : object.host.save(object.object)) {
        file.metadata.host.set(joined(object.name, name), value);
      }
    }
  });
  for (size_t i = 0; i < names.size(); ++i) file.tensors.emplace(std::move(names[i]), values[i]);
  return file;
}

bool Saving::is_here() const { return process == getpid(); }

PendingSave Saving::start(const std::string& path, std::function<void()> write, Location where) {
  PendingSave pending;
  pending.saving_.reset(new Saving);
  Saving& saving = *pending.saving_;
  try {
    saving.thread = std::thread([&saving, write = std::move(write)]() mutable {
      try {
        write();
      } catch (...) {
        saving.error = std::current_exception();
      }
      write = nullptr;  // lets go of the tensors
      saving.is_over.store(true, std::memory_order_release);
    });
  } catch (const std::system_error& error) {
    fail(where, cat("cannot write ", path, ": there is no thread for it: ", error.what()));
  }
  return pending;
}

void save_weights(const AnyModule& module, const std::string& path, Location where) {
  const CheckpointState state{{{"", const_cast<void*>(module.object), {}, module.walk}}, false};
  TensorFile file = take_snapshot(state, where);
  if (file.tensors.empty()) {
    fail(where, cat("cannot write ", path,
                    ": the module has no variables with a value; layers get theirs by their first call"));
  }
  write_tensor_file(path, std::move(file), where);
}

void load_weights(const AnyModule& module, const std::string& path, const LoadWeightsOptions& options, Location where) {
  auto state = std::make_shared<CheckpointState>();
  state->objects = {{"", const_cast<void*>(module.object), {}, module.walk}};
  state->with_random_states = false;
  TensorFile file = read_checkpoint_file(path, where);
  restore_values(std::move(state), path, std::move(file), where, !options.partial)->is_done = true;
}

}  // namespace detail

using detail::fail;

Checkpoint::Checkpoint(std::vector<NamedObject> objects, Location where) {
  std::set<std::string_view> names;
  for (const NamedObject& object : objects) {
    if (object.name.empty() || object.name.find('/') != std::string::npos) {
      fail(where, cat("Checkpoint: the name `", object.name, "` of an object is empty or has a `/`"));
    }
    if (!names.insert(object.name).second) fail(where, cat("Checkpoint: the name ", object.name, " stands twice"));
  }
  auto state = std::make_shared<detail::CheckpointState>();
  state->objects = std::move(objects);
  state_ = std::move(state);
}

void Checkpoint::save(const std::string& path, Location where) const {
  detail::write_tensor_file(path, detail::take_snapshot(*state_, where), where);
}

PendingSave Checkpoint::save_async(const std::string& path, Location where) const {
  auto write = [path, where, file = detail::take_snapshot(*state_, where)] {
    detail::write_tensor_file(path, file, where);
  };
  return detail::Saving::start(path, std::move(write), where);
}

RestoreStatus Checkpoint::restore(const std::string& path, Location where) const {
  return RestoreStatus(detail::restore_values(state_, path, detail::read_checkpoint_file(path, where), where));
}

void PendingSave::Delete::operator()(detail::Saving* saving) const {
  if (!saving->is_here()) return;  // its thread cannot be joined; what it holds is left
  if (saving->thread.joinable()) saving->thread.join();
  if (saving->error) {
    try {
      std::rethrow_exception(saving->error);
    } catch (const std::exception& error) {
      detail::warn(cat("a save failed: ", error.what()));
    }
  }
  delete saving;
}

PendingSave::~PendingSave() = default;
PendingSave& PendingSave::operator=(PendingSave&& other) noexcept = default;

bool PendingSave::is_done() const { return !saving_ || saving_->is_over.load(std::memory_order_acquire); }

void PendingSave::wait() {
  if (!saving_ || !saving_->is_here() || !saving_->thread.joinable()) return;
  saving_->thread.join();
  if (saving_->error) std::rethrow_exception(std::exchange(saving_->error, nullptr));
}

}  // namespace etch
