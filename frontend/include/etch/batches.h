// batches: walks over the rows of tensors, some at a time.
#pragma once

#include <cstdint>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "etch/tensor.h"

namespace [[gnu::visibility("default")]] etch {

/// See batches().
class Batches {
 public:
  using value_type = std::pair<Tensor, Tensor>;

  /// A walk from a batch on; it lives no longer than its Batches.
  class Iterator {
   public:
    using value_type = Batches::value_type;
    using difference_type = int64_t;
    using pointer = void;
    using reference = value_type;
    using iterator_concept = std::input_iterator_tag;

    Iterator() = default;
    value_type operator*() const { return batches_->batch(order_, first_); }
    Iterator& operator++() {
      first_ += batches_->size_;
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(const Iterator& other) const { return is_over() && other.is_over(); }

   private:
    friend class Batches;
    Iterator(const Batches* batches, std::vector<int64_t> order, int64_t first)
        : batches_(batches), order_(std::move(order)), first_(first) {}
    bool is_over() const { return batches_ == nullptr || first_ >= batches_->rows_; }
    const Batches* batches_ = nullptr;
    std::vector<int64_t> order_;  // of the rows; empty for that of the tensors
    int64_t first_ = 0;
  };

  Batches(Tensor x, Tensor y, Integer size, std::optional<uint64_t> seed, Location where);
  /// Begins a walk; each one has an order of its own, if they are shuffled.
  Iterator begin();
  Iterator end() const { return {this, {}, rows_}; }
  /// The number of batches of a walk.
  int64_t count() const { return (rows_ + size_ - 1) / size_; }

 private:
  value_type batch(const std::vector<int64_t>& order, int64_t first) const;

  Tensor x_, y_;
  int64_t size_;
  std::optional<uint64_t> seed_;
  int64_t rows_ = 0;
  uint64_t walks_ = 0;
};

/// The rows of two tensors in pairs of batches of `size` rows, the last one of what is left:
///
///   for (auto [x, y] : batches(images, labels, 32, /*seed=*/1)) step(x, y);
///
/// With a seed the rows come in random order, in another one at each walk over the same object; the same seed gives the same
/// orders (random::permutation). Error unless both have the same number of rows, and inside of a trace.
[[nodiscard]] inline Batches batches(const Tensor& x, const Tensor& y, Integer size, std::optional<uint64_t> seed = {},
                                     Location where = Location::current()) {
  return Batches(x, y, size, seed, where);
}

}  // namespace etch
