// The loops of matrix products that are the same for every kernel of a dtype: copies of operands, and tiles of the result in
// registers. They are compiled with the library, once for each size of vectors, so that no kernel has to emit them.
#pragma once

#include <cstdint>

namespace etch {

/// Steps of k that a copied block of the first operand has at the most, and elements from one of its rows to the next: a little
/// more, so that rows fall into different sets of the cache.
inline constexpr int64_t kProductDepth = 256;
inline constexpr int64_t kProductLeading = kProductDepth + 16;

/// Blocks have a multiple of so many rows: what one tile has, or nearly, whatever the processor.
inline constexpr int64_t kProductRows = 12;

/// Rows that lie a multiple of so many bytes apart, or up to a line more or less, fall into few sets of a cache, which has room for fewer
/// of them than of others.
inline constexpr int64_t kCollisionBytes = 4096, kCollisionReach = 64;

/// Where rows of the second operand are so many bytes apart or more, the processor does not fetch the next step ahead; products of few rows
/// add so many steps at a time then, whose rows they walk side by side.
inline constexpr int64_t kFarRowBytes = 2 << 10;
inline constexpr int64_t kFewRowsDepth = 16;

/// The loops for sums of type T; integers wrap around. A panel is what two vectors hold. Strides count elements, but for those
/// in bytes.
template <class T>
struct ProductLoops {
  /// to[i * kProductLeading + j] = from[i * line_stride + j * stride]. Up to a vector behind each line is overwritten.
  void (*copy_a)(const T* from, int64_t line_stride, int64_t stride, int64_t lines, int64_t length, T* to);
  /// Column j of each panel, from[p * k_stride + j], goes to to[p * panel + j], and zeros go behind the last one; the next panel
  /// lies `next_panel` elements behind.
  void (*copy_b)(const T* from, int64_t k_stride, int64_t columns, int64_t depth, T* to, int64_t next_panel);
  /// The same of a single panel, from[p * k_stride + j * n_stride].
  void (*transpose_b)(const T* from, int64_t n_stride, int64_t k_stride, int64_t columns, int64_t depth, T* to);
  /// out[r][j] = in[r][j] + the sum of a[r][p] * b[p][j] over p < depth, added in ascending order, by fma for floats, where
  /// j < columns <= panel; what lies behind is not touched. Without `in` sums begin with 0. Nobody looks at rows with
  /// reach + r * slope < 0, which may be left out.
  void (*tiles)(const T* a, int64_t a_row_bytes, int64_t a_step_bytes, const T* b, int64_t b_step_bytes, int64_t depth,
                const T* in, int64_t in_row_bytes, T* out, int64_t out_row_bytes, int64_t rows, int64_t columns, int64_t reach,
                int64_t slope);
  /// The same for pieces of `depth` steps, which follow each other in b, and lie so many bytes apart in a. All rows count.
  void (*tiles_of_pieces)(const T* a, int64_t a_row_bytes, int64_t a_step_bytes, int64_t a_piece_bytes, const T* b,
                          int64_t b_step_bytes, int64_t depth, int64_t pieces, const T* in, int64_t in_row_bytes, T* out,
                          int64_t out_row_bytes, int64_t rows, int64_t columns);
  /// The same as `tiles`, from sums of 0 on, for as many columns as there are: few rows are made side by side, from end to end.
  void (*strips)(const T* a, int64_t a_row_bytes, int64_t a_step_bytes, const T* b, int64_t b_step_bytes, int64_t depth, T* out,
                 int64_t out_row_bytes, int64_t rows, int64_t columns);
  /// The same as `tiles`, from sums of 0 on, for `count` matrices whose first elements lie a_next, b_next and out_next bytes apart; all rows
  /// are looked at.
  void (*batch)(const T* a, int64_t a_next, int64_t a_row, int64_t a_step, const T* b, int64_t b_next, int64_t b_step, int64_t depth,
                T* out, int64_t out_next, int64_t out_row, int64_t count, int64_t rows, int64_t columns);
};

struct ProductLoopsOfVectors {
  int vector_bytes;
  ProductLoops<float> f32;
  ProductLoops<double> f64;
  ProductLoops<uint32_t> i32;
  ProductLoops<uint64_t> i64;
};

extern const ProductLoopsOfVectors kProductLoops16;  // for all processors
extern const ProductLoopsOfVectors kProductLoops32;  // AVX2 and FMA
extern const ProductLoopsOfVectors kProductLoops64;  // AVX-512 F, BW, DQ and VL

}  // namespace etch
