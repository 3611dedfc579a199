// Products whose results are so narrow that a vector holds several of their rows: of four columns, a quad, or of what fills half
// a vector or a quarter. Each file that includes this has its own copy (product_loops_body.h).
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "runtime/library/product_operands.h"
#include "runtime/library/product_vectors.h"

namespace etch {
namespace {

template <class Lanes, class T>
struct NarrowProducts : ProductVectors<Lanes, T> {
  using Vectors = ProductVectors<Lanes, T>;
  using typename Vectors::Vector;
  using Vectors::kLanes, Vectors::multiply_add, Vectors::store;

  static constexpr int64_t kQuad = 4;
  static constexpr int kQuads = sizeof(T) == 4 ? static_cast<int>(kLanes / kQuad) : 1;  // rows of a vector
  static constexpr int64_t kRowsOfQuads = 8;
  using Quad = VectorOf<T, kQuad * sizeof(T)>;

  /// kRowsOfQuads rows of up to four columns.
  [[gnu::noinline]] static void quads(const Operands<T>& all, const T* in, int64_t in_row, T* out, int64_t out_row,
                                      int64_t columns) {
    constexpr int kVectors = kRowsOfQuads / kQuads;
    Vector sums[kVectors][1] = {};
    if (in) {
      for (int64_t row = 0; row < kRowsOfQuads; ++row) {
        for (int64_t j = 0; j < columns; ++j) sums[row / kQuads][0][row % kQuads * kQuad + j] = add_bytes(in, row * in_row)[j];
      }
    }
    Operands<T> at = all;
    add_fours(at, columns, sums);
    for (; at.depth > 0; --at.depth, ++at.a, at.b = add_bytes(at.b, at.b_step)) {
      const Vector row = repeated_quad(at.b, columns);
      for (int v = 0; v < kVectors; ++v) {
        sums[v][0] = multiply_add(elements_of_rows<kQuads>(add_bytes(at.a, v * kQuads * at.a_row), at.a_row), row, sums[v][0]);
      }
    }
    for (int64_t row = 0; row < kRowsOfQuads; ++row) {
      for (int64_t j = 0; j < columns; ++j) add_bytes(out, row * out_row)[j] = sums[row / kQuads][0][row % kQuads * kQuad + j];
    }
  }

  /// Adds four steps at once, as long as so many are left: they lie beside each other in a. Rows of b have so many quads, each of
  /// so many columns. Inlined, so that the sums stay in registers.
  template <int vectors, int quads>
  [[gnu::always_inline]] static void add_fours(Operands<T>& at, int64_t columns, Vector (&sums)[vectors][quads]) {
    for (; at.depth >= kQuad; at.depth -= kQuad, at.a += kQuad) {
      Vector steps[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) steps[v] = quads_of_rows(add_bytes(at.a, v * kQuads * at.a_row), at.a_row);
      const auto add_step = [&]<int step>() {
#pragma GCC unroll 4
        for (int q = 0; q < quads; ++q) {
          const Vector of_b = repeated_quad(at.b + q * kQuad, columns);
#pragma GCC unroll 4
          for (int v = 0; v < vectors; ++v) sums[v][q] = multiply_add(spread<step>(steps[v]), of_b, sums[v][q]);
        }
        at.b = add_bytes(at.b, at.b_step);
      };
      add_step.template operator()<0>();
      add_step.template operator()<1>();
      add_step.template operator()<2>();
      add_step.template operator()<3>();
    }
  }

  /// Four elements of each of the rows of a vector.
  static Vector quads_of_rows(const T* from, int64_t row_bytes) {
    const auto quad = [&](int row) {
      return *reinterpret_cast<const typename Quad::in_memory*>(add_bytes(from, row * row_bytes));
    };
    if constexpr (kQuads == 2) {
      return __builtin_shufflevector(quad(0), quad(1), 0, 1, 2, 3, 4, 5, 6, 7);
    } else {
      const auto low = __builtin_shufflevector(quad(0), quad(1), 0, 1, 2, 3, 4, 5, 6, 7);
      const auto high = __builtin_shufflevector(quad(2), quad(3), 0, 1, 2, 3, 4, 5, 6, 7);
      return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    }
  }

  /// Up to four elements, for each of the rows of a vector.
  static Vector repeated_quad(const T* from, int64_t columns) {
    if (columns == kQuad) return Lanes::template repeat<T, kQuads>(from);
    const Vector first = Lanes::load_some(from, columns);
    if constexpr (kQuads == 2) {
      return __builtin_shufflevector(first, first, 0, 1, 2, 3, 0, 1, 2, 3);
    } else {
      return __builtin_shufflevector(first, first, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
    }
  }

  /// The i-th of each four elements, for all four.
  template <int i>
  static Vector spread(Vector quads) {
    if constexpr (kQuads == 2) {
      return __builtin_shufflevector(quads, quads, i, i, i, i, i + 4, i + 4, i + 4, i + 4);
    } else {
      return __builtin_shufflevector(quads, quads, i, i, i, i, i + 4, i + 4, i + 4, i + 4, i + 8, i + 8, i + 8, i + 8,
                                     i + 12, i + 12, i + 12, i + 12);
    }
  }

  /// Adds the products of a batch, or returns false if its results do not fill whole vectors.
  static bool batch(const Operands<T>& first, T* out, const Batch& all) {
    if (fits_quads<1>(first, all)) {
      batch_of_quads<1>(first, out, all);
    } else if (fits_quads<2>(first, all)) {
      batch_of_quads<2>(first, out, all);
    } else if (fills_vectors<4>(all)) {
      add_shared<4>(first, out, all);
    } else if (fills_vectors<2>(all)) {
      add_shared<2>(first, out, all);
    } else {
      return false;
    }
    return true;
  }

  /// True if the results are rows of so many quads, beside each other, that fill whole vectors, and all steps go in fours.
  template <int quads>
  static bool fits_quads(const Operands<T>& at, const Batch& all) {
    return kQuads > 1 && all.columns == quads * kQuad && all.out_row == quads * kQuad * int64_t{sizeof(T)} &&
           all.rows % kQuads == 0 && at.a_step == sizeof(T) && at.depth % kQuad == 0;
  }

  template <int quads>
  static void batch_of_quads(Operands<T> at, T* out, const Batch& all) {
    if constexpr (kQuads > 1) {
      constexpr int kMost = kRowsOfQuads / kQuads;
      for (int64_t left = all.count; left > 0; --left) {
        Operands<T> rows = at;
        T* to = out;
        const auto some = [&]<int vectors>() {
          vectors_of_quads<vectors, quads>(rows, to);
          rows.a = add_bytes(rows.a, vectors * kQuads * rows.a_row);
          to += vectors * quads * kLanes;
        };
        int64_t row = 0;
        for (; row + kRowsOfQuads <= all.rows; row += kRowsOfQuads) some.template operator()<kMost>();
        for (; row < all.rows; row += kQuads) some.template operator()<1>();
        at.a = add_bytes(at.a, all.a_next);
        at.b = add_bytes(at.b, all.b_next);
        out = add_bytes(out, all.out_next);
      }
    }
  }

  /// The rows of so many vectors, from end to end.
  template <int vectors, int quads>
  static void vectors_of_quads(Operands<T> at, T* out) {
    Vector sums[vectors][quads] = {};
    add_fours(at, kQuad, sums);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v, out += quads * kLanes) {
      if constexpr (quads == 1) {
        store(sums[v][0], out);
      } else {
        store_rows(sums[v][0], sums[v][1], out);
      }
    }
  }

  /// Rows of two quads, of which each vector has one.
  static void store_rows(Vector first, Vector second, T* out) {
    if constexpr (kQuads == 2) {
      store(__builtin_shufflevector(first, second, 0, 1, 2, 3, 8, 9, 10, 11), out);
      store(__builtin_shufflevector(first, second, 4, 5, 6, 7, 12, 13, 14, 15), out + kLanes);
    } else {
      store(__builtin_shufflevector(first, second, 0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23), out);
      store(__builtin_shufflevector(first, second, 8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31), out + kLanes);
    }
  }

  /// True if rows of the results lie beside each other, and `shared` of them fill a vector.
  template <int shared>
  static bool fills_vectors(const Batch& all) {
    constexpr int64_t kColumns = kLanes / shared;
    return kColumns > 1 && all.columns == kColumns && all.rows % shared == 0 && all.out_row == kColumns * int64_t{sizeof(T)};
  }

  /// Matrices of so few columns that `shared` rows stand in one vector.
  template <int shared>
  static void add_shared(Operands<T> at, T* out, const Batch& all) {
    if constexpr (kLanes / shared > 1) {
      for (int64_t left = all.count; left > 0; --left) {
        Operands<T> rows = at;
        int64_t row = 0;
        for (constexpr int kMost = 4; row + kMost * shared <= all.rows; row += kMost * shared) {
          shared_rows<shared, kMost>(rows, out + row * all.columns);
          rows.a = add_bytes(rows.a, kMost * shared * rows.a_row);
        }
        for (; row < all.rows; row += shared) {
          shared_rows<shared, 1>(rows, out + row * all.columns);
          rows.a = add_bytes(rows.a, shared * rows.a_row);
        }
        at.a = add_bytes(at.a, all.a_next);
        at.b = add_bytes(at.b, all.b_next);
        out = add_bytes(out, all.out_next);
      }
    }
  }

  template <int shared, int vectors>
  static void shared_rows(Operands<T> at, T* out) {
    Vector sums[vectors] = {};
    for (int64_t left = at.depth; left > 0; --left) {
      const Vector b = Lanes::template repeat<T, shared>(at.b);
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) {
        sums[v] = multiply_add(elements_of_rows<shared>(add_bytes(at.a, v * shared * at.a_row), at.a_row), b, sums[v]);
      }
      at.a = add_bytes(at.a, at.a_step);
      at.b = add_bytes(at.b, at.b_step);
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) store(sums[v], out + v * kLanes);
  }

  using Numbers = typename VectorOf<std::conditional_t<sizeof(T) == 4, int32_t, int64_t>, Lanes::bytes>::type;

  template <int... lane>
  static constexpr Numbers numbers_of(std::integer_sequence<int, lane...>) {
    return Numbers{lane...};
  }
  static constexpr Numbers lane_numbers() { return numbers_of(std::make_integer_sequence<int, kLanes>()); }

  /// One element of each of the rows that share a vector, in the lanes of its row.
  template <int shared>
  static Vector elements_of_rows(const T* from, int64_t row_bytes) {
    Vector elements = *from - Vector{};
#pragma GCC unroll 4
    for (int row = 1; row < shared; ++row) {
      const Vector of_row = *add_bytes(from, row * row_bytes) - Vector{};
      constexpr int kColumns = kLanes / shared;
      elements = (lane_numbers() >= row * kColumns) ? of_row : elements;
    }
    return elements;
  }
};

}  // namespace
}  // namespace etch
