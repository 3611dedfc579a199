// The header of NumPy's .npy files.
#include "frontend/files/npy_header.h"

#include <charconv>
#include <cstring>

#include "compiler/ir/cat.h"
#include "compiler/ir/graph.h"
#include "frontend/files/quote.h"
#include "frontend/tensor_impl.h"

namespace etch::detail {
namespace {

constexpr size_t kMaxHeader = size_t{1} << 16;

/// The name that NumPy or ml_dtypes gives a dtype, such as `float32`.
std::string numpy_name(DType dtype) {
  if (dtype == DType::bf16) return "bfloat16";
  const int64_t bits = 8 * size_of(dtype);
  switch (info(dtype).kind) {
    case DTypeKind::floating: return cat("float", bits);
    case DTypeKind::signed_integer: return cat("int", bits);
    case DTypeKind::unsigned_integer: return cat("uint", bits);
    case DTypeKind::boolean: break;
  }
  return "bool";
}

class HeaderReader {
 public:
  HeaderReader(const std::function<void(void*, size_t)>& read, const std::string& path, Location where)
      : read_(read), path_(path), where_(where) {}

  NpyHeader read() {
    const std::string text = read_header();
    return parse(text);
  }

 private:
  [[noreturn]] void fail(std::string_view reason) const { fail_npy(path_, where_, reason); }

  std::string read_header() {
    uint8_t head[8];
    read_(head, sizeof head);
    if (std::memcmp(head, kNpyMagic.data(), kNpyMagic.size()) != 0) {
      fail("it is no .npy file: it does not start with \\x93NUMPY");
    }
    const int version = head[6];
    if (version < 1 || version > 3 || head[7] != 0) {
      fail(cat("its format version ", version, ".", int{head[7]}, " is unknown"));
    }
    uint8_t length_bytes[4] = {};
    read_(length_bytes, version == 1 ? 2 : 4);
    size_t length = 0;
    for (int i = 3; i >= 0; --i) length = length << 8 | length_bytes[i];
    if (length > kMaxHeader) fail(cat("its header of ", length, " bytes is too long"));
    std::string header(length, '\0');
    read_(header.data(), length);
    return header;
  }

  /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`: the three keys once each, in any order.
  NpyHeader parse(std::string_view text) {
    text_ = text;
    NpyHeader header;
    bool seen[3] = {};
    expect('{');
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      const int i = key == "descr" ? 0 : key == "fortran_order" ? 1 : key == "shape" ? 2 : -1;
      if (i < 0 || seen[i]) fail(cat("its header has the key ", quote(key), i < 0 ? "" : " twice"));
      seen[i] = true;
      if (i == 0) header.dtype = dtype();
      if (i == 1) header.fortran = boolean();
      if (i == 2) header.shape = shape();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!text_.empty()) fail_header();
    if (!seen[0] || !seen[1] || !seen[2]) fail("its header lacks one of descr, fortran_order and shape");
    return header;
  }

  [[noreturn]] void fail_header() const { fail("its header is malformed"); }

  void skip_space() {
    while (!text_.empty() && (text_[0] == ' ' || text_[0] == '\n' || text_[0] == '\t')) text_.remove_prefix(1);
  }
  bool accept(char c) {
    skip_space();
    if (text_.empty() || text_[0] != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail_header();
  }

  std::string quoted() {
    skip_space();
    if (text_.empty() || (text_[0] != '\'' && text_[0] != '"')) fail_header();
    const size_t end = text_.find(text_[0], 1);
    if (end == text_.npos) fail_header();
    std::string value(text_.substr(1, end - 1));
    text_.remove_prefix(end + 1);
    return value;
  }

  DType dtype() {
    skip_space();
    if (text_.starts_with('[')) fail("its elements are records; save one array per field, `x[\"name\"]`");
    const std::string descr = quoted();
    std::string known;
    for (int i = 0; i < kNumDTypes; ++i) {
      const auto dtype = static_cast<DType>(i);
      if (descr == info(dtype).npy || is_untyped(descr, dtype)) return dtype;
      known += cat(i == 0 ? "" : i + 1 < kNumDTypes ? ", " : " or ", numpy_name(dtype));
    }
    fail(cat("its dtype is ", quote(descr), ", not ", known, "; ", way_out(descr)));
  }

  /// Bytes without a type, as NumPy itself writes what ml_dtypes calls bfloat16, have no byte order.
  static bool is_untyped(std::string_view descr, DType dtype) {
    return descr.size() > 1 && descr[1] == 'V' && descr.substr(1) == info(dtype).npy.substr(1);
  }

  /// What to do in NumPy about elements that no tensor holds. `descr` is byte order, kind and size, such as `>f4`.
  static std::string way_out(std::string_view descr) {
    const char order = descr.empty() ? ' ' : descr[0];
    const std::string_view rest = descr.substr(std::min<size_t>(1, descr.size()));
    for (const DTypeInfo& known : kDTypes) {
      if (order != '>' || rest != known.npy.substr(1)) continue;
      return cat("it is big endian, save `x.astype('", known.npy, "')`");
    }
    switch (rest.empty() ? ' ' : rest[0]) {
      case 'f': return "save `x.astype(np.float64)`";
      case 'c': return "save `x.real` and `x.imag`";
      case 'O': return "save the objects as numbers, `x.astype(np.float32)`";
      case 'm':
      case 'M': return "save `x.astype(np.int64)`";
      default: return "save numbers, `x.astype(np.float32)`";
    }
  }

  bool boolean() {
    skip_space();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (!text_.starts_with(word)) continue;
      text_.remove_prefix(word.size());
      return value;
    }
    fail_header();
  }

  Shape shape() {
    Shape shape;
    expect('(');
    while (!accept(')')) {
      skip_space();
      int64_t extent = 0;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), extent);
      if (error == std::errc::result_out_of_range) fail("an extent is beyond 64 bits");
      if (error != std::errc()) fail_header();
      if (extent < 0) fail("an extent is negative");
      if (shape.rank() == kMaxRank) fail("it has more than 8 axes");
      shape.push_back(extent);
      text_.remove_prefix(static_cast<size_t>(end - text_.data()));
      accept('L');  // Python 2 wrote `(3L, 4L)`
      if (accept(',')) continue;
      if (shape.rank() == 1) fail_header();  // `(3)` is no tuple
      expect(')');
      break;
    }
    return shape;
  }

  const std::function<void(void*, size_t)>& read_;
  const std::string& path_;
  Location where_;
  std::string_view text_;  // what of the header is left
};

}  // namespace

void fail_npy(const std::string& path, Location where, std::string_view reason) {
  fail(where, cat("cannot read ", path, ": ", reason));
}

NpyHeader read_npy_header(const std::function<void(void*, size_t)>& read, const std::string& path, Location where) {
  const NpyHeader header = HeaderReader(read, path, where).read();
  if (!is_representable(header.shape, size_of(header.dtype))) {
    fail_npy(path, where, cat("a tensor of ", to_string(Type{header.dtype, header.shape}), " cannot be"));
  }
  return header;
}

}  // namespace etch::detail
