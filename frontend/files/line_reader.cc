// Reads a text file line by line.
#include "frontend/files/line_reader.h"

#include <cstring>

#include "compiler/ir/cat.h"

namespace etch::detail {

void LineReader::seek(uint64_t position, uint64_t line) {
  source_->seek(position);
  line_ = line;
}

bool LineReader::next(std::string_view& line) {
  std::string_view bytes = source_->peek(1);
  if (bytes.empty()) return false;
  ++line_;
  const void* end = std::memchr(bytes.data(), '\n', bytes.size());
  if (end == nullptr) {
    // It may end in what the buffer does not hold yet.
    bytes = source_->peek(ByteSource::kBuffer);
    end = std::memchr(bytes.data(), '\n', bytes.size());
  }
  const auto length_to = [&](const void* last) {
    return last == nullptr ? bytes.size() : static_cast<size_t>(static_cast<const char*>(last) - bytes.data()) + 1;
  };
  line = bytes.substr(0, length_to(end));
  if (end == nullptr && bytes.size() == ByteSource::kBuffer) {
    long_.clear();
    while (!bytes.empty() && end == nullptr) {
      end = std::memchr(bytes.data(), '\n', bytes.size());
      const size_t length = length_to(end);
      if (long_.size() <= most_bytes_) long_ += bytes.substr(0, length);  // of one that is too long the rest is passed
      source_->consume(length);
      bytes = source_->peek(1);
    }
    line = long_;
  } else {
    source_->consume(line.size());
  }
  if (line.size() > most_bytes_) {
    fail_reading(path(), cat("line ", line_, " is longer than the limit of ", most_bytes_, " bytes"));
  }
  return true;
}

}  // namespace etch::detail
