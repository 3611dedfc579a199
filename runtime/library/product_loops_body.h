// The loops of runtime/product_loops.h for one size of vectors. Each file that includes this has its own copy, compiled for
// its processors: nothing in here may call what other files could share, such as functions of the standard library.
//
// Lanes (a template argument) is the vectors' side: `bytes`, fma(x, y, sum) for vectors of floats and doubles, and
// load_some(from, count), which reads `count` elements and sets the others to 0, repeat<T, n>(from), a vector of n times the elements
// that fill an n-th of it, store_some(vector, to, count), and all_zero(bits).
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

#include "runtime/product_loops.h"

namespace etch {
namespace {

template <class T, int bytes>
struct VectorOf {
  using type [[gnu::vector_size(bytes)]] = T;
  using in_memory [[gnu::vector_size(bytes), gnu::aligned(alignof(T)), gnu::may_alias]] = T;
};

template <class T>
const ProductLoops<T>& loops_of_halves() {
  if constexpr (std::is_same_v<T, float>) return kProductLoops32.f32;
  if constexpr (std::is_same_v<T, double>) return kProductLoops32.f64;
  if constexpr (std::is_same_v<T, uint32_t>) return kProductLoops32.i32;
  if constexpr (std::is_same_v<T, uint64_t>) return kProductLoops32.i64;
}

template <class Lanes, class T>
struct LoopsOf {
  using Vector = typename VectorOf<T, Lanes::bytes>::type;
  using Stored = typename VectorOf<T, Lanes::bytes>::in_memory;

  static constexpr int64_t kLanes = Lanes::bytes / sizeof(T);
  static constexpr int64_t kPanel = 2 * kLanes;
  // The sums of a tile, two vectors each, and the operands fill the registers.
  static constexpr int kTileRows = Lanes::bytes == 64 ? 14 : 6;
  // Tiles of one vector have as many sums as hide the latency of fma.
  static constexpr int kNarrowRows = 12;

  static Vector load(const T* from) { return *reinterpret_cast<const Stored*>(from); }
  static void store(Vector value, T* to) { *reinterpret_cast<Stored*>(to) = value; }

  static const T* add_bytes(const T* pointer, int64_t bytes) {
    return reinterpret_cast<const T*>(reinterpret_cast<const char*>(pointer) + bytes);
  }
  static T* add_bytes(T* pointer, int64_t bytes) { return reinterpret_cast<T*>(reinterpret_cast<char*>(pointer) + bytes); }

  static Vector multiply_add(Vector x, Vector y, Vector sum) {
    if constexpr (std::is_floating_point_v<T>) return Lanes::fma(x, y, sum);
    return x * y + sum;
  }
  static Vector multiply_add(T x, Vector y, Vector sum) { return multiply_add(x - Vector{}, y, sum); }

  // Tiles.

  /// Rows that share one pointer: x86 addresses base, base + row and base + 2 * row without further registers.
  static constexpr int kRowsPerPointer = 3;

  /// Rows of vectors, and how many columns of the last one there are, if these are fewer than its lanes.
  template <int vectors, bool masked>
  struct Row {
    int64_t last_columns;

    Vector load(const T* from, int v) const {
      if (masked && v == vectors - 1) return Lanes::load_some(from + v * kLanes, last_columns);
      return LoopsOf::load(from + v * kLanes);
    }
    void store(Vector value, T* to, int v) const {
      if (masked && v == vectors - 1) return Lanes::store_some(value, to + v * kLanes, last_columns);
      LoopsOf::store(value, to + v * kLanes);
    }
  };

  struct Operands {
    const T* a;
    int64_t a_row, a_step;  // in bytes
    const T* b;
    int64_t b_step;
    int64_t depth;
  };

  /// Operands of so many pieces of `depth` steps. A type of its own, and tiles for it: the registers that these save cost tiles of
  /// a few steps a tenth.
  struct OperandsInPieces : Operands {
    int64_t pieces;
    int64_t a_next;  // bytes from behind a piece of a to the next one
  };

  template <class Of>
  static constexpr bool kInPieces = std::is_same_v<Of, OperandsInPieces>;

  static constexpr int64_t pieces_of(const Operands&) { return 1; }
  static int64_t pieces_of(const OperandsInPieces& at) { return at.pieces; }
  static constexpr int64_t next_of(const Operands&) { return 0; }
  static int64_t next_of(const OperandsInPieces& at) { return at.a_next; }

  template <class Of, int rows, int vectors, bool masked>
  [[gnu::noinline]] static void tile(const Of& at, const T* in, int64_t in_row, T* out, int64_t out_row, int64_t last_columns) {
    const Row<vectors, masked> columns{last_columns};
    Vector sums[rows][vectors] = {};
    if (in) {
#pragma GCC unroll 32
      for (int row = 0; row < rows; ++row, in = add_bytes(in, in_row)) {
#pragma GCC unroll 32
        for (int v = 0; v < vectors; ++v) sums[row][v] = columns.load(in, v);
      }
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

  template <class Of>
  using Tile = decltype(&tile<Of, 1, 1, false>);

  template <class Of, int count>
  struct Tiles {
    Tile<Of> of_rows[count];  // less 1
  };

  template <class Of, int vectors, bool masked, int... row>
  static constexpr Tiles<Of, sizeof...(row)> tiles_of(std::integer_sequence<int, row...>) {
    return {{&tile<Of, row + 1, vectors, masked>...}};
  }

  /// Lines that fall into one set of the first cache: it has room for so many in any processor.
  static constexpr int64_t kFewWays = 8;
  /// True if rows at this distance do, or nearly.
  static constexpr bool rows_collide(int64_t bytes) { return ((bytes + 64) & 4095) < 128; }

  template <int vectors>
  static constexpr int kMostRows = vectors == 1 ? kNarrowRows : kTileRows;
  template <class Of, int vectors, bool masked>
  static constexpr auto kTiles = tiles_of<Of, vectors, masked>(std::make_integer_sequence<int, kMostRows<vectors>>());

  /// Tile after tile, all of about as many rows.
  template <class Of, int vectors, bool masked>
  static void columns_of_tiles(const Of& all, const T* in, int64_t in_row, T* out, int64_t out_row, int64_t rows,
                               int64_t columns, int64_t reach, int64_t slope) {
    constexpr int kSome = kMostRows<vectors>;
    const int64_t most = kSome > kFewWays && rows_collide(all.a_row) ? kFewWays : kSome;
    const Row<vectors, masked> row_columns{columns - (vectors - 1) * kLanes};
    const bool skips = std::is_floating_point_v<T> && !kInPieces<Of> && all.depth >= kMinSkippingDepth;
    Finite<vectors, masked> finite{all, row_columns, all.depth, 0};
    Of at = all;
    for (int64_t row = 0; row < rows;) {
      const int64_t left = rows - row, some = left > 2 * most ? most : left > most ? (left + 1) / 2 : left;
      if (reach >= 0 || reach + (some - 1) * slope >= 0) {
        const Tile<Of> tile = kTiles<Of, vectors, masked>.of_rows[some - 1];
        if (!skips) {
          tile(at, in, in_row, out, out_row, row_columns.last_columns);
        } else if constexpr (!kInPieces<Of>) {
          skipping_tile(tile, at, in, in_row, out, out_row, some, row_columns, finite);
        }
      }
      at.a = add_bytes(at.a, some * at.a_row);
      if (in) in = add_bytes(in, some * in_row);
      out = add_bytes(out, some * out_row);
      reach += some * slope;
      row += some;
    }
  }

  static void tiles(const T* a, int64_t a_row, int64_t a_step, const T* b, int64_t b_step, int64_t depth, const T* in,
                    int64_t in_row, T* out, int64_t out_row, int64_t rows, int64_t columns, int64_t reach, int64_t slope) {
    if constexpr (kQuads > 1) {
      // The others leave out rows that nobody looks at.
      const int64_t together = columns <= kQuad && a_step == sizeof(T) && slope == 0 ? rows / kRowsOfQuads * kRowsOfQuads : 0;
      for (int64_t row = 0; row < together; row += kRowsOfQuads) {
        quads({a, a_row, a_step, b, b_step, depth}, in, in_row, out, out_row, columns);
        a = add_bytes(a, kRowsOfQuads * a_row);
        if (in) in = add_bytes(in, kRowsOfQuads * in_row);
        out = add_bytes(out, kRowsOfQuads * out_row);
      }
      rows -= together;
    }
    if constexpr (Lanes::bytes == 64) {
      // Half a vector is enough, and takes processors half the time that add the halves of a vector one after the other.
      if (columns <= kLanes / 2) {
        return loops_of_halves<T>().tiles(a, a_row, a_step, b, b_step, depth, in, in_row, out, out_row, rows, columns, reach, slope);
      }
    }
    loop_of_columns<Operands>(columns)({a, a_row, a_step, b, b_step, depth}, in, in_row, out, out_row, rows, columns, reach, slope);
  }

  // Narrow results: a vector holds four columns of several rows.

  static constexpr int64_t kQuad = 4;
  static constexpr int kQuads = sizeof(T) == 4 ? static_cast<int>(kLanes / kQuad) : 1;  // rows of a vector
  static constexpr int64_t kRowsOfQuads = 8;
  using Quad = VectorOf<T, kQuad * sizeof(T)>;

  /// kRowsOfQuads rows of up to four columns. Steps lie beside each other in a: four of them are read at once.
  [[gnu::noinline]] static void quads(const Operands& at, const T* in, int64_t in_row, T* out, int64_t out_row, int64_t columns) {
    constexpr int kVectors = kRowsOfQuads / kQuads;
    Vector sums[kVectors] = {};
    if (in) {
      for (int64_t row = 0; row < kRowsOfQuads; ++row) {
        for (int64_t j = 0; j < columns; ++j) sums[row / kQuads][row % kQuads * kQuad + j] = add_bytes(in, row * in_row)[j];
      }
    }
    const T *a = at.a, *b = at.b;
    int64_t left = at.depth;
    for (; left >= kQuad; left -= kQuad, a += kQuad) {
      Vector steps[kVectors];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) steps[v] = quads_of_rows(add_bytes(a, v * kQuads * at.a_row), at.a_row);
      add_step<0>(steps, b, columns, sums);
      add_step<1>(steps, add_bytes(b, at.b_step), columns, sums);
      add_step<2>(steps, add_bytes(b, 2 * at.b_step), columns, sums);
      add_step<3>(steps, add_bytes(b, 3 * at.b_step), columns, sums);
      b = add_bytes(b, 4 * at.b_step);
    }
    for (; left > 0; --left, ++a, b = add_bytes(b, at.b_step)) {
      const Vector row = repeated_quad(b, columns);
      for (int v = 0; v < kVectors; ++v) {
        sums[v] = multiply_add(elements_of_rows<kQuads>(add_bytes(a, v * kQuads * at.a_row), at.a_row), row, sums[v]);
      }
    }
    for (int64_t row = 0; row < kRowsOfQuads; ++row) {
      for (int64_t j = 0; j < columns; ++j) add_bytes(out, row * out_row)[j] = sums[row / kQuads][row % kQuads * kQuad + j];
    }
  }

  template <int step, int vectors>
  static void add_step(const Vector (&steps)[vectors], const T* b, int64_t columns, Vector (&sums)[vectors]) {
    const Vector row = repeated_quad(b, columns);
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[v] = multiply_add(spread<step>(steps[v]), row, sums[v]);
  }

  /// Four elements of each of the rows of a vector.
  static Vector quads_of_rows(const T* from, int64_t row_bytes) {
    const auto quad = [&](int row) { return *reinterpret_cast<const typename Quad::in_memory*>(add_bytes(from, row * row_bytes)); };
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
      return __builtin_shufflevector(quads, quads, i, i, i, i, i + 4, i + 4, i + 4, i + 4, i + 8, i + 8, i + 8, i + 8, i + 12, i + 12,
                                     i + 12, i + 12);
    }
  }

  static void tiles_of_pieces(const T* a, int64_t a_row, int64_t a_step, int64_t a_piece, const T* b, int64_t b_step, int64_t depth,
                              int64_t pieces, const T* in, int64_t in_row, T* out, int64_t out_row, int64_t rows, int64_t columns) {
    const OperandsInPieces all{{a, a_row, a_step, b, b_step, depth}, pieces, a_piece - depth * a_step};
    loop_of_columns<OperandsInPieces>(columns)(all, in, in_row, out, out_row, rows, columns, 0, 0);
  }

  template <class Of>
  static auto loop_of_columns(int64_t columns) {
    return columns == kPanel ? &columns_of_tiles<Of, 2, false> : columns > kLanes ? &columns_of_tiles<Of, 2, true>
           : columns == kLanes ? &columns_of_tiles<Of, 1, false> : &columns_of_tiles<Of, 1, true>;
  }

  // Long rows.

  /// Rows that are written side by side: as many as hide the latency of fma, and no more, for memory takes few streams best.
  static constexpr int64_t kStripRows = 6;

  static void strips(const T* a, int64_t a_row, int64_t a_step, const T* b, int64_t b_step, int64_t depth, T* out, int64_t out_row,
                     int64_t rows, int64_t columns) {
    if (columns <= kPanel) return tiles(a, a_row, a_step, b, b_step, depth, nullptr, 0, out, out_row, rows, columns, 0, 0);
    const int64_t rest = columns % kPanel, whole = columns - rest;
    Operands at{a, a_row, a_step, b, b_step, depth};
    for (int64_t row = 0; row < rows; row += kStripRows) {
      const int64_t some = rows - row < kStripRows ? rows - row : kStripRows;
      const Tile<Operands> tile = kTiles<Operands, 2, false>.of_rows[some - 1];
      for (int64_t column = 0; column < whole; column += kPanel) {
        at.b = b + column;
        tile(at, nullptr, 0, out + column, out_row, kLanes);
      }
      if (rest > 0) tiles(at.a, a_row, a_step, b + whole, b_step, depth, nullptr, 0, out + whole, out_row, some, rest, 0, 0);
      at.a = add_bytes(at.a, some * a_row);
      out = add_bytes(out, some * out_row);
    }
  }

  // Many small matrices.

  struct Batch {
    int64_t a_next, b_next, out_next, out_row, count, rows, columns;
  };

  static void batch(const T* a, int64_t a_next, int64_t a_row, int64_t a_step, const T* b, int64_t b_next, int64_t b_step,
                    int64_t depth, T* out, int64_t out_next, int64_t out_row, int64_t count, int64_t rows, int64_t columns) {
    const Operands first{a, a_row, a_step, b, b_step, depth};
    const Batch all{a_next, b_next, out_next, out_row, count, rows, columns};
    if (fits_quads<1>(first, all)) return batch_of_quads<1>(first, out, all);
    if (fits_quads<2>(first, all)) return batch_of_quads<2>(first, out, all);
    if (fills_vectors<4>(all)) return add_shared<4>(first, out, all);
    if (fills_vectors<2>(all)) return add_shared<2>(first, out, all);
    if constexpr (Lanes::bytes == 64) {
      if (columns <= kLanes / 2) {
        return loops_of_halves<T>().batch(a, a_next, a_row, a_step, b, b_next, b_step, depth, out, out_next, out_row, count, rows,
                                          columns);
      }
    }
    const auto add = loop_of_columns<Operands>(columns);
    Operands at = first;
    for (int64_t left = count; left > 0; --left) {
      add(at, nullptr, 0, out, out_row, rows, columns, 0, 0);
      at.a = add_bytes(at.a, a_next);
      at.b = add_bytes(at.b, b_next);
      out = add_bytes(out, out_next);
    }
  }

  /// True if the results are rows of so many quads, beside each other, that fill whole vectors, and all steps go in fours.
  template <int quads>
  static bool fits_quads(const Operands& at, const Batch& all) {
    return kQuads > 1 && all.columns == quads * kQuad && all.out_row == quads * kQuad * int64_t{sizeof(T)} && all.rows % kQuads == 0 &&
           at.a_step == sizeof(T) && at.depth % kQuad == 0;
  }

  template <int quads>
  static void batch_of_quads(Operands at, T* out, const Batch& all) {
    if constexpr (kQuads > 1) {
      constexpr int kMost = kRowsOfQuads / kQuads;
      for (int64_t left = all.count; left > 0; --left) {
        Operands rows = at;
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
  static void vectors_of_quads(const Operands& at, T* out) {
    Vector sums[vectors][quads] = {};
    const T *a = at.a, *b = at.b;
    for (int64_t left = at.depth; left > 0; left -= kQuad, a += kQuad, b = add_bytes(b, kQuad * at.b_step)) {
      Vector steps[vectors];
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) steps[v] = quads_of_rows(add_bytes(a, v * kQuads * at.a_row), at.a_row);
      const auto add_step = [&]<int step>() {
        const T* row = add_bytes(b, step * at.b_step);
#pragma GCC unroll 4
        for (int q = 0; q < quads; ++q) {
          const Vector of_b = Lanes::template repeat<T, kQuads>(row + q * kQuad);
#pragma GCC unroll 4
          for (int v = 0; v < vectors; ++v) sums[v][q] = multiply_add(spread<step>(steps[v]), of_b, sums[v][q]);
        }
      };
      add_step.template operator()<0>();
      add_step.template operator()<1>();
      add_step.template operator()<2>();
      add_step.template operator()<3>();
    }
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
  static void add_shared(Operands at, T* out, const Batch& all) {
    if constexpr (kLanes / shared > 1) {
      for (int64_t left = all.count; left > 0; --left) {
        Operands rows = at;
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
  static void shared_rows(Operands at, T* out) {
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

  // Steps whose elements of a are all zeros. The product with something finite is a zero, and a sum plus a zero is that sum, but
  // for -0, which becomes +0 beside a +0. So such steps are left out where b is finite and no sum is -0.

  /// Fewer steps are added as fast as they are looked at.
  static constexpr int64_t kMinSkippingDepth = 4 * kLanes;

  using Bits = typename VectorOf<std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>, Lanes::bytes>::type;

  static Bits bits_of(Vector vector) { return reinterpret_cast<Bits>(vector); }
  static bool is_zero(Vector vector) { return Lanes::all_zero(bits_of(vector) << 1); }

  /// Which rows of b are known to be finite in a panel: those in front of `front`, and those from `back` on.
  template <int vectors, bool masked>
  struct Finite {
    const Operands& at;
    Row<vectors, masked> columns;
    int64_t back, front;

    bool is_finite(int64_t step) const {
      Bits bits = {};
      for (int v = 0; v < vectors; ++v) {
        const Vector row = columns.load(add_bytes(at.b, step * at.b_step), v);
        bits |= bits_of(row - row);  // NaN of what is not finite, else +0
      }
      return Lanes::all_zero(bits);
    }
    /// The first of the last steps from `step` on that are all finite.
    int64_t last_from(int64_t step) {
      while (back > step && is_finite(back - 1)) --back;
      return back > step ? back : step;
    }
    /// How many of the first `steps` are finite, up to one that is not.
    int64_t first_until(int64_t steps) {
      while (front < steps && is_finite(front)) ++front;
      return front < steps ? front : steps;
    }
  };

  /// True if the elements of all rows are zeros in `steps` <= kLanes steps that lie beside each other.
  static bool are_zero(const Operands& at, int64_t rows, int64_t step, int64_t steps) {
    for (int64_t row = rows - 1; row >= 0; --row) {
      const T* from = add_bytes(at.a, row * at.a_row) + step;
      if (!is_zero(steps == kLanes ? load(from) : Lanes::load_some(from, steps))) return false;
    }
    return true;
  }

  /// How many steps are left if the last ones are left out whose elements are zeros in all rows.
  static int64_t without_last_zeros(const Operands& at, int64_t rows) {
    int64_t depth = at.depth;
    if (at.a_step == sizeof(T)) {
      for (int64_t steps; depth > 0; depth -= steps) {
        steps = depth % kLanes == 0 ? kLanes : depth % kLanes;
        if (!are_zero(at, rows, depth - steps, steps)) break;
      }
    } else if (at.a_row == sizeof(T)) {
      while (depth > 0 && are_zero_beside(at, rows, depth - 1)) --depth;
    }
    return depth;
  }

  /// How many of the first steps have elements that are zeros in all rows; not all steps are like that.
  static int64_t first_zeros(const Operands& at, int64_t rows) {
    int64_t steps = 0;
    if (at.a_step == sizeof(T)) {
      while (steps + kLanes < at.depth && are_zero(at, rows, steps, kLanes)) steps += kLanes;
    } else if (at.a_row == sizeof(T)) {
      while (steps + 1 < at.depth && are_zero_beside(at, rows, steps)) ++steps;
    }
    return steps;
  }

  /// True if the elements of all rows, which lie beside each other, are zeros in a step.
  static bool are_zero_beside(const Operands& at, int64_t rows, int64_t step) {
    const T* from = add_bytes(at.a, step * at.a_step);
    for (; rows > kLanes; rows -= kLanes, from += kLanes) {
      if (!is_zero(load(from))) return false;
    }
    return is_zero(Lanes::load_some(from, rows));
  }

  template <int vectors, bool masked>
  static bool has_negative_zeros(const T* sums, int64_t row_bytes, int64_t rows, Row<vectors, masked> columns) {
    constexpr auto kSign = decltype(Bits{}[0] + Bits{}[0]){1} << (8 * sizeof(T) - 1);
    Bits found = {};
    for (int64_t row = 0; row < rows; ++row, sums = add_bytes(sums, row_bytes)) {
      for (int v = 0; v < vectors; ++v) found |= bits_of(columns.load(sums, v)) == kSign;
    }
    return !Lanes::all_zero(found);
  }

  /// A tile without its first and last steps where that gives the same sums.
  template <int vectors, bool masked>
  static void skipping_tile(Tile<Operands> tile, const Operands& at, const T* in, int64_t in_row, T* out, int64_t out_row,
                            int64_t rows, Row<vectors, masked> columns, Finite<vectors, masked>& finite) {
    const auto add_steps = [&](int64_t from, int64_t to, const T* sums, int64_t sums_row) {
      const Operands some{add_bytes(at.a, from * at.a_step), at.a_row, at.a_step, add_bytes(at.b, from * at.b_step), at.b_step,
                          to - from};
      tile(some, sums, sums_row, out, out_row, columns.last_columns);
    };
    int64_t end = without_last_zeros(at, rows);
    if (end < at.depth) end = finite.last_from(end);
    int64_t start = end > 0 ? first_zeros(at, rows) : 0;
    if (start > 0) start = finite.first_until(start < end ? start : end);
    if (start > 0 && in && has_negative_zeros(in, in_row, rows, columns)) start = 0;
    if (start < end || in != out) add_steps(start, end, in, in_row);
    if (end < at.depth && has_negative_zeros(out, out_row, rows, columns)) add_steps(end, at.depth, out, out_row);
  }

  // Copies.

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
      for (int64_t p = 0; p < square_steps; p += kSquare) transpose_square(from + j * n_stride + p, n_stride, to + p * kPanel + j);
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

template <class Lanes>
struct AllProductLoops {
  template <class T>
  using Loops = LoopsOf<Lanes, T>;
  template <class T>
  static constexpr ProductLoops<T> of() {
    return {&Loops<T>::copy_a, &Loops<T>::copy_b, &Loops<T>::transpose_b, &Loops<T>::tiles, &Loops<T>::tiles_of_pieces,
            &Loops<T>::strips, &Loops<T>::batch};
  }
  static constexpr ProductLoopsOfVectors kAll{Lanes::bytes, of<float>(), of<double>(), of<uint32_t>(), of<uint64_t>()};
};

}  // namespace
}  // namespace etch
