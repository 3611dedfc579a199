// Walks over the rows of tensors, some at a time.
#include "etch/batches.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "compiler/ir/cat.h"
#include "etch/random.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {
namespace {

const detail::TensorImpl& rows_of(const Tensor& x, Location where) {
  const detail::TensorImpl& impl = detail::impl_of(x, where);
  if (impl.kind != detail::TensorImpl::Kind::eager) detail::fail_no_elements(impl, "batches", where);
  if (impl.shape.rank() == 0) detail::fail(where, cat("batches: ", to_string(impl.type()), " has no rows"));
  return impl;
}

/// The rows of x with these numbers.
Tensor gather(const Tensor& x, std::span<const int64_t> numbers) {
  const detail::TensorImpl& from = *detail::TensorAccess::get(x);
  Shape shape = from.shape;
  const int64_t rows = shape[0];
  shape[0] = static_cast<int64_t>(numbers.size());
  Tensor result = detail::allocate_legal({from.dtype, shape}, {}, "batches");
  const size_t bytes = rows == 0 ? 0 : static_cast<size_t>(from.bytes() / rows);
  auto* to = static_cast<std::byte*>(detail::TensorAccess::get(result)->data);
  for (int64_t number : numbers) {
    if (bytes > 0) std::memcpy(to, static_cast<const std::byte*>(from.data) + static_cast<size_t>(number) * bytes, bytes);
    to += bytes;
  }
  return result;
}

}  // namespace

Batches::Batches(Tensor x, Tensor y, Integer size, std::optional<uint64_t> seed, Location where)
    : x_(std::move(x)), y_(std::move(y)), size_(size), seed_(seed) {
  rows_ = rows_of(x_, where).shape[0];
  const int64_t others = rows_of(y_, where).shape[0];
  if (rows_ != others) detail::fail(where, cat("batches: the tensors have ", rows_, " and ", others, " rows"));
  if (size_ < 1) detail::fail(where, cat("batches: a batch of ", size_, " rows; it has 1 or more"));
}

Batches::Iterator Batches::begin() {
  std::vector<int64_t> order;
  if (seed_) {
    const Tensor seed(std::array<uint64_t, 3>{0, walks_++, *seed_});
    order = init_scope([&] { return random::permutation(seed, rows_); }).to_vector<int64_t>();
  }
  return {this, std::move(order), 0};
}

Batches::value_type Batches::batch(const std::vector<int64_t>& order, int64_t first) const {
  const int64_t count = std::min(size_, rows_ - first);
  if (!order.empty()) {
    const auto numbers = std::span(order).subspan(static_cast<size_t>(first), static_cast<size_t>(count));
    return {gather(x_, numbers), gather(y_, numbers)};
  }
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) numbers[static_cast<size_t>(i)] = first + i;
  return {gather(x_, numbers), gather(y_, numbers)};
}

}  // namespace etch
