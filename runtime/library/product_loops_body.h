// The loops of runtime/product_loops.h for one size of vectors. Each file that includes this, and with it the headers of their
// parts, product_*.h, has its own copy, compiled for its processors: all of it stands in an anonymous namespace, and nothing in
// here or there may call what other files could share, such as functions of the standard library.
#pragma once

#include <cstdint>
#include <type_traits>

#include "runtime/library/product_copies.h"
#include "runtime/library/product_narrow.h"
#include "runtime/library/product_operands.h"
#include "runtime/library/product_tiles.h"
#include "runtime/library/product_vectors.h"
#include "runtime/product_loops.h"

namespace etch {
namespace {

template <class T>
const ProductLoops<T>& loops_of_halves() {
  if constexpr (std::is_same_v<T, float>) return kProductLoops32.f32;
  if constexpr (std::is_same_v<T, double>) return kProductLoops32.f64;
  if constexpr (std::is_same_v<T, uint32_t>) return kProductLoops32.i32;
  if constexpr (std::is_same_v<T, uint64_t>) return kProductLoops32.i64;
}

template <class Lanes, class T>
struct LoopsOf : ProductVectors<Lanes, T> {
  using Vectors = ProductVectors<Lanes, T>;
  using Tiles = ProductTiles<Lanes, T, Operands<T>>;
  using TilesOfPieces = ProductTiles<Lanes, T, OperandsInPieces<T>>;
  using Narrow = NarrowProducts<Lanes, T>;
  using Vectors::kLanes, Vectors::kPanel;

  /// Asks for what is read some panels further on, where rows of b are walked side by side: they are more streams than the processor
  /// follows to their ends. (Not a call: g++ drops calls of what has no effect that it knows.)
  [[gnu::always_inline]] static inline void fetch_ahead(const T* b, int64_t b_step, int64_t depth) {
    constexpr int64_t kPanelsAhead = 4, kLine = 64, kPanelBytes = kPanel * sizeof(T);
    constexpr int kRead = 0, kSecondCache = 2;
    if (depth > kFewRowsDepth || b_step < kFarRowBytes) return;
    b = add_bytes(b, kPanelsAhead * kPanelBytes);
    for (int64_t left = depth; left > 0; --left, b = add_bytes(b, b_step)) {
      for (int64_t line = 0; line < kPanelBytes; line += kLine) __builtin_prefetch(add_bytes(b, line), kRead, kSecondCache);
    }
  }

  static void tiles(const T* a, int64_t a_row, int64_t a_step, const T* b, int64_t b_step, int64_t depth, const T* in,
                    int64_t in_row, T* out, int64_t out_row, int64_t rows, int64_t columns, int64_t reach, int64_t slope) {
    if constexpr (Narrow::kQuads > 1) {
      constexpr int64_t kRowsOfQuads = Narrow::kRowsOfQuads;
      // The others leave out rows that nobody looks at.
      const bool fits = columns <= Narrow::kQuad && a_step == sizeof(T) && slope == 0;
      const int64_t together = fits ? rows / kRowsOfQuads * kRowsOfQuads : 0;
      for (int64_t row = 0; row < together; row += kRowsOfQuads) {
        Narrow::quads({a, a_row, a_step, b, b_step, depth}, in, in_row, out, out_row, columns);
        a = add_bytes(a, kRowsOfQuads * a_row);
        if (in) in = add_bytes(in, kRowsOfQuads * in_row);
        out = add_bytes(out, kRowsOfQuads * out_row);
      }
      rows -= together;
    }
    if constexpr (Lanes::bytes == 64) {
      // Half a vector is enough, and takes processors half the time that add the halves of a vector one after the other.
      if (columns <= kLanes / 2) {
        return loops_of_halves<T>().tiles(a, a_row, a_step, b, b_step, depth, in, in_row, out, out_row, rows, columns, reach,
                                          slope);
      }
    }
    fetch_ahead(b, b_step, depth);
    Tiles::loop_of_columns(columns)({a, a_row, a_step, b, b_step, depth}, in, in_row, out, out_row, rows, columns, reach, slope);
  }

  static void tiles_of_pieces(const T* a, int64_t a_row, int64_t a_step, int64_t a_piece, const T* b, int64_t b_step,
                              int64_t depth, int64_t pieces, const T* in, int64_t in_row, T* out, int64_t out_row, int64_t rows,
                              int64_t columns) {
    const OperandsInPieces<T> all{{a, a_row, a_step, b, b_step, depth}, pieces, a_piece - depth * a_step};
    TilesOfPieces::loop_of_columns(columns)(all, in, in_row, out, out_row, rows, columns, 0, 0);
  }

  /// Rows that are written side by side: as many as hide the latency of fma, and no more, for memory takes few streams best.
  static constexpr int64_t kStripRows = 6;

  static void strips(const T* a, int64_t a_row, int64_t a_step, const T* b, int64_t b_step, int64_t depth, T* out,
                     int64_t out_row, int64_t rows, int64_t columns) {
    if (columns <= kPanel) return tiles(a, a_row, a_step, b, b_step, depth, nullptr, 0, out, out_row, rows, columns, 0, 0);
    const int64_t rest = columns % kPanel, whole = columns - rest;
    Operands<T> at{a, a_row, a_step, b, b_step, depth};
    for (int64_t row = 0; row < rows; row += kStripRows) {
      const int64_t some = rows - row < kStripRows ? rows - row : kStripRows;
      const auto tile = Tiles::of_panel(some);
      for (int64_t column = 0; column < whole; column += kPanel) {
        at.b = b + column;
        tile(at, nullptr, 0, out + column, out_row, kLanes);
      }
      if (rest > 0) tiles(at.a, a_row, a_step, b + whole, b_step, depth, nullptr, 0, out + whole, out_row, some, rest, 0, 0);
      at.a = add_bytes(at.a, some * a_row);
      out = add_bytes(out, some * out_row);
    }
  }

  static void batch(const T* a, int64_t a_next, int64_t a_row, int64_t a_step, const T* b, int64_t b_next, int64_t b_step,
                    int64_t depth, T* out, int64_t out_next, int64_t out_row, int64_t count, int64_t rows, int64_t columns) {
    const Operands<T> first{a, a_row, a_step, b, b_step, depth};
    const Batch all{a_next, b_next, out_next, out_row, count, rows, columns};
    if (Narrow::batch(first, out, all)) return;
    if constexpr (Lanes::bytes == 64) {
      if (columns <= kLanes / 2) {
        return loops_of_halves<T>().batch(a, a_next, a_row, a_step, b, b_next, b_step, depth, out, out_next, out_row, count, rows,
                                          columns);
      }
    }
    const auto add = Tiles::loop_of_columns(columns);
    Operands<T> at = first;
    for (int64_t left = count; left > 0; --left) {
      add(at, nullptr, 0, out, out_row, rows, columns, 0, 0);
      at.a = add_bytes(at.a, a_next);
      at.b = add_bytes(at.b, b_next);
      out = add_bytes(out, out_next);
    }
  }
};

template <class Lanes>
struct AllProductLoops {
  template <class T>
  static constexpr ProductLoops<T> of() {
    using Copies = ProductCopies<Lanes, T>;
    using Loops = LoopsOf<Lanes, T>;
    return {&Copies::copy_a, &Copies::copy_b, &Copies::transpose_b, &Loops::tiles, &Loops::tiles_of_pieces, &Loops::strips,
            &Loops::batch};
  }
  static constexpr ProductLoopsOfVectors kAll{Lanes::bytes, of<float>(), of<double>(), of<uint32_t>(), of<uint64_t>()};
};

}  // namespace
}  // namespace etch
