// The system's calls that a save makes.
#include "frontend/checkpoint/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>

namespace etch::detail {
namespace {

std::atomic<FileSystem*> replacement{nullptr};

/// Calls f again as long as a signal interrupts it.
template <class F>
auto retried(const F& f) {
  while (true) {
    const auto result = f();
    if (result >= 0 || errno != EINTR) return result;
  }
}

int error_of_call(int result) { return result < 0 ? errno : 0; }

}  // namespace

FileSystem& FileSystem::current() {
  static FileSystem own;
  FileSystem* other = replacement.load();
  return other ? *other : own;
}

void FileSystem::replace(FileSystem* other) { replacement = other; }

int FileSystem::create(const std::string& path, File& file) {
  if (const int error = before({.call = Call::create, .path = path})) return error;
  constexpr mode_t kForAll = 0666;  // less what umask takes off
  const int descriptor = retried([&] { return open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kForAll); });
  if (descriptor < 0) return errno;
  file = {descriptor, path};
  return 0;
}

int FileSystem::open_folder(const std::string& path, File& folder) {
  if (const int error = before({.call = Call::open_folder, .path = path})) return error;
  const int descriptor = retried([&] { return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (descriptor < 0) return errno;
  folder = {descriptor, path};
  return 0;
}

int FileSystem::make_folder(const std::string& path) {
  if (const int error = before({.call = Call::make_folder, .path = path})) return error;
  constexpr mode_t kForAll = 0777;
  return error_of_call(mkdir(path.c_str(), kForAll));
}

int FileSystem::lock(const File& file, bool& is_last_name_gone) {
  if (const int error = before({.call = Call::lock, .path = file.path})) return error;
  if (retried([&] { return flock(file.descriptor, LOCK_EX | LOCK_NB); }) < 0) return errno;
  struct stat status;
  if (fstat(file.descriptor, &status) != 0) return errno;
  is_last_name_gone = status.st_nlink == 0;
  return 0;
}

int FileSystem::write(const File& file, const void* data, size_t bytes, uint64_t offset) {
  const auto* from = static_cast<const char*>(data);
  while (bytes > 0) {
    const Step step{.call = Call::write, .path = file.path, .data = from, .bytes = bytes, .offset = offset};
    if (const int error = before(step)) return error;
    const ssize_t written = retried([&] { return pwrite(file.descriptor, from, bytes, static_cast<off_t>(offset)); });
    if (written < 0) return errno;
    if (written == 0) return ENOSPC;
    from += written;
    bytes -= static_cast<size_t>(written);
    offset += static_cast<uint64_t>(written);
  }
  return 0;
}

void FileSystem::start_sync(const File& file, uint64_t offset, uint64_t bytes) {
  if (before({.call = Call::start_sync, .path = file.path, .bytes = bytes, .offset = offset}) != 0) return;
#ifdef SYNC_FILE_RANGE_WRITE
  sync_file_range(file.descriptor, static_cast<off64_t>(offset), static_cast<off64_t>(bytes), SYNC_FILE_RANGE_WRITE);
#endif
}

/// Not repeated, whatever it gives: after a failure the system may take lost pages for clean.
int FileSystem::sync(const File& file) {
  if (const int error = before({.call = Call::sync, .path = file.path})) return error;
  return error_of_call(fsync(file.descriptor));
}

int FileSystem::rename(const std::string& from, const std::string& to) {
  if (const int error = before({.call = Call::rename, .path = from, .to = to})) return error;
  return error_of_call(std::rename(from.c_str(), to.c_str()));
}

int FileSystem::remove(const std::string& path) {
  if (const int error = before({.call = Call::remove, .path = path})) return error;
  return error_of_call(unlink(path.c_str()));
}

void FileSystem::close(File& file) {
  if (file.descriptor < 0) return;
  before({.call = Call::close, .path = file.path});
  ::close(file.descriptor);
  file.descriptor = -1;
}

void FileSystem::remove_unlocked(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (descriptor < 0) return;
  File file{descriptor, path};
  bool is_gone = false;
  if (lock(file, is_gone) == 0 && !is_gone) remove(path);
  close(file);
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

int list_folder(const std::string& path, std::vector<std::string>& names) {
  DIR* folder = opendir(path.c_str());
  if (folder == nullptr) return errno;
  errno = 0;
  while (const dirent* entry = readdir(folder)) names.emplace_back(entry->d_name);
  const int error = errno;
  closedir(folder);
  std::ranges::sort(names);
  return error;
}

}  // namespace etch::detail
