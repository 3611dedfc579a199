// One workload of benchmarks/peers/rows.py at one size, in Etch: made from inputs, called, timed.
#pragma once

#include <benchmark/benchmark.h>
#include <etch/etch.h>

#include <chrono>
#include <concepts>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace rows {

using etch::Tensor;
using Sizes = nlohmann::json;

/// How the workload is run: as the function that a user gets, with a kernel for each op, or op by op.
enum class Way { fused, unfused, eager };

/// Milliseconds of a first call and, where they are known, of its parts.
struct FirstCall {
  double ms = 0;
  std::optional<double> trace_ms{}, compile_ms{};
};

/// The times of calls in a loop of Google Benchmark, which itself knows that of all calls together.
class CallTimes {
 public:
  /// Of each call, or of so many on average where one is short beside a look at the clock; of none for 0.
  explicit CallTimes(int64_t batch) : batch_(batch) {}
  void start() {
    if (batch_ > 0 && calls_ == 0) start_ = Clock::now();
  }
  void stop() {
    if (batch_ == 0 || ++calls_ < batch_) return;
    const std::chrono::duration<double, std::micro> time = Clock::now() - start_;
    microseconds_.push_back(time.count() / static_cast<double>(batch_));
    calls_ = 0;
  }
  const std::vector<double>& microseconds() const { return microseconds_; }

 private:
  using Clock = std::chrono::steady_clock;
  const int64_t batch_;
  int64_t calls_ = 0;  // of this batch
  Clock::time_point start_;
  std::vector<double> microseconds_;
};

class Case {
 public:
  virtual ~Case() = default;
  /// One call, and all its results.
  virtual std::vector<Tensor> call() = 0;
  /// The loop of Google Benchmark. With `reuse` the results go into those of the call before.
  virtual void run(benchmark::State& state, bool reuse, CallTimes& times) = 0;
  virtual bool can_reuse() const { return false; }
  /// What tracing and compiling took so far; nothing in eager mode.
  virtual std::optional<etch::FunctionStats> stats() const { return {}; }
};

/// A workload whose first call is what is timed.
class CompileCase {
 public:
  virtual ~CompileCase() = default;
  /// Makes a new function from the seed and calls it.
  virtual FirstCall first_call(unsigned seed) = 0;
};

inline std::vector<Tensor> flat(Tensor result) { return {std::move(result)}; }
inline std::vector<Tensor> flat(std::vector<Tensor> results) { return results; }
template <std::same_as<Tensor>... T>
std::vector<Tensor> flat(std::tuple<T...> results) {
  return std::apply([](auto... each) { return std::vector<Tensor>{each...}; }, std::move(results));
}

/// A lambda over `count` tensors: the inputs are its arguments.
template <size_t count, class F>
class Traced final : public Case {
 public:
  Traced(F lambda, const std::vector<Tensor>& inputs, Way way)
      : lambda_(std::move(lambda)), way_(way), function_(etch::function(lambda_, {.fuse = way != Way::unfused})) {
    for (size_t i = 0; i < count; ++i) inputs_[i] = inputs.at(i);
  }

  std::vector<Tensor> call() override {
    return way_ == Way::eager ? flat(std::apply(lambda_, inputs_)) : flat(std::apply(function_, inputs_));
  }

  void run(benchmark::State& state, bool reuse, CallTimes& times) override {
    if (way_ == Way::eager) return loop(state, lambda_, times);
    if (!reuse) return loop(state, function_, times);
    auto result = std::apply(function_, inputs_);
    for (auto _ : state) {
      times.start();
      std::apply([&](const auto&... each) { function_.call_into(result, each...); }, inputs_);
      benchmark::DoNotOptimize(result);
      times.stop();
    }
  }

  bool can_reuse() const override { return way_ != Way::eager; }

  std::optional<etch::FunctionStats> stats() const override {
    if (way_ == Way::eager) return {};
    return function_.stats();
  }

 private:
  template <class G>
  void loop(benchmark::State& state, G& callable, CallTimes& times) {
    for (auto _ : state) {
      times.start();
      {
        auto result = std::apply(callable, inputs_);
        benchmark::DoNotOptimize(result);
      }
      times.stop();
    }
  }

  F lambda_;
  Way way_;
  decltype(etch::function(std::declval<F&>())) function_;
  std::array<Tensor, count> inputs_;
};

template <size_t count, class F>
std::unique_ptr<Case> traced(F lambda, const std::vector<Tensor>& inputs, Way way) {
  return std::make_unique<Traced<count, F>>(std::move(lambda), inputs, way);
}

/// Makes a case of a workload, or nothing where another file has the workload. Error for sizes that do not fit.
using Maker = std::unique_ptr<Case> (*)(const std::string& workload, const Sizes& sizes, const std::vector<Tensor>& inputs,
                                        Way way);
std::unique_ptr<Case> make_elementwise(const std::string&, const Sizes&, const std::vector<Tensor>&, Way);
std::unique_ptr<Case> make_reduction(const std::string&, const Sizes&, const std::vector<Tensor>&, Way);
std::unique_ptr<Case> make_layout(const std::string&, const Sizes&, const std::vector<Tensor>&, Way);
std::unique_ptr<Case> make_product(const std::string&, const Sizes&, const std::vector<Tensor>&, Way);
std::unique_ptr<Case> make_training(const std::string&, const Sizes&, const std::vector<Tensor>&, Way);
std::unique_ptr<Case> make_loop(const std::string&, const Sizes&, const std::vector<Tensor>&, Way);

/// The same of those whose first call is timed.
std::unique_ptr<CompileCase> make_compile(const std::string&, const Sizes&, const std::vector<Tensor>&, Way);

/// The last state of an LSTM that starts from zeros, its times written out.
Tensor lstm_over_time(Tensor x, Tensor kernel, Tensor recurrent, Tensor bias);

/// The step of an optimizer on the perceptron of benchmarks/peers/workloads; the weights are the inputs behind x and the labels.
std::unique_ptr<Case> make_perceptron_step(const std::string& optimizer, const std::vector<Tensor>& inputs, Way way);

}  // namespace rows
