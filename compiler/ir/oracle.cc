// Special functions of the oracle, computed with more digits than long double has where they cancel.
#include "compiler/ir/oracle.h"

#include <math.h>

#include <iterator>

namespace etch::oracle {
namespace {

/// 113 bits of significand; glibc has its functions.
using Wide = __float128;

constexpr long double kInfinity = std::numeric_limits<long double>::infinity();
constexpr long double kNan = std::numeric_limits<long double>::quiet_NaN();

Wide pi() {
  static const Wide kPi = 4 * atanf128(1);
  return kPi;
}

/// pi / tan(pi x) for x that is no integer.
Wide pi_cot_pi(Wide x) {
  const Wide fraction = x - roundf128(x);  // exact
  return pi() / tanf128(pi() * fraction);
}

}  // namespace

long double erf_inv(long double x) {
  if (!(std::fabs(x) <= 1)) return kNan;
  if (std::fabs(x) == 1) return std::copysign(kInfinity, x);
  if (x == 0) return x;

  // Winitzki's approximation (2008), good to 2e-3, then Halley's method; on the tail 1 - erf near 1.
  const Wide target = fabsf128(x);
  const Wide tail = 1 - target;
  const Wide a = 0.147L;
  const Wide log = log1pf128(-target * target);
  const Wide half = 2 / (pi() * a) + log / 2;
  Wide y = sqrtf128(sqrtf128(half * half - log / a) - half);
  const Wide slope_at_0 = 2 / sqrtf128(pi());
  for (int i = 0; i < 8; ++i) {
    const Wide error = target < 0.5L ? erff128(y) - target : tail - erfcf128(y);
    const Wide newton = error / (slope_at_0 * expf128(-y * y));
    const Wide step = newton / (1 + y * newton);  // Halley's correction: erf'' = -2 y erf'
    y -= step;
    if (fabsf128(step) <= 1e-7L * y) break;  // what is left is about the cube of the step
  }
  return std::copysign(static_cast<long double>(y), x);
}

long double lgamma(long double x) {
  int sign = 0;
  return ::lgammal_r(x, &sign);
}

long double digamma(long double x) {
  if (std::isnan(x) || x == kInfinity) return x;
  if (x <= 0 && x == std::floor(x)) return kNan;
  if (x == -kInfinity) return kNan;

  // Abramowitz and Stegun 6.3.7 (reflection), 6.3.5 (recurrence) and 6.3.18 (asymptotic series).
  Wide sum = 0;
  Wide z = x;
  if (z < 0) {
    sum -= pi_cot_pi(z);
    z = 1 - z;
  }
  for (; z < 40; z += 1) sum -= 1 / z;
  constexpr long double kBernoulli[][2] = {{1, 6},      {-1, 30},      {1, 42},      {-1, 30},       {5, 66},
                                           {-691, 2730}, {7, 6},       {-3617, 510}, {43867, 798},   {-174611, 330},
                                           {854513, 138}};
  Wide power = 1;
  for (size_t n = 1; n <= std::size(kBernoulli); ++n) {
    power /= z * z;
    sum -= Wide(kBernoulli[n - 1][0]) / kBernoulli[n - 1][1] / (2 * n) * power;
  }
  return static_cast<long double>(sum + logf128(z) - 1 / (2 * z));
}

}  // namespace etch::oracle
