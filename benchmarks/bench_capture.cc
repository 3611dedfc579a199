// The cost of capturing plain C++ control flow: milliseconds from the first run to the graph, and runs and ops of that.
#include <benchmark/benchmark.h>
#include <etch/etch.h>

namespace {

using etch::Tensor;

Tensor ifs(Tensor x, int count) {
  for (int i = 0; i < count; ++i) {
    const float by = 0.3f + 0.01f * static_cast<float>(i);
    if (x > by) {
      x = x * 0.5f - by;
    } else {
      x = x + by;
    }
  }
  return x;
}

Tensor loops(Tensor x, int count) {
  for (int i = 0; i < count; ++i) {
    Tensor k(0.f);
    while (k < x) {
      k = k + 1.5f;
      x = x * 0.9f;
    }
    x = x + 3.f;
  }
  return x;
}

Tensor nest(Tensor x, int depth) {
  if (depth == 0) return x * 0.9f;
  Tensor k(0.f);
  while (k < x) {
    k = k + 1.5f;
    x = nest(x, depth - 1);
  }
  return x;
}

using Program = Tensor (*)(Tensor, int);

void capture(benchmark::State& state, Program program) {
  const auto count = static_cast<int>(state.range(0));
  etch::FunctionStats stats;
  for (auto _ : state) {
    auto f = etch::function([&](Tensor x) { return program(x, count); });
    f.concrete(Tensor(1.f));
    stats = f.stats();
    state.SetIterationTime(stats.trace_ms * 1e-3);
  }
  state.counters["runs"] = static_cast<double>(stats.runs);
}

BENCHMARK_CAPTURE(capture, ifs, ifs)->Name("capture/ifs")->Arg(1)->Arg(12)->Arg(64)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(capture, loops, loops)->Name("capture/loops")->Arg(1)->Arg(8)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(capture, nest, nest)->Name("capture/nest")->Arg(2)->Arg(4)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace
