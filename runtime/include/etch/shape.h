// The extents of a tensor, and other short lists of one integer per axis, without heap memory.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "etch/error.h"

namespace etch {

inline constexpr int kMaxRank = 8;

/// A list of at most kMaxRank integers: one per axis. A longer list is an Error; who appends checks the rank before.
class Dims {
 public:
  constexpr Dims() = default;
  constexpr Dims(std::initializer_list<int64_t> values) : Dims(std::span<const int64_t>(values.begin(), values.size())) {}
  explicit constexpr Dims(std::span<const int64_t> values) {
    if (values.size() > kMaxRank) throw Error("a shape has at most 8 axes, not " + std::to_string(values.size()));
    for (int64_t value : values) push_back(value);
  }
  /// `rank` times the same value.
  static constexpr Dims filled(int rank, int64_t value) {
    Dims dims;
    for (int i = 0; i < rank; ++i) dims.push_back(value);
    return dims;
  }

  constexpr int rank() const { return rank_; }
  constexpr bool empty() const { return rank_ == 0; }
  constexpr int64_t& operator[](int i) { return values_[i]; }
  constexpr int64_t operator[](int i) const { return values_[i]; }
  constexpr int64_t back() const { return values_[rank_ - 1]; }
  constexpr const int64_t* begin() const { return values_.data(); }
  constexpr const int64_t* end() const { return values_.data() + rank_; }
  constexpr int64_t* begin() { return values_.data(); }
  constexpr int64_t* end() { return values_.data() + rank_; }
  constexpr void push_back(int64_t value) { values_[rank_++] = value; }
  constexpr void pop_back() { values_[--rank_] = 0; }
  constexpr void insert(int at, int64_t value) {
    for (int i = rank_++; i > at; --i) values_[i] = values_[i - 1];
    values_[at] = value;
  }
  constexpr void erase(int at) {
    for (int i = at; i + 1 < rank_; ++i) values_[i] = values_[i + 1];
    values_[--rank_] = 0;
  }
  constexpr bool contains(int64_t value) const {
    for (int64_t v : *this) {
      if (v == value) return true;
    }
    return false;
  }

  /// Product of the entries; for a shape the number of elements (1 at rank 0).
  constexpr int64_t product() const {
    int64_t n = 1;
    for (int64_t v : *this) n *= v;
    return n;
  }

  friend constexpr bool operator==(const Dims& a, const Dims& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i) {
      if (a[i] != b[i]) return false;
    }
    return true;
  }

  template <class H>
  friend H AbslHashValue(H h, const Dims& dims) {
    for (int64_t v : dims) h = H::combine(std::move(h), v);
    return H::combine(std::move(h), dims.rank_);
  }

 private:
  std::array<int64_t, kMaxRank> values_{};
  int8_t rank_ = 0;
};

/// The extents of a tensor, outermost first; elements lie in row-major order.
using Shape = Dims;

/// `[8,4]`; `[]` at rank 0.
std::string to_string(const Dims& dims);

/// The largest number of bytes a tensor may have; larger shapes are an error.
inline constexpr int64_t kMaxBytes = int64_t{1} << 46;

/// True if the extents are not negative and `element_size` times their product is at most kMaxBytes, without overflow.
bool is_representable(const Shape& shape, int64_t element_size);

/// Row-major strides in elements.
constexpr Dims row_major_strides(const Shape& shape) {
  Dims strides = shape;
  int64_t stride = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

}  // namespace etch
