// Reads a file of framed records.
#include "frontend/files/record_reader.h"

#include <algorithm>
#include <cstring>

#include "compiler/ir/cat.h"
#include "frontend/files/crc32c.h"
#include "frontend/files/record_format.h"

namespace etch::detail {
namespace {

template <class T>
T load(const char* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

}  // namespace

void RecordReader::fail(uint64_t at, std::string_view what, std::string_view reason) {
  fail_reading(path(), cat(what, " at byte ", at, reason));
}

void RecordReader::seek(uint64_t position) {
  source_->seek(position);
  is_lost_ = false;
}

bool RecordReader::read_length(uint64_t& length) {
  if (is_lost_) return false;
  const uint64_t at = position();
  const std::string_view header = source_->peek(kRecordHeader);
  if (header.empty()) return false;
  is_lost_ = true;  // unless all goes well
  if (header.size() < kRecordHeader)
    fail(at, "the record", cat(" is cut off: the file ends at byte ", at + header.size()));
  length = load<uint64_t>(header.data());
  if (mask_crc32c(crc32c(header.data(), sizeof length)) != load<uint32_t>(header.data() + sizeof length)) {
    fail(at, "the length of the record", " is corrupt: its checksum is another one");
  }
  source_->consume(kRecordHeader);
  const uint64_t left = source_->most_left();
  if (left < kRecordFooter || length > left - kRecordFooter) {
    fail(at, "the record", cat(" is cut off: it has ", length, " bytes, and no more than ",
                               left - std::min<uint64_t>(left, kRecordFooter), " are left"));
  }
  return true;
}

bool RecordReader::holds(const char* frame, uint64_t length) {
  const char* const data = frame + kRecordHeader;
  const RecordCrcs crcs = crc32c_of_record(length, data);
  return mask_crc32c(crcs.length) == load<uint32_t>(frame + sizeof length) &&
         mask_crc32c(crcs.data) == load<uint32_t>(data + length);
}

/// A record that reaches beyond what is buffered, or that is corrupt.
bool RecordReader::next_slowly(std::string_view& record) {
  const uint64_t at = position();
  uint64_t length = 0;
  if (!read_length(length)) return false;
  if (length > most_bytes_) {
    fail(at, "the record", cat(" has ", length, " bytes, more than the limit of ", most_bytes_));
  }
  const char* data = nullptr;
  size_t got = 0;
  if (length + kRecordFooter <= ByteSource::kBuffer) {
    const std::string_view bytes = source_->peek(length + kRecordFooter);
    data = bytes.data();
    got = std::min<size_t>(bytes.size(), length + kRecordFooter);
    source_->consume(got);
  } else {
    read_large(length + kRecordFooter);
    data = large_.data();
    got = large_.size();
  }
  if (got < length + kRecordFooter) {
    fail(at, "the record", cat(" is cut off: the file ends at byte ", position()));
  }
  is_lost_ = false;
  if (mask_crc32c(crc32c(data, length)) != load<uint32_t>(data + length)) {
    fail(at, "the record", " is corrupt: its checksum is another one");
  }
  record = {data, length};
  return true;
}

/// Memory is taken as bytes come, so that a false length of a packed file costs no more than what is there.
void RecordReader::read_large(uint64_t bytes) {
  constexpr size_t kPart = size_t{1} << 24;
  large_.clear();
  while (large_.size() < bytes) {
    const size_t before = large_.size();
    const size_t part = std::min<uint64_t>(kPart, bytes - before);
    large_.resize(before + part);
    const size_t got = source_->read(large_.data() + before, part);
    if (got == part) continue;
    large_.resize(before + got);
    return;
  }
}

bool RecordReader::skip() {
  const uint64_t at = position();
  uint64_t length = 0;
  if (!read_length(length)) return false;
  if (source_->skip(length + kRecordFooter) < length + kRecordFooter) {
    fail(at, "the record", cat(" is cut off: the file ends at byte ", position()));
  }
  is_lost_ = false;
  return true;
}

}  // namespace etch::detail
