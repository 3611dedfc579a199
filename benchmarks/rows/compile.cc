// Workloads whose first call is timed: a new function in each round, of which no kernel is kept.
#include <chrono>
#include <random>

#include "benchmarks/rows/case.h"

namespace rows {
namespace {

/// Makes something callable and calls it, against the clock; what it returns says what tracing and compiling took. Functions that
/// differ in constants alone share their kernels, so those of earlier rounds are freed first.
template <class F>
FirstCall timed(F make_and_call) {
  etch::trim_kernels();
  const auto start = std::chrono::steady_clock::now();
  const std::optional<etch::FunctionStats> stats = make_and_call();
  FirstCall first{.ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count()};
  if (stats) first.trace_ms = stats->trace_ms, first.compile_ms = stats->compile_ms;
  return first;
}

class FromSeed final : public CompileCase {
 public:
  using Make = std::function<std::unique_ptr<Case>(unsigned seed)>;
  explicit FromSeed(Make make) : make_(std::move(make)) {}

  FirstCall first_call(unsigned seed) override {
    return timed([&] {
      const std::unique_ptr<Case> made = make_(seed);
      benchmark::DoNotOptimize(made->call());
      return made->stats();
    });
  }

 private:
  Make make_;
};

/// The shares of the ops as in benchmarks/peers/workloads.
Tensor chain(Tensor value, const Tensor& y, int ops, unsigned seed) {
  std::mt19937 random(seed);
  std::discrete_distribution<int> op{25, 30, 30, 10, 5};
  std::uniform_real_distribution<float> constant(0.5f, 1.0f);
  for (int i = 0; i < ops; ++i) {
    const float c = constant(random);
    switch (op(random)) {
      case 0: value = value + y; break;
      case 1: value = value * c; break;
      case 2: value = value + c; break;
      case 3: value = maximum(value, y); break;
      default: value = tanh(value);
    }
  }
  return value;
}

Tensor softmax_of_chain(Tensor x) {
  Tensor a = x * 1.5f + 0.5f;
  Tensor b = a * x - 2.0f;
  Tensor c = abs(b) * 0.25f;
  return softmax(sqrt(abs(maximum(c, x) - b)));
}

std::unique_ptr<Case> new_product(const std::vector<Tensor>& in, Way way, unsigned seed) {
  std::mt19937 random(seed);
  const float c = std::uniform_real_distribution<float>(0.5f, 1.0f)(random);
  return traced<2>([c](Tensor a, Tensor b) { return tanh(matmul(a, b) + c); }, in, way);
}

/// A perceptron whose hidden layers are as wide as the seed says.
std::unique_ptr<Case> new_training(std::vector<Tensor> in, Way way, unsigned seed) {
  const int64_t width = 512 + seed % 64;
  in[2] = etch::full({784, width}, 0.01f);
  in[3] = etch::zeros({width});
  in[4] = etch::full({width, width}, 0.01f);
  in[5] = etch::zeros({width});
  in[6] = etch::full({width, 10}, 0.01f);
  return make_perceptron_step("adam", in, way);
}

class Sizes1000 final : public CompileCase {
 public:
  Sizes1000(Tensor x, int count, Way way) : x_(std::move(x)), count_(count), way_(way) {}

  FirstCall first_call(unsigned) override {
    std::vector<Tensor> vectors;
    for (int i = 0; i < count_; ++i) vectors.push_back(x_[etch::Slice::to(1000 + 7 * i)]);
    return timed([&]() -> std::optional<etch::FunctionStats> {
      if (way_ == Way::eager) {
        for (const Tensor& x : vectors) benchmark::DoNotOptimize(softmax_of_chain(x));
        return {};
      }
      auto f = etch::function(softmax_of_chain, {.fuse = way_ != Way::unfused, .on_retrace = etch::Retrace::allow});
      for (const Tensor& x : vectors) benchmark::DoNotOptimize(f(x));
      return f.stats();
    });
  }

 private:
  Tensor x_;
  int count_;
  Way way_;
};

}  // namespace

std::unique_ptr<CompileCase> make_compile(const std::string& name, const Sizes& sizes, const std::vector<Tensor>& in, Way way) {
  if (name == "compile_chain") {
    return std::make_unique<FromSeed>([=, ops = sizes.at("ops").get<int>()](unsigned seed) {
      return traced<2>([=](Tensor x, Tensor y) { return chain(x, y, ops, seed); }, in, way);
    });
  }
  if (name == "compile_product") return std::make_unique<FromSeed>([=](unsigned seed) { return new_product(in, way, seed); });
  if (name == "compile_training") return std::make_unique<FromSeed>([=](unsigned seed) { return new_training(in, way, seed); });
  if (name == "thousand_sizes") return std::make_unique<Sizes1000>(in.at(0), sizes.at("count").get<int>(), way);
  return nullptr;
}

}  // namespace rows
