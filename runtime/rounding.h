// Integer arithmetic of sizes: division that rounds up, products that stop at the largest number.
#pragma once

#include <cstdint>
#include <limits>

namespace etch {

/// The least integer that is not below a / b, for any a and a positive b.
constexpr int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b > 0 ? 1 : 0); }

/// a * b, or the largest number where that is more; for numbers that are not negative. What a product takes counts in the extents
/// of both operands, and may be more than any tensor has elements.
constexpr int64_t mul_saturated(int64_t a, int64_t b) {
  int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<int64_t>::max() : product;
}

/// The least multiple of a positive unit that is not below x.
constexpr int64_t round_up(int64_t x, int64_t unit) { return ceil_div(x, unit) * unit; }

}  // namespace etch
