// What the elementwise ops mean, one element at a time: the functions that the `evaluate` column of ops.def names. They
// share nothing with compiler/math. Exact ops take and give the element's type; approximate ones long double.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "etch/dtype.h"

namespace etch::oracle {

template <class T>
concept Integer = std::integral<T> && !std::same_as<T, bool>;

template <Integer T>
inline constexpr int kBits = 8 * sizeof(T);

/// Integers wrap: the arithmetic is done in 64 unsigned bits and cut.
template <Integer T>
constexpr uint64_t widen(T a) {
  return static_cast<uint64_t>(static_cast<int64_t>(a));
}

template <std::floating_point T>
T add(T a, T b) {
  return a + b;
}
template <Integer T>
T add(T a, T b) {
  return static_cast<T>(widen(a) + widen(b));
}

template <std::floating_point T>
T sub(T a, T b) {
  return a - b;
}
template <Integer T>
T sub(T a, T b) {
  return static_cast<T>(widen(a) - widen(b));
}

template <std::floating_point T>
T mul(T a, T b) {
  return a * b;
}
template <Integer T>
T mul(T a, T b) {
  return static_cast<T>(widen(a) * widen(b));
}

template <std::floating_point T>
T neg(T a) {
  return -a;
}
template <Integer T>
T neg(T a) {
  return static_cast<T>(0 - widen(a));
}

template <std::floating_point T>
T abs(T a) {
  return std::fabs(a);
}
template <Integer T>
T abs(T a) {
  return std::is_signed_v<T> && a < T{0} ? neg(a) : a;
}

/// -1, 0 or 1; +0 for both zeros, as TensorFlow, and NaN for NaN.
template <class T>
T sign(T a) {
  if (a != a) return a;
  return a < T{0} ? T(-1) : a > T{0} ? T{1} : T{0};
}

/// x / y toward zero. Integers as XLA: x / 0 has all bits set, the least integer / -1 is itself.
template <std::floating_point T>
T trunc_div(T a, T b) {
  return std::trunc(a / b);
}
template <Integer T>
T trunc_div(T a, T b) {
  if (b == 0) return static_cast<T>(-1);
  if (std::is_signed_v<T> && b == static_cast<T>(-1)) return neg(a);
  return static_cast<T>(a / b);
}

/// The remainder of trunc_div, with the sign of x; integers: x mod 0 is x.
template <std::floating_point T>
T trunc_mod(T a, T b) {
  return std::fmod(a, b);
}
template <Integer T>
T trunc_mod(T a, T b) {
  if (b == 0) return a;
  if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
  return static_cast<T>(a % b);
}

/// x / y toward minus infinity; for floats the floor of the rounded quotient, as TensorFlow.
template <std::floating_point T>
T floor_div(T a, T b) {
  return std::floor(a / b);
}
template <Integer T>
T floor_div(T a, T b) {
  const T remainder = trunc_mod(a, b);
  const bool rounded_up = b != 0 && remainder != 0 && (remainder < 0) != (b < 0);
  return rounded_up ? sub(trunc_div(a, b), T{1}) : trunc_div(a, b);
}

/// The remainder with the sign of y, as Python's %; a zero has the sign of y. Integers: x mod 0 is x.
template <std::floating_point T>
T floor_mod(T a, T b) {
  const T remainder = std::fmod(a, b);
  if (remainder == 0) return std::copysign(T{0}, b);
  return (remainder < 0) != (b < 0) ? remainder + b : remainder;
}
template <Integer T>
T floor_mod(T a, T b) {
  const T remainder = trunc_mod(a, b);
  return b != 0 && remainder != 0 && (remainder < 0) != (b < 0) ? add(remainder, b) : remainder;
}

/// The smaller one: NaN if either is NaN, the first if they are equal (zeros of different signs are).
template <class T>
T min(T a, T b) {
  if (b != b) return b;
  return b < a ? b : a;
}

/// The larger one: NaN if either is NaN, the first if they are equal (zeros of different signs are).
template <class T>
T max(T a, T b) {
  if (b != b) return b;
  return a < b ? b : a;
}

/// x to the power n. Floats as C's pow. Integers wrap; for negative n, as XLA, +-1 for x = +-1 and else 0; 0^0 is 1.
inline long double pow(long double a, long double b) { return std::pow(a, b); }
template <Integer T>
T pow(T x, T n) {
  const bool odd = n & 1;
  if (n < T{0}) return x == T{1} ? T{1} : x == static_cast<T>(-1) ? (odd ? x : T{1}) : T{0};
  T result = 1;
  for (uint64_t left = widen(n) & static_cast<std::make_unsigned_t<T>>(-1); left > 0; left >>= 1) {
    if (left & 1) result = mul(result, x);
    x = mul(x, x);
  }
  return result;
}

/// log(1 + e^x) without overflow.
inline long double softplus(long double x) {
  return std::isnan(x) ? x : std::fmax(x, 0.0L) + std::log1p(std::exp(-std::fabs(x)));
}

// glibc reduces any argument exactly.
inline long double sin(long double x) { return std::sin(x); }
inline long double cos(long double x) { return std::cos(x); }
inline long double tan(long double x) { return std::tan(x); }

/// The y with erf(y) = x; +-infinity at +-1, NaN beyond.
long double erf_inv(long double x);

/// log |gamma(x)|; +infinity at 0 and the negative integers.
long double lgamma(long double x);

/// The derivative of log gamma; NaN at 0 and the negative integers.
long double digamma(long double x);

/// To the nearest integer, ties to even.
template <std::floating_point T>
T round_even(T x) {
  const T below = std::floor(x);
  const T rest = x - below;  // exact
  const bool up = rest > T(0.5) || (rest == T(0.5) && std::fmod(below, T{2}) != 0);
  return std::copysign(up ? below + 1 : below, x);
}

/// x << n; 0 where n is negative or not below the number of bits.
template <Integer T>
T shift_left(T x, T n) {
  return n < T{0} || n >= kBits<T> ? T{0} : static_cast<T>(widen(x) << n);
}

/// x >> n, filled with the sign of signed types, which alone is left where n is negative or not below the bit count.
template <Integer T>
T shift_right(T x, T n) {
  const T sign = x < T{0} ? static_cast<T>(-1) : T{0};
  return n < T{0} || n >= kBits<T> ? sign : static_cast<T>(x >> n);
}

/// x >> n, filled with 0; 0 where n is negative or not below the number of bits.
template <Integer T>
T shift_right_logical(T x, T n) {
  return n < T{0} || n >= kBits<T> ? T{0} : static_cast<T>(static_cast<std::make_unsigned_t<T>>(x) >> n);
}

template <Integer T>
T popcount(T x) {
  return static_cast<T>(std::popcount(static_cast<std::make_unsigned_t<T>>(x)));
}

/// Leading zero bits; all of them at 0.
template <Integer T>
T clz(T x) {
  return static_cast<T>(std::countl_zero(static_cast<std::make_unsigned_t<T>>(x)));
}

/// Ten rounds of Philox 4x32 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011) on the counter of the
/// words of `low` and `high`, the lower one first, with the words of `key`: the block's words 0 and 1, then 2 and 3.
inline std::array<uint64_t, 2> philox(uint64_t low, uint64_t high, uint64_t key) {
  const auto lower = [](uint64_t x) { return static_cast<uint32_t>(x); };
  const auto upper = [](uint64_t x) { return static_cast<uint32_t>(x >> 32); };
  const auto join = [](uint32_t a, uint32_t b) { return a | uint64_t{b} << 32; };
  std::array<uint32_t, 4> c{lower(low), upper(low), lower(high), upper(high)};
  std::array<uint32_t, 2> k{lower(key), upper(key)};
  for (int round = 0; round < 10; ++round) {
    const uint64_t p = uint64_t{0xD2511F53} * c[0];
    const uint64_t q = uint64_t{0xCD9E8D57} * c[2];
    c = {upper(q) ^ c[1] ^ k[0], lower(q), upper(p) ^ c[3] ^ k[1], lower(p)};
    k[0] += 0x9E3779B9;
    k[1] += 0xBB67AE85;
  }
  return {join(c[0], c[1]), join(c[2], c[3])};
}

/// The number of a 16-bit float type nearest to x, ties to even.
template <class To>
To round_to(long double x) {
  using Limits = std::numeric_limits<To>;
  if (!std::isfinite(x) || x == 0) return To(static_cast<float>(x));
  int exponent = 0;  // |x| is below 2^exponent, and half of that or more
  std::frexp(x, &exponent);
  const int unit = std::max(exponent, Limits::min_exponent) - Limits::digits;
  const long double rounded = std::ldexp(round_even(std::ldexp(x, -unit)), unit);
  if (std::fabs(rounded) < std::ldexp(1.0L, Limits::max_exponent)) return To(static_cast<float>(rounded));  // exact
  return rounded < 0 ? -Limits::infinity() : Limits::infinity();
}

template <class T>
inline constexpr bool kIsStorageOnly = false;
template <Element T>
inline constexpr bool kIsStorageOnly<T> = !computes_itself(dtype_of<T>);

/// The neighbour of a in the direction of b among the numbers of a 16-bit float type, as std::nextafter.
template <class T>
T nextafter(T a, T b) {
  if (a != a || b != b) return std::numeric_limits<T>::quiet_NaN();
  if (a == b) return b;
  if (a == T{}) return b > T{} ? std::numeric_limits<T>::denorm_min() : -std::numeric_limits<T>::denorm_min();
  const bool outward = (b > a) == (a > T{});
  return T::from_bits(static_cast<uint16_t>(outward ? a.bits + 1 : a.bits - 1));
}

/// The cast op. Floats become integers by truncation, saturated, NaN as 0; integers wrap; bool is x != 0; all else is
/// rounded to nearest, ties to even.
template <class To, class From>
To cast(From x) {
  if constexpr (kIsStorageOnly<From>) {
    return cast<To>(static_cast<float>(x));
  } else if constexpr (kIsStorageOnly<To>) {
    return round_to<To>(static_cast<long double>(x));
  } else if constexpr (std::same_as<To, bool>) {
    return x != From{0};
  } else if constexpr (std::floating_point<From> && std::integral<To>) {
    // Every bound is a long double.
    if (std::isnan(x)) return 0;
    const long double whole = std::trunc(static_cast<long double>(x));
    if (whole <= static_cast<long double>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    if (whole >= static_cast<long double>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    return static_cast<To>(whole);
  } else {
    return static_cast<To>(x);
  }
}

}  // namespace etch::oracle
