// Tiles of the results of matrix products, whose sums stay in registers. Each file that includes this has its own copy
// (product_loops_body.h).
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "runtime/library/product_operands.h"
#include "runtime/library/product_vectors.h"
#include "runtime/library/product_zeros.h"
#include "runtime/product_loops.h"

namespace etch {
namespace {

/// Tiles of operands Of: Operands<T> or OperandsInPieces<T>.
template <class Lanes, class T, class Of>
struct ProductTiles : ProductVectors<Lanes, T> {
  using Vectors = ProductVectors<Lanes, T>;
  using Zeros = ProductZeros<Lanes, T>;
  using typename Vectors::Vector;
  using Vectors::kLanes, Vectors::kPanel, Vectors::multiply_add;

  template <int vectors, bool masked>
  using Row = ProductRow<Lanes, T, vectors, masked>;

  static constexpr bool kInPieces = std::is_same_v<Of, OperandsInPieces<T>>;

  // The sums of a tile, two vectors each, and the operands fill the registers.
  static constexpr int kTileRows = Lanes::bytes == 64 ? 14 : 6;
  // Tiles of one vector have as many sums as hide the latency of fma.
  static constexpr int kNarrowRows = 12;

  // So few take less time than memory does.
  static constexpr int64_t kStepsThatWait = 32;

  /// Rows that share one pointer: x86 addresses base, base + row and base + 2 * row without further registers.
  static constexpr int kRowsPerPointer = 3;

  /// Asks for the lines of a new tile.
  template <int rows, int vectors>
  [[gnu::always_inline]] static inline void fetch_to_write(const T* out, int64_t out_row) {
    constexpr int kWrite = 1, kFirstCache = 3, kVector = Lanes::bytes;
#pragma GCC unroll 32
    for (int row = 0; row < rows; ++row, out = add_bytes(out, out_row)) {
#pragma GCC unroll 32
      for (int v = 0; v < vectors; ++v) __builtin_prefetch(add_bytes(out, v * kVector), kWrite, kFirstCache);
    }
  }

  template <int rows, int vectors, bool masked>
  [[gnu::noinline]] static void tile(const Of& at, const T* in, int64_t in_row, T* out, int64_t out_row, int64_t last_columns) {
    const Row<vectors, masked> columns{last_columns};
    Vector sums[rows][vectors] = {};
    if (in) {
#pragma GCC unroll 32
      for (int row = 0; row < rows; ++row, in = add_bytes(in, in_row)) {
#pragma GCC unroll 32
        for (int v = 0; v < vectors; ++v) sums[row][v] = columns.load(in, v);
      }
    } else if (at.depth <= kStepsThatWait) {
      fetch_to_write<rows, vectors>(out, out_row);
    }
    constexpr int kPointers = (rows + kRowsPerPointer - 1) / kRowsPerPointer;
    const T* pointers[kPointers];
    const int64_t a_row = at.a_row, a_step = at.a_step, b_step = at.b_step;
#pragma GCC unroll 32
    for (int i = 0; i < kPointers; ++i) pointers[i] = add_bytes(at.a, i * kRowsPerPointer * a_row);
    const T* b = at.b;
    for (int64_t pieces = pieces_of(at); pieces > 0; --pieces) {
      for (int64_t left = at.depth; left > 0; --left) {
        Vector b_vectors[vectors];
#pragma GCC unroll 32
        for (int v = 0; v < vectors; ++v) b_vectors[v] = columns.load(b, v);
#pragma GCC unroll 32
        for (int row = 0; row < rows; ++row) {
          const T element = *add_bytes(pointers[row / kRowsPerPointer], row % kRowsPerPointer * a_row);
#pragma GCC unroll 32
          for (int v = 0; v < vectors; ++v) sums[row][v] = multiply_add(element, b_vectors[v], sums[row][v]);
        }
        b = add_bytes(b, b_step);
#pragma GCC unroll 32
        for (int i = 0; i < kPointers; ++i) {
          pointers[i] = add_bytes(pointers[i], a_step);
          asm("" : "+r"(pointers[i]));  // else each row has a pointer of its own, which are more than there are registers
        }
      }
#pragma GCC unroll 32
      for (int i = 0; i < kPointers; ++i) {
        pointers[i] = add_bytes(pointers[i], next_of(at));
        asm("" : "+r"(pointers[i]));
      }
    }
#pragma GCC unroll 32
    for (int row = 0; row < rows; ++row, out = add_bytes(out, out_row)) {
#pragma GCC unroll 32
      for (int v = 0; v < vectors; ++v) columns.store(sums[row][v], out, v);
    }
  }

  using Tile = decltype(&tile<1, 1, false>);

  template <int count>
  struct Tiles {
    Tile of_rows[count];  // less 1
  };

  template <int vectors, bool masked, int... row>
  static constexpr Tiles<sizeof...(row)> tiles_of(std::integer_sequence<int, row...>) {
    return {{&tile<row + 1, vectors, masked>...}};
  }

  /// Lines that fall into one set of the first cache: it has room for so many in any processor.
  static constexpr int64_t kFewWays = 8;
  /// True if rows at this distance do, or nearly.
  static constexpr bool rows_collide(int64_t bytes) {
    return ((bytes + kCollisionReach) & (kCollisionBytes - 1)) < 2 * kCollisionReach;
  }

  template <int vectors>
  static constexpr int kMostRows = vectors == 1 ? kNarrowRows : kTileRows;
  template <int vectors, bool masked>
  static constexpr auto kTiles = tiles_of<vectors, masked>(std::make_integer_sequence<int, kMostRows<vectors>>());

  /// A tile of so many rows, at most kTileRows, and a whole panel.
  static Tile of_panel(int64_t rows) { return kTiles<2, false>.of_rows[rows - 1]; }

  /// Tile after tile, all of about as many rows.
  template <int vectors, bool masked>
  static void columns_of_tiles(const Of& all, const T* in, int64_t in_row, T* out, int64_t out_row, int64_t rows,
                               int64_t columns, int64_t reach, int64_t slope) {
    constexpr int kSome = kMostRows<vectors>;
    const int64_t most = kSome > kFewWays && rows_collide(all.a_row) ? kFewWays : kSome;
    const Row<vectors, masked> row_columns{columns - (vectors - 1) * kLanes};
    const bool skips = std::is_floating_point_v<T> && !kInPieces && all.depth >= Zeros::kMinSkippingDepth;
    auto finite = Zeros::finite_of(all, row_columns);
    Of at = all;
    for (int64_t row = 0; row < rows;) {
      const int64_t left = rows - row, some = left > 2 * most ? most : left > most ? (left + 1) / 2 : left;
      if (reach >= 0 || reach + (some - 1) * slope >= 0) {
        const Tile tile = kTiles<vectors, masked>.of_rows[some - 1];
        if (!skips) {
          tile(at, in, in_row, out, out_row, row_columns.last_columns);
        } else if constexpr (!kInPieces) {
          Zeros::skipping_tile(tile, at, in, in_row, out, out_row, some, row_columns, finite);
        }
      }
      at.a = add_bytes(at.a, some * at.a_row);
      if (in) in = add_bytes(in, some * in_row);
      out = add_bytes(out, some * out_row);
      reach += some * slope;
      row += some;
    }
  }

  static auto loop_of_columns(int64_t columns) {
    return columns == kPanel ? &columns_of_tiles<2, false> : columns > kLanes ? &columns_of_tiles<2, true>
           : columns == kLanes ? &columns_of_tiles<1, false> : &columns_of_tiles<1, true>;
  }
};

}  // namespace
}  // namespace etch
