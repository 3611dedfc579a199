// Integer division that rounds up.
#pragma once

#include <cstdint>

namespace etch {

/// The least integer that is not below a / b, for any a and a positive b.
constexpr int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b > 0 ? 1 : 0); }

/// The least multiple of a positive unit that is not below x.
constexpr int64_t round_up(int64_t x, int64_t unit) { return ceil_div(x, unit) * unit; }

}  // namespace etch
