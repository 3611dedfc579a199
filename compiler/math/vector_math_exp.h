// exp and what is built on it: exp2, expm1, sigmoid, tanh, sinh, cosh. Coefficients: tools/minimax.py.
#pragma once

#include "compiler/math/vector_math_basic.h"

namespace etch::math {
namespace internal {

/// What the exponential family needs to know about a float format.
template <class T>
struct ExpFormat;

template <>
struct ExpFormat<float> {
  static constexpr int kMantissaBits = 23;
  static constexpr int kBias = 127;
  static constexpr float kRound = 0x1.8p23f;  // adding it rounds to an integer, which then stands in the low bits
  static constexpr float kLog2e = 0x1.715476p+0f;
  static constexpr float kLn2Hi = 0x1.62e430p-1f;  // hi + lo = ln 2 to twice the precision
  static constexpr float kLn2Lo = -0x1.05c610p-29f;
  static constexpr float kUnderflow = -176.0f;   // scale_exp's first factor is 0
  static constexpr float kZero = -104.0f;        // exp rounds to 0 below
  static constexpr float kOverflow = 89.0f;      // exp is above the largest finite value
  static constexpr float kSinhOverflow = 89.5f;  // sinh and cosh likewise; 2^(k - 2) is still finite there
  static constexpr float kExp2Underflow = -254.0f;
  static constexpr float kExp2Zero = -150.0f;  // exp2 rounds to 0 below, and there as well
  static constexpr float kExp2Overflow = 129.0f;
  static constexpr float kTiny = 0x1p-26f;  // x + x^2 rounds to x below
  // exp(r) = 1 + r + r^2 P(r), error 2^-28.0 relative to exp(r).
  static constexpr float kExp[] = {4.99999881e-1f, 1.66665167e-1f, 4.16696332e-2f, 8.36911518e-3f, 1.37470546e-3f};
  // The same, error 2^-31.0 relative to expm1(r).
  static constexpr float kExpm1[] = {5.0e-1f,        1.66666657e-1f, 4.16664779e-2f,
                                     8.33356846e-3f, 1.39337278e-3f, 1.97418587e-4f};
  // exp2(r) = 1 + r P(r), error 2^-32.
  static constexpr float kExp2[] = {6.93147182e-1f, 2.40226507e-1f, 5.55040576e-2f, 9.61807743e-3f,
                                    1.33372622e-3f, 1.5456391e-4f,  1.4483051e-5f};
  // sinh(x) = x + x^3 P(x^2), |x| < 1, error 2^-31.
  static constexpr float kSinh[] = {1.66666672e-1f, 8.33331607e-3f, 1.984142e-4f, 2.79153824e-6f};
};

template <>
struct ExpFormat<double> {
  static constexpr int kMantissaBits = 52;
  static constexpr int kBias = 1023;
  static constexpr double kRound = 0x1.8p52;
  static constexpr double kLog2e = 0x1.71547652b82fep+0;
  static constexpr double kLn2Hi = 0x1.62e42fefa39efp-1;
  static constexpr double kLn2Lo = 0x1.abc9e3b39803fp-56;
  static constexpr double kUnderflow = -1418.0;
  static constexpr double kZero = -745.2;
  static constexpr double kOverflow = 710.0;
  static constexpr double kSinhOverflow = 710.5;
  static constexpr double kExp2Underflow = -2046.0;
  static constexpr double kExp2Zero = -1075.0;
  static constexpr double kExp2Overflow = 1025.0;
  static constexpr double kTanhOne = 20.0;  // tanh rounds to 1 from here on
  static constexpr double kTiny = 0x1p-55;
  // Errors 2^-57.6, 2^-55.5, 2^-59.5 and 2^-61.5.
  static constexpr double kExp[] = {5.0000000000000133e-1, 1.6666666666666485e-1, 4.1666666666511636e-2,
                                    8.3333333334489577e-3, 1.3888888947879597e-3, 1.9841269603845463e-4,
                                    2.4801489110158403e-5, 2.7557500050335439e-6, 2.7631567772592245e-7,
                                    2.5027323383195078e-8};
  static constexpr double kExpm1[] = {5.0000000000000056e-1, 1.6666666666666599e-1, 4.1666666666573315e-2,
                                      8.3333333333835431e-3, 1.3888888932551385e-3, 1.9841269731735417e-4,
                                      2.4801504169700168e-5, 2.7557396175277669e-6, 2.7626459309033866e-7,
                                      2.5057433396202559e-8};
  static constexpr double kExp2[] = {6.9314718055994529e-1, 2.4022650695910069e-1,  5.550410866482295e-2,
                                     9.6181291076295975e-3, 1.3333558146160194e-3,  1.5403530391230476e-4,
                                     1.5252734041127929e-5, 1.3215488568125025e-6,  1.0177983822787844e-7,
                                     7.0542462368313663e-9, 4.4658079233060901e-10, 2.6621170989702876e-11};
  static constexpr double kSinh[] = {1.6666666666666669e-1, 8.3333333333329707e-3, 1.9841269841531202e-4,
                                     2.7557319130379269e-6, 2.5052126856094766e-8, 1.605700052085293e-10,
                                     7.7658975960024757e-13};
};

/// x = k ln 2 + r with |r| <= ln 2 / 2; `shifted` is k + kRound + 2 kBias, so that k stands in its low bits.
template <class L>
struct ExpReduced {
  L r;
  L shifted;
  L k;
};

template <class L>
ExpReduced<L> reduce_exp(const L& x) {
  using F = ExpFormat<ElementOf<L>>;
  constexpr auto kShift = F::kRound + 2 * F::kBias;
  L shifted = fma(x, F::kLog2e, kShift);
  L k = shifted - kShift;
  L r = fma(k, -F::kLn2Lo, fma(k, -F::kLn2Hi, x));
  return {r, shifted, k};
}

/// y * 2^k, k taken from ExpReduced::shifted: two factors of about 2^(k/2), as 2^k alone may not be representable.
/// The result is rounded once, also when it is subnormal, since the first product is exact. At k <= 1 - 2 kBias, far below
/// where results round to 0, the first factor is 0 and no product underflows: one that does costs 20 cycles and more.
template <class L>
L scale_exp(const L& y, const L& shifted) {
  using T = ElementOf<L>;
  using I = IntOf<L>;
  constexpr I kBits = ExpFormat<T>::kMantissaBits;
  auto both = bitcast<I>(shifted);
  auto half = shr_logical(both, I{1});
  return y * bitcast<T>(half << kBits) * bitcast<T>((both - half) << kBits);
}

/// 2^(k + bias_shift) as a float, for k + bias_shift within the normal range.
template <class L>
L power_of_two(const L& shifted, int bias_shift) {
  using T = ElementOf<L>;
  using I = IntOf<L>;
  using F = ExpFormat<T>;
  return bitcast<T>((bitcast<I>(shifted) - I(F::kBias - bias_shift)) << I{F::kMantissaBits});
}

/// (e^x - 1) / 2 for x >= -60; infinite results are right, and tiny x lose low bits (the caller sees to them).
/// e^r - 1 = r + t; both parts join 2^k - 1 by fma, so that nothing is rounded at the size of e^r - 1 when k != 0.
template <class L>
L half_expm1(const L& x) {
  using F = ExpFormat<ElementOf<L>>;
  auto [r, shifted, k] = reduce_exp(x);
  L t = r * r * horner(r, F::kExpm1);
  L scale = power_of_two(shifted, -1);
  return fma(t, scale, fma(r, scale, scale - ElementOf<L>(0.5)));
}

/// e^r for |r| <= ln 2 / 2.
template <class L>
L exp_of_rest(const L& r) {
  return fma(r * r, horner(r, ExpFormat<ElementOf<L>>::kExp), r) + ElementOf<L>(1);
}

/// e^x for x up to kOverflow.
template <class L>
L exp_without_overflow(const L& x) {
  using F = ExpFormat<ElementOf<L>>;
  if (scales_at_once(x)) {
    // What is left out far below 0 would take a slow path for results that underflow.
    auto [r, shifted, k] = reduce_exp(x);
    return scale_or_zero(exp_of_rest(r), k, ~(x < F::kZero));
  }
  auto [r, shifted, k] = reduce_exp(select(x < F::kUnderflow, F::kUnderflow, x));
  return scale_exp(exp_of_rest(r), shifted);
}

/// e^-a for a >= 0.
template <class L>
L exp_of_negated(const L& a) {
  return exp_without_overflow(-a);
}

}  // namespace internal

/// e^x.
template <class L>
L exp(const L& x) {
  using F = internal::ExpFormat<ElementOf<L>>;
  return internal::exp_without_overflow(select(x > F::kOverflow, F::kOverflow, x));
}

/// 2^x; exact for integers.
template <class L>
L exp2(const L& x) {
  using F = internal::ExpFormat<ElementOf<L>>;
  constexpr auto kShift = F::kRound + 2 * F::kBias;
  const bool at_once = scales_at_once(x);
  L low = at_once ? x : select(x < F::kExp2Underflow, F::kExp2Underflow, x);
  L clamped = select(low > F::kExp2Overflow, F::kExp2Overflow, low);
  L shifted = clamped + kShift;
  L k = shifted - kShift;
  L r = clamped - k;
  L y = fma(r, horner(r, F::kExp2), ElementOf<L>(1));
  return at_once ? scale_or_zero(y, k, ~(x < F::kExp2Zero)) : internal::scale_exp(y, shifted);
}

/// e^x - 1 without cancellation near 0; keeps -0.
template <class L>
L expm1(const L& x) {
  using T = ElementOf<L>;
  using F = internal::ExpFormat<T>;
  L low = select(x < T(-60), T(-60), x);
  L half = internal::half_expm1(select(low > F::kOverflow, F::kOverflow, low));
  return select(abs(x) < F::kTiny, x, half + half);
}

/// 1 / (1 + e^-x), the logistic function.
template <class L>
L sigmoid(const L& x) {
  using T = ElementOf<L>;
  L e = internal::exp_of_negated(abs(x));
  L d = e + T(1);
  L y = select(x < T(0), e, T(1)) / d;
  // 1 + e was rounded by `lost`; its part of the quotient, with a rough 1 / d, is taken back.
  L lost = e - (d - T(1));
  // The small factors come first: y * lost would underflow early.
  return fma(y, lost * fma(e, T(0.5), T(-1)), y);
}

namespace internal {

inline constexpr Pieces<7> kTanh = {  // 2^-25.1
    1.0f, 0.75f, 9.2f, 22,
    {1.75001764f, 2.75033522f, 4.24989223f, 6.25015354f, 8.22690773f, 0.0f, 4.99991864e-1f, 9.99946117e-1f},
    {{{{9.41377521e-1f, 9.91865158e-1f, 9.99593079e-1f, 9.99992549e-1f, 9.99999881e-1f,
       0.0f, 4.62110758e-1f, 7.61571527e-1f}},
     {{1.13808379e-1f, 1.62035096e-2f, 8.13683437e-4f, 1.49011976e-5f, 2.85917139e-7f,
       1.0f, 7.86453664e-1f, 4.20008808e-1f}},
     {{-1.07133277e-1f, -1.60716977e-2f, -8.14046944e-4f, -1.49147754e-5f, -2.86142239e-7f,
       -3.79363705e-8f, -3.63428235e-1f, -3.19867164e-1f}},
     {{6.29173368e-2f, 1.05397031e-2f, 5.42190915e-4f, 9.94233869e-6f, 1.90758428e-7f,
       -3.33330482e-1f, -9.42107961e-2f, 1.03599407e-1f}},
     {{-2.35856026e-2f, -5.09675825e-3f, -2.67190451e-4f, -4.9028763e-6f, -9.42000753e-8f,
       -7.06316496e-5f, 1.64638594e-1f, 2.7758047e-2f}},
     {{3.72464955e-3f, 1.90329528e-3f, 1.06684078e-4f, 1.96242081e-6f, 3.76826392e-8f,
       1.34121418e-1f, -2.70570274e-2f, -4.63527329e-2f}},
     {{2.40690447e-3f, -5.45541174e-4f, -4.08674932e-5f, -7.6277729e-7f, -1.45397072e-8f,
       -4.23058541e-3f, -4.93879467e-2f, 1.80641655e-2f}},
     {{-2.06168555e-3f, 1.00671037e-4f, 1.14051782e-5f, 2.17090872e-7f, 4.15480184e-9f,
       -4.4493448e-2f, 2.60507427e-2f, 3.05507425e-3f}}}}};

}  // namespace internal

/// The hyperbolic tangent. Floats: in pieces. Doubles: h / (h + 1) with h = (e^2a - 1) / 2, a = |x|.
template <class L>
L tanh(const L& x) {
  using T = ElementOf<L>;
  L a = abs(x);
  if constexpr (kIsF32<L>) {
    auto [d, slope, constant, moved] = internal::in_piece(a, internal::kTanh);
    return copysign(fma(d, slope, constant), x);
  } else {
    using F = internal::ExpFormat<T>;
    L h = internal::half_expm1(select(a > F::kTanhOne, F::kTanhOne, a) * T(2));
    L d = h + T(1);
    L y = h / d;
    // h + 1 was rounded by `lost`; its part of the quotient is taken back with 1 / d = 1 - y.
    L lost = select(h < T(16), h - (d - T(1)), T(0));
    // Below kTiny half of e^2a - 1 would be rounded in the subnormal range.
    return copysign(select(a < F::kTiny, a, fma(y * lost, y - T(1), y)), x);
  }
}

namespace internal {

/// e^a / 4 for a >= 0, finite as far as sinh and cosh are.
template <class L>
L quarter_exp(const L& a) {
  using F = ExpFormat<ElementOf<L>>;
  auto [r, shifted, k] = reduce_exp(select(a > F::kSinhOverflow, F::kSinhOverflow, a));
  return exp_of_rest(r) * power_of_two(shifted, -2);
}

}  // namespace internal

/// The hyperbolic sine: an odd polynomial for |x| < 1, else 2e - 1 / (8e) with e = e^|x| / 4.
template <class L>
L sinh(const L& x) {
  using T = ElementOf<L>;
  L a = abs(x);
  L z = x * x;
  L e = internal::quarter_exp(a);
  L large = fma(e, T(2), T(-0.125) / e);
  return select(a < T(1), fma(x * z, horner(z, internal::ExpFormat<T>::kSinh), x), copysign(large, x));
}

/// The hyperbolic cosine: 2e + 1 / (8e) with e = e^|x| / 4.
template <class L>
L cosh(const L& x) {
  using T = ElementOf<L>;
  L e = internal::quarter_exp(abs(x));
  return fma(e, T(2), T(0.125) / e);
}

}  // namespace etch::math
