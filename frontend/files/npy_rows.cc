// The rows of a .npy file as a data set.
#include "compiler/ir/cat.h"
#include "etch/data/files.h"
#include "frontend/files/npy_header.h"
#include "frontend/files/rows_file.h"

namespace etch::data {

Dataset<Tensor> npy_rows(const std::string& path, Location where) {
  const auto fail = [&](std::string_view reason) { etch::detail::fail_npy(path, where, reason); };
  etch::detail::OpenedFile file = etch::detail::open_file(path);
  uint64_t read = 0;
  const auto read_header = [&](void* to, size_t bytes) {
    if (etch::detail::read_fully(file.descriptor, to, bytes, path) < bytes) fail("it ends within its header");
    read += bytes;
  };
  const etch::detail::NpyHeader header = etch::detail::read_npy_header(read_header, path, where);
  const Type type{header.dtype, header.shape};
  if (type.shape.rank() == 0) fail(cat(to_string(type), " has no rows"));
  if (header.fortran && type.shape.rank() > 1) {
    fail("its rows do not lie one behind the other; save `numpy.ascontiguousarray(x)`, or read it whole by load_npy");
  }
  if (file.size - read != static_cast<uint64_t>(type.bytes())) {
    fail(cat("it holds ", file.size - read, " bytes of elements, but ", to_string(type), " takes ", type.bytes()));
  }
  Type row = type;
  row.shape.erase(0);
  return Dataset<Tensor>(std::make_shared<const etch::detail::RowsFile>(
      "npy_rows", path, std::move(file), etch::detail::RowsLayout{read, type.shape[0], row}));
}

}  // namespace etch::data
