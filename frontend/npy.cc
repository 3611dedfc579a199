// NumPy's .npy files (the format is numpy/lib/format.py's: magic, version, header length, header dictionary, elements).
#include "etch/npy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "compiler/ir/cat.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"

namespace etch {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxHeader = size_t{1} << 16;

static_assert(std::endian::native == std::endian::little, "elements are copied as they lie in the file");

/// An open file.
class File {
 public:
  explicit File(std::FILE* file) : file_(file) {}
  ~File() {
    if (file_) std::fclose(file_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  std::FILE* get() const { return file_; }
  /// False if what was written could not be.
  bool close() { return std::fclose(std::exchange(file_, nullptr)) == 0; }

 private:
  std::FILE* file_;
};

/// Opens a file for reading, without waiting for the other end if it is a pipe.
std::FILE* open_to_read(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return nullptr;
  std::FILE* file = fdopen(descriptor, "rb");
  if (file == nullptr) close(descriptor);
  return file;
}

/// Text of a file for an error message: short and printable.
std::string quote(std::string_view text) {
  constexpr size_t kLongest = 32;
  std::string quoted = "'";
  for (char c : text.substr(0, kLongest)) quoted += c >= ' ' && c <= '~' ? c : '?';
  return quoted + (text.size() > kLongest ? "...'" : "'");
}

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

/// Elements in Fortran order, copied into row-major order: a walk along the rows of the result.
void copy_from_fortran(const uint8_t* from, uint8_t* to, const Type& type) {
  const Shape& shape = type.shape;
  const auto size = static_cast<size_t>(size_of(type.dtype));
  Dims strides = shape;  // in elements of `from`, whose first axis is the innermost
  int64_t stride = 1;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    strides[axis] = stride;
    stride *= shape[axis];
  }
  Dims index = Dims::filled(shape.rank(), 0);
  int64_t offset = 0;
  for (int64_t i = 0, n = shape.product(); i < n; ++i) {
    std::memcpy(to + static_cast<size_t>(i) * size, from + static_cast<size_t>(offset) * size, size);
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      offset += strides[axis];
      if (++index[axis] < shape[axis]) break;
      offset -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

/// What the header says.
struct Header {
  DType dtype = DType::f32;
  bool fortran = false;
  Shape shape;
};

/// Reads one file; every failure names it.
class Reader {
 public:
  Reader(const std::string& path, Location where) : path_(path), where_(where), file_(open_to_read(path)) {
    if (file_.get() == nullptr) fail(std::strerror(errno));
    struct stat status;
    if (fstat(fileno(file_.get()), &status) != 0) fail(std::strerror(errno));
    if (!S_ISREG(status.st_mode)) fail("it is not a regular file");
    size_ = status.st_size;
  }

  Tensor read() {
    const Header header = parse(read_header());
    const Type type{header.dtype, header.shape};
    if (!is_representable(type.shape, size_of(type.dtype))) fail(cat("a tensor of ", to_string(type), " cannot be"));
    const int64_t rest = size_ - std::ftell(file_.get());
    if (rest != type.bytes()) {
      fail(cat("it holds ", rest, " bytes of elements, but ", to_string(type), " takes ", type.bytes(),
               rest > type.bytes() ? "; save one array per file" : ""));
    }
    Tensor tensor = allocate(type);
    uint8_t* data = data_of(tensor);
    read_bytes(data, static_cast<size_t>(rest), "elements");
    if (type.dtype == DType::boolean) {
      for (int64_t i = 0; i < rest; ++i) {
        if (data[i] > 1) fail("a bool is neither 0 nor 1");
      }
    }
    if (!header.fortran || type.shape.rank() < 2) return tensor;
    Tensor row_major = allocate(type);
    copy_from_fortran(data, data_of(row_major), type);
    return row_major;
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    detail::fail(where_, cat("cannot read ", path_, ": ", reason));
  }

  Tensor allocate(const Type& type) const {
    return detail::allocate(type.dtype, type.shape, where_, cat("the elements of ", path_));
  }
  static uint8_t* data_of(const Tensor& tensor) {
    return static_cast<uint8_t*>(detail::TensorAccess::get(tensor)->data);
  }

  void read_bytes(void* to, size_t bytes, std::string_view what) {
    if (bytes > 0 && std::fread(to, 1, bytes, file_.get()) != bytes) fail(cat("it ends within its ", what));
  }

  std::string read_header() {
    uint8_t head[8];
    read_bytes(head, sizeof head, "header");
    if (std::memcmp(head, kMagic.data(), kMagic.size()) != 0) {
      fail("it is no .npy file: it does not start with \\x93NUMPY");
    }
    const int version = head[6];
    if (version < 1 || version > 3 || head[7] != 0) {
      fail(cat("its format version ", version, ".", int{head[7]}, " is unknown"));
    }
    uint8_t length_bytes[4] = {};
    read_bytes(length_bytes, version == 1 ? 2 : 4, "header");
    size_t length = 0;
    for (int i = 3; i >= 0; --i) length = length << 8 | length_bytes[i];
    if (length > kMaxHeader) fail(cat("its header of ", length, " bytes is too long"));
    std::string header(length, '\0');
    read_bytes(header.data(), length, "header");
    return header;
  }

  /// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`: the three keys once each, in any order.
  Header parse(std::string_view text) {
    text_ = text;
    Header header;
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

  const std::string& path_;
  Location where_;
  File file_;
  int64_t size_ = 0;
  std::string_view text_;  // what of the header is left
};

std::string header_text(const Type& type) {
  std::string shape;
  for (int64_t extent : type.shape) shape += cat(extent, ", ");
  if (type.shape.rank() == 1) shape.pop_back();
  if (type.shape.rank() > 1) shape.resize(shape.size() - 2);
  std::string header = cat("{'descr': '", info(type.dtype).npy, "', 'fortran_order': False, 'shape': (",
                           shape, "), }");
  // The elements start at a multiple of 64 bytes; a newline ends the header.
  constexpr size_t kBefore = 10;
  header.resize((kBefore + header.size() + 1 + 63) / 64 * 64 - kBefore - 1, ' ');
  return header + "\n";
}

/// A name in the same folder, so that a rename moves no bytes; no other call of this or another process has it.
std::string temporary_beside(const std::string& path) {
  static std::atomic<int> counter{0};
  return cat(path.substr(0, path.rfind('/') + 1), ".etch-", getpid(), "-", counter.fetch_add(1), ".tmp");
}

bool write_all(std::FILE* file, const void* data, size_t bytes) {
  return bytes == 0 || std::fwrite(data, 1, bytes, file) == bytes;
}

/// Writes a whole file to the disk.
bool write_file(File& file, const Type& type, const void* data) {
  const std::string header = header_text(type);
  const uint8_t head[] = {1, 0, static_cast<uint8_t>(header.size() & 0xff), static_cast<uint8_t>(header.size() >> 8)};
  return write_all(file.get(), kMagic.data(), kMagic.size()) && write_all(file.get(), head, sizeof head) &&
         write_all(file.get(), header.data(), header.size()) &&
         write_all(file.get(), data, static_cast<size_t>(type.bytes())) && std::fflush(file.get()) == 0 &&
         fsync(fileno(file.get())) == 0 && file.close();
}

}  // namespace

Tensor load_npy(const std::string& path, Location where) { return Reader(path, where).read(); }

void save_npy(const std::string& path, const Operand& x) {
  const Tensor& tensor = detail::tensor_of(x, "save_npy");
  const detail::TensorImpl& impl = detail::impl_of(tensor, x.where());
  const auto fail = [&](std::string_view reason) { detail::fail(x.where(), cat("cannot write ", path, ": ", reason)); };
  if (impl.kind != detail::TensorImpl::Kind::eager) fail("the tensor belongs to a trace and has no elements");
  struct stat status;
  if (stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode)) fail("it is there and not a regular file");

  const std::string temporary = temporary_beside(path);
  File file(std::fopen(temporary.c_str(), "wbxe"));
  if (file.get() == nullptr) fail(std::strerror(errno));
  if (!write_file(file, impl.type(), impl.data) || std::rename(temporary.c_str(), path.c_str()) != 0) {
    const std::string reason = std::strerror(errno);
    unlink(temporary.c_str());
    fail(reason);
  }
}

}  // namespace etch
