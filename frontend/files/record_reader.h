// Reads a file of framed records.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "frontend/files/file.h"
#include "frontend/files/record_format.h"

namespace etch::detail {

/// Reads records in order and verifies their checksums. Errors name the path and the byte at which the record starts.
/// After a record whose bytes are corrupt the next one is read; after a corrupt length or a cut-off record there is no
/// next one.
class RecordReader {
 public:
  static constexpr uint64_t kMostBytes = uint64_t{1} << 30;

  /// @param most_bytes of a record; a longer one is an Error before memory is taken for it.
  explicit RecordReader(std::unique_ptr<ByteSource> source, uint64_t most_bytes = kMostBytes)
      : source_(std::move(source)), most_bytes_(most_bytes) {}

  const std::string& path() const { return source_->path(); }
  /// Where the next record starts, in unpacked bytes.
  uint64_t position() const { return source_->position(); }
  /// Goes to where a record starts.
  void seek(uint64_t position);
  /// Reads a record, whose bytes stay valid until the next call. False at the end.
  bool next(std::string_view& record) {
    const std::string_view bytes = source_->buffered();
    if (bytes.size() >= kRecordHeader + kRecordFooter) [[likely]] {
      uint64_t length = 0;
      std::memcpy(&length, bytes.data(), sizeof length);
      if (length <= bytes.size() - kRecordHeader - kRecordFooter && length <= most_bytes_ &&
          holds(bytes.data(), length)) [[likely]] {
        source_->consume(kRecordHeader + length + kRecordFooter);
        record = bytes.substr(kRecordHeader, length);
        return true;
      }
    }
    return next_slowly(record);
  }
  /// Passes a record without reading its bytes. False at the end.
  bool skip();

 private:
  /// True if the checksums of a whole record are right.
  static bool holds(const char* frame, uint64_t length);
  bool next_slowly(std::string_view& record);
  bool read_length(uint64_t& length);
  void read_large(uint64_t length);
  [[noreturn]] void fail(uint64_t at, std::string_view what, std::string_view reason);

  std::unique_ptr<ByteSource> source_;
  uint64_t most_bytes_;
  bool is_lost_ = false;  // where the next record starts is not known
  std::string large_;     // a record that does not fit into the source's buffer
};

}  // namespace etch::detail
