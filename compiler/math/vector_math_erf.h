// erf, erfc and erf_inv. Coefficients: tools/minimax.py.
#pragma once

#include "compiler/math/vector_math_exp.h"
#include "compiler/math/vector_math_log.h"

namespace etch::math {
namespace internal {

/// erfc(a) for double lanes, a >= 0, by e^(-a^2) P(t) / (1 + 2a), t = (a - K) / (a + K). kShort: accurate to float
/// only.
/// Source of the form: M. M. Shepherd and J. G. Laframboise, Mathematics of Computation 36 (1981).
template <bool kShort, class L>
L erfc_positive(const L& magnitude) {
  using F = ExpFormat<double>;
  constexpr double kEnd = kShort ? 11.0 : 27.5;  // the result is 0 from here on
  L a = select(magnitude > kEnd, kEnd, magnitude);
  L square = a * a;
  L square_lo = fma(a, a, -square);
  auto [r, shifted, k] = reduce_exp(-square);
  if constexpr (kShort) {
    constexpr double kExp[] = {4.9999998133641105e-1, 1.666654269658637e-1, 4.1667203635952811e-2, 8.366645273017467e-3,
                               1.3882514311204009e-3};
    constexpr double kErfcx[] = {1.2648381835726814,    -1.2235676390754073e-1, -9.902444681964051e-2,
                                 1.5762997468692502e-1, -1.0296879915423242e-1, 3.275965980088507e-2,
                                 9.4361190585357576e-4, -4.371707479224495e-3,  4.5838806861676348e-4,
                                 5.9551086835065098e-4, -5.1412356268189417e-5, -6.1149548628694795e-5};
    L e = fma(r * r, horner(r, kExp), r) + 1.0;
    L t = (a - 2.5) / (a + 2.5);
    return horner(t, kErfcx) * e / fma(a, 2.0, 1.0) * power_of_two(shifted, 0);
  } else {
    constexpr double kErfcx[] = {
        -1.3962111684056289e-1, 1.537965210261477e-2,   6.8097054254735792e-2,  -1.0103906603613733e-1,
        9.3732834996878192e-2,  -6.6330365815056927e-2, 3.7167515560609696e-2,  -1.619773402739581e-2,
        5.0319697774767027e-3,  -7.577735118133918e-4,  -1.9925564946366624e-4, 1.5062281049963385e-4,
        -2.4402602634284239e-5, -1.1225945063838285e-5, 5.7164903212134669e-6,  3.0269355082933417e-7,
        -8.3308416152149812e-7, 6.2046430144388727e-8,  1.1364025006791548e-7,  -7.8691346019309248e-9,
        -1.3073771423134619e-8, -1.6043681415668012e-9};
    L t = (a - 4.0) / (a + 4.0);
    // p = c0 + t R(t) as p + p_lo; q + q_lo = (p + p_lo) / (1 + 2a); e + e_lo = e^(-a^2): rounded once, at the end.
    constexpr double kFirst = 1.2329951186255526, kFirstRest = -4.6003612422981466e-17;
    L tail = horner(t, kErfcx);
    L p = fma(t, tail, kFirst);
    L p_lo = fma(t, tail, kFirst - p) + kFirstRest;
    L inverse = 1.0 / fma(a, 2.0, 1.0);
    L q = p * inverse;
    L q_lo = (fma(q * -2.0, a, p - q) + p_lo) * inverse;
    L rest = fma(r * r, horner(r, F::kExp), r);
    L e = rest + 1.0;
    L e_lo = (rest - (e - 1.0)) - e * square_lo;
    return scale_exp(fma(e, q, fma(e, q_lo, e_lo * q)), shifted);
  }
}

/// erf(x) for |x| < 1, double lanes.
template <class L>
L erf_small(const L& x) {
  constexpr double kSmall[] = {1.2837916709551259e-1,  -3.7612638903183876e-1, 1.1283791670958783e-1,
                               -2.6866170645631897e-2, 5.2239776292456498e-3,  -8.5483271993582724e-4,
                               1.2055338161400656e-4,  -1.4925748180206354e-5, 1.6463247307130268e-6,
                               -1.6372371891698225e-7, 1.4798357234369911e-8,  -1.1876555591839105e-9,
                               6.7628016388325013e-11};  // 2^-56.2
  return fma(x, horner(x * x, kSmall), x);
}

inline constexpr Pieces<6> kErf = {  // 2^-25.6
    0.262f, 1.1875f, 3.925f, 20,
    {3.51354933f, 0.0f, 4.77042586e-1f, 9.54214871e-1f, 1.43138552f, 1.90819192f, 2.38587689f, 2.86287761f},
    {{{{9.99999344e-1f, 0.0f, 5.00095546e-1f, 8.22811902e-1f, 9.57059145e-1f,
       9.93036628e-1f, 9.99259531e-1f, 9.99948502e-1f}},
     {{4.94163214e-6f, 1.28379166e-1f, 8.98716807e-1f, 4.53961432e-1f, 1.45426765e-1f,
       2.95870882e-2f, 3.8042909e-3f, 3.11145151e-4f}},
     {{-1.73189383e-5f, -4.13499237e-7f, -4.28725749e-1f, -4.33177173e-1f, -2.08162069e-1f,
       -5.64579107e-2f, -9.07652825e-3f, -8.90749972e-4f}},
     {{3.72904797e-5f, -3.76099169e-1f, -1.63234651e-1f, 1.24195039e-1f, 1.50172725e-1f,
       6.19722046e-2f, 1.31685706e-2f, 1.59481238e-3f}},
     {{-6.0728049e-5f, -5.42820082e-4f, 1.81802511e-1f, 8.51582661e-2f, -3.80676612e-2f,
       -4.03035693e-2f, -1.26870042e-2f, -1.98739232e-3f}},
     {{9.3173483e-5f, 1.17506385e-1f, 1.46069014e-2f, -6.81087896e-2f, -2.35452652e-2f,
       1.17192343e-2f, 8.16902053e-3f, 1.85160269e-3f}},
     {{-8.54395548e-5f, -1.82430018e-2f, -4.96163964e-2f, -1.26444467e-3f, 2.0825563e-2f,
       3.19350674e-3f, -3.03247594e-3f, -1.20327005e-3f}}}}};
inline constexpr float kErfSecondPiece = 1.25f;

}  // namespace internal

/// The error function. Floats: in pieces.
template <class L>
L erf(const L& x) {
  using T = ElementOf<L>;
  L a = abs(x);
  if constexpr (kIsF32<L>) {
    auto [d, slope, constant, moved] = internal::in_piece(a, internal::kErf);
    // In the first piece erf a = a + a P(a): 2 / sqrt(pi) is no float.
    return copysign(fma(d, slope, select(moved < internal::kErfSecondPiece, a, constant)), x);
  } else {
    L large = T(1) - internal::erfc_positive<false>(a);
    return select(a < T(1), internal::erf_small(x), copysign(large, x));
  }
}

/// 1 - erf(x), without cancellation for large x.
template <class L>
L erfc(const L& x) {
  using T = ElementOf<L>;
  if constexpr (kIsF32<L>) {
    auto d = convert<double>(x);
    auto r = internal::erfc_positive<true>(abs(d));
    return convert<float>(select(d < 0.0, 2.0 - r, r));
  } else {
    // Near 0 the variable t of erfc_positive is too coarse.
    L a = abs(x);
    L r = internal::erfc_positive<false>(a);
    return select(a < T(0.47), T(1) - internal::erf_small(x), select(x < T(0), T(2) - r, r));
  }
}

namespace internal {

/// x (c0 + c0_rest + d P(d)); the outer sum is kept as a pair, so that only the product is rounded at full size.
template <class L, size_t N>
L scaled_polynomial(const L& x, const L& d, double c0, double c0_rest, const double (&c)[N]) {
  L tail = fma(d, horner(d, c), c0_rest);
  L sum = tail + c0;
  return fma(x, sum, x * ((c0 - sum) + tail));
}

}  // namespace internal

/// The inverse of erf: infinite at +-1, NaN beyond.
/// x F(w) with w = -log(1 - x^2), in pieces of w and sqrt(w): M. Giles, Approximating the erfinv function, 2010.
template <class L>
L erf_inv(const L& x) {
  using T = ElementOf<L>;
  L a = abs(x);
  L r = x;
  if constexpr (kIsF32<L>) {
    constexpr double kCentral[] = {1.6536545691367559,     2.4015818032406616e-1, -6.0337171575978081e-3,
                                   -7.406966368176727e-4,  1.8678798572438273e-4, -1.3888015258321402e-5,
                                   -1.3883596395934431e-6, 4.2582629967321566e-7, -2.4651432828228087e-8,
                                   -4.6161858372108806e-9, 6.5660573274482585e-10};
    constexpr double kTail[] = {3.083885603717119,      1.0052589246222796,     5.3714569838370536e-3,
                                -3.7501318268443862e-3, 2.4843668824202302e-3,  -1.6950692036723318e-3,
                                9.8628892685531612e-4,  -3.4115517358217337e-4, -4.0658103971928143e-5,
                                6.5178420494133279e-5};
    auto d = convert<double>(x);
    auto w = -internal::log_short((1.0 - d) * (1.0 + d));
    r = convert<float>(d * select(w < 6.25, horner(w - 3.125, kCentral), horner(sqrt(w) - 3.25, kTail)));
  } else {
    constexpr double kCentral[] = {
        2.4015818242558834e-1,   -6.0336708714271384e-3,  -7.4070253415463468e-4,  1.8673420802081461e-4,
        -1.3882523393966517e-5,  -1.3654691774668301e-6,  4.2347881682432942e-7,   -2.9070389888023849e-8,
        -4.1126604347369141e-9,  1.0512226358776854e-9,   -5.4143034942757144e-11, -1.2978548905725015e-11,
        2.6305276053525936e-12,  -8.0778517097490908e-14, -4.0020194792518808e-14, 6.5305584561723692e-15,
        -3.9380672283269335e-17, -1.2311178575369358e-16, 1.5509121259215741e-17,  6.7059697519437403e-19,
        -3.4727498566654796e-19, 1.7589162589252041e-20,  3.1926466627810393e-21,  -3.1913138075343766e-22};
    constexpr double kTail[] = {
        1.0052589676941655,     5.3709145535437751e-3,  -3.751208508229336e-3,  2.4914420983857791e-3,
        -1.688275535339929e-3,  9.5328933408119875e-4,  -3.5503781505736155e-4, 2.4031584999675469e-5,
        6.8287125834238786e-5,  -4.7321098107565403e-5, 1.2464994278738502e-5,  2.9340935287955128e-6,
        -3.9856216385780538e-6, 1.4781238822209455e-6,  -2.7743585620558519e-8, -2.4061249633128161e-7,
        1.3169156813619248e-7,  -2.4761588194843268e-8, -1.5342414786523384e-8, 8.9788521781245583e-9};
    constexpr double kFar[] = {
        1.0103004648645448,     -1.3871931838489469e-4,  -2.1503011979893109e-4,  7.5995278178995931e-5,
        -1.9681771190924925e-5, 4.5260518787665461e-6,   -9.9302556968265854e-7,  2.2905558296200793e-7,
        -6.7572341111604013e-8, 2.9011694108544933e-8,   -1.5214753695313102e-8,  7.8320301903670565e-9,
        -3.5324358389242528e-9, 1.3063916773523703e-9,   -3.8230675915438824e-10, 7.4326852865834577e-11,
        1.545995453137974e-11,  -2.1383695839462466e-11, 5.7378886320292535e-12};
    // log1p(-a^2) near 0, where 1 - a^2 would be rounded; log((1 - a) (1 + a)) near 1.
    auto small = a < 0.5;
    L zero = like(x, 0.0);
    L w = -internal::log_of_sum(select(small, 1.0, zero), select(small, -(a * a), (1.0 - a) * (1.0 + a)), zero);
    L s = sqrt(w);
    L central = internal::scaled_polynomial(x, w - 3.125, 1.6536545626831027, -2.0343889961427299e-17, kCentral);
    L tail = internal::scaled_polynomial(x, s - 3.25, 3.0838856104922208, -8.799750459596166e-17, kTail);
    L far = internal::scaled_polynomial(x, s - 5.0, 4.8499064014085844, -8.0173997298288839e-17, kFar);
    r = select(w < 6.25, central, select(w < 16.0, tail, far));
  }
  return copysign(select(a < T(1), r, select(a == T(1), kInf<L>, like(x, kNan<L>))), x);
}

}  // namespace etch::math
