// The cost of tracing: nanoseconds per recorded op, type inference included, and of the whole trace with its closing.
#include <benchmark/benchmark.h>
#include <etch/etch.h>

#include <chrono>

namespace {

using Clock = std::chrono::steady_clock;
using etch::Tensor;

/// Ends a trace before it is closed and compiled.
struct Stop {};

Tensor tanh_chain(Tensor x, const Tensor&, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x = tanh(x);
  return x;
}

Tensor add_chain(Tensor x, const Tensor& y, int64_t n) {
  for (int64_t i = 0; i < n; ++i) x = x + y;
  return x;
}

// Two ops a step: a multiplication by a number that is another one each time, and its constant.
Tensor scale_chain(Tensor x, const Tensor&, int64_t n) {
  for (int64_t i = 0; i < n / 2; ++i) x = x * static_cast<float>(i);
  return x;
}

using Chain = Tensor (*)(Tensor, const Tensor&, int64_t);

/// Time inside of the callable only.
void record(benchmark::State& state, Chain chain) {
  const int64_t n = state.range(0);
  Clock::time_point start, stop;
  auto f = etch::function([&](Tensor x, Tensor y) {
    start = Clock::now();
    Tensor result = chain(x, y, n);
    stop = Clock::now();
    if (stop > start) throw Stop();
    return result;
  });
  const Tensor x = etch::zeros({8, 16});
  for (auto _ : state) {
    try {
      f(x, x);
    } catch (const Stop&) {
    }
    state.SetIterationTime(std::chrono::duration<double>(stop - start).count());
  }
  state.counters["ns_per_op"] = benchmark::Counter(static_cast<double>(n) * 1e-9, benchmark::Counter::kIsIterationInvariantRate |
                                                                                      benchmark::Counter::kInvert);
}

/// The whole trace, closing included, as the function counts it; compiling is not part of it.
void trace(benchmark::State& state, Chain chain) {
  const int64_t n = state.range(0);
  const Tensor x = etch::zeros({8, 16});
  for (auto _ : state) {
    auto f = etch::function([&](Tensor x, Tensor y) { return chain(x, y, n); }, etch::FunctionOptions{.fuse = false});
    f.concrete(x, x);
    state.SetIterationTime(f.stats().trace_ms * 1e-3);
  }
  state.counters["ns_per_op"] = benchmark::Counter(static_cast<double>(n) * 1e-9, benchmark::Counter::kIsIterationInvariantRate |
                                                                                      benchmark::Counter::kInvert);
}

BENCHMARK_CAPTURE(record, tanh, tanh_chain)->Name("record/tanh")->Arg(1000)->Arg(10000)->UseManualTime();
BENCHMARK_CAPTURE(record, add, add_chain)->Name("record/add")->Arg(1000)->Arg(10000)->UseManualTime();
BENCHMARK_CAPTURE(record, scale, scale_chain)->Name("record/scale")->Arg(1000)->Arg(10000)->UseManualTime();
BENCHMARK_CAPTURE(trace, add, add_chain)->Name("trace/add")->Arg(1000)->UseManualTime()->Iterations(20);

}  // namespace
