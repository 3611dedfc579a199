// Writes a file of framed records.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "frontend/files/file.h"

namespace etch::detail {

/// Writes records behind each other. The file holds whole records at all times: a flush that fails takes back what it
/// wrote.
class RecordWriter {
 public:
  explicit RecordWriter(std::string path, OutputFile::Mode mode = OutputFile::Mode::replace)
      : file_(std::move(path), mode) {}

  const std::string& path() const { return file_.path(); }
  /// Adds a record to the buffer, which is flushed before if it is full: on an Error the record was not taken.
  void write(std::string_view record);
  void flush() { file_.flush(); }
  void sync() { file_.sync(); }
  void close() { file_.close(); }

 private:
  OutputFile file_;
};

/// Appends the frame and the bytes of a record.
void append_record(std::string& to, std::string_view record);
void append_record(OutputFile& to, std::string_view record);

}  // namespace etch::detail
