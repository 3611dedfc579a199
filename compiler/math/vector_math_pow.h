// cbrt, hypot and pow for floats. Coefficients: tools/minimax.py.
#pragma once

#include "compiler/math/vector_math_exp.h"
#include "compiler/math/vector_math_log.h"

namespace etch::math {
namespace internal {

/// (a^3 + 2c) / (2a^3 + c) * a: Halley's step for the cube root of c, which triples the number of right digits.
template <class L>
L halley_cbrt(const L& a, const L& c) {
  L cube = a * a * a;
  return a * ((cube + (c + c)) / ((cube + cube) + c));
}

/// A value hi + lo, lo far below hi.
template <class L>
struct Pair {
  L hi;
  L lo;
};

/// a + b as a pair, for |a| >= |b| or a = 0.
template <class L>
Pair<L> fast_two_sum(const L& a, const L& b) {
  L sum = a + b;
  return {sum, b - (sum - a)};
}

/// log2(x) for double lanes, x positive and normal, to about 2^-66 of its value.
template <class L>
Pair<L> log2_pair(const L& x) {
  // log(1 + f) = 2 s + s^3 (2/3 + z Q(z)), s = f / (2 + f), z = s^2. Everything above 2^-12 of the result is a pair.
  constexpr double kRest[] = {4.0000000000000002e-1, 2.8571428571426327e-1, 2.2222222222767771e-1,
                              1.8181818156005974e-1, 1.5384609820459738e-1, 1.3334145603271558e-1,
                              1.1721126268258807e-1, 1.1588618175975327e-1};
  constexpr double kTwoThirdsHi = 0x1.5555555555555p-1, kTwoThirdsLo = 0x1.5555555555555p-55;
  constexpr double kLog2e = ExpFormat<double>::kLog2e, kLog2eLo = LogFormat<double>::kLog2eLo;
  auto [k, f] = reduce_log(x);
  auto d = fast_two_sum(like(x, 2.0), f);
  L inverse = 1.0 / d.hi;
  L s = f * inverse;
  L s_lo = fma(-s, d.lo, fma(-s, d.hi, f)) * inverse;
  L z = s * s;
  L z_lo = fma(s, s, -z) + 2.0 * (s * s_lo);
  // c = 2/3 + z Q
  auto c = fast_two_sum(like(x, kTwoThirdsHi), z * horner(z, kRest));
  L c_lo = c.lo + kTwoThirdsLo;
  // t = z c, then log = s (2 + t)
  L t = z * c.hi;
  L t_lo = fma(z, c.hi, -t) + fma(z, c_lo, z_lo * c.hi);
  auto u = fast_two_sum(like(x, 2.0), t);
  L u_lo = u.lo + t_lo;
  L l = s * u.hi;
  L l_lo = fma(s, u.hi, -l) + fma(s, u_lo, s_lo * u.hi);
  L m = l * kLog2e;
  L m_lo = fma(l, kLog2e, -m) + fma(l, kLog2eLo, l_lo * kLog2e);
  auto sum = fast_two_sum(k, m);
  return fast_two_sum(sum.hi, sum.lo + m_lo);
}

/// 2^(hi + lo) for double lanes; hi may also be infinite.
template <class L>
L exp2_pair(const L& hi, const L& lo) {
  using F = ExpFormat<double>;
  constexpr double kShift = F::kRound + 2 * F::kBias;
  const bool at_once = scales_at_once(hi);
  L low = at_once ? hi : select(hi < F::kExp2Underflow, F::kExp2Underflow, hi);
  L clamped = select(low > F::kExp2Overflow, F::kExp2Overflow, low);
  L shifted = clamped + kShift;
  L k = shifted - kShift;
  L r = (clamped - k) + select(abs(hi) < F::kExp2Overflow * 2, lo, 0.0);
  L y = fma(r, horner(r, F::kExp2), 1.0);
  // lo may lift what hi alone would round to 0.
  return at_once ? scale_or_zero(y, k, ~(hi < F::kExp2Zero - 1)) : scale_exp(y, shifted);
}

/// |x|^y in double lanes, accurate to float only.
template <class L>
L pow_magnitude_f32(const L& x, const L& y) {
  constexpr double kLog[] = {6.6666665641368528e-1, 4.0000336210560622e-1, 2.8537238549698613e-1,
                             2.3583567881515957e-1};
  constexpr double kExp2[] = {6.9314718070681969e-1, 2.4022651070965509e-1, 5.5504103600476591e-2,
                              9.6180374098598382e-3, 1.3333938019440695e-3, 1.5467007371649684e-4,
                              1.5195941421712538e-5};
  constexpr double kShift = ExpFormat<double>::kRound + 2 * ExpFormat<double>::kBias;
  constexpr double kLimit = 300.0;
  auto [k, f] = reduce_log(x);
  L s = f / (f + 2.0);
  L z = s * s;
  L log2x = fma(s * fma(z, horner(z, kLog), 2.0), ExpFormat<double>::kLog2e, k);
  log2x = select(x < kInf<L>, select(x == 0.0, -kInf<L>, log2x), x);
  L w = y * log2x;
  w = select(w > kLimit, kLimit, select(w < -kLimit, -kLimit, w));
  L shifted = w + kShift;
  L r = w - (shifted - kShift);
  return fma(r, horner(r, kExp2), 1.0) * power_of_two(shifted, 0);
}

/// |x|^y for doubles.
template <class L>
L pow_magnitude_f64(const L& x, const L& y) {
  auto log = log2_pair(x);
  L hi = select(x < kInf<L>, select(x == 0.0, -kInf<L>, log.hi), x);
  L w = y * hi;
  L lost = fma(y, hi, -w);
  return exp2_pair(w, fma(y, log.lo, lost));
}

}  // namespace internal

/// The cube root, of negative x too.
template <class L>
L cbrt(const L& x) {
  using T = ElementOf<L>;
  L a = abs(x);
  auto small = a < T(0x1p-100);
  // The cube roots of the two scales are powers of two; the second keeps 3c from overflowing.
  L c = a * select(small, T(0x1p54), like(a, T(0.125)));
  // Dividing the bits of a float by 3 divides its exponent by 3: a first value that is right to about 5 %
  // (the constants are FDLIBM's).
  L result = c;
  if constexpr (kIsF32<L>) {
    auto third = convert_in_range<int32_t>(convert<float>(bitcast<int32_t>(c)) * (1.0f / 3));
    L y = internal::halley_cbrt(bitcast<float>(third + 0x2a5119f2), c);
    result = convert<float>(internal::halley_cbrt(convert<double>(y), convert<double>(c)));
  } else {
    constexpr double kRound = 0x1.8p52;
    L high = internal::exponent_to_float(shr_logical(bitcast<int64_t>(c), int64_t{32}));
    auto third = bitcast<int64_t>(fma(high, 1.0 / 3, kRound + 0x2a9f7893)) << int64_t{32};
    L y = internal::halley_cbrt(internal::halley_cbrt(bitcast<double>(third), c), c);
    // One Newton step with an exact residual: y^2 is s + s_lo.
    L s = y * y;
    L s_lo = fma(y, y, -s);
    L residual = fma(-s_lo, y, fma(-s, y, c));
    result = y + residual / (s * 3.0);
  }
  L scaled = result * select(small, T(0x1p-18), like(a, T(2)));
  return copysign(select((a < kInf<L>)&(a > T(0)), scaled, a), x);
}

/// sqrt(x^2 + y^2) without overflow or underflow on the way; infinite if either is, even beside a NaN (C99).
template <class L>
L hypot(const L& x, const L& y) {
  using T = ElementOf<L>;
  L a = abs(x);
  L b = abs(y);
  auto infinite = (a == kInf<L>) | (b == kInf<L>);
  if constexpr (kIsF32<L>) {
    auto p = convert<double>(a);
    auto q = convert<double>(b);
    return select(infinite, kInf<L>, convert<float>(sqrt(fma(p, p, q * q))));
  } else {
    auto huge = (a > T(0x1p500)) | (b > T(0x1p500));
    auto tiny = (a < T(0x1p-450)) & (b < T(0x1p-450));
    L scale = select(huge, T(0x1p-600), select(tiny, T(0x1p600), like(x, T(1))));
    L back = select(huge, T(0x1p600), select(tiny, T(0x1p-600), like(x, T(1))));
    L p = a * scale;
    L q = b * scale;
    return select(infinite, kInf<L>, sqrt(fma(p, p, q * q)) * back);
  }
}

/// x^n of integers; see int_pow.
template <class L>
requires std::is_integral_v<ElementOf<L>> L pow(const L& x, const L& n) { return int_pow(x, n); }

namespace internal {

/// x^y of any exponents.
template <class L>
L pow_by_logarithm(const L& x, const L& y) {
  using T = ElementOf<L>;
  using I = IntOf<L>;
  L a = abs(x);
  // Beyond this bound every x but +-1 gives 0 or infinity already; a finite y keeps 0 * infinity out.
  constexpr T kHuge = kIsF32<L> ? T(0x1p40) : T(0x1p80);
  L exponent = select(y > kHuge, kHuge, select(y < -kHuge, -kHuge, y));
  L r = a;
  if constexpr (kIsF32<L>) {
    r = convert<float>(pow_magnitude_f32(convert<double>(a), convert<double>(exponent)));
  } else {
    r = pow_magnitude_f64(a, exponent);
  }
  L half = y * T(0.5);
  auto integer = floor(y) == y;
  auto odd = integer & (floor(half) != half);
  r = select((bitcast<I>(x) < I{0}) & odd, -r, r);
  r = select((x < T(0)) & (x > -kInf<L>)&~integer, kNan<L>, r);
  return select((y == T(0)) | (x == T(1)), T(1), r);
}

}  // namespace internal

/// x^y with the special values of C99, Annex F. The exponents 2, 3 and 1/2 are products and a root.
template <class L>
L pow(const L& x, const L& y) {
  using T = ElementOf<L>;
  L square = x * x;
  auto is_cube = y == T(3);
  auto is_root = y == T(0.5);
  L easy = select(is_cube, square * x, square);
  L r = if_any(~(is_cube | is_root | (y == T(2))), easy, [&] { return internal::pow_by_logarithm(x, y); });
  // C99 has +0 for -0 and infinity for -infinity.
  return if_any(is_root, r, [&] { return select(x == -kInf<L>, kInf<L>, abs(sqrt(x))); });
}

}  // namespace etch::math
