// Functions called from many threads: equal first calls compile once, all get right results, and caches stay bounded.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "etch/function.h"
#include "etch/ops.h"
#include "tests/concurrent/threads.h"

namespace etch {
namespace {

TEST(ConcurrentFunction, EqualFirstCallsTraceOnce) {
  std::atomic<int> traces{0};
  auto f = function([&traces](Tensor x) {
    ++traces;
    return tanh(x) * 3 + 1;
  });
  const Tensor x({0.f, 0.f});
  run_on_threads([&](int) { EXPECT_EQ(f(x).to_vector<float>(), (std::vector<float>{1, 1})); });
  EXPECT_EQ(traces.load(), 1);
  EXPECT_EQ(f.stats().compiles, 1);
}

TEST(ConcurrentFunction, ManySignaturesAtOnce) {
  auto f = function([](Tensor x, int k) { return sum(x * k); }, {.on_retrace = Retrace::allow});
  run_on_threads([&](int t) {
    for (int i = 0; i < 20; ++i) {
      const int n = 1 + (t + i) % 5;
      EXPECT_EQ(f(ones({n}), i % 3).item<float>(), static_cast<float>(n * (i % 3)));
    }
  });
  EXPECT_EQ(f.stats().traces, 15);
}

TEST(ConcurrentFunction, EvictionWhileOthersCall) {
  auto f = function([](Tensor x, int k) { return x + k; }, {.on_retrace = Retrace::allow, .max_entries = 2});
  const Tensor x({1.f, 2.f});
  run_on_threads([&](int t) {
    for (int i = 0; i < 10; ++i) {
      const int k = (t + i) % 5;
      EXPECT_EQ(f(x, k).to_vector<float>(), (std::vector<float>{1.f + k, 2.f + k}));
    }
  });
  EXPECT_LE(f.stats().entries, 2);
}

TEST(ConcurrentFunction, AFailingTraceLetsTheOthersTry) {
  std::atomic<int> attempts{0};
  auto f = function([&attempts](Tensor x) {
    if (attempts.fetch_add(1) < 3) throw Error("not yet");
    return x + 1;
  });
  std::atomic<int> failures{0};
  const Tensor x({1.f});
  run_on_threads([&](int) {
    try {
      EXPECT_EQ(f(x).item<float>(), 2.f);
    } catch (const Error&) {
      ++failures;
    }
  });
  EXPECT_EQ(failures.load(), 3);
  EXPECT_EQ(attempts.load(), 4);
}

TEST(ConcurrentFunction, NestedFunctionsTracedFromBothSides) {
  auto inner = function([](Tensor x) { return x * 2; });
  auto outer = function([&](Tensor x) { return inner(x) + 1; });
  const Tensor x({1.f, 2.f});
  run_on_threads([&](int t) {
    if (t % 2) {
      EXPECT_EQ(outer(x).to_vector<float>(), (std::vector<float>{3, 5}));
    } else {
      EXPECT_EQ(inner(x).to_vector<float>(), (std::vector<float>{2, 4}));
    }
  });
}

TEST(ConcurrentEager, OpsFromManyThreads) {
  run_on_threads([](int t) {
    for (int i = 1; i < 20; ++i) {
      const Tensor x = full({i}, static_cast<float>(t));
      EXPECT_EQ(sum(x * 2 + 1).item<float>(), static_cast<float>(i * (2 * t + 1)));
    }
  });
}

TEST(ConcurrentTensor, HandlesAreCopiedAndDroppedAnywhere) {
  const Tensor shared({1.f, 2.f, 3.f});
  run_on_threads([&](int) {
    for (int i = 0; i < 1000; ++i) {
      const Tensor copy = shared;
      const Tensor view = reshape(copy, {3, 1});
      EXPECT_EQ(view.data<float>()[2], 3.f);
    }
  });
}

}  // namespace
}  // namespace etch
