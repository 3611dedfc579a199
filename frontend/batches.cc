// Walks over the rows of tensors, some at a time.
#include "etch/batches.h"

#include <algorithm>
#include <array>

#include "compiler/ir/cat.h"
#include "etch/random.h"
#include "frontend/rows.h"
#include "frontend/tensor_impl.h"

namespace etch {

Batches::Batches(Tensor x, Tensor y, Integer size, std::optional<uint64_t> seed, Location where)
    : x_(std::move(x)), y_(std::move(y)), size_(size), seed_(seed) {
  rows_ = detail::count_rows(x_, "batches", where);
  const int64_t others = detail::count_rows(y_, "batches", where);
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
    return {detail::take_rows(x_, numbers), detail::take_rows(y_, numbers)};
  }
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) numbers[static_cast<size_t>(i)] = first + i;
  return {detail::take_rows(x_, numbers), detail::take_rows(y_, numbers)};
}

}  // namespace etch
