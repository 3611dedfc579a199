// Reads a text file line by line.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "frontend/files/file.h"

namespace etch::detail {

/// Lines that end with \n, with \r\n or, the last one, with the file. Errors name the path and the line.
class LineReader {
 public:
  static constexpr uint64_t kMostBytes = uint64_t{1} << 24;

  /// @param most_bytes of a line with its end; a longer one is an Error.
  explicit LineReader(std::unique_ptr<ByteSource> source, uint64_t most_bytes = kMostBytes)
      : source_(std::move(source)), most_bytes_(most_bytes) {}

  const std::string& path() const { return source_->path(); }
  /// Where the next line starts.
  uint64_t position() const { return source_->position(); }
  /// The number of the line that next gave last, from 1.
  uint64_t line() const { return line_; }
  /// Goes to where a line starts; `line` is the number of the one before.
  void seek(uint64_t position, uint64_t line);
  /// Reads a line with its end; its bytes stay valid until the next call. False at the end of the file.
  bool next(std::string_view& line);

 private:
  std::unique_ptr<ByteSource> source_;
  uint64_t most_bytes_;
  uint64_t line_ = 0;
  std::string long_;  // a line that reaches beyond the source's buffer
};

/// A line without its end.
inline std::string_view without_end(std::string_view line) {
  if (!line.ends_with('\n')) return line;
  line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace etch::detail
