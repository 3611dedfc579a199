// The unary float functions of compiler/math with a reference for each: a list for the accuracy tool and the tests.
#pragma once

#include <mpfr.h>

#include <cmath>
#include <numbers>
#include <string_view>

#include "compiler/math/vector_math.h"

namespace etch::math_test {

/// X(name, mpfr) expands once per function; `mpfr` is a callable (mpfr_ptr result, mpfr_srcptr x) or an mpfr function.
#define ETCH_UNARY_MATH(X)     \
  X(exp, MPFR(mpfr_exp))       \
  X(exp2, MPFR(mpfr_exp2))     \
  X(expm1, MPFR(mpfr_expm1))   \
  X(sigmoid, mpfr_sigmoid)     \
  X(tanh, MPFR(mpfr_tanh))     \
  X(sinh, MPFR(mpfr_sinh))     \
  X(cosh, MPFR(mpfr_cosh))     \
  X(log, MPFR(mpfr_log))       \
  X(log1p, MPFR(mpfr_log1p))   \
  X(log2, MPFR(mpfr_log2))     \
  X(log10, MPFR(mpfr_log10))   \
  X(softplus, mpfr_softplus)   \
  X(rsqrt, mpfr_rsqrt)         \
  X(cbrt, MPFR(mpfr_cbrt))     \
  X(sin, MPFR(mpfr_sin))       \
  X(cos, MPFR(mpfr_cos))       \
  X(tan, MPFR(mpfr_tan))       \
  X(asin, MPFR(mpfr_asin))     \
  X(acos, MPFR(mpfr_acos))     \
  X(atan, MPFR(mpfr_atan))     \
  X(asinh, MPFR(mpfr_asinh))   \
  X(acosh, MPFR(mpfr_acosh))   \
  X(atanh, MPFR(mpfr_atanh))   \
  X(erf, MPFR(mpfr_erf))       \
  X(erfc, MPFR(mpfr_erfc))     \
  X(lgamma, mpfr_lgamma_abs)   \
  X(digamma, mpfr_digamma_xla) \
  X(erf_inv, mpfr_erf_inv)

inline void mpfr_sigmoid(mpfr_ptr r, mpfr_srcptr x) {
  mpfr_neg(r, x, MPFR_RNDN);
  mpfr_exp(r, r, MPFR_RNDN);
  mpfr_add_ui(r, r, 1, MPFR_RNDN);
  mpfr_ui_div(r, 1, r, MPFR_RNDN);
}

inline void mpfr_softplus(mpfr_ptr r, mpfr_srcptr x) {
  mpfr_exp(r, x, MPFR_RNDN);
  mpfr_log1p(r, r, MPFR_RNDN);
  if (mpfr_inf_p(r)) mpfr_set(r, x, MPFR_RNDN);
}

inline void mpfr_rsqrt(mpfr_ptr r, mpfr_srcptr x) {
  mpfr_sqrt(r, x, MPFR_RNDN);
  mpfr_ui_div(r, 1, r, MPFR_RNDN);
}

inline void mpfr_lgamma_abs(mpfr_ptr r, mpfr_srcptr x) {
  int sign;
  mpfr_lgamma(r, &sign, x, MPFR_RNDN);
}

/// NaN at the poles.
inline void mpfr_digamma_xla(mpfr_ptr r, mpfr_srcptr x) {
  if (mpfr_zero_p(x)) {
    mpfr_set_nan(r);
  } else {
    mpfr_digamma(r, x, MPFR_RNDN);
  }
}

/// Newton's method on erf, or on erfc where erf is close to 1.
inline void mpfr_erf_inv(mpfr_ptr r, mpfr_srcptr x) {
  if (mpfr_nan_p(x) || mpfr_cmp_si(x, 1) > 0 || mpfr_cmp_si(x, -1) < 0) {
    mpfr_set_nan(r);
    return;
  }
  if (mpfr_cmp_si(x, 1) == 0 || mpfr_cmp_si(x, -1) == 0) {
    mpfr_set_inf(r, mpfr_sgn(x));
    return;
  }
  if (mpfr_zero_p(x)) {
    mpfr_set(r, x, MPFR_RNDN);
    return;
  }
  mpfr_t a, target, y, step, slope;
  mpfr_inits2(200, a, target, y, step, slope, nullptr);
  mpfr_abs(a, x, MPFR_RNDN);
  mpfr_ui_sub(target, 1, a, MPFR_RNDN);  // erfc(y) = target
  // The start 0.88 sqrt(-log(1 - a^2)) is near the root.
  mpfr_mul(y, a, a, MPFR_RNDN);
  mpfr_neg(y, y, MPFR_RNDN);
  mpfr_log1p(y, y, MPFR_RNDN);
  mpfr_neg(y, y, MPFR_RNDN);
  mpfr_sqrt(y, y, MPFR_RNDN);
  mpfr_mul_d(y, y, 0.88, MPFR_RNDN);
  for (int i = 0; i < 12; ++i) {
    if (mpfr_cmp_d(a, 0.5) < 0) {
      mpfr_erf(step, y, MPFR_RNDN);
      mpfr_sub(step, a, step, MPFR_RNDN);
    } else {
      mpfr_erfc(step, y, MPFR_RNDN);
      mpfr_sub(step, step, target, MPFR_RNDN);
    }
    // y += step sqrt(pi) / 2 e^(y^2)
    mpfr_sqr(slope, y, MPFR_RNDN);
    mpfr_exp(slope, slope, MPFR_RNDN);
    mpfr_mul(step, step, slope, MPFR_RNDN);
    mpfr_const_pi(slope, MPFR_RNDN);
    mpfr_sqrt(slope, slope, MPFR_RNDN);
    mpfr_mul(step, step, slope, MPFR_RNDN);
    mpfr_div_2ui(step, step, 1, MPFR_RNDN);
    mpfr_add(y, y, step, MPFR_RNDN);
  }
  mpfr_copysign(r, y, x, MPFR_RNDN);
  mpfr_clears(a, target, y, step, slope, nullptr);
}

/// lgamma and digamma change sign between their poles on the negative axis; near these zeros they promise an absolute
/// error, in units of the last place of 1.
inline bool has_zeros_near(std::string_view name, double x) { return (name == "lgamma" || name == "digamma") && x < 0; }

/// One function: the native lanes of both float types, and the reference in MPFR.
struct UnaryFunction {
  std::string_view name;
  float (*f32)(float);
  double (*f64)(double);
  void (*reference)(mpfr_ptr, mpfr_srcptr);

  bool zeros(double x) const { return has_zeros_near(name, x); }
  /// The error promised for doubles, in ULP; for floats it is 2 throughout.
  double f64_bound() const {
    if (name == "lgamma") return 4;
    if (name == "digamma") return 16;
    return name == "erfc" || name == "erf_inv" ? 2.25 : 2;
  }
};

#define MPFR(f) [](mpfr_ptr r, mpfr_srcptr x) { f(r, x, MPFR_RNDN); }
#define ETCH_ROW(name, mpfr)                                                         \
  UnaryFunction{#name, [](float x) { return math::name(math::Scalar<float>(x)).v; }, \
                [](double x) { return math::name(math::Scalar<double>(x)).v; }, mpfr},
inline const UnaryFunction kUnaryFunctions[] = {ETCH_UNARY_MATH(ETCH_ROW)};
#undef ETCH_ROW
#undef MPFR

/// |got - reference| in units in the last place of T at the reference. Results beyond the range count as the next power
/// of two. NaN against a number, a wrong infinity or a wrong sign of zero gives infinity.
/// absolute_below_one: references below 1 are measured in units of the last place of 1.
template <class T>
double ulp_error(T got, mpfr_srcptr reference, bool absolute_below_one) {
  constexpr double kBad = HUGE_VAL;
  using Limits = std::numeric_limits<T>;
  if (mpfr_nan_p(reference)) return std::isnan(got) ? 0 : kBad;
  if (std::isnan(got)) return kBad;
  if (mpfr_inf_p(reference)) return std::isinf(got) && std::signbit(got) == (mpfr_signbit(reference) != 0) ? 0 : kBad;
  if (mpfr_zero_p(reference)) return got == 0 && std::signbit(got) == (mpfr_signbit(reference) != 0) ? 0 : kBad;
  if (std::isinf(got) && mpfr_get_exp(reference) > Limits::max_exponent) {
    return std::signbit(got) == (mpfr_signbit(reference) != 0) ? 0 : kBad;
  }
  if (got == 0 && !absolute_below_one && std::signbit(got) != (mpfr_signbit(reference) != 0)) return kBad;
  long exponent = std::max<long>(mpfr_get_exp(reference), Limits::min_exponent) - Limits::digits;
  if (absolute_below_one) exponent = std::max<long>(exponent, 1 - Limits::digits);
  mpfr_t difference;
  mpfr_init2(difference, 200);
  if (std::isinf(got)) {
    // As if the exponent range had one more power of two.
    mpfr_set_si_2exp(difference, std::signbit(got) ? -1 : 1, Limits::max_exponent, MPFR_RNDN);
    exponent = std::min<long>(exponent, Limits::max_exponent - Limits::digits);
  } else {
    mpfr_set_d(difference, static_cast<double>(got), MPFR_RNDN);
  }
  mpfr_sub(difference, difference, reference, MPFR_RNDN);
  mpfr_mul_2si(difference, difference, -exponent, MPFR_RNDN);
  double error = std::fabs(mpfr_get_d(difference, MPFR_RNDN));
  mpfr_clear(difference);
  return error;
}

}  // namespace etch::math_test
