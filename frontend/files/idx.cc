// MNIST's idx files: two zero bytes, a code of the dtype, the rank, the extents in 32 bits, the elements; all big
// endian.
#include <algorithm>
#include <array>

#include "compiler/ir/cat.h"
#include "etch/data/files.h"
#include "frontend/files/open_packed.h"
#include "frontend/files/rows_file.h"
#include "frontend/tensor_impl.h"

namespace etch::data {
namespace {

using etch::detail::ByteSource;
using etch::detail::fail_reading;

struct DTypeCode {
  uint8_t code;
  DType dtype;
};
constexpr DTypeCode kCodes[] = {{0x08, DType::u8},  {0x09, DType::i8},  {0x0b, DType::i16},
                                {0x0c, DType::i32}, {0x0d, DType::f32}, {0x0e, DType::f64}};

void read_header_bytes(ByteSource& file, void* to, size_t bytes) {
  if (file.read(to, bytes) < bytes) fail_reading(file.path(), "it ends within its header");
}

/// Reads the header and leaves the source at the first element.
Type read_header(ByteSource& file) {
  std::array<uint8_t, 4> head{};
  read_header_bytes(file, head.data(), head.size());
  if (head[0] != 0 || head[1] != 0)
    fail_reading(file.path(), "it is no idx file: it does not start with two zero bytes");
  Type type;
  bool known = false;
  for (const auto& [code, dtype] : kCodes) {
    if (head[2] != code) continue;
    type.dtype = dtype;
    known = true;
  }
  if (!known) fail_reading(file.path(), cat("its code of a dtype, ", int{head[2]}, ", is none of idx's"));
  if (head[3] > kMaxRank) fail_reading(file.path(), cat("it has ", int{head[3]}, " axes, more than ", kMaxRank));
  for (int axis = 0; axis < head[3]; ++axis) {
    uint32_t extent = 0;
    read_header_bytes(file, &extent, sizeof extent);
    type.shape.push_back(__builtin_bswap32(extent));
  }
  if (!is_representable(type.shape, size_of(type.dtype))) {
    fail_reading(file.path(), cat("a tensor of ", to_string(type), " cannot be"));
  }
  if (file.most_left() < static_cast<uint64_t>(type.bytes())) {
    fail_reading(file.path(), cat("it holds no more than ", file.most_left(), " bytes of elements, but ",
                                  to_string(type), " takes ", type.bytes()));
  }
  return type;
}

/// Error if bytes follow the elements.
void check_end(ByteSource& file, const Type& type) {
  if (!file.at_end())
    fail_reading(file.path(), cat("it holds more than the ", type.bytes(), " bytes of ", to_string(type)));
}

Tensor read_tensor(ByteSource& file, const Type& type) {
  Tensor tensor = etch::detail::allocate(type.dtype, type.shape, {}, cat("the elements of ", file.path()));
  void* data = etch::detail::TensorAccess::get(tensor)->data;
  const auto bytes = static_cast<size_t>(type.bytes());
  if (file.read(data, bytes) < bytes) {
    fail_reading(file.path(), cat("it ends at byte ", file.position(), " within its elements"));
  }
  etch::detail::swap_bytes(data, type.shape.product(), size_of(type.dtype));
  return tensor;
}

Type row_of(Type type, const std::string& path) {
  if (type.shape.rank() == 0) fail_reading(path, cat(to_string(type), " has no rows"));
  type.shape.erase(0);
  return type;
}

/// Unpacks row after row.
class PackedCursor final : public CountingCursor<Tensor> {
 public:
  explicit PackedCursor(const std::string& path) : file_(path), type_(read_header(file_)), row_(row_of(type_, path)) {}

 private:
  bool take(Tensor& out) override {
    if (position() == end_) return false;
    end_ = position();  // where an error leaves it
    out = read_tensor(file_, row_);
    if (position() + 1 == type_.shape[0]) check_end(file_, type_);
    end_ = type_.shape[0];
    return true;
  }
  int64_t seek_by(int64_t n) override {
    const int64_t rows = std::min(n, end_ - position());
    const auto bytes = static_cast<uint64_t>(rows * row_.bytes());
    if (file_.skip(bytes) < bytes) {
      end_ = position();
      fail_reading(file_.path(), cat("it ends at byte ", file_.position(), " within its elements"));
    }
    return rows;
  }

  etch::detail::GzipFile file_;
  Type type_;
  Type row_;
  int64_t end_ = type_.shape[0];
};

class PackedRows final : public Stage<Tensor> {
 public:
  explicit PackedRows(const std::string& path) : path_(path) {
    etch::detail::GzipFile file(path);
    const Type type = read_header(file);
    row_ = row_of(type, path);
    rows_ = type.shape[0];
  }
  std::string_view name() const override { return "idx"; }
  int64_t cardinality() const override { return rows_; }
  std::vector<ElementSpec> element_spec() const override { return {{{TensorSpec{row_.dtype, row_.shape}}}}; }
  std::unique_ptr<Cursor<Tensor>> open(const OpenContext&) const override {
    return std::make_unique<PackedCursor>(path_);
  }

 private:
  std::string path_;
  Type row_;
  int64_t rows_ = 0;
};

}  // namespace

Dataset<Tensor> idx(const std::string& path) {
  if (etch::detail::is_gzip(path)) return Dataset<Tensor>(std::make_shared<const PackedRows>(path));
  etch::detail::InputFile file(path);
  const Type type = read_header(file);
  const uint64_t start = file.position();
  if (file.size() - start != static_cast<uint64_t>(type.bytes())) {
    fail_reading(path, cat("it holds ", file.size() - start, " bytes of elements, but ", to_string(type), " takes ",
                           type.bytes()));
  }
  return Dataset<Tensor>(std::make_shared<const etch::detail::RowsFile>(
      "idx", path, etch::detail::open_file(path),
      etch::detail::RowsLayout{start, type.shape.rank() == 0 ? 0 : type.shape[0], row_of(type, path), true}));
}

Tensor load_idx(const std::string& path) {
  const auto file = etch::detail::open_packed(
      path, etch::detail::is_gzip(path) ? Compression::gzip : Compression::none);
  const Type type = read_header(*file);
  Tensor tensor = read_tensor(*file, type);
  check_end(*file, type);
  return tensor;
}

}  // namespace etch::data
