// Reductions along the rows of a few columns, which run in blocks that threads share.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "etch/function.h"
#include "etch/ops.h"

namespace etch {
namespace {

// So many columns are few, and as many elements are worth blocks; the last block is a part of one.
constexpr int64_t kRows = 20'001, kColumns = 65;

Tensor numbers() {
  std::vector<float> values(kRows * kColumns);
  uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = static_cast<float>(state >> 8) * 1e-6f - 8.0f;
  }
  return Tensor::from(values, {kRows, kColumns});
}

template <class F>
std::vector<float> run(const F& f, const Tensor& x, FunctionOptions options) {
  return function(f, options)(x).template to_vector<float>();
}

/// Results are the same bits eager, unfused and fused, on any number of threads.
template <class F>
void check(const F& f) {
  const Tensor x = numbers();
  const std::vector<float> eager = f(x).template to_vector<float>();
  for (int threads : {1, 2, 3}) {
    for (bool fuse : {false, true}) {
      const std::vector<float> result = run(f, x, {.fuse = fuse, .threads = threads});
      EXPECT_EQ(std::memcmp(result.data(), eager.data(), eager.size() * sizeof(float)), 0) << threads << " threads, fuse " << fuse;
    }
  }
}

TEST(ColumnBlocks, AreAKernelOfTheirOwn) {
  const std::string report = function([](Tensor x) { return sum(x, {0}); }).explain(numbers());
  EXPECT_NE(report.find("blocks_0_sum over [40,512,65]"), std::string::npos) << report;
}

TEST(ColumnBlocks, OfASumHaveTheSameBits) {
  check([](Tensor x) { return sum(exp(x * 0.01f), {0}) + 1.0f; });
}
TEST(ColumnBlocks, OfAMaximumHaveTheSameBits) {
  check([](Tensor x) { return max(x, {0}); });
}
TEST(ColumnBlocks, OfAVarianceHaveTheSameBits) {
  check([](Tensor x) { return variance(x, {0}); });
}
TEST(ColumnBlocks, AreReadByWhatFollows) {
  check([](Tensor x) { return x - mean(x, {0}); });
}

TEST(ColumnBlocks, OfASumOfIntegersAreExact) {
  std::vector<float> values(kRows * kColumns);
  std::vector<float> expected(kColumns);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i % 97) - 48.0f;
    expected[i % kColumns] += values[i];  // an integer below 2^24, whatever the order
  }
  const Tensor x = Tensor::from(values, {kRows, kColumns});
  EXPECT_EQ(function([](Tensor x) { return sum(x, {0}); })(x).to_vector<float>(), expected);
}

}  // namespace
}  // namespace etch
