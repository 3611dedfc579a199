// Gradients of random programs with plain control flow: a tape around the traced function against the eager tape. Where a
// value is carried under two names sums are rounded otherwise, so a few units in the last place are allowed.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <random>

#include "tests/capture/tensor_run.h"

namespace etch::capture {
namespace {

/// Smooth, bounded, and nowhere without a derivative; tests change sides often.
Tensor smooth(Kind kind, const std::vector<Tensor>& operands) {
  Tensor value(0.37 * (kind % 11) - 1.5);
  for (const Tensor& operand : operands) value = value * 0.6 + cast(operand, DType::f64) * (0.5 + 0.1 * (kind % 5));
  if (kind >= kTests) return sin(value * 19.0) > -0.3;
  return sin(value) * 0.9 + value * 0.1;
}

bool is_near(const Tensor& a, const Tensor& b) {
  const double x = a.item<double>(), y = b.item<double>();
  return std::abs(x - y) <= 1e-9 * std::max(1.0, std::abs(x));
}

TEST(GradientFuzz, RandomPrograms) {
  const char* given = std::getenv("ETCH_PROGRAMS");
  const int count = given ? std::atoi(given) : 15;
  int calls = 0, same = 0, with_loop = 0;
  for (int seed = 9000; seed < 9000 + count; ++seed) {
    const Lambda program = RandomProgram(static_cast<uint64_t>(seed), 4 + seed % 9).lambda();
    const std::vector<Tensor> initial = {Tensor(0.7), Tensor(-0.4)};
    const std::vector<Variable> variables(initial.begin(), initial.end());
    const auto loss = [&](const Tensor& a, const Tensor& b, const Tensor& c) {
      Tensor sum(0.0);
      int n = 0;
      for (const Tensor& result : TensorRun({a, b, c}, variables, smooth).results(program)) sum = sum + cast(result, DType::f64) * (1.0 + 0.5 * n++);
      return sum;
    };
    const auto gradients = [&](const auto& f, const std::vector<Tensor>& xs) {
      for (size_t i = 0; i < variables.size(); ++i) variables[i].assign(initial[i]);
      GradientTape tape;
      tape.watch(xs);
      for (const Variable& variable : variables) tape.watch(variable);
      const Tensor y = f(xs[0], xs[1], xs[2]);
      const auto [of_xs, of_variables] = tape.gradient(y, std::tuple(xs, variables), {.unconnected = Unconnected::zeros});
      std::vector<Tensor> all = of_xs;
      all.insert(all.end(), of_variables.begin(), of_variables.end());
      return all;
    };
    auto f = function([&](Tensor a, Tensor b, Tensor c) { return loss(a, b, c); }, {.name = "demo"});
    std::mt19937 random(static_cast<uint32_t>(seed));
    for (int call = 0; call < 5; ++call) {
      std::vector<Tensor> xs;
      for (int i = 0; i < 3; ++i) xs.emplace_back(std::uniform_real_distribution<double>(-2, 2)(random));
      std::vector<Tensor> plain, traced;
      try {
        plain = gradients(loss, xs);
      } catch (const TooLong&) {
        continue;
      }
      try {
        traced = gradients(f, xs);
      } catch (const Error& error) {
        if (std::string(error.what()).find("gradient") != std::string::npos) FAIL() << "seed " << seed << ": " << error.what();
        break;   // not to be captured
      }
      ++calls;
      with_loop += call == 0 && f.concrete(xs[0], xs[1], xs[2]).text("trace").find("while_loop") != std::string::npos;
      for (size_t i = 0; i < plain.size(); ++i) {
        same += plain[i].item<double>() == traced[i].item<double>();
        ASSERT_TRUE(is_near(plain[i], traced[i])) << "seed " << seed << ", call " << call << ", gradient " << i << ": " << plain[i]
                                                  << " eagerly, " << traced[i] << " traced";
      }
    }
  }
  EXPECT_GT(with_loop, 0);
  std::cout << calls << " calls, " << same << " of " << 5 * calls << " gradients to the bit, " << with_loop << " programs with loops\n";
}

}  // namespace
}  // namespace etch::capture
