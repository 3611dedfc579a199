// Counts that must not grow: kernels over sizes and equal sub-graphs, memory and mappings over signatures.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "etch/etch.h"
#include "tools/process.h"

namespace etch {
namespace {

// The kernel cache is one for the process, so each test has ops of its own.

TEST(Scale, AThousandSizesCompileTheKernelsOfThree) {
  auto f = function([](Tensor x) { return softmax(cbrt(x) * 2.0f); }, {.on_retrace = Retrace::allow});
  for (int64_t n : {17, 64, 1000}) f(full({n % 7 + 2, n}, 0.5f));
  int64_t kernels = f.stats().kernels_compiled;
  EXPECT_GT(kernels, 0);
  for (int64_t n = 17; n <= 1016; ++n) f(full({n % 7 + 2, n}, 0.5f));
  EXPECT_EQ(f.stats().kernels_compiled, kernels);
  EXPECT_GE(f.stats().traces, 1000);
}

TEST(Scale, ShortRowsCompileAKernelForEachExtentAtMost) {
  auto f = function([](Tensor x) { return softmax(cbrt(x) * 3.0f); }, {.on_retrace = Retrace::allow});
  for (int64_t rows : {2, 8, 100}) f(full({rows, 20}, 0.5f));
  int64_t kernels = f.stats().kernels_compiled;
  for (int64_t rows = 2; rows <= 40; ++rows) {
    for (int64_t n = 2; n <= 16; ++n) f(full({rows, n}, 0.5f));
  }
  EXPECT_LE(f.stats().kernels_compiled, kernels + 15);
}

// AddressSanitizer keeps freed memory for a while, so this figure says nothing there.
#ifndef __SANITIZE_ADDRESS__
TEST(Scale, ResidentMemoryIsFlatOverSizes) {
  auto f = function([](Tensor x) { return softmax(atan(x) * 2.0f); },
                    {.on_retrace = Retrace::allow, .max_entries = 16});
  for (int64_t n = 2; n <= 300; ++n) f(full({n % 7 + 2, n}, 0.5f));
  int64_t before = process_use().resident_bytes;
  for (int64_t n = 301; n <= 1300; ++n) f(full({n % 7 + 2, n}, 0.5f));
  EXPECT_LT(process_use().resident_bytes - before, int64_t{8} << 20);
  EXPECT_LE(f.stats().entries, 16);
}
#endif

TEST(Scale, FiveThousandEqualSubgraphsCompileOneKernel) {
  Tensor x = zeros({5000, 8});
  auto f = function([](Tensor x) {
    std::vector<Tensor> parts;
    for (int i = 0; i < 5000; ++i) parts.push_back(sum(asinh(x[i]) * 3.0f));
    return stack(parts);
  });
  f(x);
  EXPECT_EQ(f.stats().kernels_compiled, 1);
}

TEST(Scale, ManyKernelsUnderACapKeepEntriesMappingsAndThreadsBounded) {
  auto f = function(
      [](Tensor x, int k) {
        std::mt19937 random(k);
        for (int i = 0; i < 8; ++i) x = random() % 2 ? x * x : random() % 2 ? abs(x) : x + 0.5f;
        return x;
      },
      {.threads = 1, .on_retrace = Retrace::allow, .max_entries = 8});
  Tensor x({1.0f, 2.0f});
  for (int k = 0; k < 200; ++k) f(x, k);
  ProcessUse before = process_use();
  for (int k = 200; k < 1200; ++k) f(x, k);
  ProcessUse after = process_use();
  EXPECT_LE(f.stats().entries, 8);
  EXPECT_LT(after.mappings - before.mappings, 200);
  EXPECT_LE(after.threads, before.threads);
}

TEST(Scale, AChainOfAHundredThousandOpsIsTracedAndRun) {
  auto f = function([](Tensor x) {
    for (int i = 0; i < 100000; ++i) x = x + 1.0f;
    return x;
  });
  EXPECT_EQ(f(Tensor({1.0f})).item<float>(), 100001.0f);
}

}  // namespace
}  // namespace etch
