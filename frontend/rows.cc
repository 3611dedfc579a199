// Rows are copied as bytes.
#include "frontend/rows.h"

#include <cstring>

#include "compiler/ir/cat.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch::detail {

int64_t count_rows(const Tensor& x, std::string_view op, Location where) {
  const TensorImpl& impl = impl_of(x, where);
  if (impl.kind != TensorImpl::Kind::eager) fail_no_elements(impl, op, where);
  if (impl.shape.rank() == 0) fail(where, cat(op, ": ", to_string(impl.type()), " has no rows"));
  return impl.shape[0];
}

Tensor take_rows(const Tensor& x, std::span<const int64_t> numbers) {
  const TensorImpl& from = *TensorAccess::get(x);
  Shape shape = from.shape;
  const int64_t rows = shape[0];
  shape[0] = static_cast<int64_t>(numbers.size());
  Tensor result = allocate_legal({from.dtype, shape}, {}, "batches");
  const size_t bytes = rows == 0 ? 0 : static_cast<size_t>(from.bytes() / rows);
  auto* to = static_cast<std::byte*>(TensorAccess::get(result)->data);
  for (int64_t number : numbers) {
    if (bytes > 0) std::memcpy(to, static_cast<const std::byte*>(from.data) + static_cast<size_t>(number) * bytes, bytes);
    to += bytes;
  }
  return result;
}

Tensor join_rows(const std::vector<Tensor>& parts) {
  const TensorImpl& first = *TensorAccess::get(parts[0]);
  Shape shape = first.shape;
  shape[0] = 0;
  for (const Tensor& part : parts) shape[0] += part.shape()[0];
  Tensor result = allocate_legal({first.dtype, shape}, {}, "predict");
  auto* to = static_cast<std::byte*>(TensorAccess::get(result)->data);
  for (const Tensor& part : parts) {
    const TensorImpl& from = *TensorAccess::get(part);
    if (from.bytes() > 0) std::memcpy(to, from.data, static_cast<size_t>(from.bytes()));
    to += from.bytes();
  }
  return result;
}

}  // namespace etch::detail
