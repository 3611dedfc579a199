// Headers of safetensors files, written as JSON and read token by token.
#include "frontend/checkpoint/layout.h"

#include <algorithm>
#include <array>
#include <bit>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <tuple>

#include "compiler/ir/cat.h"
#include "etch/error.h"

namespace etch::detail {
namespace {

using nlohmann::json;

constexpr std::string_view kMetadata = "__metadata__";

/// The format's name of a dtype.
constexpr std::string_view stored_name(DType dtype) {
  switch (dtype) {
    case DType::f16: return "F16";
    case DType::bf16: return "BF16";
    case DType::f32: return "F32";
    case DType::f64: return "F64";
    case DType::i8: return "I8";
    case DType::i16: return "I16";
    case DType::i32: return "I32";
    case DType::i64: return "I64";
    case DType::u8: return "U8";
    case DType::u16: return "U16";
    case DType::u32: return "U32";
    case DType::u64: return "U64";
    case DType::boolean: return "BOOL";
  }
  return {};
}

std::optional<DType> dtype_of_name(std::string_view name) {
  for (int i = 0; i < kNumDTypes; ++i) {
    if (stored_name(static_cast<DType>(i)) == name) return static_cast<DType>(i);
  }
  return {};
}

std::string known_names() {
  std::string names;
  for (int i = 0; i < kNumDTypes; ++i) {
    names += cat(i == 0 ? "" : i + 1 < kNumDTypes ? ", " : " or ", stored_name(static_cast<DType>(i)));
  }
  return names;
}

/// Takes the tokens of a header. What stands where it may not stand ends the reading at once, so no depth is ever
/// reached, and no more is kept than tensors, names and texts.
class HeaderReader {
 public:
  FileLayout layout;
  std::string error;

  bool null() { return unexpected("null"); }
  bool boolean(bool) { return unexpected("true or false"); }
  bool number_float(double, const std::string& text) { return unexpected(text); }
  bool binary(json::binary_t&) { return unexpected("binary data"); }
  bool number_integer(int64_t value) { return unexpected(std::to_string(value)); }
  bool number_unsigned(uint64_t value) {
    if (place_ == Place::shape) {
      if (value > static_cast<uint64_t>(INT64_MAX)) return fail(cat("has the extent ", value));
      if (tensor_.type.shape.rank() == kMaxRank) return fail(cat("has more than ", kMaxRank, " axes"));
      tensor_.type.shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (place_ != Place::offsets) return unexpected(std::to_string(value));
    if (num_offsets_ == 2) return fail("has more than two data_offsets");
    (num_offsets_++ == 0 ? tensor_.begin : tensor_.end) = value;
    return true;
  }

  bool string(std::string& text) {
    if (place_ == Place::metadata && !key_.empty()) {
      if (!layout.metadata.emplace(key_, std::move(text)).second) return fail(cat("has ", in_quotes(key_), " twice"));
      key_.clear();
      return true;
    }
    if (place_ != Place::tensor || key_ != "dtype") return unexpected("a text");
    const std::optional<DType> dtype = dtype_of_name(text);
    if (!dtype) return fail(cat("has the dtype ", in_quotes(text), ", not ", known_names()));
    tensor_.type.dtype = *dtype;
    key_.clear();
    return true;
  }

  bool start_object(size_t) {
    if (place_ == Place::outside) return enter(Place::root);
    if (place_ != Place::root || !has_name_) return unexpected("an object");
    if (tensor_.name == kMetadata) return enter(Place::metadata);
    return enter(Place::tensor);
  }
  bool key(std::string& text) {
    if (place_ == Place::root) {
      if (!names_.insert(text).second) {
        error = cat("its header has ", in_quotes(text), " twice");
        return false;
      }
      tensor_ = {};
      tensor_.name = std::move(text);
      has_name_ = true;
      seen_ = {};
      num_offsets_ = 0;
      return true;
    }
    if (place_ == Place::metadata) {
      key_ = std::move(text);
      if (key_.empty()) return fail("has an empty name");
      return true;
    }
    const int i = text == "dtype" ? 0 : text == "shape" ? 1 : text == "data_offsets" ? 2 : -1;
    if (i < 0) return fail(cat("has ", in_quotes(text), ", not only dtype, shape and data_offsets"));
    if (seen_[static_cast<size_t>(i)]) return fail(cat("has ", in_quotes(text), " twice"));
    seen_[static_cast<size_t>(i)] = true;
    key_ = std::move(text);
    return true;
  }
  bool end_object() {
    if (place_ == Place::tensor) {
      if (!seen_[0] || !seen_[1] || !seen_[2]) return fail("lacks one of dtype, shape and data_offsets");
      if (num_offsets_ != 2) return fail("has not two data_offsets");
      layout.tensors.push_back(std::move(tensor_));
    }
    has_name_ = false;
    place_ = place_ == Place::root ? Place::outside : Place::root;
    return true;
  }

  bool start_array(size_t) {
    if (place_ != Place::tensor || (key_ != "shape" && key_ != "data_offsets")) return unexpected("a list");
    return enter(key_ == "shape" ? Place::shape : Place::offsets);
  }
  bool end_array() {
    key_.clear();
    return enter(Place::tensor);
  }
  bool parse_error(size_t position, const std::string&, const json::exception&) {
    error = cat("its header is no JSON at byte ", kLengthBytes + (position == 0 ? 0 : position - 1));
    return false;
  }

 private:
  enum class Place { outside, root, metadata, tensor, shape, offsets };

  bool enter(Place place) {
    place_ = place;
    return true;
  }
  bool fail(std::string_view what) {
    error = cat("its header's ", has_name_ ? in_quotes(tensor_.name) : std::string("beginning"), " ", what);
    return false;
  }
  bool unexpected(std::string_view what) { return fail(cat("has ", what.substr(0, 32), " where it may not stand")); }

  Place place_ = Place::outside;
  StoredTensor tensor_;
  bool has_name_ = false;
  std::string key_;
  std::array<bool, 3> seen_{};
  int num_offsets_ = 0;
  std::set<std::string> names_;
};

/// Error unless the tensors lie side by side over all bytes, each over as many as its type takes.
void check_places(std::vector<StoredTensor>& tensors, uint64_t data_bytes) {
  for (const StoredTensor& tensor : tensors) {
    if (!is_representable(tensor.type.shape, size_of(tensor.type.dtype))) {
      throw Error(cat("a tensor of ", to_string(tensor.type), ", as ", in_quotes(tensor.name), " says, cannot be"));
    }
    const auto bytes = static_cast<uint64_t>(tensor.type.bytes());
    if (tensor.begin > tensor.end || tensor.end > data_bytes || tensor.end - tensor.begin != bytes) {
      throw Error(cat(in_quotes(tensor.name), " is ", to_string(tensor.type), ", ", bytes,
                      " bytes, but its data_offsets are ", tensor.begin, " and ", tensor.end, " of ", data_bytes));
    }
  }
  std::ranges::stable_sort(tensors, {}, [](const StoredTensor& tensor) { return std::pair(tensor.begin, tensor.end); });
  uint64_t end = 0;
  for (const StoredTensor& tensor : tensors) {
    if (tensor.begin != end) {
      throw Error(cat(in_quotes(tensor.name), " begins at ", tensor.begin, " where ", end, " would follow: tensors ",
                      tensor.begin < end ? "overlap" : "leave a hole"));
    }
    end = tensor.end;
  }
  if (end != data_bytes) throw Error(cat("it holds ", data_bytes, " bytes of elements, but its tensors take ", end));
}

}  // namespace

std::string in_quotes(std::string_view text) {
  constexpr size_t kLongest = 64;
  std::string result = "'";
  for (const char c : text.substr(0, kLongest)) result += c >= ' ' && c <= '~' ? c : '?';
  return result + (text.size() > kLongest ? "...'" : "'");
}

bool is_utf8(std::string_view text) {
  try {
    (void)json(text).dump();
    return true;
  } catch (const json::exception&) {
    return false;
  }
}

void place_tensors(std::vector<StoredTensor>& tensors) {
  const auto alignment = [](const StoredTensor& tensor) {
    const auto bytes = static_cast<uint64_t>(tensor.type.bytes());
    return std::min(kDataAlignment, bytes == 0 ? kDataAlignment : uint64_t{1} << std::countr_zero(bytes));
  };
  std::ranges::stable_sort(tensors, std::greater(), alignment);
  uint64_t offset = 0;
  for (StoredTensor& tensor : tensors) {
    tensor.begin = offset;
    tensor.end = offset += static_cast<uint64_t>(tensor.type.bytes());
  }
}

std::string write_layout(const FileLayout& layout) {
  json header = json::object();
  if (!layout.metadata.empty()) header[std::string(kMetadata)] = layout.metadata;
  for (const StoredTensor& tensor : layout.tensors) {
    if (tensor.name == kMetadata) {
      throw Error(cat("a tensor cannot be called ", kMetadata, ", which is the format's own name"));
    }
    if (!is_utf8(tensor.name)) throw Error(cat("the name ", in_quotes(tensor.name), " is not UTF-8"));
    header[tensor.name] = {{"dtype", stored_name(tensor.type.dtype)},
                           {"shape", std::vector<int64_t>(tensor.type.shape.begin(), tensor.type.shape.end())},
                           {"data_offsets", {tensor.begin, tensor.end}}};
  }
  std::string text = header.dump();
  text.resize((kLengthBytes + text.size() + kDataAlignment - 1) / kDataAlignment * kDataAlignment - kLengthBytes, ' ');
  if (text.size() > kMaxHeaderBytes) {
    throw Error(cat("its header would have ", text.size(), " bytes; there may be ", kMaxHeaderBytes));
  }
  std::string length(kLengthBytes, '\0');
  for (size_t i = 0; i < kLengthBytes; ++i) length[i] = static_cast<char>(text.size() >> (8 * i));
  return length + text;
}

FileLayout read_layout(std::string_view header, uint64_t data_bytes) {
  // For the parser it would be the end.
  if (const size_t zero = header.find('\0'); zero != std::string_view::npos) {
    throw Error(cat("its header is no JSON at byte ", kLengthBytes + zero));
  }
  HeaderReader reader;
  const bool is_read = json::sax_parse(header.begin(), header.end(), &reader);
  if (!is_read) throw Error(reader.error.empty() ? "its header is no JSON" : reader.error);
  check_places(reader.layout.tensors, data_bytes);
  return std::move(reader.layout);
}

std::string text_of_places(std::vector<StoredTensor> tensors) {
  std::ranges::sort(tensors, {},
                    [](const StoredTensor& tensor) { return std::tie(tensor.begin, tensor.end, tensor.name); });
  std::string text;
  for (const StoredTensor& tensor : tensors) {
    text += cat(tensor.name.size(), " ", tensor.name, " ", stored_name(tensor.type.dtype), " ",
                to_string(tensor.type.shape), " ", tensor.begin, " ", tensor.end, "\n");
  }
  return text;
}

}  // namespace etch::detail
