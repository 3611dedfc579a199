// Variables from many threads: nothing is lost, no reader sees a part of an update, and nobody waits for ever.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "etch/function.h"
#include "etch/ops.h"
#include "etch/variable.h"
#include "tests/concurrent/threads.h"

namespace etch {
namespace {

TEST(ConcurrentVariable, EagerUpdatesAreNotLost) {
  const Variable v(zeros(8, DType::i64));
  run_on_threads([&](int) {
    for (int i = 0; i < 200; ++i) v += 1;
  });
  EXPECT_EQ(v.value().to_vector<int64_t>(), std::vector<int64_t>(8, 200 * kThreads));
}

TEST(ConcurrentVariable, TracedAndEagerUpdatesAreNotLost) {
  const Variable v(zeros(8, DType::i64));
  auto f = function([&v] { v += 1; });
  run_on_threads([&](int t) {
    for (int i = 0; i < 200; ++i) t % 2 == 0 ? f() : v.assign_add(1);
  });
  EXPECT_EQ(v.value().to_vector<int64_t>(), std::vector<int64_t>(8, 200 * kThreads));
}

TEST(ConcurrentVariable, ManyPredictWhileOneTrainsAndNoneSeesATornSet) {
  // All parts of the model count the same steps, so any sum that is not a multiple of their number is torn.
  const Variable a(zeros(1000)), b(zeros({10, 10})), c(0.f);
  auto train = function([&] {
    c += 1;
    a.assign(broadcast_to(c, {1000}));
    b += 1;
  });
  auto predict = function([&](Tensor x) { return concat(0, a, reshape(b, {100}), reshape(c, {1})) + x; });
  std::atomic<bool> done{false};
  std::atomic<int> predictions{0};
  const Tensor x = zeros(1101);
  run_on_threads([&](int t) {
    if (t == 0) {
      while (predictions.load() < 50) std::this_thread::yield();
      for (int i = 0; i < 300; ++i) train();
      done = true;
      return;
    }
    do {
      const std::vector<float> values = predict(x).to_vector<float>();
      EXPECT_EQ(values, std::vector<float>(1101, values[0]));
      ++predictions;
    } while (!done.load());
  });
  EXPECT_EQ(c.value().item<float>(), 300);
}

TEST(ConcurrentVariable, CallsThatAssignTheSameOnesInAnotherOrderDoNotWaitForEachOther) {
  std::vector<Variable> all;
  for (int i = 0; i < 6; ++i) all.emplace_back(zeros(4, DType::i64));
  std::vector<Function<void()>> functions;
  for (int t = 0; t < kThreads; ++t) {
    functions.push_back(function([&all, t] {
      for (int i = 0; i < 6; ++i) all[(t % 2 ? i + t : 17 - i - t) % 6] += 1;
    }));
  }
  run_on_threads([&](int t) {
    for (int i = 0; i < 100; ++i) functions[t]();
  });
  for (const Variable& v : all) EXPECT_EQ(v.value().to_vector<int64_t>(), std::vector<int64_t>(4, 100 * kThreads));
}

TEST(ConcurrentVariable, HandlesThatAreReadStayWhatTheyWere) {
  const Variable v(zeros(500));
  auto step = function([&v] { v += 1; });
  run_on_threads([&](int t) {
    for (int i = 0; i < 100; ++i) {
      if (t == 0) {
        step();
        continue;
      }
      const Tensor read = v;
      const std::vector<float> first = read.to_vector<float>();
      EXPECT_EQ(first, std::vector<float>(500, first[0]));
      EXPECT_EQ(read.to_vector<float>(), first);
    }
  });
}

TEST(ConcurrentVariable, TwoThreadsMayTraceAssignmentsOfOne) {
  const Variable v(zeros(4));
  run_on_threads([&](int t) {
    auto f = function([&v, t](Tensor x) { v += x * static_cast<float>(t); });
    f(ones(4));
  });
  EXPECT_EQ(v.value().to_vector<float>(), std::vector<float>(4, 28));
}

}  // namespace
}  // namespace etch
