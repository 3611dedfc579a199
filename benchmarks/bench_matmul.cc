// Matrix products against OpenBLAS, on one thread.
#include <benchmark/benchmark.h>
#include <etch/etch.h>

#include <random>
#include <vector>

// The C interface of BLAS; declared here because only two names of it are used.
extern "C" {
void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float* a, int lda,
                 const float* b, int ldb, float beta, float* c, int ldc);
void cblas_dgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, double alpha, const double* a, int lda,
                 const double* b, int ldb, double beta, double* c, int ldc);
void openblas_set_num_threads(int threads);
}

namespace {

using etch::Tensor;

template <class T>
std::vector<T> random_values(int64_t n, int seed) {
  std::mt19937 random(seed);
  std::normal_distribution<T> normal;
  std::vector<T> values(n);
  for (T& value : values) value = normal(random);
  return values;
}

template <class T>
void fused(benchmark::State& state) {
  int64_t n = state.range(0);
  auto product = etch::function([](Tensor a, Tensor b) { return matmul(a, b); }, etch::FunctionOptions{.threads = 1});
  Tensor a = Tensor::from(std::span<const T>(random_values<T>(n * n, 1)), {n, n});
  Tensor b = Tensor::from(std::span<const T>(random_values<T>(n * n, 2)), {n, n});
  Tensor c = product(a, b);
  for (auto _ : state) {
    product.call_into(c, a, b);
    benchmark::DoNotOptimize(c);
  }
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * n * n * n, benchmark::Counter::kIsIterationInvariantRate);
}

template <class T>
void openblas(benchmark::State& state) {
  constexpr int kRowMajor = 101, kNoTranspose = 111;
  openblas_set_num_threads(1);
  int n = static_cast<int>(state.range(0));
  std::vector<T> a = random_values<T>(n * n, 1), b = random_values<T>(n * n, 2), c(n * n);
  for (auto _ : state) {
    if constexpr (sizeof(T) == 4) {
      cblas_sgemm(kRowMajor, kNoTranspose, kNoTranspose, n, n, n, 1, a.data(), n, b.data(), n, 0, c.data(), n);
    } else {
      cblas_dgemm(kRowMajor, kNoTranspose, kNoTranspose, n, n, n, 1, a.data(), n, b.data(), n, 0, c.data(), n);
    }
    benchmark::ClobberMemory();
  }
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * n * n * n, benchmark::Counter::kIsIterationInvariantRate);
}

void sizes(benchmark::internal::Benchmark* b) { b->RangeMultiplier(2)->Range(64, 1024)->Unit(benchmark::kMicrosecond); }

BENCHMARK(fused<float>)->Name("matmul_f32/fused")->Apply(sizes);
BENCHMARK(openblas<float>)->Name("matmul_f32/openblas")->Apply(sizes);
BENCHMARK(fused<double>)->Name("matmul_f64/fused")->Apply(sizes);
BENCHMARK(openblas<double>)->Name("matmul_f64/openblas")->Apply(sizes);

}  // namespace
