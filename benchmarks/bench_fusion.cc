// Fused against unfused against hand-written C++, on one thread; with probes of the machine's copy and FMA rates.
#include <benchmark/benchmark.h>
#include <etch/etch.h>

#include <memory>
#include <random>
#include <vector>

#include "benchmarks/hand.h"

namespace {

using etch::Tensor;

constexpr int64_t kLong = int64_t{16} << 20;
constexpr int64_t kRows = 4096, kColumns = 1024;

const std::vector<float>& data() {
  static const std::vector<float> values = [] {
    std::vector<float> v(kLong);
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float& value : v) value = normal(random);
    return v;
  }();
  return values;
}

Tensor vector_of(int64_t n) { return Tensor::from(std::span(data()).first(n), {n}); }
Tensor matrix() { return Tensor::from(std::span(data()).first(kRows * kColumns), {kRows, kColumns}); }

struct Hand {
  std::vector<float> out = std::vector<float>(kLong);
};

// One function in the three ways: `make` gives the traced lambda, `inputs` its arguments, `hand` the C++ code.
template <class F, class Inputs, class H>
void add_case(const std::string& name, F lambda, Inputs inputs, H hand) {
  for (bool fuse : {true, false}) {
    auto f = std::make_shared<decltype(etch::function(lambda))>(
        etch::function(lambda, etch::FunctionOptions{.fuse = fuse, .threads = 1}));
    benchmark::RegisterBenchmark((name + (fuse ? "/fused" : "/unfused")).c_str(), [=](benchmark::State& state) {
      auto arguments = inputs();
      Tensor out = std::apply(*f, arguments);
      etch::reset_peak_memory();
      int64_t before = etch::memory_stats().live_bytes;
      for (auto _ : state) {
        std::apply([&](const auto&... argument) { f->call_into(out, argument...); }, arguments);
        benchmark::DoNotOptimize(out);
      }
      state.counters["peak_MB"] = static_cast<double>(etch::memory_stats().peak_bytes - before) / 1e6;
    })->Unit(benchmark::kMicrosecond);
  }
  benchmark::RegisterBenchmark((name + "/handwritten").c_str(), [=](benchmark::State& state) {
    Hand memory;
    for (auto _ : state) {
      hand(data().data(), memory.out.data());
      benchmark::ClobberMemory();
    }
  })->Unit(benchmark::kMicrosecond);
}

Tensor chain10(Tensor x) {
  Tensor a = x * 1.5f + 0.5f;
  Tensor b = a * x - 2.0f;
  Tensor c = abs(b) * 0.25f;
  Tensor d = maximum(c, x) - b;
  return sqrt(abs(d));
}

void add_all() {
  const float* gamma = data().data() + 17;
  const float* beta = data().data() + 4099;
  Tensor gamma_tensor = Tensor::from(std::span(gamma, kColumns), {kColumns});
  Tensor beta_tensor = Tensor::from(std::span(beta, kColumns), {kColumns});
  auto one_vector = [] { return std::tuple(vector_of(kLong)); };
  auto one_matrix = [] { return std::tuple(matrix()); };
  auto matrix_and_rows = [=] { return std::tuple(matrix(), gamma_tensor, beta_tensor); };

  add_case("chain10_16M", chain10, one_vector, [](const float* x, float* y) { hand::chain10(x, y, kLong); });
  add_case("chain10_64K", chain10, [] { return std::tuple(vector_of(1 << 16)); },
           [](const float* x, float* y) { hand::chain10(x, y, 1 << 16); });
  add_case("exp_heavy_1M", [](Tensor x) { return exp(-x * x) / (1.0f + exp(-x)); },
           [] { return std::tuple(vector_of(1 << 20)); },
           [](const float* x, float* y) { hand::exp_heavy(x, y, 1 << 20); });
  add_case("broadcast_4096x1024", [](Tensor x, Tensor gamma, Tensor beta) { return x * gamma + beta; }, matrix_and_rows,
           [=](const float* x, float* y) { hand::scale_shift(x, gamma, beta, y, kRows, kColumns); });
  add_case("sum_16M", [](Tensor x) { return sum(x); }, one_vector,
           [](const float* x, float* y) { *y = hand::sum(x, kLong); });
  add_case("row_sum_4096x1024", [](Tensor x) { return sum(x, {1}); }, one_matrix,
           [](const float* x, float* y) { hand::row_sum(x, y, kRows, kColumns); });
  add_case("column_sum_4096x1024", [](Tensor x) { return sum(x, {0}); }, one_matrix,
           [](const float* x, float* y) { hand::column_sum(x, y, kRows, kColumns); });
  add_case("softmax_4096x1024", [](Tensor x) { return softmax(x); }, one_matrix,
           [](const float* x, float* y) { hand::softmax(x, y, kRows, kColumns); });
  add_case("layer_norm_4096x1024",
           [](Tensor x, Tensor gamma, Tensor beta) { return layer_norm(x, gamma, beta); }, matrix_and_rows,
           [=](const float* x, float* y) { hand::layer_norm(x, gamma, beta, y, kRows, kColumns); });

  benchmark::RegisterBenchmark("probe/copy_16M", [](benchmark::State& state) {
    Hand memory;
    for (auto _ : state) {
      hand::copy(data().data(), memory.out.data(), kLong);
      benchmark::ClobberMemory();
    }
    state.counters["GB/s"] = benchmark::Counter(8.0 * kLong / 1e9, benchmark::Counter::kIsIterationInvariantRate);
  })->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark("probe/fma", [](benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(hand::fma_peak(1 << 20));
    state.counters["GFLOP/s"] =
        benchmark::Counter(2.0 * 16 * 12 * (1 << 20) / 1e9, benchmark::Counter::kIsIterationInvariantRate);
  })->Unit(benchmark::kMicrosecond);
}

const bool registered = (add_all(), true);

}  // namespace
