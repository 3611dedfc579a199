// Writes a file of framed records.
#include "frontend/files/record_writer.h"

#include <cstring>

#include "frontend/files/crc32c.h"
#include "frontend/files/record_format.h"

namespace etch::detail {
namespace {

struct Frame {
  char header[kRecordHeader];
  char footer[kRecordFooter];
};

Frame frame_of(std::string_view record) {
  Frame frame;
  const uint64_t length = record.size();
  const RecordCrcs crcs = crc32c_of_record(length, record.data());
  const uint32_t length_crc = mask_crc32c(crcs.length);
  const uint32_t crc = mask_crc32c(crcs.data);
  std::memcpy(frame.header, &length, sizeof length);
  std::memcpy(frame.header + sizeof length, &length_crc, sizeof length_crc);
  std::memcpy(frame.footer, &crc, sizeof crc);
  return frame;
}

template <class To>
void append_to(To& to, std::string_view record) {
  const Frame frame = frame_of(record);
  to.append(std::string_view(frame.header, kRecordHeader));
  to.append(record);
  to.append(std::string_view(frame.footer, kRecordFooter));
}

}  // namespace

void append_record(std::string& to, std::string_view record) { append_to(to, record); }
void append_record(OutputFile& to, std::string_view record) { append_to(to, record); }

void RecordWriter::write(std::string_view record) {
  if (file_.is_full()) file_.flush();
  append_record(file_, record);
}

}  // namespace etch::detail
