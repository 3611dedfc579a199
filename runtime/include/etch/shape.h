// The extents of a tensor, and other short lists of one integer per axis, without heap memory.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <span>
#include <string>
#include <type_traits>

#include "etch/error.h"

namespace [[gnu::visibility("default")]] etch {

inline constexpr int kMaxRank = 8;

namespace detail {
template <class T>
concept Character = std::same_as<T, char> || std::same_as<T, wchar_t> || std::same_as<T, char8_t> ||
                    std::same_as<T, char16_t> || std::same_as<T, char32_t>;

// Out of line, so that the checks before them stay short.
[[noreturn]] void fail_integer(uint64_t value);
[[noreturn]] void fail_index(int64_t index, int rank);
[[noreturn]] void fail_rank(size_t rank);
[[noreturn]] void fail_product(std::span<const int64_t> dims);
}  // namespace detail

// Stands before a function that must not be called, so that the compiler says why.
#define ETCH_REFUSED(why) __attribute__((unavailable("etch: " why)))

/// The C++ integers: axes, extents, indices and counts. No bool and no character.
template <class T>
concept IntegerType = std::integral<T> && !std::same_as<T, bool> && !detail::Character<T>;

/// An integer as an argument: a fraction or a bool does not compile, an unsigned number beyond int64_t is an Error.
class Integer {
 public:
  template <IntegerType T>
  constexpr Integer(T value) : value_(static_cast<int64_t>(value)) {  // NOLINT: converts
    if constexpr (std::is_unsigned_v<T> && sizeof(T) == 8) {
      if (value_ < 0) detail::fail_integer(value);
    }
  }
  template <std::same_as<bool> T>
  ETCH_REFUSED("an axis, an extent, an index or a count is an integer, not a bool")
  constexpr Integer(T);

  constexpr operator int64_t() const { return value_; }  // NOLINT: converts

 private:
  int64_t value_;
};

/// A bool as an argument: an integer does not compile, so that `variance(x, 0, 1)` cannot mean keepdims.
class Flag {
 public:
  template <std::same_as<bool> T>
  constexpr Flag(T value) : value_(value) {}  // NOLINT: converts
  constexpr operator bool() const { return value_; }  // NOLINT: converts

 private:
  bool value_;
};

/// A std::vector, std::array or std::span of integers.
template <class T>
concept IntegerRange = requires(const T& range) {
  { *range.data() } -> std::convertible_to<Integer>;
  range.size();
} && IntegerType<std::remove_cvref_t<decltype(*std::declval<const T&>().data())>>;

/// A list of at most kMaxRank integers: one per axis. Error for more, for an index out of range, and for taking from an
/// empty one.
class Dims {
 public:
  constexpr Dims() = default;
  constexpr Dims(std::initializer_list<Integer> values) {
    for (int64_t value : values) push_back(value);
  }
  /// A list of one: `zeros(5)`.
  template <IntegerType T>
  constexpr Dims(T value) : Dims{Integer(value)} {}  // NOLINT: converts
  template <std::same_as<bool> T>
  ETCH_REFUSED("a shape is made of integers, not of a bool")
  constexpr Dims(T);
  template <IntegerRange R>
  constexpr Dims(const R& values) {  // NOLINT: converts
    if (values.size() > kMaxRank) detail::fail_rank(values.size());
    for (auto value : values) push_back(Integer(value));
  }
  /// `rank` times the same value.
  static constexpr Dims filled(int rank, int64_t value) {
    Dims dims;
    for (int i = 0; i < rank; ++i) dims.push_back(value);
    return dims;
  }

  constexpr int rank() const { return rank_; }
  constexpr bool empty() const { return rank_ == 0; }
  constexpr int64_t& operator[](int i) {
    check(i, rank_);
    return values_[i];
  }
  constexpr int64_t operator[](int i) const {
    check(i, rank_);
    return values_[i];
  }
  constexpr int64_t back() const { return (*this)[rank_ - 1]; }
  constexpr const int64_t* begin() const { return values_.data(); }
  constexpr const int64_t* end() const { return values_.data() + rank_; }
  constexpr int64_t* begin() { return values_.data(); }
  constexpr int64_t* end() { return values_.data() + rank_; }
  constexpr void push_back(int64_t value) {
    if (rank_ == kMaxRank) detail::fail_rank(kMaxRank + 1);
    values_[rank_++] = value;
  }
  constexpr void pop_back() {
    check(rank_ - 1, rank_);
    values_[--rank_] = 0;
  }
  /// Puts a value before entry `at`, or last.
  constexpr void insert(int at, int64_t value) {
    check(at, rank_ + 1);
    push_back(value);
    for (int i = rank_ - 1; i > at; --i) values_[i] = values_[i - 1];
    values_[at] = value;
  }
  constexpr void erase(int at) {
    check(at, rank_);
    for (int i = at; i + 1 < rank_; ++i) values_[i] = values_[i + 1];
    values_[--rank_] = 0;
  }
  constexpr bool contains(int64_t value) const {
    for (int64_t v : *this) {
      if (v == value) return true;
    }
    return false;
  }

  /// Product of the entries; for a shape the number of elements (1 at rank 0). Error beyond int64_t.
  constexpr int64_t product() const {
    int64_t n = 1;
    for (int64_t v : *this) {
      if (__builtin_mul_overflow(n, v, &n)) detail::fail_product({begin(), end()});
    }
    return n;
  }

  friend constexpr bool operator==(const Dims& a, const Dims& b) {
    if (a.rank_ != b.rank_) return false;
    for (int i = 0; i < a.rank_; ++i) {
      if (a.values_[i] != b.values_[i]) return false;
    }
    return true;
  }

  template <class H>
  friend H AbslHashValue(H h, const Dims& dims) {
    return H::combine(H::combine_contiguous(std::move(h), dims.values_.data(), dims.rank_), dims.rank_);
  }

 private:
  static constexpr void check(int i, int end) {
    if (static_cast<unsigned>(i) >= static_cast<unsigned>(end)) detail::fail_index(i, end);
  }

  std::array<int64_t, kMaxRank> values_{};
  int8_t rank_ = 0;
};

/// The extents of a tensor, outermost first; elements lie in row-major order.
using Shape = Dims;

/// `[8,4]`; `[]` at rank 0.
std::string to_string(const Dims& dims);
std::ostream& operator<<(std::ostream& stream, const Dims& dims);

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
