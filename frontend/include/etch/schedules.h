// Schedules: learning rates as functions of how many updates there were.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "etch/tensor.h"

namespace [[gnu::visibility("default")]] etch {

struct DecayOptions {
  bool staircase = false;  // change after every decay_steps only
};
struct CosineDecayOptions {
  double alpha = 0;        // the least rate, as a part of the first one
  double warmup_target = -1;  // if not below 0: the rate rises to it first, from the initial one, and decays from there
  int64_t warmup_steps = 0;
};
struct RestartOptions {
  double t_mul = 2;  // how much longer each period is than the one before
  double m_mul = 1;  // and how much higher its first rate
  double alpha = 0;
};
struct PolynomialDecayOptions {
  double end = 0.0001;
  double power = 1;
  bool cycle = false;  // go on beyond decay_steps by multiples of them
};

// Names, formulas and defaults are Keras'. s is the step and n decay_steps.
namespace schedules {

/// The learning rate for a number of updates so far, i64[]; it is computed in the training step, so it never traces it again.
using Schedule = std::function<Tensor(const Tensor& step)>;

[[nodiscard]] Schedule constant(double rate);
/// initial * rate^(s / n).
[[nodiscard]] Schedule exponential_decay(double initial, int64_t decay_steps, double rate, DecayOptions options = {});
/// initial / (1 + rate * s / n).
[[nodiscard]] Schedule inverse_time_decay(double initial, int64_t decay_steps, double rate, DecayOptions options = {});
/// initial * ((1 - alpha) * (1 + cos(pi s / n)) / 2 + alpha), with s at most n (Loshchilov and Hutter, "SGDR", 2016).
[[nodiscard]] Schedule cosine_decay(double initial, int64_t decay_steps, CosineDecayOptions options = {});
/// The same over and over, in periods that grow.
[[nodiscard]] Schedule cosine_decay_restarts(double initial, int64_t first_decay_steps, RestartOptions options = {});
/// values[i] for steps up to boundaries[i], and the last of values beyond. Error unless there is one value more.
[[nodiscard]] Schedule piecewise_constant_decay(std::vector<int64_t> boundaries, std::vector<double> values,
                                                Location where = Location::current());
/// (initial - end) * (1 - s / n)^power + end.
[[nodiscard]] Schedule polynomial_decay(double initial, int64_t decay_steps, PolynomialDecayOptions options = {});
/// Rises from 0 over a number of steps to what another schedule gives for its step 0, which begins then.
[[nodiscard]] Schedule warm_up(int64_t steps, Schedule then);

}  // namespace schedules
}  // namespace etch
