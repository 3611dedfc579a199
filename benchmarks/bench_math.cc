// Elementwise functions of normal numbers in the first cache, on one thread: the time of an element.
#include <benchmark/benchmark.h>
#include <etch/etch.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

namespace {

using etch::Tensor;

constexpr int64_t kElements = 4096;

template <class T>
Tensor normal_numbers() {
  std::vector<T> values(kElements);
  std::mt19937 random(1);
  std::normal_distribution<T> normal;
  for (T& value : values) value = normal(random);
  return Tensor::from(std::span<const T>(values), {kElements});
}

using Function = Tensor (*)(const Tensor&);

void run(benchmark::State& state, Function function, const Tensor& x) {
  const auto f = etch::function([function](Tensor a) { return function(a); }, etch::FunctionOptions{.threads = 1});
  Tensor out = f(x);
  for (auto _ : state) {
    f.call_into(out, x);
    benchmark::DoNotOptimize(out);
  }
  state.counters["ns_per_element"] = benchmark::Counter(
      static_cast<double>(kElements) * 1e-9, benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

void add_all() {
  const std::pair<const char*, Function> functions[] = {
      {"exp", [](const Tensor& x) { return exp(x); }},
      {"log", [](const Tensor& x) { return log(abs(x)); }},
      {"tanh", [](const Tensor& x) { return tanh(x); }},
      {"sin", [](const Tensor& x) { return sin(x); }},
      {"cos", [](const Tensor& x) { return cos(x); }},
      {"pow", [](const Tensor& x) { return pow(abs(x), 1.7f); }},
      {"sigmoid", [](const Tensor& x) { return sigmoid(x); }},
      {"erf", [](const Tensor& x) { return erf(x); }},
      {"sqrt", [](const Tensor& x) { return sqrt(abs(x)); }},
      {"log1p", [](const Tensor& x) { return log1p(abs(x)); }},
      {"expm1", [](const Tensor& x) { return expm1(x); }},
      {"copy", [](const Tensor& x) { return -x; }},
  };
  for (const auto& [name, function] : functions) {
    benchmark::RegisterBenchmark((std::string(name) + "/f32").c_str(), run, function, normal_numbers<float>());
    benchmark::RegisterBenchmark((std::string(name) + "/f64").c_str(), run, function, normal_numbers<double>());
  }
}

const bool registered = (add_all(), true);

}  // namespace
