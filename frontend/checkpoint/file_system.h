// FileSystem: the system's calls that a save makes, one by one, with a seam before each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace etch::detail {

/// Calls of the system on files and folders. Each gives 0, or the number of the system's error. They are virtual in one
/// place: what is called before each of them, where a test notes, fails, delays or ends it.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  FileSystem() = default;
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;

  /// The one that saves use.
  static FileSystem& current();
  /// Puts another one in its place, or the system's own again for nullptr.
  static void replace(FileSystem* other);

  enum class Call { create, open_folder, make_folder, lock, write, start_sync, sync, rename, remove, close };
  /// A call that is about to be made.
  struct Step {
    Call call;
    std::string_view path;       // of what is called; of a descriptor, what it was opened by
    std::string_view to = {};    // rename
    const void* data = nullptr;  // write
    size_t bytes = 0;
    uint64_t offset = 0;
  };

  /// An open file or folder.
  struct File {
    int descriptor = -1;
    std::string path;
  };
  /// A new file, to be written. Error EEXIST if it is there.
  int create(const std::string& path, File& file);
  int open_folder(const std::string& path, File& folder);
  /// Error EEXIST if it is there.
  int make_folder(const std::string& path);
  /// Locks a file for this opening of it (flock), without waiting: EWOULDBLOCK if another one has it.
  /// `is_last_name_gone` says whether the file was removed before.
  int lock(const File& file, bool& is_last_name_gone);
  /// Writes all at an offset.
  int write(const File& file, const void* data, size_t bytes, uint64_t offset);
  /// Lets the disk begin with what was written, so that it works while the rest is written. It promises nothing.
  void start_sync(const File& file, uint64_t offset, uint64_t bytes);
  int sync(const File& file);
  int rename(const std::string& from, const std::string& to);
  int remove(const std::string& path);
  /// Closes in any case.
  void close(File& file);

  /// Removes a file if nobody has it locked.
  void remove_unlocked(const std::string& path);

 protected:
  /// 0 to go on, or an error that the call gives instead of being made.
  virtual int before(const Step&) { return 0; }
};

/// The folder that a path stands in: `.` for a name alone.
std::string folder_of(const std::string& path);
/// The names in a folder. Error of the system's number if it cannot be read.
int list_folder(const std::string& path, std::vector<std::string>& names);

}  // namespace etch::detail
