// lgamma and digamma. Coefficients: tools/minimax.py; asymptotic series: NIST DLMF 5.11.1 and 5.11.2.
#pragma once

#include "compiler/math/vector_math_log.h"
#include "compiler/math/vector_math_trig.h"

namespace etch::math {
namespace internal {

/// sin(pi f) and cos(pi f) of a fraction 0 <= f < 1, double lanes.
template <class L>
std::array<L, 2> sin_cos_pi(const L& f) {
  using F = TrigFormat<double>;
  // f = n / 2 + g, |g| <= 1/4
  L shifted = fma(f, 2.0, F::kRound);
  L g = fma(shifted - F::kRound, -0.5, f);
  L r = g * (2.0 * F::kHalfPi[0]);
  return {sin_reduced(r, shifted), sin_reduced(r, shifted + 1.0)};
}

/// lgamma(a) for double lanes, a >= 0 and finite. kShort: accurate to float only.
template <bool kShort, class L>
L lgamma_positive(const L& a) {
  // 1 / Gamma(1 + t) = 1 + t (1 - t) S(t).
  constexpr double kFirst = 5.7721566490153287e-1;
  constexpr double kFull[] = {-7.8662406618721384e-2, -1.2066504165281521e-1, 4.587356972949639e-2,
                              3.6758351738671031e-3,  -5.9461363542474572e-3, 1.2728068938686909e-3,
                              1.0763930183955464e-4,  -1.0760238144185406e-4, 2.0447915624940562e-5,
                              3.1307359340432747e-7,  -9.3748241833844777e-7, 1.9560751923746673e-7,
                              -1.0002246645796393e-8, -4.0148584537804928e-9, 1.1484416589282359e-9,
                              -1.507460190964322e-10, 1.0470353312647038e-11, -2.9168795639544341e-13};
  constexpr double kBrief[] = {5.7721566557731252e-1, -7.8662339786360475e-2, -1.206651135967139e-1,
                               4.5871811169041973e-2, 3.6778765258698651e-3,  -5.934799389063542e-3,
                               1.255256627876125e-3,  9.0857139458640248e-5,  -6.4884446719318327e-5};
  constexpr double kTop = kShort ? 2.0 : 3.0;  // the polynomial serves 1 + t from 1/2 up to here
  constexpr double kLarge = 10.0;
  auto large = a >= kLarge;
  auto tiny = a < 0.5;
  // Gamma(a) = product * Gamma(y).
  std::array<L, 2> shifted = while_any(
      std::array<L, 2>{select(large, 1.0, select(tiny, a + 1.0, a)), like(a, 1.0)},
      [&](const std::array<L, 2>& s) { return s[0] > kTop; },
      [](const std::array<L, 2>& s) {
        return std::array<L, 2>{s[0] - 1.0, s[1] * (s[0] - 1.0)};
      });
  L t = shifted[0] - 1.0;
  L v = 1.0 - t;
  L w = t * v;
  L u = w;
  L u_rest = like(a, 0.0);
  if constexpr (kShort) {
    u = w * horner(t, kBrief);
  } else {
    // What the products and the last step of S round away; it shows near the zeros of the logarithm.
    L s = horner(t, kFull);
    L p = fma(t, s, kFirst);
    L p_rest = fma(t, s, kFirst - p);
    u = w * p;
    u_rest = fma(w, p, -u) + fma(fma(t, v, -w), p, w * p_rest);
  }
  auto direct = (a >= 0.5) & (a <= kTop);
  L inverse_gamma = (u + 1.0) * select(tiny, a, 1.0) / shifted[1];
  L log = log_of_sum(select(direct, 1.0, like(a, 0.0)), select(direct, u, select(large, a, inverse_gamma)),
                     select(direct, u_rest, 0.0));
  // Stirling's series.
  constexpr double kSeries[] = {1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680, 1.0 / 1188, -691.0 / 360360, 1.0 / 156};
  constexpr double kSeriesBrief[] = {1.0 / 12, -1.0 / 360, 1.0 / 1260};
  L reciprocal = 1.0 / a;
  L series = reciprocal;
  if constexpr (kShort) {
    series = reciprocal * horner(reciprocal * reciprocal, kSeriesBrief);
  } else {
    series = reciprocal * horner(reciprocal * reciprocal, kSeries);
  }
  constexpr double kHalfLogTwoPiMinusHalf = 0x1.acfe390c97d69p-2;
  L stirling = fma(a - 0.5, log - 1.0, series + kHalfLogTwoPiMinusHalf);
  return select(large, stirling, 0.0 - log);
}

template <bool kShort, class L>
L lgamma_f64(const L& x) {
  L a = abs(x);
  L positive = lgamma_positive<kShort>(select(a < 0x1p-1000, 0x1p-1000, a));
  if constexpr (!kShort) positive = select(a < 0x1p-1000, -log(a), positive);
  // Gamma(-a) Gamma(a) = -pi / (a sin(pi a)); for tiny a the two halves are equal.
  L result = if_any((x < 0.0) & (a > 0x1p-60), positive, [&] {
    L fraction = a - floor(a);
    L sine = abs(sin_cos_pi(fraction)[0]);
    return select(fraction == 0.0, kInf<L>, log(3.141592653589793 / (a * sine)) - positive);
  });
  return select((a < kInf<L>)&(a != 0.0), result, select(a == 0.0, kInf<L>, a));
}

}  // namespace internal

/// log |Gamma(x)|; +inf at 0, at the negative integers and at both infinities.
template <class L>
L lgamma(const L& x) {
  if constexpr (kIsF32<L>) {
    return convert<float>(internal::lgamma_f64<true>(convert<double>(x)));
  } else {
    return internal::lgamma_f64<false>(x);
  }
}

namespace internal {

/// psi(y) for y >= 10, to about 2^-53: log y - 1 / (2y) - ...
template <class L>
L digamma_asymptotic(const L& y) {
  constexpr double kSeries[] = {1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240, 1.0 / 132, -691.0 / 32760, 1.0 / 12};
  L v = 1.0 / y;
  L z = v * v;
  return log(y) - fma(z, horner(z, kSeries), v * 0.5);
}

/// psi(y) for double lanes, y >= 1/2. kShort: with an absolute error near 2^-51, which is enough for floats, as these
/// stay away from the zero of psi.
template <bool kShort, class L>
L digamma_positive(const L& y) {
  constexpr double kLarge = 10.0;
  if constexpr (kShort) {
    // psi(y) = psi(y + 1) - 1 / y
    std::array<L, 2> s = while_any(
        std::array<L, 2>{y, like(y, 0.0)}, [&](const std::array<L, 2>& s) { return s[0] < kLarge; },
        [](const std::array<L, 2>& s) {
          return std::array<L, 2>{s[0] + 1.0, s[1] + 1.0 / s[0]};
        });
    return digamma_asymptotic(s[0]) - s[1];
  } else {
    // psi(y) = (y - root) R(y - 7/4) from 1 to 5/2, error 2^-55.7; other y are brought there.
    constexpr double kRoot = 0x1.762d86356be3fp+0, kRootRest = 0x1.b86a722197829p-54;
    constexpr double kNearRoot[] = {
        8.5818321712629952e-1, -3.2625462786810577e-1, 1.5712011335203621e-1,  -8.2285586355760484e-2,
        4.4799654453443243e-2, -2.4890048490125345e-2, 1.3985786157970692e-2,  -7.9104687446529889e-3,
        4.4918142274685312e-3, -2.5566870054931049e-3, 1.457368515128429e-3,   -8.3149237176184231e-4,
        4.747277109352352e-4,  -2.7112148290594259e-4, 1.5459190484930921e-4,  -8.8255042576420296e-5,
        5.1401564721702789e-5, -2.9530420703162086e-5, 1.4480563420520288e-5,  -7.9919237217438013e-6,
        8.5157530992706152e-6, -5.1826014005787981e-6, -1.2400550767511504e-6, 9.1378604286663575e-7,
        2.079715907262191e-6,  -1.2469062244080607e-6};
    auto large = y >= kLarge;
    auto small = y < 1.0;
    std::array<L, 2> s = while_any(
        std::array<L, 2>{select(large, 1.0, select(small, y + 1.0, y)), select(small, -1.0 / y, 0.0)},
        [](const std::array<L, 2>& s) { return s[0] > 2.5; },
        [](const std::array<L, 2>& s) {
          return std::array<L, 2>{s[0] - 1.0, s[1] + 1.0 / (s[0] - 1.0)};
        });
    L near = fma((s[0] - kRoot) - kRootRest, horner(s[0] - 1.75, kNearRoot), s[1]);
    return select(large, digamma_asymptotic(y), near);
  }
}

template <bool kShort, class L>
L digamma_f64(const L& x) {
  auto reflect = x < 0.5;
  L psi = digamma_positive<kShort>(select(reflect, 1.0 - x, x));
  // psi(x) = psi(1 - x) - pi / tan(pi x), which is odd in x.
  L result = if_any(reflect, psi, [&] {
    auto [sine, cosine] = sin_cos_pi(abs(x) - floor(abs(x)));
    L c = 3.141592653589793 * cosine / sine;
    return psi - select(x < 0.0, -c, c);
  });
  return select((x <= 0.0) & (floor(x) == x), kNan<L>, result);
}

}  // namespace internal

/// The logarithmic derivative of Gamma; NaN at 0 and at the negative integers (as XLA), inf at inf.
template <class L>
L digamma(const L& x) {
  if constexpr (kIsF32<L>) {
    return convert<float>(internal::digamma_f64<true>(convert<double>(x)));
  } else {
    return internal::digamma_f64<false>(x);
  }
}

}  // namespace etch::math
