// Backup: the file of callbacks::BackupAndRestore.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "etch/callbacks.h"
#include "frontend/checkpoint/checkpoint_state.h"

namespace etch::detail {

/// Saves objects while a training goes on, and restores them at its beginning.
class Backup {
 public:
  Backup(const callbacks::BackupAndRestore& options, std::vector<NamedObject> objects, Location where);

  /// Reads the file, if there is one. True if there is.
  bool read();
  /// Puts what was read in. With `is_whole` it is an Error if anything is left over; the file is let go then.
  void restore(bool is_whole);

  void after_batch(int64_t batches_done);
  void after_epoch();
  /// The training has come to its end.
  void finish();

 private:
  void save();

  const callbacks::BackupAndRestore options_;
  const std::string path_;
  const Location where_;
  std::shared_ptr<CheckpointState> state_;
  std::optional<TensorFile> file_;
  PendingSave pending_;
};

}  // namespace etch::detail
