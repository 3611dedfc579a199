// A directory below which files are found and opened, and nothing outside of it.
#pragma once

#include <string>
#include <vector>

#include "frontend/files/file.h"

namespace etch::detail {

/// Paths are relative to the directory. Symbolic links are followed to files within it; one that leads outside, or to a
/// folder, is an Error. The system checks each step as it opens, so that a link that is swapped meanwhile changes
/// nothing.
class Directory {
 public:
  explicit Directory(std::string path);

  const std::string& path() const { return path_; }
  std::string path_of(const std::string& relative) const { return path_ + "/" + relative; }
  /// Error unless it is a regular file.
  OpenedFile open(const std::string& relative) const;
  /// The folders right in it, sorted by bytes.
  std::vector<std::string> folders() const;
  /// The files at any depth below one of them, sorted by bytes; for which of them `wanted` is true of the name.
  std::vector<std::string> files_below(const std::string& folder, bool (*wanted)(std::string_view name)) const;

 private:
  struct Entry {
    std::string name;
    bool is_folder;
  };
  Descriptor open_beneath(const std::string& relative, int flags) const;
  std::vector<Entry> entries(const std::string& relative) const;
  void add_files(const std::string& folder, bool (*wanted)(std::string_view), int depth,
                 std::vector<std::string>& files) const;

  std::string path_;
  Descriptor root_;
};

}  // namespace etch::detail
