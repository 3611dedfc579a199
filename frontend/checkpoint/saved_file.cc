// A file is written beside its place, synced and renamed.
#include "frontend/checkpoint/saved_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "compiler/ir/cat.h"
#include "frontend/files/file.h"
#include "frontend/tensor_impl.h"

namespace etch::detail {
namespace {

constexpr std::string_view kSavingPrefix = ".etch-";
constexpr uint64_t kAtOnce = uint64_t{8} << 20;  // bytes that the disk is told to begin with

/// Unlike that of any other save of this or another process that runs.
std::string saving_name() {
  static std::atomic<uint64_t> counter{0};
  return cat(kSavingPrefix, getpid(), "-", counter.fetch_add(1), kSavingSuffix);
}

bool is_saving_name(std::string_view name) { return name.starts_with(kSavingPrefix) && name.ends_with(kSavingSuffix); }

}  // namespace

SavedFile::SavedFile(std::string path, Location where)
    : system_(FileSystem::current()), path_(std::move(path)), where_(where) {
  if (path_.empty() || path_.ends_with('/')) {
    etch::detail::fail(where_, cat("cannot write `", path_, "`: it names no file"));
  }
  make_folders(folder_of(path_));
  struct stat status;
  replaces_ = lstat(path_.c_str(), &status) == 0;
  if (replaces_ && !S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) {
    etch::detail::fail(where_, cat("cannot write ", path_, ": it is there and not a regular file"));
  }
  sweep();
  create();
}

SavedFile::~SavedFile() {
  const std::string first_name = file_.path;
  system_.close(file_);
  if (!is_renamed_ && !first_name.empty()) system_.remove(first_name);
}

void SavedFile::fail(int error, std::string_view doing) const {
  etch::detail::fail(where_, cat("cannot write ", path_, ": ", doing, ": ", errno_text(error)));
}

/// A new folder is handed to the disk with the one that it stands in.
void SavedFile::make_folders(const std::string& folder) {
  struct stat status;
  if (stat(folder.c_str(), &status) == 0) return;
  if (errno != ENOENT) fail(errno, cat("the folder ", folder));
  const std::string outer = folder_of(folder);
  make_folders(outer);
  if (const int error = system_.make_folder(folder); error != 0 && error != EEXIST) {
    fail(error, cat("the folder ", folder));
  }
  FileSystem::File opened;
  int error = system_.open_folder(outer, opened);
  if (error == 0) error = system_.sync(opened);
  system_.close(opened);
  if (error != 0) fail(error, cat("syncing the folder ", outer));
}

void SavedFile::sweep() {
  const std::string folder = folder_of(path_);
  std::vector<std::string> names;
  if (list_folder(folder, names) != 0) return;  // who may write in a folder need not be allowed to list it
  for (const std::string& name : names) {
    if (is_saving_name(name)) system_.remove_unlocked(folder + "/" + name);
  }
}

void SavedFile::create() {
  const std::string folder = folder_of(path_);
  while (true) {
    const std::string name = folder + "/" + saving_name();
    const int error = system_.create(name, file_);
    if (error == EEXIST) continue;  // left by a process that had the same number
    if (error != 0) fail(error, "making a file beside it");
    // Somebody who sweeps may have found the file before it was locked: then it is his.
    bool is_gone = false;
    const int locked = system_.lock(file_, is_gone);
    if (locked != EWOULDBLOCK && !is_gone) return;  // a file system without locks cannot be swept either
    system_.close(file_);
  }
}

void SavedFile::write(const void* data, size_t bytes, uint64_t offset) {
  if (const int error = system_.write(file_, data, bytes, offset)) fail(error, cat("at byte ", offset));
  const uint64_t end = offset + bytes;
  if (end < begun_ + kAtOnce) return;
  system_.start_sync(file_, begun_, end - begun_);
  begun_ = end;
}

void SavedFile::commit() {
  if (const int error = system_.sync(file_)) fail(error, "fsync");
  FileSystem::File folder;
  if (const int error = system_.open_folder(folder_of(path_), folder)) fail(error, "its folder");
  if (const int error = system_.rename(file_.path, path_)) {
    system_.close(folder);
    fail(error, "rename");
  }
  is_renamed_ = true;
  const int error = system_.sync(folder);
  system_.close(folder);
  if (error == 0) return;
  if (!replaces_) system_.remove(path_);
  fail(error, "fsync of its folder");
}

}  // namespace etch::detail
