// Vectors of one size, and rows of them, for the loops of matrix products. Each file that includes this has its own copy
// (product_loops_body.h).
//
// Lanes (a template argument) is the vectors' side: `bytes`, fma(x, y, sum) for vectors of floats and doubles,
// load_some(from, count), which reads `count` elements and sets the others to 0, repeat<T, n>(from), a vector of n times the
// elements that fill an n-th of it, store_some(vector, to, count), and all_zero(bits).
#pragma once

#include <cstdint>
#include <type_traits>

namespace etch {
namespace {

template <class T, int bytes>
struct VectorOf {
  using type [[gnu::vector_size(bytes)]] = T;
  using in_memory [[gnu::vector_size(bytes), gnu::aligned(alignof(T)), gnu::may_alias]] = T;
};

template <class Lanes, class T>
struct ProductVectors {
  using Vector = typename VectorOf<T, Lanes::bytes>::type;
  using Stored = typename VectorOf<T, Lanes::bytes>::in_memory;

  static constexpr int64_t kLanes = Lanes::bytes / sizeof(T);
  static constexpr int64_t kPanel = 2 * kLanes;

  static Vector load(const T* from) { return *reinterpret_cast<const Stored*>(from); }
  static void store(Vector value, T* to) { *reinterpret_cast<Stored*>(to) = value; }

  static Vector multiply_add(Vector x, Vector y, Vector sum) {
    if constexpr (std::is_floating_point_v<T>) return Lanes::fma(x, y, sum);
    return x * y + sum;
  }
  static Vector multiply_add(T x, Vector y, Vector sum) { return multiply_add(x - Vector{}, y, sum); }
};

/// Rows of vectors, and how many columns of the last one there are, if these are fewer than its lanes.
template <class Lanes, class T, int vectors, bool masked>
struct ProductRow {
  using Vectors = ProductVectors<Lanes, T>;
  using Vector = typename Vectors::Vector;

  int64_t last_columns;

  Vector load(const T* from, int v) const {
    if (masked && v == vectors - 1) return Lanes::load_some(from + v * Vectors::kLanes, last_columns);
    return Vectors::load(from + v * Vectors::kLanes);
  }
  void store(Vector value, T* to, int v) const {
    if (masked && v == vectors - 1) return Lanes::store_some(value, to + v * Vectors::kLanes, last_columns);
    Vectors::store(value, to + v * Vectors::kLanes);
  }
};

}  // namespace
}  // namespace etch
