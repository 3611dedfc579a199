// A directory below which files are found and opened, and nothing outside of it.
#include "frontend/files/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "compiler/ir/cat.h"

namespace etch::detail {
namespace {

constexpr int kOpen = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

int open_beneath_by_system(int root, const char* path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how));
}

/// For systems that cannot (before Linux 5.6, or where it is not let through): follows no link at all.
int open_without_links(int root, std::string path, int flags) {
  Descriptor folder;
  int at = root;
  for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/')) {
    folder = Descriptor(::openat(at, path.substr(0, slash).c_str(), kOpen | O_DIRECTORY | O_NOFOLLOW));
    if (!folder.is_open()) return -1;
    at = folder.get();
    path.erase(0, slash + 1);
  }
  return ::openat(at, path.c_str(), flags | O_NOFOLLOW);
}

}  // namespace

Directory::Directory(std::string path)
    : path_(std::move(path)), root_(::open(path_.c_str(), kOpen | O_DIRECTORY)) {
  if (!root_.is_open()) fail_reading(path_, errno_text(errno));
  while (path_.size() > 1 && path_.ends_with('/')) path_.pop_back();
}

Descriptor Directory::open_beneath(const std::string& relative, int flags) const {
  int number = open_beneath_by_system(root_.get(), relative.c_str(), flags);
  if (number < 0 && (errno == ENOSYS || errno == EPERM)) number = open_without_links(root_.get(), relative, flags);
  if (number >= 0) return Descriptor(number);
  if (errno == EXDEV) fail_reading(path_of(relative), cat("it is a symbolic link that leads outside of ", path_));
  fail_reading(path_of(relative), errno_text(errno));
}

OpenedFile Directory::open(const std::string& relative) const {
  OpenedFile file{open_beneath(relative, kOpen)};
  struct stat status;
  if (fstat(file.descriptor.get(), &status) != 0) fail_reading(path_of(relative), errno_text(errno));
  if (!S_ISREG(status.st_mode)) fail_reading(path_of(relative), "it is not a regular file");
  file.size = static_cast<uint64_t>(status.st_size);
  return file;
}

std::vector<Directory::Entry> Directory::entries(const std::string& relative) const {
  Descriptor folder = open_beneath(relative, kOpen | O_DIRECTORY);
  // fdopendir takes the descriptor over.
  const int number = ::dup(folder.get());
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(number < 0 ? nullptr : ::fdopendir(number), ::closedir);
  if (stream == nullptr) {
    if (number >= 0) ::close(number);
    fail_reading(path_of(relative), errno_text(errno));
  }
  std::vector<Entry> entries;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    struct stat status;
    if (::fstatat(folder.get(), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0) continue;  // gone meanwhile
    const bool is_folder = S_ISDIR(status.st_mode);
    if (S_ISLNK(status.st_mode)) {
      const std::string path = relative == "." ? name : relative + "/" + name;
      const Descriptor target = open_beneath(path, kOpen);
      if (::fstat(target.get(), &status) == 0 && S_ISDIR(status.st_mode)) {
        fail_reading(path_of(path), "it is a symbolic link to a folder; links are followed to files only");
      }
    }
    if (is_folder || S_ISREG(status.st_mode)) entries.push_back({name, is_folder});
  }
  if (errno != 0) fail_reading(path_of(relative), errno_text(errno));
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
  return entries;
}

std::vector<std::string> Directory::folders() const {
  std::vector<std::string> folders;
  for (Entry& entry : entries(".")) {
    if (entry.is_folder) folders.push_back(std::move(entry.name));
  }
  return folders;
}

std::vector<std::string> Directory::files_below(const std::string& folder, bool (*wanted)(std::string_view)) const {
  std::vector<std::string> files;
  add_files(folder, wanted, 0, files);
  std::sort(files.begin(), files.end());
  return files;
}

void Directory::add_files(const std::string& folder, bool (*wanted)(std::string_view), int depth,
                          std::vector<std::string>& files) const {
  constexpr int kDeepest = 64;
  if (depth == kDeepest) fail_reading(path_of(folder), cat("it lies more than ", kDeepest, " folders deep"));
  for (const Entry& entry : entries(folder)) {
    const std::string path = folder + "/" + entry.name;
    if (entry.is_folder) {
      add_files(path, wanted, depth + 1, files);
    } else if (wanted(entry.name)) {
      files.push_back(path);
    }
  }
}

}  // namespace etch::detail
