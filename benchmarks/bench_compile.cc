// The cost of a first call: tracing, passes, schedule and code of small functions, of large ones, and of new sizes.
#include <benchmark/benchmark.h>
#include <etch/etch.h>

#include <cstdio>
#include <random>
#include <unistd.h>

namespace {

using etch::Tensor;

Tensor step(Tensor x, unsigned choice) {
  switch (choice % 10) {
    case 0: return x + 0.5f;
    case 1: return x * 1.25f;
    case 2: return abs(x);
    case 3: return x - 1.0f;
    case 4: return maximum(x, 0.1f);
    case 5: return minimum(x, 3.0f);
    case 6: return -x;
    case 7: return x * x;
    case 8: return sqrt(x);
    default: return floor(x);
  }
}

// A function of `ops` random ops: with ten ops there are 10^10 of them, so each is new to the kernel cache.
auto random_function(int ops, unsigned seed) {
  return etch::function([=](Tensor x) {
    std::mt19937 random(seed);
    for (int i = 0; i < ops; ++i) x = step(x, random());
    return x;
  }, etch::FunctionOptions{.threads = 1});
}

int64_t resident_bytes() {
  long pages = 0, resident = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr) return 0;
  if (std::fscanf(file, "%ld %ld", &pages, &resident) != 2) resident = 0;
  std::fclose(file);
  return resident * sysconf(_SC_PAGESIZE);
}

void first_call(benchmark::State& state) {
  Tensor x({1.0f, 2.0f, 3.0f});
  random_function(10, 0)(x);
  static unsigned seed = 1;  // repetitions go on with new functions
  for (auto _ : state) {
    auto f = random_function(static_cast<int>(state.range(0)), seed++);
    benchmark::DoNotOptimize(f(x));
  }
}
BENCHMARK(first_call)->Name("first_call_new_kernel/fused")->Arg(10)->Arg(1000)->Arg(10000)->Unit(benchmark::kMillisecond);

void first_call_tanh(benchmark::State& state) {
  Tensor x({1.0f, 2.0f, 3.0f});
  static unsigned seed = 1u << 20;
  for (auto _ : state) {
    auto f = etch::function([s = seed++](Tensor x) {
      std::mt19937 random(s);
      for (int i = 0; i < 9; ++i) x = step(x, random());
      return tanh(x);
    });
    benchmark::DoNotOptimize(f(x));
  }
}
BENCHMARK(first_call_tanh)->Name("first_call_9_ops_and_tanh/fused")->Unit(benchmark::kMillisecond);

void new_size(benchmark::State& state) {
  auto f = etch::function([](Tensor x) { return softmax(tanh(x) * 2.0f); });
  f(etch::zeros({2, 3}));
  int64_t n = 4, kernels = f.stats().kernels_compiled, resident = resident_bytes();
  for (auto _ : state) benchmark::DoNotOptimize(f(etch::zeros({n % 7 + 2, n})).shape()), ++n;
  state.counters["kernels"] = static_cast<double>(f.stats().kernels_compiled - kernels);
  state.counters["resident_MB"] = static_cast<double>(resident_bytes() - resident) / 1e6;
}
BENCHMARK(new_size)->Name("new_size_of_softmax/fused")->Iterations(1000)->Unit(benchmark::kMicrosecond);

void identical_parts(benchmark::State& state) {
  Tensor x = etch::zeros({5000, 8});
  for (auto _ : state) {
    auto f = etch::function([](Tensor x) {
      std::vector<Tensor> parts;
      for (int i = 0; i < 5000; ++i) parts.push_back(sum(tanh(x[i]) * 3.0f));
      return stack(parts);
    });
    benchmark::DoNotOptimize(f(x));
    state.counters["kernels"] = static_cast<double>(f.stats().kernels_compiled);
  }
}
BENCHMARK(identical_parts)->Name("identical_5000_subgraphs/fused")->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
