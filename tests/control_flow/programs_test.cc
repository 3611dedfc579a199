// Numerical programs in plain C++ control flow on tensors: eager and captured runs give the same bits, and known values.
#include <gtest/gtest.h>

#include <cmath>
#include <tuple>
#include <utility>

#include "tests/control_flow/modes.h"

namespace etch {
namespace {

TEST(Programs, ConjugateGradientsEndByTolerance) {
  const auto program = [](const Tensor& a, const Tensor& b) {
    Tensor x = zeros_like(b), r = b, p = r, rs = sum(r * r), turns = 0;
    while (rs > 1e-20) {
      const Tensor ap = matmul(a, p), alpha = rs / sum(p * ap);
      x += alpha * p;
      r -= alpha * ap;
      const Tensor next = sum(r * r);
      p = r + next / rs * p;
      rs = next;
      turns += 1;
      if (turns >= 50) break;
    }
    return std::pair(x, turns);
  };
  const Tensor a({{4.0, 1.0, 0.0}, {1.0, 3.0, 1.0}, {0.0, 1.0, 2.0}}), b({1.0, 2.0, 3.0});
  const auto [x, turns] = in_all_modes(program, a, b);
  const double exact[] = {2.0 / 9, 1.0 / 9, 13.0 / 9};  // by Cramer's rule; the determinant is 18
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(x.data<double>()[i], exact[i], 1e-12);
  EXPECT_LE(turns.item<int>(), 4);
}

TEST(Programs, BisectionFindsTheFixedPointOfTheCosine) {
  const auto program = [](const Tensor& from, const Tensor& to) {
    Tensor low = from, high = to;
    while (high - low > 1e-12) {
      const Tensor middle = (low + high) / 2;
      if (cos(middle) > middle) {
        low = middle;
      } else {
        high = middle;
      }
    }
    return (low + high) / 2;
  };
  // OEIS A003957.
  EXPECT_NEAR(in_all_modes(program, Tensor(0.0), Tensor(1.0)).item<double>(), 0.739085133215160641655, 1e-12);
}

TEST(Programs, AnAdaptiveIntegratorChoosesItsSteps) {
  // y' = -2 t y by Heun's method with Euler's as the estimate of its error: y(1) = exp(-1).
  const auto program = [](const Tensor& y0, const Tensor& tolerance) {
    Tensor t = 0.0, y = y0, h = 0.1, steps = 0;
    while (t < 1.0) {
      if (t + h > 1.0) h = 1.0 - t;
      const Tensor k1 = -2.0 * t * y, k2 = -2.0 * (t + h) * (y + h * k1);
      const Tensor error = abs(k2 - k1) * h / 2;
      if (error <= tolerance) {
        t += h;
        y += (k1 + k2) * h / 2;
        if (error < tolerance / 4) h = h * 1.5;
      } else {
        h = h / 2;
      }
      ++steps;
    }
    return std::pair(y, steps);
  };
  const auto [y, steps] = in_all_modes(program, Tensor(1.0), Tensor(1e-6));
  EXPECT_NEAR(y.item<double>(), std::exp(-1.0), 1e-5);
  EXPECT_GT(steps.item<int>(), 100);
}

TEST(Programs, KMeansMovesUntilNothingChanges) {
  const auto program = [](const Tensor& x, const Tensor& start) {
    Tensor centres = start, turns = 0;
    while (true) {
      const Tensor nearest = argmin(abs(expand_dims(x, 1) - centres), 1);
      const Tensor member = one_hot(nearest, 2, DType::f64);
      const Tensor next = sum(member * expand_dims(x, 1), 0) / sum(member, 0);
      ++turns;
      if (all(next == centres)) break;
      centres = next;
    }
    return std::pair(centres, turns);
  };
  const auto [centres, turns] = in_all_modes(program, Tensor({1.0, 2.0, 3.0, 10.0, 12.0, 14.0}), Tensor({1.0, 2.0}));
  EXPECT_EQ(centres.to_vector<double>(), (std::vector<double>{2, 12}));
  EXPECT_GT(turns.item<int>(), 2);
}

TEST(Programs, ALoopTrainsUntilItIsGoodEnough) {
  // The variable is assigned in the loop; a break ends it.
  const Tensor xs({1.f, 2.f, 3.f}), ys({2.f, 4.f, 6.f});
  const auto train = [&](Variable& w) {
    return [&](Tensor limit) {
      Tensor turns = 0;
      while (turns < limit) {
        const Tensor error = w * xs - ys;
        if (mean(error * error) < 1e-6f) break;
        w.assign_sub(0.05f * mean(2.f * error * xs));
        ++turns;
      }
      return turns;
    };
  };
  Variable eager(0.f), traced(0.f);
  const Tensor expected = train(eager)(Tensor(100));
  auto f = etch::function(train(traced));
  EXPECT_EQ(f(Tensor(100)).item<int>(), expected.item<int>());
  EXPECT_EQ(bytes_of(traced.value()), bytes_of(eager.value()));
  EXPECT_NEAR(traced.value().item<float>(), 2, 1e-3);
  EXPECT_LT(expected.item<int>(), 50);
}

TEST(Programs, FormsStandInsideOfPlainControlFlow) {
  const auto program = [](Variable& total) {
    return [&](Tensor x, Tensor n) {
      Tensor y = for_range(n, [&](const Tensor&, const Tensor& s) {
        total.assign(total + sum(s));
        return s * 2;
      }, x);
      if (sum(y) > 10) {
        y = scan([](const Tensor& a, const Tensor& r) { return std::pair(a + r, a * r); }, Tensor(0.f), y).second;
      } else {
        y = cond(n > 1, [&] { return -y; }, [&] { return y + 1; });
      }
      while (sum(y) < 50) y = y + total.value() * 0.01f + 1;
      return y;
    };
  };
  Variable eager(0.f), traced(0.f);
  auto f = etch::function(program(traced));
  for (const int n : {0, 1, 2, 3}) {
    const Tensor x({1.f, 2.f, 3.f});
    EXPECT_EQ(bytes_of(f(x, Tensor(n))), bytes_of(program(eager)(x, Tensor(n)))) << n;
    EXPECT_EQ(bytes_of(traced.value()), bytes_of(eager.value())) << n;
  }
}

}  // namespace
}  // namespace etch
