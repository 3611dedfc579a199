// A small reader of event files, apart from the messages that the library writes them with: fields of protobuf's wire format by
// their numbers.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/files/crc32c.h"

namespace etch {

inline std::string file_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

/// The records of a file's bytes, whose checksums are verified. A cut-off record at the end is an exception.
inline std::vector<std::string> records_of(std::string_view bytes) {
  std::vector<std::string> records;
  const auto check = [](std::string_view part, const char* crc) {
    uint32_t expected = 0;
    std::memcpy(&expected, crc, sizeof expected);
    if (detail::mask_crc32c(detail::crc32c(part)) != expected) throw std::runtime_error("a checksum is wrong");
  };
  while (!bytes.empty()) {
    uint64_t length = 0;
    if (bytes.size() < 16) throw std::runtime_error("a record is cut off");
    std::memcpy(&length, bytes.data(), sizeof length);
    check(bytes.substr(0, 8), bytes.data() + 8);
    if (bytes.size() - 16 < length) throw std::runtime_error("a record is cut off");
    records.emplace_back(bytes.substr(12, length));
    check(records.back(), bytes.data() + 12 + length);
    bytes.remove_prefix(16 + length);
  }
  return records;
}

/// The fields of a message by number, each the raw bytes of its values: of a varint 8 bytes.
class Message {
 public:
  Message() = default;
  explicit Message(std::string_view bytes) {
    while (!bytes.empty()) {
      const uint64_t key = varint(bytes);
      std::string value;
      switch (key & 7) {
        case 0: {
          const uint64_t number = varint(bytes);
          value.assign(reinterpret_cast<const char*>(&number), 8);
          break;
        }
        case 1: value = take(bytes, 8); break;
        case 2: value = take(bytes, varint(bytes)); break;
        case 5: value = take(bytes, 4); break;
        default: throw std::runtime_error("an unknown wire type");
      }
      fields_[static_cast<int>(key >> 3)].push_back(value);
    }
  }

  bool has(int field) const { return fields_.contains(field); }
  const std::vector<std::string>& all(int field) const {
    static const std::vector<std::string> none;
    const auto found = fields_.find(field);
    return found == fields_.end() ? none : found->second;
  }
  std::string bytes(int field) const { return has(field) ? all(field).front() : ""; }
  Message message(int field) const { return Message(bytes(field)); }
  int64_t integer(int field) const { return has(field) ? number<int64_t>(bytes(field)) : 0; }
  double real(int field) const { return has(field) ? number<double>(bytes(field)) : 0; }

  template <class T>
  static T number(std::string_view bytes) {
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  template <class T>
  static std::vector<T> numbers(std::string_view bytes) {
    std::vector<T> values(bytes.size() / sizeof(T));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
    return values;
  }

 private:
  static uint64_t varint(std::string_view& bytes) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(bytes, 1)[0]);
      value |= uint64_t{byte & 127u} << shift;
      if (byte < 128) return value;
    }
  }
  static std::string take(std::string_view& bytes, uint64_t count) {
    if (bytes.size() < count) throw std::runtime_error("a message is cut off");
    std::string taken(bytes.substr(0, count));
    bytes.remove_prefix(count);
    return taken;
  }

  std::map<int, std::vector<std::string>> fields_;
};

/// One summary of a file, or its version or graph.
struct SeenEvent {
  double wall_time = 0;
  int64_t step = 0;
  std::string tag, plugin, description;
  std::string version, graph;
  Message tensor;

  float scalar() const { return Message::numbers<float>(tensor.bytes(5)).at(0); }
  std::vector<double> rows() const { return Message::numbers<double>(tensor.bytes(4)); }
  const std::vector<std::string>& strings() const { return tensor.all(8); }
  std::vector<int64_t> shape() const {
    std::vector<int64_t> extents;
    const Message shape = tensor.message(2);
    for (const std::string& dim : shape.all(2)) extents.push_back(Message(dim).integer(1));
    return extents;
  }
};

inline SeenEvent seen(const std::string& record) {
  const Message event(record);
  const Message value = event.message(5).message(1), metadata = value.message(9);
  return {event.real(1), event.integer(2), value.bytes(1), metadata.message(1).bytes(1), metadata.bytes(3),
          event.bytes(3), event.bytes(4), value.message(8)};
}

/// The events behind the version, which is checked.
inline std::vector<SeenEvent> events_in(const std::string& path) {
  std::vector<SeenEvent> events;
  for (const std::string& record : records_of(file_bytes(path))) events.push_back(seen(record));
  if (events.empty() || events[0].version != "brain.Event:2") throw std::runtime_error(path + " does not begin with a version");
  events.erase(events.begin());
  return events;
}

/// A record without its time, which stands first.
inline std::string without_time(std::string record) { return record.substr(9); }

/// `loss@3`, in the order of the file.
inline std::vector<std::string> tags_in(const std::string& path) {
  std::vector<std::string> tags;
  for (const SeenEvent& event : events_in(path)) tags.push_back(event.tag + "@" + std::to_string(event.step));
  return tags;
}

/// A folder for a part of a test, empty.
inline std::string test_folder(const std::string& part = "run") {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  const std::string folder = testing::TempDir() + "etch_summary_" + info->test_suite_name() + "_" + info->name() + "/" + part;
  std::filesystem::remove_all(folder);
  return folder;
}

}  // namespace etch
