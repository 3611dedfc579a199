// Checkpoints: the state of a program in files, and back.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/module.h"
#include "etch/safetensors.h"
#include "etch/saved_state.h"

namespace [[gnu::visibility("default")]] etch {

namespace detail {

/// Numbers and texts of the host that a checkpoint saves as they are.
template <class T>
concept HostValue = std::integral<T> || std::floating_point<T> || std::same_as<T, std::string>;

template <HostValue T>
SavedState::Value host_value(const T& value) {
  if constexpr (std::same_as<T, bool> || std::same_as<T, std::string>) return value;
  else if constexpr (std::floating_point<T>) return static_cast<double>(value);
  else if constexpr (std::is_signed_v<T>) return static_cast<int64_t>(value);
  else return static_cast<uint64_t>(value);
}
template <HostValue T>
void set_host_value(T& value, const SavedState& state) {
  if constexpr (std::same_as<T, bool> || std::same_as<T, std::string>) value = state.get<T>("");
  else if constexpr (std::floating_point<T>) value = static_cast<T>(state.get<double>(""));
  else if constexpr (std::is_signed_v<T>) value = static_cast<T>(state.get<int64_t>(""));
  else value = static_cast<T>(state.get<uint64_t>(""));
}

/// How an object of the host is saved and restored.
struct HostObject {
  SavedState (*save)(const void* object) = nullptr;
  void (*restore)(void* object, const SavedState& state) = nullptr;
};
template <class T>
HostObject host_object() {
  if constexpr (HostValue<T>) {
    return {[](const void* object) {
              SavedState state;
              state.set("", host_value(*static_cast<const T*>(object)));
              return state;
            },
            [](void* object, const SavedState& state) { set_host_value(*static_cast<T*>(object), state); }};
  } else if constexpr (Stateful<T>) {
    return {[](const void* object) { return static_cast<const T*>(object)->save_state(); },
            [](void* object, const SavedState& state) { static_cast<T*>(object)->restore_state(state); }};
  } else {
    return {};
  }
}

}  // namespace detail

/// An object and the name that its values have in a checkpoint: see named().
struct NamedObject {
  std::string name;
  void* object = nullptr;
  detail::HostObject host{};
  void (*walk)(const void* object, detail::ModuleVisitor& visitor) = nullptr;
};

/// What a checkpoint saves of an object, which must outlive the checkpoint:
///  - of a Variable, a module, a Model, an optimizer, a metric, a Generator: its variables;
///  - of an object with `SavedState save_state() const` and `restore_state(const SavedState&)`, such as an iterator of
///    a data set: its state; of a module that has those, both;
///  - of a bool, an integer, a floating-point number or a std::string: its value.
template <class T>
[[nodiscard]] NamedObject named(std::string name, T& object) {
  using Object = std::remove_const_t<T>;
  constexpr bool kIsHost = detail::HostValue<Object> || detail::Stateful<Object>;
  static_assert(!(kIsHost && std::is_const_v<T>), "etch: a checkpoint could not restore an object that is const");
  NamedObject result{std::move(name), const_cast<Object*>(&object), detail::host_object<Object>()};
  constexpr bool kHasVariables = !kIsHost || detail::VisitsItself<Object> || detail::Listed<Object>;
  if constexpr (kHasVariables && !detail::HostValue<Object>) {
    result.walk = [](const void* walked, detail::ModuleVisitor& visitor) {
      detail::visit_module(*static_cast<const Object*>(walked), visitor);
    };
  }
  return result;
}

/// One value, as a restore found it.
struct RestoredValue {
  enum class Outcome : uint8_t {
    restored,
    missing,  // a variable or an object for which the file has no value: it is as it was
    unused,   // a value of the file for which there is no variable yet
  };
  std::string name;
  std::string type;  // `f32[4,3]`, or `host`
  Outcome outcome = Outcome::restored;
};

namespace detail {
struct Restoring;
struct Saving;
struct CheckpointState;
}  // namespace detail

/// What a restore did. Unless one of the assert_ functions or expect_partial is called, values that were not used give
/// a warning when the last copy goes away.
class RestoreStatus {
 public:
  /// All values of the file, and all variables and objects of the checkpoint, in the order of their names; matched
  /// anew, so that what was made since the restore counts.
  std::vector<RestoredValue> values() const;
  /// The same as a table.
  friend std::string to_string(const RestoreStatus& status);

  /// Puts values that were not used into variables that were made meanwhile. All functions of this class do that.
  void apply(Location where = Location::current()) const;
  /// Error, with the table, unless all values of the file were used and each variable that is built, and each object,
  /// got one.
  const RestoreStatus& assert_consumed(Location where = Location::current()) const;
  /// Error, with the table, unless each variable that is built, and each object, got a value.
  const RestoreStatus& assert_existing_objects_matched(Location where = Location::current()) const;
  /// Says that the file may hold more than is used.
  const RestoreStatus& expect_partial() const;

 private:
  friend class Checkpoint;
  friend class CheckpointManager;
  explicit RestoreStatus(std::shared_ptr<detail::Restoring> restoring) : restoring_(std::move(restoring)) {}

  std::shared_ptr<detail::Restoring> restoring_;
};

/// See RestoreStatus.
std::string to_string(const RestoreStatus& status);

/// A save that goes on while the program does.
class PendingSave {
 public:
  PendingSave() = default;
  PendingSave(PendingSave&&) noexcept = default;
  PendingSave& operator=(PendingSave&& other) noexcept;
  /// Waits. If the save failed and nobody called wait(), there is a warning.
  ~PendingSave();

  /// True if it is over, or there is none.
  bool is_done() const;
  /// Waits until it is over; the file is on the disk then. Error if it failed, at the first call.
  void wait();

 private:
  friend struct detail::Saving;
  struct Delete {
    void operator()(detail::Saving* saving) const;
  };
  std::unique_ptr<detail::Saving, Delete> saving_;
};

/// The values of named objects in a file, and back.
///
///   Checkpoint checkpoint(named("model", model), named("optimizer", adam), named("step", step),
///                         named("data", iterator), named("random", generator));
///   checkpoint.save("run/step-100.safetensors");
///   checkpoint.restore("run/step-100.safetensors").assert_consumed();
///
/// Values are matched by the paths of members that lead to them: `model/hidden.kernel`, `optimizer/iterations`,
/// `data/position`. What an optimizer keeps beside a variable is called by the slot and the variable's path,
/// `optimizer/m/hidden.kernel`; where variables of two objects have one path, by that with the object's name. A
/// variable that is found on several paths is stored once, under the first; the others are aliases.
///
/// A file is a safetensors file (save_safetensors) that Python's package opens, with one entry `etch` in its metadata:
/// JSON with the version, checksums of all tensors, aliases and the host's state, itself with a checksum. States of the
/// host that are tensors, or long, are tensors of the file.
///
/// Saving takes the tensors that stand in the variables, at one moment: no call of a traced function is half done then,
/// for it waits for those that assign any of them. The states of host objects are taken at the same moment. No elements
/// are copied: variables that are assigned while a file is written get new buffers. Inside of a traced function it is
/// an Error.
class Checkpoint {
 public:
  template <std::same_as<NamedObject>... Objects>
  explicit Checkpoint(Objects... objects) : Checkpoint(std::vector<NamedObject>{std::move(objects)...}) {}
  /// Error for a name that stands twice, is empty, or has a `/`.
  explicit Checkpoint(std::vector<NamedObject> objects, Location where = Location::current());

  /// Writes a file. It appears whole or not at all, and is on the disk when the call returns: it is written beside its
  /// place, synced and renamed, and its folder is synced. Missing folders are made. Files that killed processes left
  /// half-written are removed. Error with the path and the system's reason if it cannot be written; what stood there
  /// before is there still.
  void save(const std::string& path, Location where = Location::current()) const;
  /// The same by a thread, while the program goes on: the file holds the state of now.
  [[nodiscard]] PendingSave save_async(const std::string& path, Location where = Location::current()) const;

  /// Reads a file into the objects. All of it is read and verified, and all types are compared, before anything
  /// changes; then all variables change at one moment. A variable without a value yet, that of a layer which was not
  /// called, gets the one of the file in the place of what its initialiser would make, which then draws no random
  /// numbers; so do slots of optimizers that no update has made. Values for which there is no variable wait in the
  /// status. Error, and nothing changes, for a file that cannot be read or is damaged, and where a value has another
  /// dtype or shape than its variable. A file of another writer of safetensors has tensors only.
  RestoreStatus restore(const std::string& path, Location where = Location::current()) const;

 private:
  friend class CheckpointManager;
  std::shared_ptr<const detail::CheckpointState> state_;
};

struct LoadWeightsOptions {
  bool partial = false;  // leave variables as they are for which the file has no value, and values without variable
};

namespace detail {
void save_weights(const AnyModule& module, const std::string& path, Location where);
void load_weights(const AnyModule& module, const std::string& path, const LoadWeightsOptions& options, Location where);
}  // namespace detail

/// Writes the variables of a module, without the states of random generators, into a safetensors file, under the names
/// of named_variables: `hidden.kernel`. Errors as Checkpoint::save; also if none has a value yet.
template <class M>
void save_weights(const M& module, const std::string& path, Location where = Location::current()) {
  detail::save_weights(detail::any_module(module), path, where);
}
/// Reads them back, also into layers that were not called yet. Error, and nothing changes, as Checkpoint::restore; also
/// unless the file has a value for each variable that has one, and for no other.
template <class M>
void load_weights(const M& module, const std::string& path, const LoadWeightsOptions& options = {},
                  Location where = Location::current()) {
  detail::load_weights(detail::any_module(module), path, options, where);
}

struct CheckpointManagerOptions {
  int64_t max_to_keep = 5;  // files; 0 for all
  std::string best_by{};    // the metric by which files are kept; empty: the newest are
  bool best_is_max = false;
  bool asynchronous = false;  // save() returns at once; the next one waits for it
};

/// Numbered checkpoints in a folder: `ckpt-1.safetensors` and so on. It keeps no list: what is there is what the folder
/// holds. Other files, half-written ones and damaged ones are passed over. Error where the folder is there and cannot be
/// read.
///
///   CheckpointManager manager(checkpoint, "run/checkpoints", {.max_to_keep = 3});
///   manager.restore_latest();
///   while (...) manager.save();
class CheckpointManager {
 public:
  using Metrics = std::vector<std::pair<std::string, double>>;

  CheckpointManager(Checkpoint checkpoint, std::string folder, CheckpointManagerOptions options = {},
                    Location where = Location::current());
  CheckpointManager(CheckpointManager&&) noexcept;
  CheckpointManager& operator=(CheckpointManager&&) noexcept;
  /// Waits for a save that goes on.
  ~CheckpointManager();

  /// Writes the next file and then removes those that are not to be kept: once the new one is on the disk, and the
  /// newest never. Gives its path. `metrics` stand in the file. Error as Checkpoint::save, or if `best_by` is not among
  /// the metrics.
  std::string save(const Metrics& metrics = {}, Location where = Location::current());
  /// Waits for a save that goes on. Error if it failed.
  void wait();

  /// The files whose heads are whole, by number.
  std::vector<std::string> checkpoints() const;
  /// The newest of them.
  std::optional<std::string> latest() const;
  /// That with the best value of `best_by`. Error if that is empty.
  std::optional<std::string> best(Location where = Location::current()) const;

  /// Restores the newest file that is whole; with warnings it passes over others. None if there is no file.
  /// Error, and nothing changes, where a file does not fit.
  std::optional<RestoreStatus> restore_latest(Location where = Location::current());

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace etch
