// The schedules, as Keras 3 computes them, in f32.
#include "etch/schedules.h"

#include <cmath>

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/tensor_impl.h"

namespace etch::schedules {
namespace {

constexpr double kPi = 3.14159265358979323846264338327950;

Tensor as_float(const Tensor& step) { return cast(step, DType::f32); }

/// s / n, whole if the schedule goes by stairs.
Tensor periods(const Tensor& step, int64_t decay_steps, DecayOptions options) {
  const Tensor part = as_float(step) / static_cast<double>(decay_steps);
  return options.staircase ? floor(part) : part;
}

Tensor cosine(const Tensor& part, double alpha) { return (cos(part * kPi) + 1) * 0.5 * (1 - alpha) + alpha; }

}  // namespace

Schedule constant(double rate) {
  return [=](const Tensor&) { return full({}, rate, DType::f32); };
}

Schedule exponential_decay(double initial, int64_t decay_steps, double rate, DecayOptions options) {
  return [=](const Tensor& step) {
    return pow(full({}, rate, DType::f32), periods(step, decay_steps, options)) * initial;
  };
}

Schedule inverse_time_decay(double initial, int64_t decay_steps, double rate, DecayOptions options) {
  return [=](const Tensor& step) { return initial / (periods(step, decay_steps, options) * rate + 1); };
}

Schedule cosine_decay(double initial, int64_t decay_steps, CosineDecayOptions options) {
  return [=](const Tensor& step) {
    const auto n = static_cast<double>(decay_steps);
    const Tensor s = as_float(step);
    if (options.warmup_target < 0) return cosine(minimum(s, n) / n, options.alpha) * initial;
    const auto warmup = static_cast<double>(options.warmup_steps);
    const Tensor decayed =
        cosine((minimum(s, warmup + n) - warmup) / n, options.alpha) * options.warmup_target;
    if (options.warmup_steps == 0) return decayed;
    const Tensor rising = s / warmup * (options.warmup_target - initial) + initial;
    return where(s < warmup, rising, decayed);
  };
}

Schedule cosine_decay_restarts(double initial, int64_t first_decay_steps, RestartOptions options) {
  return [=](const Tensor& step) {
    const Tensor part = as_float(step) / static_cast<double>(first_decay_steps);
    Tensor period, rest;  // how many periods are over, and which part of this one
    if (options.t_mul == 1) {
      period = floor(part);
      rest = part - period;
    } else {
      const double grown = 1 - options.t_mul;
      period = floor(log(1 - part * grown) / std::log(options.t_mul));
      const Tensor length = pow(full({}, options.t_mul, DType::f32), period);
      rest = (part - (1 - length) / grown) / length;
    }
    const Tensor height = pow(full({}, options.m_mul, DType::f32), period);
    return (height * 0.5 * (1 - options.alpha) * (cos(rest * kPi) + 1) + options.alpha) * initial;
  };
}

Schedule piecewise_constant_decay(std::vector<int64_t> boundaries, std::vector<double> values, Location where) {
  if (values.size() != boundaries.size() + 1) {
    detail::fail(where, cat("piecewise_constant_decay: ", boundaries.size(), " boundaries need ", boundaries.size() + 1,
                            " values, not ", values.size()));
  }
  return [=](const Tensor& step) {
    Tensor rate = full({}, values.back(), DType::f32);
    for (size_t i = boundaries.size(); i-- > 0;) {
      rate = etch::where(cast(step, DType::i64) <= boundaries[i], full({}, values[i], DType::f32), rate);
    }
    return rate;
  };
}

Schedule polynomial_decay(double initial, int64_t decay_steps, PolynomialDecayOptions options) {
  return [=](const Tensor& step) {
    const auto n = static_cast<double>(decay_steps);
    const Tensor s = as_float(step);
    const Tensor length = options.cycle ? where(s == 0, 1.f, ceil(s / n)) * n : full({}, n, DType::f32);
    const Tensor part = (options.cycle ? s : minimum(s, n)) / length;
    return pow(1 - part, options.power) * (initial - options.end) + options.end;
  };
}

Schedule warm_up(int64_t steps, Schedule then) {
  return [=](const Tensor& step) {
    if (steps <= 0) return then(step);
    const Tensor wide = cast(step, DType::i64);
    const Tensor rising = as_float(wide) / static_cast<double>(steps) * then(full({}, 0, DType::i64));
    return where(wide < steps, rising, then(maximum(wide - steps, int64_t{0})));
  };
}

}  // namespace etch::schedules
