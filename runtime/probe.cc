// Probes of the machine: a copy of long arrays, and chains of multiply-adds in registers.
#include "runtime/probe.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "runtime/clock.h"
#include "runtime/fork.h"
#include "runtime/parallel.h"

namespace etch {
namespace {

constexpr int64_t kCopiedBytes = int64_t{48} << 20;  // beyond the caches
constexpr int kRounds = 4;
constexpr int kChains = 12;                          // independent of each other: they hide the instruction's latency
constexpr int64_t kSteps = 100'000;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The best of some rounds.
template <class F>
double best_seconds(F&& run) {
  double best = INFINITY;
  for (int round = 0; round < kRounds; ++round) {
    const Clock::time_point start = Clock::now();
    run();
    best = std::min(best, seconds_since(start));
  }
  return best;
}

struct Copy {
  std::byte* to;
  const std::byte* from;
};

void copy_range(void* context, int, int64_t begin, int64_t end) {
  const Copy& copy = *static_cast<const Copy*>(context);
  std::memcpy(copy.to + begin, copy.from + begin, static_cast<size_t>(end - begin));
}

double measure_copy(int threads) {
  auto from = std::make_unique<std::byte[]>(kCopiedBytes), to = std::make_unique<std::byte[]>(kCopiedBytes);
  Copy copy{to.get(), from.get()};
  const double seconds = best_seconds([&] {
    parallel_for(kCopiedBytes, kCopiedBytes / (int64_t{4} * threads), threads, copy_range, &copy);
  });
  return 2.0 * kCopiedBytes / seconds;
}

/// Runs chains of x = x * a + b; returns the multiply-adds of one step.
using Chains = int64_t (*)(int64_t steps, float* out);

int64_t plain_chains(int64_t steps, float* out) {
  float x[kChains] = {};
  for (int64_t i = 0; i < steps; ++i) {
    for (float& one : x) one = std::fma(one, 0.999f, 0.001f);
  }
  for (float one : x) *out += one;
  return kChains;
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) int64_t avx2_chains(int64_t steps, float* out) {
  __m256 x[kChains], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
  for (__m256& one : x) one = _mm256_setzero_ps();
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (__m256& one : x) one = _mm256_fmadd_ps(one, a, b);
  }
  for (__m256& one : x) *out += _mm256_cvtss_f32(one);
  return kChains * 8;
}

__attribute__((target("avx512f"))) int64_t avx512_chains(int64_t steps, float* out) {
  __m512 x[kChains], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
  for (__m512& one : x) one = _mm512_setzero_ps();
  for (int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (__m512& one : x) one = _mm512_fmadd_ps(one, a, b);
  }
  for (__m512& one : x) *out += _mm512_cvtss_f32(one);
  return kChains * 16;
}
#endif

Chains widest_chains() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return avx512_chains;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2_chains;
#endif
  return plain_chains;
}

struct ChainRun {
  Chains run;
  float sinks[64][16] = {};  // far from each other
};

void run_chains(void* context, int worker, int64_t begin, int64_t end) {
  ChainRun& chains = *static_cast<ChainRun*>(context);
  for (int64_t i = begin; i < end; ++i) chains.run(kSteps, chains.sinks[worker % 64]);
}

double measure_fma(int threads) {
  ChainRun chains{widest_chains()};
  float sink = 0;
  const int64_t tasks = int64_t{4} * threads, per_step = chains.run(1, &sink);
  const double seconds = best_seconds([&] { parallel_for(tasks, 1, threads, run_chains, &chains); });
  return static_cast<double>(per_step * kSteps * tasks) / seconds;
}

constinit std::mutex measuring;
const ForkHandler fork_handler(
    ForkOrder::memory, nullptr,
    [](void*) {
      measuring.lock();
      return true;
    },
    [](void*) { measuring.unlock(); }, [](void*) { measuring.unlock(); });

}  // namespace

MachinePeaks machine_peaks(int threads) {
  static auto* const measured = new std::map<int, MachinePeaks>;
  {
    const std::lock_guard lock(measuring);
    const auto found = measured->find(threads);
    if (found != measured->end()) return found->second;
  }
  const MachinePeaks peaks{measure_copy(threads), measure_fma(threads)};
  const std::lock_guard lock(measuring);
  return measured->try_emplace(threads, peaks).first->second;
}

}  // namespace etch
