// SavedFile: a file that appears whole and for good, or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "etch/number.h"
#include "frontend/checkpoint/file_system.h"

namespace etch::detail {

/// A file that is being saved. It is written beside its place under another name (`.etch-PID-N.saving`), handed to the
/// disk, renamed, and the folder is handed to the disk. Whatever fails is an Error with the path and the system's
/// reason, and leaves what stood there; a failed fsync is final, since nothing is known of the pages afterwards.
///
/// Files of that kind that a killed process left behind are removed first. The writer of one holds a lock on it, and
/// whoever removes one takes that lock, so no file of a living writer is removed.
class SavedFile {
 public:
  /// Makes missing folders.
  SavedFile(std::string path, Location where);
  /// Discards what was not committed.
  ~SavedFile();
  SavedFile(const SavedFile&) = delete;
  SavedFile& operator=(const SavedFile&) = delete;

  void write(const void* data, size_t bytes, uint64_t offset);
  /// The file is there, whatever happens next. If the folder cannot be handed to the disk, a file of a new name is
  /// removed again.
  void commit();

 private:
  [[noreturn]] void fail(int error, std::string_view doing) const;
  void make_folders(const std::string& folder);
  void sweep();
  void create();

  FileSystem& system_;
  const std::string path_;
  const Location where_;
  bool replaces_ = false;
  FileSystem::File file_;  // under its first name
  uint64_t begun_ = 0;     // up to where the disk was told to begin
  bool is_renamed_ = false;
};

/// What the names of files that are being saved end with.
inline constexpr std::string_view kSavingSuffix = ".saving";

}  // namespace etch::detail
