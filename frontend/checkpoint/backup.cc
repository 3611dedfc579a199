// One file that each backup replaces.
#include "frontend/checkpoint/backup.h"

#include <unistd.h>

#include <cerrno>

#include "compiler/ir/cat.h"
#include "frontend/checkpoint/file_system.h"
#include "frontend/tensor_impl.h"

namespace etch::detail {

Backup::Backup(const callbacks::BackupAndRestore& options, std::vector<NamedObject> objects, Location where)
    : options_(options),
      path_(options.backup_dir + "/backup.safetensors"),
      where_(where),
      state_(std::make_shared<CheckpointState>()) {
  if (options_.backup_dir.empty()) fail(where, "BackupAndRestore: backup_dir names no folder");
  if (options_.save_freq < 0) {
    fail(where, cat("BackupAndRestore: save_freq is ", options_.save_freq, "; it is 0 for epochs, or more"));
  }
  state_->objects = std::move(objects);
}

bool Backup::read() {
  if (access(path_.c_str(), F_OK) != 0 && errno == ENOENT) return false;
  try {
    file_ = read_checkpoint_file(path_, where_);
  } catch (const Error& error) {
    throw Error(cat(error.what(), "; remove ", options_.backup_dir, " to begin the training anew"));
  }
  return true;
}

void Backup::restore(bool is_whole) {
  if (!file_) return;
  try {
    const auto restored = restore_values(state_, path_, is_whole ? std::move(*file_) : *file_, where_);
    restored->is_done = true;
    if (!is_whole) return;
    file_.reset();
    const std::vector<RestoredValue> values = restored->values();
    for (const RestoredValue& value : values) {
      if (value.outcome != RestoredValue::Outcome::restored) {
        throw Error(cat(value.name, " has no counterpart:\n", table_of(values, path_)));
      }
    }
  } catch (const Error& error) {
    throw Error(cat(error.what(), "\nBackupAndRestore: ", path_, " is of another training; remove ",
                    options_.backup_dir, " to begin anew"));
  }
}

void Backup::after_batch(int64_t batches_done) {
  if (options_.save_freq > 0 && batches_done % options_.save_freq == 0) save();
}

void Backup::after_epoch() {
  if (options_.save_freq == 0) save();
}

void Backup::finish() {
  pending_.wait();
  if (options_.delete_checkpoint) (void)FileSystem::current().remove(path_);
}

void Backup::save() {
  pending_.wait();
  TensorFile file = take_snapshot(*state_, where_);
  if (!options_.asynchronous) return write_tensor_file(path_, std::move(file), where_);
  const auto write = [path = path_, where = where_, file = std::move(file)] { write_tensor_file(path, file, where); };
  pending_ = Saving::start(path_, write, where_);
}

}  // namespace etch::detail
