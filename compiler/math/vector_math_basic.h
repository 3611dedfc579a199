// Exact elementwise operations on lanes: sign, min and max, the divisions and remainders, integer power, shifts, tests.
#pragma once

#include "compiler/math/lanes.h"

namespace etch::math {

/// c[0] + c[1] x + c[2] x^2 + ... by Horner's rule, one fma a step.
template <class L, size_t N>
L horner(const L& x, const ElementOf<L> (&c)[N]) {
  L sum = like(x, c[N - 1]);
  for (size_t i = N - 1; i-- > 0;) sum = fma(sum, x, c[i]);
  return sum;
}

namespace internal {

/// A function of floats a >= 0 in eight pieces, each with a polynomial of degree N in the distance from its centre. The piece
/// stands in the exponent and the first bits of the mantissa of a * scale + start, above `shift`, modulo 8: pieces become longer
/// with a.
template <size_t N>
struct Pieces {
  float scale, start, end;  // `end`: the function is constant from there on
  int32_t shift;
  std::array<float, 8> centre;
  std::array<std::array<float, 8>, N + 1> c;
};

/// The function is constant + d * slope there. In the first piece d is a.
template <class L>
struct InPiece {
  L d, slope, constant;
  L moved;  // a * scale + start
};

template <class L, size_t N>
InPiece<L> in_piece(const L& magnitude, const Pieces<N>& f) {
  L a = select(magnitude > f.end, f.end, magnitude);
  L moved = fma(a, f.scale, f.start);
  auto piece = shr_logical(bitcast<int32_t>(moved), f.shift);
  L d = a - lookup(f.centre, piece);
  L slope = lookup(f.c[N], piece);
  for (size_t i = N; i-- > 1;) slope = fma(slope, d, lookup(f.c[i], piece));
  return {d, slope, lookup(f.c[0], piece), moved};
}

}  // namespace internal

template <class L>
inline constexpr ElementOf<L> kInf = std::numeric_limits<ElementOf<L>>::infinity();
template <class L>
inline constexpr ElementOf<L> kNan = std::numeric_limits<ElementOf<L>>::quiet_NaN();

template <class L>
auto is_nan(const L& x) {
  return x != x;
}

template <class L>
auto is_inf(const L& x) {
  return abs(x) == kInf<L>;
}

template <class L>
auto is_finite(const L& x) {
  return abs(x) < kInf<L>;
}

/// a * b, and +0 where b is a zero, whatever a is.
template <class L>
L multiply_no_nan(const L& a, const L& b) {
  return select(b == ElementOf<L>{0}, b * b, a * b);
}

/// -1, 0 or 1. For floats both zeros give +0, as TensorFlow's CPU kernel, and NaN gives NaN, as XLA and NumPy.
template <class L>
L sign(const L& x) {
  using T = ElementOf<L>;
  if constexpr (std::is_unsigned_v<T>) {
    return select(x == T{0}, x, T{1});
  } else if constexpr (kIsFloat<L>) {
    return select(x < T{0}, T{-1}, select(x > T{0}, T{1}, x + T{0}));
  } else {
    return (x >> T(8 * sizeof(T) - 1)) | shr_logical(-x, T(8 * sizeof(T) - 1));
  }
}

/// The smaller value. Floats: NaN if either is NaN, the first of zeros of either sign.
template <class L>
L min(const L& a, const L& b) {
  if constexpr (kIsFloat<L>) {
    return minimum(a, b);
  } else {
    return select(a < b, a, b);
  }
}

/// The larger value. Floats: NaN if either is NaN, the first of zeros of either sign.
template <class L>
L max(const L& a, const L& b) {
  if constexpr (kIsFloat<L>) {
    return maximum(a, b);
  } else {
    return select(a > b, a, b);
  }
}

namespace internal {

/// x / y for integers by floating point where that is exact and vector units can do it; y is neither 0 nor -1.
template <class L>
L plain_quotient(const L& x, const L& y) {
  using T = ElementOf<L>;
  if constexpr (sizeof(T) <= 2) {
    // As below: a quotient of 16-bit integers that is no integer is at least 2^-16 away from one.
    return convert<T>(convert_in_range<int32_t>(convert<float>(x) / convert<float>(y)));
  } else if constexpr (sizeof(T) == 4) {
    // A quotient of 32-bit integers that is no integer is at least 2^-31 (relatively) away from one, so truncating its
    // double is exact.
    return convert_in_range<T>(convert<double>(x) / convert<double>(y));
  } else {
    return x / y;
  }
}

}  // namespace internal

/// x / y rounded toward zero. Integers follow XLA: x / 0 is -1 (all bits set), INT_MIN / -1 is INT_MIN.
template <class L>
L trunc_div(const L& x, const L& y) {
  using T = ElementOf<L>;
  if constexpr (kIsFloat<L>) {
    return trunc(x / y);
  } else if constexpr (std::is_signed_v<T>) {
    auto zero = y == T{0};
    auto minus_one = y == T{-1};
    L quotient = internal::plain_quotient(x, select(zero | minus_one, T{1}, y));
    return select(zero, T{-1}, select(minus_one, -x, quotient));
  } else {
    auto zero = y == T{0};
    return select(zero, static_cast<T>(-1), internal::plain_quotient(x, select(zero, T{1}, y)));
  }
}

namespace internal {

/// fmod for double lanes: exact. Each step subtracts a multiple of y * 2^k that is at most 2^52 such multiples.
template <class L>
L fmod_f64(const L& x, const L& y) {
  static_assert(std::same_as<ElementOf<L>, double>);
  L a = abs(x);
  L d = abs(y);
  auto valid = (a < kInf<L>)&(d > 0.0);
  // Quotients stay below 2^52. trunc(r / m) may be one too many after rounding; then the rest is negative.
  auto step = [](const L& r, const L& m) {
    L rest = fma(-trunc(r / m), m, r);
    return select(rest < 0.0, rest + m, rest);
  };
  L quotient = a / d;
  auto far = valid & ~(quotient < 0x1p52);
  L near = select(d < kInf<L>, step(a, d), a);
  L result = if_any(far, near, [&] {
    L power = bitcast<double>(bitcast<int64_t>(a) & int64_t{0x7ff} << 52);
    L scaled = select(d < 0x1p-1022, d * 0x1p60, d);
    L mantissa = bitcast<double>((bitcast<int64_t>(scaled) & ((int64_t{1} << 52) - 1)) | int64_t{0x3ff} << 52);
    std::array<L, 2> state{a, select(far, mantissa * (power * 0x1p-40), like(d, kInf<L>))};
    return while_any(
        state, [&](const std::array<L, 2>& s) { return (s[1] >= d) & (s[1] < kInf<L>); },
        [&](const std::array<L, 2>& s) {
          L smaller = s[1] * 0x1p-48;
          // After the step with d itself the modulus becomes 0, which ends the lane.
          L next = select(s[1] == d, 0.0, select(smaller > d, smaller, d));
          return std::array<L, 2>{step(s[0], s[1]), next};
        })[0];
  });
  return select(valid, copysign(result, x), select(is_nan(x) | is_nan(y), x + y, like(x, kNan<L>)));
}

}  // namespace internal

/// The remainder of trunc_div with the sign of x. Floats: C's fmod, exact; x for infinite y, NaN for y = 0 or infinite
/// x.
/// Integers follow XLA: x % 0 is x, INT_MIN % -1 is 0.
template <class L>
L trunc_mod(const L& x, const L& y) {
  using T = ElementOf<L>;
  if constexpr (std::same_as<T, double>) {
    return internal::fmod_f64(x, y);
  } else if constexpr (std::same_as<T, float>) {
    return convert<float>(internal::fmod_f64(convert<double>(x), convert<double>(y)));
  } else {
    return select(y == T{0}, x, x - trunc_div(x, y) * y);
  }
}

/// x / y rounded toward minus infinity. Floats: floor(x / y), as TensorFlow. Integers: x // 0 is -1, INT_MIN // -1 is
/// INT_MIN.
template <class L>
L floor_div(const L& x, const L& y) {
  using T = ElementOf<L>;
  if constexpr (kIsFloat<L>) {
    return floor(x / y);
  } else if constexpr (std::is_unsigned_v<T>) {
    return trunc_div(x, y);
  } else {
    L q = trunc_div(x, y);
    L rest = x - q * y;
    return select((rest != T{0}) & ((rest ^ y) < T{0}) & (y != T{0}), q - T{1}, q);
  }
}

/// The remainder with the sign of y, as Python's %: exact but for one rounding where the signs differ. Floats: a zero
/// result has the sign of y; a finite x modulo an infinity of the other sign is that infinity; NaN for y = 0.
/// Integers: x mod 0 is x, INT_MIN mod -1 is 0.
template <class L>
L floor_mod(const L& x, const L& y) {
  using T = ElementOf<L>;
  L rest = trunc_mod(x, y);
  if constexpr (kIsFloat<L>) {
    L shifted = select((rest < T{0}) != (y < T{0}), rest + y, rest);
    return select(rest == T{0}, copysign(T{0}, y), shifted);
  } else if constexpr (std::is_unsigned_v<T>) {
    return rest;
  } else {
    return select((rest != T{0}) & ((rest ^ y) < T{0}) & (y != T{0}), rest + y, rest);
  }
}

/// x to the power n for integers, wrapping. A negative n follows XLA: 1 for x = 1, +-1 for x = -1, else 0. 0^0 is 1.
template <class L>
L int_pow(const L& x, const L& n) {
  using T = ElementOf<L>;
  std::array<L, 3> end = while_any(
      std::array<L, 3>{like(x, T{1}), x, n}, [](const std::array<L, 3>& s) { return s[2] > T{0}; },
      [](const std::array<L, 3>& s) {
        return std::array<L, 3>{select((s[2] & T{1}) != T{0}, s[0] * s[1], s[0]), s[1] * s[1], shr_logical(s[2], T{1})};
      });
  if constexpr (std::is_unsigned_v<T>) {
    return end[0];
  } else {
    L negative = select(x == T{1}, T{1}, select(x == T{-1}, select((n & T{1}) != T{0}, T{-1}, like(x, T{1})), T{0}));
    return select(n < T{0}, negative, end[0]);
  }
}

namespace internal {

template <class L>
auto shift_in_range(const L& n) {
  using T = ElementOf<L>;
  constexpr T kBits = T(8 * sizeof(T));
  if constexpr (std::is_unsigned_v<T>) {
    return n < kBits;
  } else {
    return (n & T(~(kBits - 1))) == T{0};
  }
}

}  // namespace internal

/// x << n; 0 if n is negative or not less than the number of bits (XLA).
template <class L>
L shift_left(const L& x, const L& n) {
  auto ok = internal::shift_in_range(n);
  return select(ok, x << select(ok, n, ElementOf<L>{0}), ElementOf<L>{0});
}

/// x >> n filled with the sign; all sign bits if n is negative or not less than the number of bits (XLA).
template <class L>
L shift_right_arithmetic(const L& x, const L& n) {
  using T = ElementOf<L>;
  auto ok = internal::shift_in_range(n);
  if constexpr (std::is_unsigned_v<T>) {
    return select(ok, x >> select(ok, n, T{0}), T{0});
  } else {
    return x >> select(ok, n, T(8 * sizeof(T) - 1));
  }
}

/// x >> n filled with zeros; 0 if n is negative or not less than the number of bits (XLA).
template <class L>
L shift_right_logical(const L& x, const L& n) {
  auto ok = internal::shift_in_range(n);
  return select(ok, shr_logical(x, select(ok, n, ElementOf<L>{0})), ElementOf<L>{0});
}

/// Ten rounds of Philox 4x32 on the counter of the words of `low` and `high` with the words of `key`: the block's words 0 and
/// 1, then 2 and 3. Each word stands in 64 bits, so that a product is one instruction.
template <class L>
std::array<L, 2> philox(const L& low, const L& high, const L& key) {
  constexpr uint64_t kWord = 0xFFFFFFFF;
  const auto lower = [](const L& x) { return x & kWord; };
  const auto upper = [](const L& x) { return shr_logical(x, uint64_t{32}); };
  L c0 = lower(low), c1 = upper(low), c2 = lower(high), c3 = upper(high);
  L k0 = lower(key), k1 = upper(key);
  for (int round = 0; round < 10; ++round) {
    const L p = c0 * uint64_t{0xD2511F53};
    const L q = c2 * uint64_t{0xCD9E8D57};
    c0 = upper(q) ^ c1 ^ k0;
    c1 = lower(q);
    c2 = upper(p) ^ c3 ^ k1;
    c3 = lower(p);
    k0 = lower(k0 + uint64_t{0x9E3779B9});
    k1 = lower(k1 + uint64_t{0xBB67AE85});
  }
  return {c0 | (c1 << uint64_t{32}), c2 | (c3 << uint64_t{32})};
}

/// The neighbour of a in the direction of b (C99): b if they are equal, NaN if either is NaN.
template <class L>
L nextafter(const L& a, const L& b) {
  using T = ElementOf<L>;
  using I = IntOf<L>;
  auto bits = bitcast<I>(a);
  auto away = ((bits ^ bitcast<I>(b)) >= I{0}) & (abs(a) < abs(b));
  L stepped = bitcast<T>(select(away, bits + I{1}, bits - I{1}));
  L from_zero = copysign(std::numeric_limits<T>::denorm_min(), b);
  L moved = select(a == T{0}, from_zero, stepped);
  return select(a == b, b, select(is_nan(a) | is_nan(b), a + b, moved));
}

/// 1 / sqrt(x): +-inf at +-0, NaN below 0, 0 at infinity.
template <class L>
L rsqrt(const L& x) {
  return ElementOf<L>(1) / sqrt(x);
}

}  // namespace etch::math
