// Copies of the operands of matrix products, in the order in which tiles read them. Each file that includes this has its own copy
// (product_loops_body.h).
#pragma once

#include <cstdint>

#include "runtime/library/product_vectors.h"
#include "runtime/product_loops.h"

namespace etch {
namespace {

/// What ProductLoops says of these functions.
template <class Lanes, class T>
struct ProductCopies : ProductVectors<Lanes, T> {
  using Vectors = ProductVectors<Lanes, T>;
  using typename Vectors::Vector;
  using Vectors::kLanes, Vectors::kPanel, Vectors::load, Vectors::store;

  static void copy_a(const T* from, int64_t line_stride, int64_t stride, int64_t lines, int64_t length, T* to) {
    for (int64_t i = 0; i < lines; ++i, from += line_stride, to += kProductLeading) {
      int64_t j = 0;
      if (stride == 1) {
        for (; j + kLanes <= length; j += kLanes) store(load(from + j), to + j);
        // What this writes behind the line is written again, or never read.
        if (j < length) store(Lanes::load_some(from + j, length - j), to + j);
      } else {
        for (; j < length; ++j) to[j] = from[j * stride];
      }
    }
  }

  static void copy_b(const T* from, int64_t k_stride, int64_t columns, int64_t depth, T* to, int64_t next_panel) {
    const int64_t whole = columns / kPanel * kPanel, rest = columns - whole;
    for (int64_t p = 0; p < depth && whole > 0; ++p) {
      const T* row = from + p * k_stride;
      T* panel = to + p * kPanel;
      for (int64_t j = 0; j < whole; j += kPanel, panel += next_panel) {
        store(load(row + j), panel);
        store(load(row + j + kLanes), panel + kLanes);
      }
    }
    if (rest == 0) return;
    from += whole;
    to += whole / kPanel * next_panel;
    const int64_t low = rest < kLanes ? rest : kLanes, high = rest - low;
    for (int64_t p = 0; p < depth; ++p, from += k_stride, to += kPanel) {
      store(Lanes::load_some(from, low), to);
      store(Lanes::load_some(from + low, high), to + kLanes);
    }
  }

  /// b is transposed in squares of this size.
  static constexpr int64_t kSquare = 4;

  static void transpose_b(const T* from, int64_t n_stride, int64_t k_stride, int64_t columns, int64_t depth, T* to) {
    if (columns < kPanel) {
      for (int64_t i = 0; i < depth * kPanel; i += kLanes) store(Vector{}, to + i);
    }
    // Squares where steps lie beside each other, the rest one by one.
    const int64_t square_columns = k_stride == 1 ? columns / kSquare * kSquare : 0, square_steps = depth / kSquare * kSquare;
    for (int64_t j = 0; j < square_columns; j += kSquare) {
      for (int64_t p = 0; p < square_steps; p += kSquare) {
        transpose_square(from + j * n_stride + p, n_stride, to + p * kPanel + j);
      }
    }
    for (int64_t j = 0; j < columns; ++j) {
      const T* column = from + j * n_stride;
      for (int64_t p = j < square_columns ? square_steps : 0; p < depth; ++p) to[p * kPanel + j] = column[p * k_stride];
    }
  }

  /// Columns that are `n_stride` apart become parts of rows that are a panel apart.
  static void transpose_square(const T* from, int64_t n_stride, T* to) {
    using Quad = VectorOf<T, kSquare * sizeof(T)>;
    typename Quad::type columns[kSquare];
#pragma GCC unroll 4
    for (int64_t i = 0; i < kSquare; ++i) columns[i] = *reinterpret_cast<const typename Quad::in_memory*>(from + i * n_stride);
    const auto put = [&](int64_t step, typename Quad::type row) {
      *reinterpret_cast<typename Quad::in_memory*>(to + step * kPanel) = row;
    };
    auto low = __builtin_shufflevector(columns[0], columns[1], 0, 4, 1, 5);
    auto high = __builtin_shufflevector(columns[2], columns[3], 0, 4, 1, 5);
    put(0, __builtin_shufflevector(low, high, 0, 1, 4, 5));
    put(1, __builtin_shufflevector(low, high, 2, 3, 6, 7));
    low = __builtin_shufflevector(columns[0], columns[1], 2, 6, 3, 7);
    high = __builtin_shufflevector(columns[2], columns[3], 2, 6, 3, 7);
    put(2, __builtin_shufflevector(low, high, 0, 1, 4, 5));
    put(3, __builtin_shufflevector(low, high, 2, 3, 6, 7));
  }
};

}  // namespace
}  // namespace etch
