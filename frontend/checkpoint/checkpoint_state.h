// What stands behind a Checkpoint.
#pragma once

#include <unistd.h>

#include <atomic>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "etch/checkpoint.h"
#include "frontend/checkpoint/tensor_file.h"

namespace etch::detail {

struct [[gnu::visibility("hidden")]] CheckpointState {
  std::vector<NamedObject> objects;
  bool with_random_states = true;
};

/// All values at one moment: handles to tensors, not their elements. Error inside of a trace.
TensorFile take_snapshot(const CheckpointState& state, Location where);

/// Puts the values of a file in.
struct [[gnu::visibility("hidden")]] Restoring {
  Restoring(std::shared_ptr<const CheckpointState> state, std::string path, TensorFile file)
      : state(std::move(state)), path(std::move(path)), file(std::move(file)) {}
  ~Restoring();
  Restoring(const Restoring&) = delete;
  Restoring& operator=(const Restoring&) = delete;

  /// Matches what is there now, and changes all at one moment, or nothing. With `is_strict` it is an Error if anything
  /// is left over.
  void match(Location where, bool is_strict = false);
  std::vector<RestoredValue> values() const;

  std::shared_ptr<const CheckpointState> state;
  const std::string path;
  TensorFile file;                          // what was not used so far
  std::map<std::string, std::string> used;  // names of variables and objects that have their values, and types
  bool is_done = false;                     // there is nothing to warn of
};

/// Puts the values of a file in that was read.
std::shared_ptr<Restoring> restore_values(std::shared_ptr<const CheckpointState> state, const std::string& path,
                                          TensorFile file, Location where, bool is_strict = false);

/// A thread that writes a file.
struct [[gnu::visibility("hidden")]] Saving {
  Saving() = default;
  /// Error if there is no thread.
  static PendingSave start(const std::string& path, std::function<void()> write, Location where);
  /// In a child of a fork there is no thread to wait for.
  bool is_here() const;

  std::thread thread;
  std::atomic<bool> is_over{false};
  std::exception_ptr error;  // once it is over
  const int64_t process = getpid();
};

/// What stands in a file's state of the host for the file itself: no object's name begins so.
inline constexpr std::string_view kOfFile = "/";

std::string table_of(const std::vector<RestoredValue>& values, std::string_view path);

}  // namespace etch::detail
