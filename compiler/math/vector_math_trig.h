// sin, cos and tan over the full range, and asin, acos, atan, atan2. Coefficients: tools/minimax.py.
#pragma once

#include "compiler/math/vector_math_basic.h"

namespace etch::math {
namespace internal {

/// kHalfPi is pi / 2 in three parts, rounded down: none is negative, which keeps the sign of -0 in the reduction.
template <class T>
struct TrigFormat;

template <>
struct TrigFormat<float> {
  static constexpr int kSignShift = 30;  // moves bit 1 to the sign
  static constexpr float kRound = 0x1.8p23f;
  static constexpr float kFastLimit = 0x1p16f;  // the quadrant is right up to here
  static constexpr float kTwoOverPi = 0x1.45f306p-1f;
  static constexpr float kHalfPi[] = {0x1.921fb4p+0f, 0x1.4442d0p-24f, 0x1.846988p-48f};
  static constexpr float kSin[] = {-1.66666552e-1f, 8.3321901e-3f, -1.95184082e-4f};  // 2^-28.0
  static constexpr float kCos[] = {4.16666456e-2f, -1.38873118e-3f, 2.44327421e-5f};  // 2^-33.1
  static constexpr float kTan[] = {3.33333522e-1f, 1.33325949e-1f, 5.40666506e-2f, 2.12508123e-2f,
                                   1.09109348e-2f, 1.70246381e-7f, 4.41811234e-3f};  // 2^-29.2
  static constexpr float kAsin[] = {1.66667536e-1f, 7.49527663e-2f, 4.54714522e-2f, 2.41787955e-2f,
                                    4.21625003e-2f};  // 2^-27.5
  static constexpr float kAtan[] = {-3.333323e-1f, 1.99940845e-1f, -1.41734555e-1f, 1.01530984e-1f,
                                    -5.12179621e-2f};  // 2^-27.4
};

template <>
struct TrigFormat<double> {
  static constexpr int kSignShift = 62;
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kFastLimit = 0x1p30;
  static constexpr double kTwoOverPi = 0x1.45f306dc9c883p-1;
  static constexpr double kHalfPi[] = {0x1.921fb54442d18p+0, 0x1.1a62633145c06p-54, 0x1.c1cd129024e08p-107};
  static constexpr double kSin[] = {-1.666666666666663e-1, 8.3333333333219448e-3,  -1.9841269829484602e-4,
                                    2.7557313591087511e-6, -2.5050743528454354e-8, 1.5896000046150026e-10};  // 2^-57.9
  static constexpr double kCos[] = {4.1666666666666595e-2, -1.3888888888873433e-3,
                                    2.4801587289088995e-5, -2.7557314246727625e-7,
                                    2.0875709736424291e-9, -1.1358979878585515e-11};  // 2^-64.1
  static constexpr double kTan[] = {3.333333333333271e-1,   1.3333333333422681e-1,  5.3968253923188554e-2,
                                    2.1869489686230089e-2,  8.8632181417137215e-3,  3.5922978371520139e-3,
                                    1.4547070807482355e-3,  5.9527068092107686e-4,  2.217930050037479e-4,
                                    1.3769818899003102e-4,  -2.7994647932682998e-5, 9.0894548964866689e-5,
                                    -4.5637739831929251e-5, 2.1042558366494174e-5};  // 2^-55.9
  static constexpr double kAsin[] = {1.6666666666665406e-1, 7.5000000003351011e-2,  4.4642856831058148e-2,
                                     3.038195899692208e-2,  2.2371761811312701e-2,  1.735964424884176e-2,
                                     1.3885856581683516e-2, 1.216504090053214e-2,   6.5462356438232743e-3,
                                     1.9478022070293002e-2, -1.6145358394133603e-2, 3.185833708891584e-2};  // 2^-55.8
  static constexpr double kAtan[] = {-3.3333333333333309e-1, 1.9999999999992635e-1,  -1.4285714284910192e-1,
                                     1.1111111066428682e-1,  -9.090907615596884e-2,  7.6922761884970783e-2,
                                     -6.6662090845141256e-2, 5.8776953091279609e-2,  -5.2294173894513178e-2,
                                     4.5873043809530369e-2,  -3.7068883058935596e-2, 2.358740602442868e-2,
                                     -8.3250651456617236e-3};  // 2^-61.8
};

/// The bits of 2 / pi in pieces of 29 bits: a product of one with a float is exact in double.
inline constexpr std::array<double, 7> kTwoOverPiBits29 = {0x1.45f306dp-1,  0x1.9391054p-30,  0x1.4fe13abp-59,
                                                           0x1.d1f534dp-88, 0x1.b81b6c5p-117, 0x1.5993c4p-148,
                                                           0x1.c820ff2p-175};

/// The bits of 2 / pi in pieces of 53 bits, times 2^128 so that none is subnormal.
inline constexpr std::array<double, 22> kTwoOverPiBits53 = {
    0x1.45f306dc9c882p+127, 0x1.4a7f09d5f47d4p+74,  0x1.a6ee06db14accp+21,  0x1.3c439041fe516p-32,
    0x1.d5ef5de2b0db8p-87,  0x1.2371d2126e970p-139, 0x1.924bba8274600p-198, 0x1.21cfe1deb1cb1p-244,
    0x1.4d39f74411af8p-299, 0x1.4baed1213a671p-350, 0x1.8135a2fbf209cp-403, 0x1.91d639835339fp-456,
    0x1.272117e2ef7e4p-510, 0x1.41d8ffc4bffeep-563, 0x1.02cc07f79788cp-615, 0x1.6b414da3eda6cp-669,
    0x1.fb3c9f2c26dd2p-722, 0x1.d18fd9a797fa8p-774, 0x1.6ba93dd63f5f2p-827, 0x1.f17b3d0739f78p-880,
    0x1.4a525d4d7f6bfp-933, 0x1.88fc6ae842b00p-987};

/// An angle x = n pi / 2 + r + rest, |r| <= pi / 4 (nearly), rest far below r, as the array {r, n + kRound, rest}. The
/// low bits of the second are n modulo 4.
///
/// The reduction for huge arguments is done in turns: x / (2 pi) modulo 1 is summed from exact products, each modulo 1,
/// from the top.
/// Source of the idea: M. Payne and R. Hanek, Radian reduction for trigonometric functions, SIGNUM 18 (1983).
template <class L>
std::array<L, 3> reduce_huge(const L& x) {
  using F = TrigFormat<ElementOf<L>>;
  if constexpr (kIsF32<L>) {
    auto y = convert<double>(x) * 0.25;
    using D = decltype(y);
    D turns = fold_table(std::array<D, 1>{y * 0.0}, kTwoOverPiBits29, [&](const std::array<D, 1>& s, const D& c) {
      D p = y * c;
      D sum = s[0] + (p - round_even(p));
      return std::array<D, 1>{sum - round_even(sum)};
    })[0];
    D quarters = turns * 4.0;
    D n = round_even(quarters);
    D angle = (quarters - n) * TrigFormat<double>::kHalfPi[0];
    L r = convert<float>(angle);
    return {r, convert<float>(n) + F::kRound, convert<float>(angle - convert<double>(r))};
  } else {
    L y = x * 0x1p-130;
    L zero = y * 0.0;
    // hi + lo holds the sum; each product is p + q, exactly.
    std::array<L, 2> turns =
        fold_table(std::array<L, 2>{zero, zero}, kTwoOverPiBits53, [&](const std::array<L, 2>& s, const L& c) {
          L p = y * c;
          L q = fma(y, c, -p);
          p = p - round_even(p);
          q = q - round_even(q);
          L sum = s[0] + p;
          L back = sum - s[0];
          L error = (s[0] - (sum - back)) + (p - back);
          L sum2 = sum + q;
          L back2 = sum2 - sum;
          L error2 = (sum - (sum2 - back2)) + (q - back2);
          L lo = s[1] + (error + error2);
          L reduced = sum2 - round_even(sum2);
          L hi = reduced + lo;
          return std::array<L, 2>{hi, lo - (hi - reduced)};
        });
    L quarters = turns[0] * 4.0;
    L n = round_even(quarters);
    L f = quarters - n;
    L r = f * F::kHalfPi[0];
    L rest = fma(f, F::kHalfPi[0], -r) + fma(f, F::kHalfPi[1], turns[1] * (4.0 * F::kHalfPi[0]));
    return {r, n + F::kRound, rest};
  }
}

/// The reduction of any x to {r, n + kRound, rest}, see reduce_huge; without kRest r is the rounded sum of the two.
template <bool kRest, class L>
std::array<L, kRest ? 3 : 2> reduce_trig(const L& x) {
  using F = TrigFormat<ElementOf<L>>;
  L shifted = fma(x, F::kTwoOverPi, F::kRound);
  L n = shifted - F::kRound;
  // The first step is exact: both sides are multiples of the last place of pi / 2, and the difference is below 1.
  L first = fma(n, -F::kHalfPi[0], x);
  auto huge = abs(x) > F::kFastLimit;
  if constexpr (kRest) {
    L w = n * F::kHalfPi[1];
    L w_rest = fma(n, F::kHalfPi[1], -w);
    L r = first - w;
    L rest = fma(n, -F::kHalfPi[2], ((first - r) - w) - w_rest);
    return if_any(huge, std::array<L, 3>{r, shifted, rest}, [&] { return reduce_huge(x); });
  } else {
    L r = fma(n, -F::kHalfPi[2], fma(n, -F::kHalfPi[1], first));
    return if_any(huge, std::array<L, 2>{r, shifted}, [&] {
      std::array<L, 3> reduced = reduce_huge(x);
      return std::array<L, 2>{reduced[0] + reduced[2], reduced[1]};
    });
  }
}

/// sin(r + (quadrant of shifted) pi / 2).
template <class L>
L sin_reduced(const L& r, const L& shifted) {
  using T = ElementOf<L>;
  using I = IntOf<L>;
  using F = TrigFormat<T>;
  auto n = bitcast<I>(shifted);
  L z = r * r;
  // copysign restores the sign of a zero.
  L sine = copysign(fma(r * z, horner(z, F::kSin), r), r);
  L cosine = fma(z * z, horner(z, F::kCos), fma(z, T(-0.5), T(1)));
  L value = select((n & I{1}) != I{0}, cosine, sine);
  return bitcast<T>(bitcast<I>(value) ^ ((n & I{2}) << I{F::kSignShift}));
}

/// An arc built as base + tail, where base is a multiple of pi / 4 rounded and ratio * base the rest of it.
template <class T>
inline constexpr T kPiRatio = TrigFormat<T>::kHalfPi[1] / TrigFormat<T>::kHalfPi[0];

}  // namespace internal

/// The sine of any finite x; NaN for infinities.
template <class L>
L sin(const L& x) {
  auto [r, shifted] = internal::reduce_trig<false>(x);
  return internal::sin_reduced(r, shifted);
}

/// The cosine of any finite x; NaN for infinities.
template <class L>
L cos(const L& x) {
  using T = ElementOf<L>;
  auto [r, shifted] = internal::reduce_trig<false>(x);
  return internal::sin_reduced(r, shifted + T(1));
}

/// The tangent of any finite x; NaN for infinities.
template <class L>
L tan(const L& x) {
  using T = ElementOf<L>;
  using I = IntOf<L>;
  auto [r, shifted, rest] = internal::reduce_trig<true>(x);
  L z = r * r;
  L tail = r * z * horner(z, internal::TrigFormat<T>::kTan);
  L rough = r + tail;
  // copysign restores the sign of a zero.
  L t = copysign(r + fma(fma(rough, rough, T(1)), rest, tail), r);
  auto odd = (bitcast<I>(shifted) & I{1}) != I{0};
  return select(odd, T(-1), t) / select(odd, t, T(1));
}

/// The arc sine; NaN outside [-1, 1].
template <class L>
L asin(const L& x) {
  using T = ElementOf<L>;
  using F = internal::TrigFormat<T>;
  L a = abs(x);
  auto big = a > T(0.5);
  L z = select(big, fma(a, T(-0.5), T(0.5)), a * a);
  L s = select(big, sqrt(z), a);
  L tail = s * z * horner(z, F::kAsin);
  // pi / 2 - 2 s is rounded by `lost`.
  L rough = fma(s, T(-2), F::kHalfPi[0]);
  L lost = fma(s, T(-2), F::kHalfPi[0] - rough);
  L reflected = rough + fma(tail - F::kHalfPi[1] / 2, T(-2), lost);
  return copysign(select(big, reflected, s + tail), x);
}

/// The arc cosine; NaN outside [-1, 1].
template <class L>
L acos(const L& x) {
  using T = ElementOf<L>;
  using F = internal::TrigFormat<T>;
  L a = abs(x);
  auto big = a > T(0.5);
  L z = select(big, fma(a, T(-0.5), T(0.5)), a * a);
  L s = select(big, sqrt(z), a);
  L w = copysign(fma(s * z, horner(z, F::kAsin), s), x);
  L base = select(big, select(x < T(0), 2 * F::kHalfPi[0], like(x, T(0))), F::kHalfPi[0]);
  return base - fma(base, -internal::kPiRatio<T>, select(big, w * T(-2), w));
}

/// The arc tangent. With t = (a - 1) / (a + 1) it is pi / 4 + atan t, with t = -1 / a it is pi / 2 + atan t.
template <class L>
L atan(const L& x) {
  using T = ElementOf<L>;
  using F = internal::TrigFormat<T>;
  L a = abs(x);
  auto big = a > T(2);
  auto middle = a > T(0.5);
  L t = select(big, T(-1), select(middle, a - T(1), a)) / select(big, a, select(middle, a + T(1), T(1)));
  L z = t * t;
  L p = fma(t * z, horner(z, F::kAtan), t);
  L base = select(big, F::kHalfPi[0], select(middle, F::kHalfPi[0] / 2, like(x, T(0))));
  return copysign(base + fma(base, internal::kPiRatio<T>, p), x);
}

/// The angle of the point (x, y), in [-pi, pi], with the special values of C99.
template <class L>
L atan2(const L& y, const L& x) {
  using T = ElementOf<L>;
  if constexpr (kIsF32<L>) {
    // In double nothing overflows, and a short polynomial is far below the rounding to float.
    return convert<float>(atan2(convert<double>(y), convert<double>(x)));
  } else {
    using F = internal::TrigFormat<T>;
    L ax = abs(x);
    L ay = abs(y);
    auto steep = ay > ax;
    L small = select(steep, ax, ay);
    L large = select(steep, ay, ax);
    // (1, 1) for two infinities, and (0, 1) at the origin, give the angles that C99 asks for.
    auto both_infinite = small == kInf<L>;
    L scale = select(large > T(0x1p1000), T(0x1p-60), like(x, T(1)));
    L near = select(both_infinite, T(1), small * scale);
    L far = select(both_infinite | (large == T(0)), T(1), large * scale);
    auto middle = near > far * T(0.5);
    L t = select(middle, near - far, near) / select(middle, near + far, far);
    L z = t * t;
    L p = fma(t * z, horner(z, F::kAtan), t);
    // The angle is n pi / 4 + p, n = 0 or 1; then reflected at pi / 4 and at pi / 2.
    L n = select(middle, T(1), like(x, T(0)));
    n = select(steep, T(2) - n, n);
    auto left = bitcast<int64_t>(x) < int64_t{0};
    n = select(left, T(4) - n, n);
    p = select(steep ^ left, -p, p);
    L base = n * (F::kHalfPi[0] / 2);
    L rest = fma(n, F::kHalfPi[0] / 2, -base);
    L angle = base + (fma(n, F::kHalfPi[1] / 2, rest) + p);
    return select(is_nan(x) | is_nan(y), x + y, copysign(angle, y));
  }
}

}  // namespace etch::math
