// An LSTM over 64 times, 64 wide, 32 samples: forward, and forward with the gradients of its weights, as the layer, which unrolls it,
// and as a scan, one loop; and what a first call costs when its kernels are known.
#include <benchmark/benchmark.h>
#include <etch/etch.h>
#include <etch/layers.h>

#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

namespace {

using namespace etch;

constexpr int64_t kBatch = 32, kTimes = 64, kWidth = 64;

Tensor samples(int64_t times) { return sin(reshape(range(kBatch * times * kWidth, DType::f32), {kBatch, times, kWidth})); }

std::vector<Tensor> gradients(const layers::LSTM& lstm, const Tensor& x) {
  GradientTape tape;
  const Tensor loss = mean(square(lstm(x)));
  return tape.gradient(loss, trainable_variables(lstm));
}

void forward(benchmark::State& state, bool fuse) {
  const layers::LSTM lstm{.units = kWidth};
  auto f = function([&](Tensor x) { return lstm(x); }, {.fuse = fuse});
  const Tensor x = samples(kTimes);
  (void)f(x);
  for (auto _ : state) benchmark::DoNotOptimize(f(x));
}

void step(benchmark::State& state, bool fuse) {
  const layers::LSTM lstm{.units = kWidth};
  auto f = function([&](Tensor x) { return gradients(lstm, x); }, {.fuse = fuse});
  const Tensor x = samples(kTimes);
  (void)f(x);
  state.counters["kernels"] = f.concrete(x).num_kernels();
  for (auto _ : state) benchmark::DoNotOptimize(f(x));
}

void eager_step(benchmark::State& state) {
  const layers::LSTM lstm{.units = kWidth};
  const Tensor x = samples(kTimes);
  for (auto _ : state) benchmark::DoNotOptimize(gradients(lstm, x));
}

/// The cell as a scan over its times.
Tensor scanned(const layers::LSTM& lstm, const Tensor& x) {
  const Tensor of_inputs = transpose(matmul(x, lstm.kernel) + lstm.bias, {1, 0, 2});
  const auto turn = [&](const std::tuple<Tensor, Tensor>& state, const Tensor& row) {
    const std::vector<Tensor> gates = split(row + matmul(std::get<0>(state), lstm.recurrent_kernel), 4, 1);
    const Tensor c = sigmoid(gates[1]) * std::get<1>(state) + sigmoid(gates[0]) * tanh(gates[2]);
    return std::pair(std::tuple(sigmoid(gates[3]) * tanh(c), c), std::tuple<>());
  };
  return std::get<0>(scan(turn, std::tuple(zeros({kBatch, kWidth}), zeros({kBatch, kWidth})), of_inputs).first);
}

void scan_forward(benchmark::State& state, bool fuse) {
  const layers::LSTM lstm{.units = kWidth};
  const Tensor x = samples(kTimes);
  (void)lstm(x);
  auto f = function([&](Tensor x) { return scanned(lstm, x); }, {.fuse = fuse});
  (void)f(x);
  for (auto _ : state) benchmark::DoNotOptimize(f(x));
}

void scan_step(benchmark::State& state, bool fuse) {
  const layers::LSTM lstm{.units = kWidth};
  const Tensor x = samples(kTimes);
  (void)lstm(x);
  auto f = function([&](Tensor x) {
    GradientTape tape;
    const Tensor loss = mean(square(scanned(lstm, x)));
    return tape.gradient(loss, trainable_variables(lstm));
  }, {.fuse = fuse});
  (void)f(x);
  for (auto _ : state) benchmark::DoNotOptimize(f(x));
}

/// Trace, passes and schedule of a step of another number of times each; no kernel is compiled.
void first_call(benchmark::State& state) {
  const layers::LSTM lstm{.units = kWidth};
  auto f = function([&](Tensor x) { return gradients(lstm, x); }, {.on_retrace = Retrace::allow});
  int64_t times = state.range(0);
  (void)f.concrete(samples(times));
  for (auto _ : state) benchmark::DoNotOptimize(f.concrete(samples(++times)));
}

BENCHMARK_CAPTURE(forward, fused, true)->Name("lstm_forward/fused")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(forward, unfused, false)->Name("lstm_forward/unfused")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(step, fused, true)->Name("lstm_step/fused")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(step, unfused, false)->Name("lstm_step/unfused")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(scan_forward, fused, true)->Name("lstm_scan_forward/fused")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(scan_forward, unfused, false)->Name("lstm_scan_forward/unfused")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(scan_step, fused, true)->Name("lstm_scan_step/fused")->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(scan_step, unfused, false)->Name("lstm_scan_step/unfused")->Unit(benchmark::kMicrosecond);
BENCHMARK(eager_step)->Name("lstm_step/eager")->Unit(benchmark::kMicrosecond);
BENCHMARK(first_call)->Name("lstm_first_call")->Arg(32)->Arg(64)->Arg(128)->Iterations(5)->Unit(benchmark::kMillisecond);

}  // namespace
