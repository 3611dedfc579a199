// What one compiled training step may cost and leave behind: kernels, memory, and variables where a call fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "etch/etch.h"
#include "etch/layers.h"
#include "etch/module.h"
#include "etch/optimizers.h"
#include "tests/failing_new.h"
#include "tests/training/training.h"

namespace etch {
namespace {

struct Perceptron {
  layers::Dense first, second, logits;
  Tensor operator()(Tensor x) { return logits(second(first(x))); }
};

Perceptron perceptron(int64_t units) {
  return {{units, activations::relu}, {units, activations::relu}, {10}};
}

Tensor images(int64_t n, int64_t width) { return Generator(1).uniform({n, width}); }
Tensor labels(int64_t n) { return cast(range(n) % 10, DType::i32); }

/// The structure of each kernel that a schedule launches: its text without names, sizes and buffers.
std::vector<std::string> structures(const std::string& schedule) {
  std::vector<std::string> kernels;
  std::istringstream lines(schedule);
  for (std::string line; std::getline(lines, line);) {
    if (line.find(" over [") != std::string::npos) kernels.emplace_back();
    if (!kernels.empty() && line.starts_with("    ")) kernels.back() += line + "\n";
  }
  return kernels;
}

/// The number that stands before these words in a report.
int number_before(const std::string& report, const std::string& words) {
  std::smatch match;
  return std::regex_search(report, match, std::regex("(\\d+) " + words)) ? std::stoi(match[1]) : -1;
}

TEST(Step, OfAPerceptronIsFourteenLaunchesOfAtMostFiveDifferentProducts) {
  Perceptron model = perceptron(512);
  optimizers::Adam adam{1e-3f};
  auto step = classifier_step(model, adam);
  const std::vector<std::string> launched = structures(step.concrete(images(32, 784), labels(32)).text("schedule"));
  EXPECT_EQ(launched.size(), 14);
  std::set<std::string> products;
  for (const std::string& kernel : launched) {
    if (kernel.starts_with("    dot ")) products.insert(kernel);
  }
  EXPECT_THAT(products, testing::SizeIs(testing::AllOf(testing::Ge(1), testing::Le(5))));
}

TEST(Step, OfASecondModelOfTheSameStructureCompilesNothing) {
  Perceptron one = perceptron(48), other = perceptron(40);
  optimizers::Adam of_one{1e-3f}, of_other{1e-3f};
  auto first = classifier_step(one, of_one), second = classifier_step(other, of_other);
  (void)first(images(32, 20), labels(32));
  const std::string report = second.explain(images(64, 28), labels(64));
  EXPECT_EQ(number_before(report, "kernels compiled"), 0) << report;
}

TEST(Step, TracedHoldsLessMemoryAtItsPeakThanEager) {
  const auto peak = [](bool traced) {
    Perceptron model = perceptron(256);
    optimizers::Adam adam{1e-3f};
    auto step = classifier_step(model, adam, {.threads = 1});
    const ScopedFlags flags(traced ? "" : "eager");
    const Tensor x = images(512, 64), y = labels(512);
    (void)step(x, y);
    reset_peak_memory();
    const int64_t before = memory_stats().live_bytes;
    (void)step(x, y);
    return memory_stats().peak_bytes - before;
  };
  EXPECT_LT(peak(true), peak(false));
}

/// Copies: a tensor that is held would keep a step from writing in place.
std::vector<std::vector<double>> elements_of(const std::vector<Variable>& variables) {
  std::vector<std::vector<double>> all;
  for (const Variable& variable : variables) {
    const Tensor exact = cast(variable.value(), DType::f64);
    const auto elements = exact.data<double>();
    all.emplace_back(elements.begin(), elements.end());
  }
  return all;
}

std::vector<Variable> state_of(const Perceptron& model, const optimizers::Adam& adam) {
  std::vector<Variable> state = variables(model);
  for (const Variable& variable : variables(adam)) state.push_back(variable);
  return state;
}

/// Lets one allocation after the other fail until the call goes through, and expects the state as it was each time.
/// Returns how often it failed.
int expect_untouched(const std::vector<Variable>& state, const std::function<void()>& call) {
  const auto before = elements_of(state);
  int failures = 0;
  for (;; ++failures) {
    trim_memory();
    fail_after(failures);
    bool failed = false;
    try {
      call();
    } catch (const std::bad_alloc&) {
      failed = true;
    } catch (const Error&) {
      failed = true;
    }
    fail_after(-1);
    if (!failed) break;
    EXPECT_EQ(elements_of(state), before) << "allocation " << failures;
    if (failures > 10000 || testing::Test::HasFailure()) break;
  }
  EXPECT_NE(elements_of(state), before);
  return failures;
}

TEST(Step, ThatFindsNoMemoryLeavesTheStateAsItWas) {
  Perceptron model = perceptron(24);
  optimizers::Adam adam{1e-2f};
  auto step = classifier_step(model, adam, {.threads = 1});
  const Tensor x = images(8, 12), y = labels(8);
  (void)step(x, y);
  EXPECT_GT(expect_untouched(state_of(model, adam), [&] { (void)step(x, y); }), 0);
}

TEST(Step, ThatATapeRecordsLeavesTheStateAsItWasWhereItFindsNoMemory) {
  Perceptron model = perceptron(24);
  optimizers::Adam adam{1e-2f};
  auto step = classifier_step(model, adam, {.threads = 1});
  const Variable scale(Tensor(2.0f));
  const Tensor x = images(8, 12), y = labels(8);
  const auto recorded = [&] {
    GradientTape tape;
    (void)step(x * scale, y);
  };
  recorded();
  EXPECT_GT(expect_untouched(state_of(model, adam), recorded), 0);
}

}  // namespace
}  // namespace etch
