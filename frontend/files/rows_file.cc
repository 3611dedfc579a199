// Tensors of one type that lie behind each other in a file.
#include "frontend/files/rows_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "compiler/ir/cat.h"
#include "frontend/tensor_impl.h"

namespace etch::detail {

void swap_bytes(void* data, int64_t count, int64_t size) {
  if (size == 1) return;
  auto* bytes = static_cast<std::byte*>(data);
  for (int64_t i = 0; i < count; ++i, bytes += size) std::reverse(bytes, bytes + size);
}

void check_bools(const void* data, int64_t count, const std::string& path) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  if (std::any_of(bytes, bytes + count, [](uint8_t byte) { return byte > 1; })) {
    fail_reading(path, "a bool is neither 0 nor 1");
  }
}

std::vector<data::ElementSpec> RowsFile::element_spec() const {
  return {{{TensorSpec{layout_.row.dtype, layout_.row.shape}}}};
}

Tensor RowsFile::allocate(const Shape& shape) const {
  return detail::allocate(layout_.row.dtype, shape, {}, cat("rows of ", path_));
}

void RowsFile::read(void* to, int64_t first, int64_t rows) const {
  const auto row_bytes = static_cast<uint64_t>(layout_.row.bytes());
  const auto bytes = static_cast<size_t>(static_cast<uint64_t>(rows) * row_bytes);
  const uint64_t at = layout_.start + static_cast<uint64_t>(first) * row_bytes;
  size_t done = 0;
  while (done < bytes) {
    const ssize_t count = ::pread(file_.descriptor.get(), static_cast<char*>(to) + done, bytes - done,
                                  static_cast<off_t>(at + done));
    if (count == 0) fail_reading(path_, cat("it became shorter: it ends at byte ", at + done, " within its elements"));
    if (count > 0) {
      done += static_cast<size_t>(count);
    } else if (errno != EINTR) {
      fail_reading(path_, errno_text(errno));
    }
  }
  const int64_t size = size_of(layout_.row.dtype);
  if (layout_.big_endian) swap_bytes(to, static_cast<int64_t>(bytes) / size, size);
  if (layout_.row.dtype == DType::boolean) check_bools(to, static_cast<int64_t>(bytes), path_);
}

Tensor RowsFile::at(int64_t i) const {
  Tensor row = allocate(layout_.row.shape);
  read(TensorAccess::get(row)->data, i, 1);
  return row;
}

bool RowsFile::gather(std::span<const int64_t> indices, std::vector<Tensor>& stacked) const {
  Shape shape = layout_.row.shape;
  if (shape.rank() == kMaxRank) return false;
  shape.insert(0, static_cast<int64_t>(indices.size()));
  Tensor rows = allocate(shape);
  auto* to = static_cast<std::byte*>(TensorAccess::get(rows)->data);
  for (size_t i = 0; i < indices.size();) {
    size_t end = i + 1;
    while (end < indices.size() && indices[end] == indices[end - 1] + 1) ++end;
    read(to, indices[i], static_cast<int64_t>(end - i));
    to += static_cast<int64_t>(end - i) * layout_.row.bytes();
    i = end;
  }
  stacked.clear();
  stacked.push_back(std::move(rows));
  return true;
}

}  // namespace etch::detail
