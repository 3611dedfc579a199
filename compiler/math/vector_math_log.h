// Logarithms: log, log1p, log2, log10, softplus, and the inverse hyperbolic functions. Coefficients: tools/minimax.py.
#pragma once

#include "compiler/math/vector_math_exp.h"

namespace etch::math {
namespace internal {

template <class T>
struct LogFormat;

template <>
struct LogFormat<float> {
  static constexpr int32_t kSqrtHalf = 0x3f3504f3;  // bits of sqrt(1/2)
  static constexpr float kMinNormal = 0x1p-126f;
  static constexpr float kLift = 0x1p24f;  // makes subnormals normal
  static constexpr float kLiftLog2 = 24;
  static constexpr float kLog2eLo = 0x1.4ae0cp-26f;
  static constexpr float kLog10eHi = 0x1.bcb7b2p-2f;
  static constexpr float kLog10eLo = -0x1.5b235ep-27f;
  static constexpr float kLog10Of2Hi = 0x1.344p-2f;  // few bits, so that k * hi is exact
  static constexpr float kLog10Of2Lo = 0x1.3509f8p-18f;
};

template <>
struct LogFormat<double> {
  static constexpr int64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
  static constexpr double kMinNormal = 0x1p-1022;
  static constexpr double kLift = 0x1p54;
  static constexpr double kLiftLog2 = 54;
  static constexpr double kLog2eLo = 0x1.777d0ffda0d24p-56;
  static constexpr double kLog10eHi = 0x1.bcb7b1526e50ep-2;
  static constexpr double kLog10eLo = 0x1.95355baaafad3p-57;
  static constexpr double kLog10Of2Hi = 0x1.34413509f7p-2;
  static constexpr double kLog10Of2Lo = 0x1.3fde623e2566bp-43;
};

/// x = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2).
template <class L>
struct LogReduced {
  L k;
  L f;
};

/// k as an integer in the float's bit pattern terms, for normal positive x.
template <class L>
auto log_exponent(const L& x) {
  using F = LogFormat<ElementOf<L>>;
  using I = IntOf<L>;
  return (bitcast<I>(x) - F::kSqrtHalf) >> I{ExpFormat<ElementOf<L>>::kMantissaBits};
}

/// A small int64 as a double: no vector instruction converts it before AVX-512, adding to a float's low bits does.
template <class L>
auto exponent_to_float(const L& k) {
  if constexpr (std::same_as<ElementOf<L>, int32_t>) {
    return convert<float>(k);
  } else {
    return bitcast<double>(k + std::bit_cast<int64_t>(0x1.8p52)) - 0x1.8p52;
  }
}

template <class L>
LogReduced<L> reduce_log(const L& x) {
  using T = ElementOf<L>;
  using F = LogFormat<T>;
  using I = IntOf<L>;
  auto small = x < F::kMinNormal;
  L lifted = select(small, x * F::kLift, x);
  auto exponent = log_exponent(lifted);
  L m = bitcast<T>(bitcast<I>(lifted) - (exponent << I{ExpFormat<T>::kMantissaBits}));
  L k = exponent_to_float(exponent);
  return {select(small, k - F::kLiftLog2, k), m - T(1)};
}

/// The difference log(1 + f) - f, with an error of about 2^-27 (2^-58) of log(1 + f).
template <class L>
L log_tail(const L& f) {
  using T = ElementOf<L>;
  if constexpr (kIsF32<L>) {
    constexpr float kTail[] = {3.33333313e-1f, -2.50008225e-1f, 2.00012326e-1f, -1.66233018e-1f,
                               1.4201577e-1f,  -1.31605849e-1f, 1.27631605e-1f, -7.63543621e-2f};
    return (f * f) * fma(f, horner(f, kTail), T(-0.5));
  } else {
    // log(1 + f) = 2 atanh(s), s = f / (2 + f), and f - 2 s = s f: so it is f - s (f - R) with R = 2 atanh(s) / s - 2.
    // Written with f^2 / 2 apart the large terms are exact (the form of FDLIBM's e_log.c).
    constexpr double kTail[] = {6.6666666666667374e-1, 3.9999999999398628e-1, 2.8571428745551214e-1,
                                2.2222198273544116e-1, 1.818357906686337e-1,  1.531368752092411e-1,
                                1.4799487338447104e-1};
    L s = f / (f + 2.0);
    L z = s * s;
    L half = f * f * 0.5;
    return fma(s, fma(z, horner(z, kTail), half), -half);
  }
}

/// Puts in what the formula cannot give: -inf at 0, NaN below 0, +inf and NaN themselves.
template <class L>
L log_specials(const L& x, const L& result) {
  using T = ElementOf<L>;
  L finite = select(x < kInf<L>, result, x);
  return select(x > T(0), finite, select(x == T(0), -kInf<L>, like(x, kNan<L>)));
}

/// log(1 + f) scaled by hi + lo, plus k * unit, where hi + lo is log_b(e) and k * unit is added without error.
template <class L>
L scaled_log(const L& f, const L& k_unit, const L& k_rest, ElementOf<L> hi, ElementOf<L> lo) {
  L product = f * hi;
  L rest = fma(f, hi, -product) + fma(f, lo, log_tail(f) * hi);
  L sum = k_unit + product;
  L lost = product - (sum - k_unit);
  return sum + (lost + rest + k_rest);
}

}  // namespace internal

/// The natural logarithm.
template <class L>
L log(const L& x) {
  using E = internal::ExpFormat<ElementOf<L>>;
  auto [k, f] = internal::reduce_log(x);
  L low = fma(k, E::kLn2Lo, internal::log_tail(f));
  return internal::log_specials(x, fma(k, E::kLn2Hi, f + low));
}

/// The logarithm to base 2; exact for powers of two.
template <class L>
L log2(const L& x) {
  using T = ElementOf<L>;
  auto [k, f] = internal::reduce_log(x);
  L r = internal::scaled_log(f, k, like(x, T(0)), internal::ExpFormat<T>::kLog2e, internal::LogFormat<T>::kLog2eLo);
  return internal::log_specials(x, r);
}

/// The logarithm to base 10.
template <class L>
L log10(const L& x) {
  using F = internal::LogFormat<ElementOf<L>>;
  auto [k, f] = internal::reduce_log(x);
  L r = internal::scaled_log(f, k * F::kLog10Of2Hi, k * F::kLog10Of2Lo, F::kLog10eHi, F::kLog10eLo);
  return internal::log_specials(x, r);
}

namespace internal {

/// log(base + x + rest), where base is 0 or 1 and the sum, rounded, is normal, positive and finite; rest is at most
/// about one ulp of x.
/// The sum keeps the low bits that base + x loses.
template <class L>
L log_of_sum(const L& base, const L& x, const L& rest) {
  using T = ElementOf<L>;
  using I = IntOf<L>;
  using E = ExpFormat<T>;
  // 2^k (1 + f) = base + x; f = 2^-k x + (2^-k base - 1) is rounded once. 2^-k may be subnormal, so 4 * 2^-k is used.
  auto exponent = log_exponent(base + x);
  L t = bitcast<T>(I(E::kBias + 2) * (I{1} << E::kMantissaBits) - (exponent << I{E::kMantissaBits}));
  L f = fma(x * T(0.25), t, fma(t * T(0.25), base, T(-1)));
  L k = exponent_to_float(exponent);
  // d log(1 + f) = df / (1 + f), and 1 - f is near enough.
  L correction = rest * (t * T(0.25)) * (T(1) - f);
  L low = fma(k, E::kLn2Lo, log_tail(f) + correction);
  return fma(k, E::kLn2Hi, f + low);
}

/// log(x) for double lanes, x positive, normal and finite, accurate to float only.
template <class L>
L log_short(const L& x) {
  constexpr double kTail[] = {6.6666665641368528e-1, 4.0000336210560622e-1, 2.8537238549698613e-1,
                              2.3583567881515957e-1};
  auto [k, f] = reduce_log(x);
  L s = f / (f + 2.0);
  L z = s * s;
  return fma(k, ExpFormat<double>::kLn2Hi, s * fma(z, horner(z, kTail), 2.0));
}

}  // namespace internal

/// log(1 + x) without cancellation near 0; keeps -0.
template <class L>
L log1p(const L& x) {
  using T = ElementOf<L>;
  L result = internal::log_of_sum(like(x, T(1)), x, like(x, T(0)));
  L finite = select(x < kInf<L>, result, x);
  L in_domain = select(x > T(-1), finite, select(x == T(-1), -kInf<L>, like(x, kNan<L>)));
  return select(abs(x) < internal::ExpFormat<T>::kTiny, x, in_domain);
}

/// log(1 + e^x) = max(x, 0) + log1p(e^-|x|).
template <class L>
L softplus(const L& x) {
  using T = ElementOf<L>;
  L tail = log1p(internal::exp_of_negated(abs(x)));
  return select(x > T(0), x, T(0)) + tail;
}

/// The inverse hyperbolic sine: log1p(a + a^2 / (1 + sqrt(1 + a^2))) for a = |x|.
template <class L>
L asinh(const L& x) {
  using T = ElementOf<L>;
  L a = abs(x);
  if constexpr (kIsF32<L>) {
    auto d = convert<double>(a);
    L r = convert<float>(internal::log_short(d + sqrt(fma(d, d, 1.0))));
    return copysign(select((a < kInf<L>)&(a > T(0x1p-13)), r, a), x);
  } else {
    // For large a the square would overflow; there it is log(2a).
    auto large = a > T(0x1p30);
    L b = select(large, T(1), a);
    L w = b * b / (T(1) + sqrt(fma(b, b, T(1))));
    L u = b + w;
    L r =
        internal::log_of_sum(select(large, T(0), like(x, T(1))), select(large, a, u), select(large, T(0), w - (u - b)));
    r = select(large, r + internal::ExpFormat<T>::kLn2Hi, r);
    return copysign(select((a < kInf<L>)&(a > T(0x1p-28)), r, a), x);
  }
}

/// The inverse hyperbolic cosine: log1p(t + sqrt(t^2 + 2t)) for t = x - 1; NaN below 1.
template <class L>
L acosh(const L& x) {
  using T = ElementOf<L>;
  L r = x;
  if constexpr (kIsF32<L>) {
    auto d = convert<double>(x);
    r = convert<float>(internal::log_short(d + sqrt(fma(d, d, -1.0))));
  } else {
    auto large = x > T(0x1p30);
    L t = select(large, T(1), x - T(1));
    // t^2 + 2t is s + s_lo, and its root v + v_lo.
    L s = fma(t, t, t + t);
    L s_lo = fma(t, t, (t + t) - s);
    L v = sqrt(s);
    L v_lo = (fma(-v, v, s) + s_lo) / (v + v);
    L u = v + t;
    L rest = select(s > T(0), (t - (u - v)) + v_lo, T(0));
    r = internal::log_of_sum(select(large, T(0), like(x, T(1))), select(large, x, u), select(large, T(0), rest));
    r = select(large, r + internal::ExpFormat<T>::kLn2Hi, r);
  }
  return select(x > T(1), select(x < kInf<L>, r, x), select(x == T(1), T(0), like(x, kNan<L>)));
}

/// The inverse hyperbolic tangent: log1p(2a / (1 - a)) / 2 for a = |x|; NaN outside [-1, 1], infinite at +-1.
template <class L>
L atanh(const L& x) {
  using T = ElementOf<L>;
  L a = abs(x);
  L r = a;
  if constexpr (kIsF32<L>) {
    auto d = convert<double>(a);
    r = convert<float>(internal::log_short((1.0 + d) / (1.0 - d)) * 0.5);
  } else {
    L d = T(1) - a;
    L q = (a + a) / d;
    L remainder = fma(-q, d, a + a) - q * ((T(1) - d) - a);
    r = internal::log_of_sum(like(x, T(1)), q, remainder * fma(q, T(0.5), T(1))) * T(0.5);
  }
  L inside = select(a < T(kIsF32<L> ? 0x1p-13 : 0x1p-28), a, r);
  return copysign(select(a < T(1), inside, select(a == T(1), kInf<L>, like(x, kNan<L>))), x);
}

}  // namespace etch::math
