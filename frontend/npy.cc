// NumPy's .npy files (the format is numpy/lib/format.py's: magic, version, header length, header dictionary, elements).
#include "etch/npy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "compiler/ir/cat.h"
#include "frontend/files/npy_header.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"

namespace etch {
namespace {

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
    const detail::NpyHeader header = detail::read_npy_header(
        [&](void* to, size_t bytes) { read_bytes(to, bytes, "header"); }, path_, where_);
    const Type type{header.dtype, header.shape};
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
  [[noreturn]] void fail(std::string_view reason) const { detail::fail_npy(path_, where_, reason); }

  Tensor allocate(const Type& type) const {
    return detail::allocate(type.dtype, type.shape, where_, cat("the elements of ", path_));
  }
  static uint8_t* data_of(const Tensor& tensor) {
    return static_cast<uint8_t*>(detail::TensorAccess::get(tensor)->data);
  }

  void read_bytes(void* to, size_t bytes, std::string_view what) {
    if (bytes > 0 && std::fread(to, 1, bytes, file_.get()) != bytes) fail(cat("it ends within its ", what));
  }

  const std::string& path_;
  Location where_;
  File file_;
  int64_t size_ = 0;
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
  return write_all(file.get(), detail::kNpyMagic.data(), detail::kNpyMagic.size()) && write_all(file.get(), head, sizeof head) &&
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
