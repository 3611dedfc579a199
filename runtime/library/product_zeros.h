// Steps of a tile that are left out since their elements of a are all zeros. Each file that includes this has its own copy
// (product_loops_body.h).
//
// The product with something finite is a zero, and a sum plus a zero is that sum, but for -0, which becomes +0 beside a +0. So
// such steps are left out where b is finite and no sum is -0.
#pragma once

#include <cstdint>
#include <type_traits>

#include "runtime/library/product_operands.h"
#include "runtime/library/product_vectors.h"

namespace etch {
namespace {

template <class Lanes, class T>
struct ProductZeros : ProductVectors<Lanes, T> {
  using Vectors = ProductVectors<Lanes, T>;
  using typename Vectors::Vector;
  using Vectors::kLanes, Vectors::load;

  template <int vectors, bool masked>
  using Row = ProductRow<Lanes, T, vectors, masked>;

  /// Fewer steps are added as fast as they are looked at.
  static constexpr int64_t kMinSkippingDepth = 4 * kLanes;

  using Bits = typename VectorOf<std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>, Lanes::bytes>::type;

  static Bits bits_of(Vector vector) { return reinterpret_cast<Bits>(vector); }
  static bool is_zero(Vector vector) { return Lanes::all_zero(bits_of(vector) << 1); }

  /// Which rows of b are known to be finite in a panel: those in front of `front`, and those from `back` on.
  template <int vectors, bool masked>
  struct Finite {
    const Operands<T>& at;
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

  /// The rows of b of a panel, of which nothing is known as yet.
  template <int vectors, bool masked>
  static Finite<vectors, masked> finite_of(const Operands<T>& at, Row<vectors, masked> columns) {
    return {at, columns, at.depth, 0};
  }

  /// True if the elements of all rows are zeros in `steps` <= kLanes steps that lie beside each other.
  static bool are_zero(const Operands<T>& at, int64_t rows, int64_t step, int64_t steps) {
    for (int64_t row = rows - 1; row >= 0; --row) {
      const T* from = add_bytes(at.a, row * at.a_row) + step;
      if (!is_zero(steps == kLanes ? load(from) : Lanes::load_some(from, steps))) return false;
    }
    return true;
  }

  /// How many steps are left if the last ones are left out whose elements are zeros in all rows.
  static int64_t without_last_zeros(const Operands<T>& at, int64_t rows) {
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
  static int64_t first_zeros(const Operands<T>& at, int64_t rows) {
    int64_t steps = 0;
    if (at.a_step == sizeof(T)) {
      while (steps + kLanes < at.depth && are_zero(at, rows, steps, kLanes)) steps += kLanes;
    } else if (at.a_row == sizeof(T)) {
      while (steps + 1 < at.depth && are_zero_beside(at, rows, steps)) ++steps;
    }
    return steps;
  }

  /// True if the elements of all rows, which lie beside each other, are zeros in a step.
  static bool are_zero_beside(const Operands<T>& at, int64_t rows, int64_t step) {
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
  template <class Tile, int vectors, bool masked>
  static void skipping_tile(Tile tile, const Operands<T>& at, const T* in, int64_t in_row, T* out, int64_t out_row,
                            int64_t rows, Row<vectors, masked> columns, Finite<vectors, masked>& finite) {
    const auto add_steps = [&](int64_t from, int64_t to, const T* sums, int64_t sums_row) {
      const Operands<T> some{add_bytes(at.a, from * at.a_step), at.a_row, at.a_step, add_bytes(at.b, from * at.b_step),
                             at.b_step, to - from};
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
};

}  // namespace
}  // namespace etch
