// etch-soak: many signatures and many kernels under a cap; prints what the process takes as it goes on.
#include <cstdio>
#include <cstdlib>
#include <random>

#include "etch/etch.h"
#include "tools/process.h"

namespace {

using etch::Tensor;

Tensor step(const Tensor& x, unsigned choice) {
  switch (choice % 5) {
    case 0: return x + 0.5f;
    case 1: return x * x;
    case 2: return abs(x);
    case 3: return maximum(x, 0.1f);
    default: return floor(x);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || std::atol(argv[1]) < 1) {
    std::fprintf(stderr, "usage: etch-soak SIGNATURES\n");
    return 2;
  }
  long count = std::atol(argv[1]);
  // Every signature has another value; every 16th has code of its own.
  auto f = etch::function(
      [](Tensor x, int64_t k) {
        std::mt19937 random(static_cast<unsigned>(k));
        if (k % 16 != 0) return x * static_cast<double>(k % 1000);
        for (int i = 0; i < 8; ++i) x = step(x, random());
        return x;
      },
      {.on_retrace = etch::Retrace::allow, .max_entries = 64});
  Tensor x({1.0f, 2.0f, 3.0f});
  std::printf("%10s %10s %10s %8s %9s %8s\n", "signatures", "kernels", "evictions", "MB", "mappings", "threads");
  for (long k = 1; k <= count; ++k) {
    f(x, k);
    if (k % (count / 10 > 0 ? count / 10 : 1) != 0) continue;
    etch::ProcessUse use = etch::process_use();
    etch::FunctionStats stats = f.stats();
    std::printf("%10ld %10lld %10lld %8.1f %9lld %8lld\n", k, static_cast<long long>(stats.kernels_compiled),
                static_cast<long long>(stats.evictions), static_cast<double>(use.resident_bytes) / 1e6,
                static_cast<long long>(use.mappings), static_cast<long long>(use.threads));
    std::fflush(stdout);
  }
}
