// Numerical methods in plain C++ control flow on tensors, against what NumPy and SciPy make of them (make_expected.py).
#include <gtest/gtest.h>

#include <tuple>
#include <vector>

#include "tests/control_flow/modes.h"
#include "tests/keras_file.h"

namespace etch {
namespace {

const KerasCase& expected(const std::string& name) {
  static const std::map<std::string, KerasCase> cases =
      read_keras_file(ETCH_SOURCE_DIR "/tests/control_flow/expected.txt");
  return cases.at(name);
}

Tensor predator_and_prey(const Tensor& y) {
  const Tensor prey = y[0], hunters = y[1], met = prey * hunters;
  return stack({1.5 * prey - met, met - 3.0 * hunters});
}

/// Dormand's and Prince's method of orders 5 and 4, with the step control of SciPy's RK45.
std::tuple<Tensor, Tensor, Tensor> runge_kutta(const Tensor& y0, const Tensor& first_step) {
  const double end = 5, rtol = 1e-6, atol = 1e-9;
  Tensor t = 0.0, y = y0, k1 = predator_and_prey(y), h = first_step;
  Tensor steps = int64_t{0}, calls = int64_t{1};
  while (t < end) {
    bool was_rejected = false;
    while (true) {
      Tensor to = t + h;
      if (to > end) to = end;
      h = to - t;
      const Tensor k2 = predator_and_prey(y + h * (1.0 / 5 * k1));
      const Tensor k3 = predator_and_prey(y + h * (3.0 / 40 * k1 + 9.0 / 40 * k2));
      const Tensor k4 = predator_and_prey(y + h * (44.0 / 45 * k1 - 56.0 / 15 * k2 + 32.0 / 9 * k3));
      const Tensor k5 = predator_and_prey(
          y + h * (19372.0 / 6561 * k1 - 25360.0 / 2187 * k2 + 64448.0 / 6561 * k3 - 212.0 / 729 * k4));
      const Tensor k6 = predator_and_prey(y + h * (9017.0 / 3168 * k1 - 355.0 / 33 * k2 + 46732.0 / 5247 * k3 +
                                                   49.0 / 176 * k4 - 5103.0 / 18656 * k5));
      const Tensor next =
          y + h * (35.0 / 384 * k1 + 500.0 / 1113 * k3 + 125.0 / 192 * k4 - 2187.0 / 6784 * k5 + 11.0 / 84 * k6);
      const Tensor k7 = predator_and_prey(next);
      calls += 6;
      const Tensor error = h * (-71.0 / 57600 * k1 + 71.0 / 16695 * k3 - 71.0 / 1920 * k4 + 17253.0 / 339200 * k5 -
                                22.0 / 525 * k6 + 1.0 / 40 * k7);
      const Tensor relative = error / (atol + rtol * maximum(abs(y), abs(next)));
      const Tensor norm = sqrt(mean(relative * relative));
      if (norm < 1) {
        Tensor factor = minimum(10.0, 0.9 * pow(norm, -0.2));
        if (was_rejected) factor = minimum(1.0, factor);
        h = h * factor;
        t = to;
        y = next;
        k1 = k7;
        break;
      }
      h = h * maximum(0.2, 0.9 * pow(norm, -0.2));
      was_rejected = true;
    }
    ++steps;
  }
  return {y, steps, calls};
}

TEST(Numeric, RungeKuttaTakesTheStepsOfSciPy) {
  const KerasCase& known = expected("runge_kutta");
  for (const std::string name : {"large", "small"}) {
    const auto [y, steps, calls] = in_all_modes(runge_kutta, Tensor({10.0, 5.0}), known.at("first_" + name));
    expect_near(y, known.at("y_" + name), 1e-9);
    EXPECT_EQ(steps.item<int64_t>(), known.at("steps_" + name).item<int64_t>()) << name;
    EXPECT_EQ(calls.item<int64_t>(), known.at("calls_" + name).item<int64_t>()) << name;
  }
}

TEST(Numeric, NewtonEndsByTolerance) {
  const auto newton = [](const Tensor& start) {
    Tensor x = start, turns = 0;
    while (true) {
      const Tensor step = (x * x * x - 2.0 * x - 5.0) / (3.0 * x * x - 2.0);
      x = x - step;
      ++turns;
      if (abs(step) < 1e-12 || turns > 500) break;
    }
    return std::tuple(x, turns);
  };
  const KerasCase& known = expected("newton");
  for (int i = 0; i < 4; ++i) {
    const auto [x, turns] = in_all_modes(newton, known.at("starts")[i]);
    expect_near(x, known.at("roots")[i], 1e-12);
    EXPECT_LT(turns.item<int>(), 500);
  }
}

TEST(Numeric, BisectionEndsByTolerance) {
  const auto bisection = [](const Tensor& from, const Tensor& to) {
    Tensor low = from, high = to, turns = 0;
    while (high - low > 1e-13) {
      const Tensor middle = (low + high) * 0.5;
      if (cos(middle) > middle) {
        low = middle;
      } else {
        high = middle;
      }
      ++turns;
    }
    return std::tuple(low, turns);
  };
  const KerasCase& known = expected("bisection");
  for (int i = 0; i < 3; ++i) {
    const Tensor bracket = known.at("brackets")[i];
    const auto [root, turns] = in_all_modes(bisection, bracket[0], bracket[1]);
    expect_near(root, known.at("roots")[i], 1e-12);
    EXPECT_GT(turns.item<int>(), 35);
  }
}

TEST(Numeric, AKalmanFilterSkipsWhatWasNotSeen) {
  const auto filter = [](const Tensor& seen) {
    const Tensor one = eye(4, DType::f64), f = one + 0.1 * concat({concat({zeros({2, 2}, DType::f64), eye(2, DType::f64)}, 1),
                                                                   zeros({2, 4}, DType::f64)}, 0);
    const Tensor h = one[{Slice(0, 2)}];
    const int64_t times = seen.shape()[0];
    TensorArray means = TensorArray::of(times, DType::f64, {4});
    Tensor x = zeros({4, 1}, DType::f64), p = one, misses = int64_t{0};
    for (Tensor t = 0; t < times; ++t) {
      const Tensor z = expand_dims(TensorArray{seen}.read(t), 1);
      x = matmul(f, x);
      p = matmul(matmul(f, p), transpose(f)) + 0.01 * one;
      if (any(is_nan(z))) {
        ++misses;
      } else {
        const Tensor s = matmul(matmul(h, p), transpose(h)) + 0.04 * eye(2, DType::f64);
        const Tensor a = s(0, 0), b = s(0, 1), c = s(1, 0), d = s(1, 1);
        const Tensor inverse = stack({stack({d, -b}), stack({-c, a})}) / (a * d - b * c);
        const Tensor gain = matmul(matmul(p, transpose(h)), inverse);
        x = x + matmul(gain, z - matmul(h, x));
        p = matmul(one - matmul(gain, h), p);
      }
      means.write(t, squeeze(x, 1));
    }
    return std::tuple(means.stack(), p, misses);
  };
  const KerasCase& known = expected("kalman");
  const auto [means, p, misses] = in_all_modes(filter, known.at("seen"));
  expect_near(means, known.at("means"), 1e-12);
  expect_near(p, known.at("covariance"), 1e-12);
  EXPECT_EQ(misses.item<int64_t>(), known.at("misses").item<int64_t>());
}

}  // namespace
}  // namespace etch
