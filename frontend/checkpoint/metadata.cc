// The metadata of checkpoints as JSON.
#include "frontend/checkpoint/metadata.h"

#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <vector>

#include "compiler/ir/cat.h"
#include "frontend/checkpoint/layout.h"
#include "frontend/files/crc32c.h"

namespace etch::detail {
namespace {

using nlohmann::json;

constexpr size_t kLongText = 1024;  // bytes; a longer one is a tensor of the file
constexpr int kMaxDepth = 4;
constexpr std::string_view kHead = R"({"crc32c":")";
constexpr size_t kHexDigits = 8;

std::string hex(uint64_t value, size_t digits) {
  std::string text(digits, '0');
  for (size_t i = 0; i < digits; ++i) text[digits - 1 - i] = "0123456789abcdef"[value >> (4 * i) & 15];
  return text;
}

[[noreturn]] void fail_damaged(std::string_view what) { throw Error(cat("its entry `etch` is damaged: ", what)); }

uint64_t from_hex(std::string_view text, size_t digits) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (text.size() != digits || error != std::errc() || end != text.data() + text.size()) {
    fail_damaged("a number is none");
  }
  return value;
}

/// A value with the name of its type. Numbers that JSON has no word for, and texts that are not UTF-8, are their bits.
json encoded(const SavedState::Value& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return {"bool", *flag};
  if (const auto* number = std::get_if<int64_t>(&value)) return {"i64", *number};
  if (const auto* number = std::get_if<uint64_t>(&value)) return {"u64", *number};
  if (const auto* number = std::get_if<double>(&value)) {
    if (std::isfinite(*number)) return {"f64", *number};
    return {"bits", hex(std::bit_cast<uint64_t>(*number), 16)};
  }
  const auto& text = std::get<std::string>(value);
  if (is_utf8(text)) return {"text", text};
  std::string bytes;
  for (const char c : text) bytes += hex(static_cast<uint8_t>(c), 2);
  return {"bytes", bytes};
}

SavedState::Value decoded(const json& value) {
  const bool is_pair = value.is_array() && value.size() == 2 && value[0].is_string();
  if (!is_pair) fail_damaged("a value of the host is none");
  const std::string& type = value[0].get_ref<const std::string&>();
  const json& content = value[1];
  if (type == "bool" && content.is_boolean()) return content.get<bool>();
  if (type == "u64" && content.is_number_unsigned()) return content.get<uint64_t>();
  const bool fits = !content.is_number_unsigned() || content.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX);
  if (type == "i64" && content.is_number_integer() && fits) return content.get<int64_t>();
  if (type == "f64" && content.is_number()) return content.get<double>();
  if (!content.is_string()) fail_damaged("a value of the host is none");
  const auto& text = content.get_ref<const std::string&>();
  if (type == "text") return text;
  if (type == "bits") return std::bit_cast<double>(from_hex(text, 16));
  if (type != "bytes" || text.size() % 2 != 0) fail_damaged("a value of the host is none");
  std::string bytes;
  for (size_t i = 0; i < text.size(); i += 2) {
    bytes += static_cast<char>(from_hex(std::string_view(text).substr(i, 2), 2));
  }
  return bytes;
}

/// JSON of a file: not deep, and no name twice.
json parse_bounded(std::string_view text) {
  std::vector<std::set<std::string>> names;
  const json::parser_callback_t check = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMaxDepth) fail_damaged("it is too deep");
    if (event == json::parse_event_t::object_start) names.emplace_back();
    if (event == json::parse_event_t::object_end) names.pop_back();
    if (event == json::parse_event_t::key && !names.back().insert(parsed.get<std::string>()).second) {
      fail_damaged(cat(in_quotes(parsed.get_ref<const std::string&>()), " stands twice"));
    }
    return true;
  };
  try {
    return json::parse(text, check);
  } catch (const json::exception&) {
    fail_damaged("it is no JSON");
  }
}

const json& member(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) fail_damaged(cat("there is no ", name));
  return *found;
}

FileMetadata::Names names_of(const json& object) {
  FileMetadata::Names names;
  if (!object.is_object()) fail_damaged("a list of names is none");
  for (const auto& [name, other] : object.items()) {
    if (!other.is_string()) fail_damaged("a name is none");
    names.emplace(name, other.get<std::string>());
  }
  return names;
}

uint32_t checksum_of(const json& value) {
  if (!value.is_string()) fail_damaged("a checksum is none");
  return static_cast<uint32_t>(from_hex(value.get_ref<const std::string&>(), kHexDigits));
}

}  // namespace

NamedTensors take_host_tensors(FileMetadata& metadata) {
  NamedTensors tensors;
  SavedState rest;
  for (const auto& [name, value] : metadata.host) {
    const auto* text = std::get_if<std::string>(&value);
    if (const auto* tensor = std::get_if<Tensor>(&value)) {
      tensors.emplace(name, *tensor);
      metadata.host_tensors.emplace(name, false);
    } else if (text && text->size() > kLongText) {
      tensors.emplace(name, Tensor(std::span(reinterpret_cast<const uint8_t*>(text->data()), text->size())));
      metadata.host_tensors.emplace(name, true);
    } else {
      rest.set(name, value);
    }
  }
  metadata.host = std::move(rest);
  return tensors;
}

void put_host_tensors(FileMetadata& metadata, NamedTensors& tensors) {
  for (const auto& [name, is_text] : metadata.host_tensors) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) fail_damaged(cat("there is no tensor ", in_quotes(name)));
    const Tensor& tensor = found->second;
    if (is_text) {
      if (tensor.dtype() != DType::u8) fail_damaged(cat("the tensor ", in_quotes(name), " is no text"));
      const std::span<const uint8_t> bytes = tensor.data<uint8_t>();
      metadata.host.set(name, std::string(bytes.begin(), bytes.end()));
    } else {
      metadata.host.set(name, tensor);
    }
    tensors.erase(found);
  }
  metadata.host_tensors.clear();
}

std::string write_metadata(const FileMetadata& metadata) {
  json body = {{"version", FileMetadata::kVersion}, {"layout", hex(metadata.layout, kHexDigits)},
               {"aliases", metadata.aliases},       {"slots", metadata.slots},
               {"checksums", json::object()},       {"host", json::object()}};
  for (const auto& [name, checksum] : metadata.checksums) body["checksums"][name] = hex(checksum, kHexDigits);
  for (const auto& [name, value] : metadata.host) body["host"][name] = encoded(value);
  for (const auto& [name, is_text] : metadata.host_tensors) {
    body["host"][name] = {is_text ? "text_tensor" : "tensor", nullptr};
  }
  std::string rest;
  try {
    rest = "\"," + body.dump().substr(1);
  } catch (const json::exception&) {
    throw Error("a name of the state that is saved is not UTF-8");
  }
  return cat(kHead, hex(crc32c(rest), kHexDigits), rest);
}

FileMetadata read_metadata(std::string_view text) {
  const bool has_head = text.starts_with(kHead) && text.size() > kHead.size() + kHexDigits;
  if (!has_head) fail_damaged("it does not begin with a checksum");
  const uint64_t expected = from_hex(text.substr(kHead.size(), kHexDigits), kHexDigits);
  if (crc32c(text.substr(kHead.size() + kHexDigits)) != expected) fail_damaged("its checksum is another one");
  const json body = parse_bounded(text);
  const json& version = member(body, "version");
  if (!version.is_number_integer() || version.get<int64_t>() < 1) fail_damaged("its version is none");
  if (version.get<int64_t>() > FileMetadata::kVersion) {
    throw Error(cat("it has version ", version.get<int64_t>(), " of Etch's metadata; this Etch reads up to ",
                    FileMetadata::kVersion));
  }
  FileMetadata metadata;
  metadata.layout = checksum_of(member(body, "layout"));
  metadata.aliases = names_of(member(body, "aliases"));
  metadata.slots = names_of(member(body, "slots"));
  for (const char* name : {"checksums", "host"}) {
    if (!member(body, name).is_object()) fail_damaged(cat(name, " is none"));
  }
  for (const auto& [name, value] : body["checksums"].items()) metadata.checksums.emplace(name, checksum_of(value));
  for (const auto& [name, value] : body["host"].items()) {
    const bool is_tensor = value.is_array() && value.size() == 2 && value[1].is_null() && value[0].is_string();
    if (is_tensor) metadata.host_tensors.emplace(name, value[0] == "text_tensor");
    else metadata.host.set(name, decoded(value));
  }
  return metadata;
}

}  // namespace etch::detail
