// Layers, generators and optimizers from many threads: built once, no number drawn twice, one function for each state of flags.
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <stdexcept>

#include "etch/function.h"
#include "etch/layers.h"
#include "etch/model.h"
#include "etch/optimizers.h"
#include "tests/concurrent/threads.h"

namespace etch {
namespace {

TEST(ConcurrentLayers, FunctionsThatMeetALayerBuildItOnce) {
  for (int round = 0; round < 10; ++round) {
    const layers::Dense layer{16};
    std::vector<Tensor> results(kThreads);
    run_on_threads([&](int t) {
      auto f = function([&](Tensor x) { return layer(x); });
      results[t] = t % 2 == 0 ? f(ones({2, 4})) : layer(ones({2, 4}));
    });
    for (const Tensor& result : results) EXPECT_TRUE(array_equal(result, results[0]).item<bool>());
  }
}

TEST(ConcurrentLayers, AnInitialiserThatThrowsLeavesTheOthersToBuild) {
  const Variable v = Variable::deferred();
  std::atomic<int> failures{0};
  run_on_threads([&](int t) {
    try {
      v.build([&]() -> Tensor {
        if (t % 2 == 0) throw std::runtime_error("no");
        return full(3, static_cast<float>(t));
      });
    } catch (const std::runtime_error&) {
      ++failures;
    }
  });
  EXPECT_TRUE(v.built());
  EXPECT_LE(failures, kThreads / 2);
}

TEST(ConcurrentLayers, FreezingWhileOthersTraceGivesEachCallOneAnswer) {
  struct Two {
    Variable a = Variable(1.f), b = Variable(2.f);
  };
  const Two two;
  auto count = function([&](Tensor x) { return x + static_cast<float>(trainable_variables(two).size()); },
                        {.on_retrace = Retrace::allow});
  run_on_threads([&](int t) {
    for (int i = 0; i < 50; ++i) {
      if (t == 0) {
        set_trainable(two, i % 2 == 0);
      } else {
        const auto answer = count(0.f).item<float>();
        EXPECT_TRUE(answer == 0 || answer == 1 || answer == 2);
      }
    }
  });
  set_trainable(two, false);
  EXPECT_EQ(count(0.f).item<float>(), 0);
}

TEST(ConcurrentLayers, ThreadsDrawDifferentNumbers) {
  const Generator generator(3);
  constexpr int kDraws = 50;
  auto traced = function([&] { return generator.bits({}, DType::u64); });
  std::vector<std::vector<uint64_t>> drawn(kThreads);
  run_on_threads([&](int t) {
    for (int i = 0; i < kDraws; ++i) {
      drawn[t].push_back((t % 2 == 0 ? traced() : generator.bits({}, DType::u64)).item<uint64_t>());
    }
  });
  std::set<uint64_t> all;
  for (const auto& own : drawn) all.insert(own.begin(), own.end());
  EXPECT_EQ(all.size(), static_cast<size_t>(kThreads * kDraws));
}

TEST(ConcurrentLayers, ThreadsPredictOnOneModelWhileAnotherTrainsIt) {
  Model model(layers::Sequential{layers::Dense{8, activations::relu}, layers::Dense{1}});
  model.compile(optimizers::SGD(0), losses::mean_squared_error);
  const Tensor x = reshape(range(60, DType::f32), {20, 3});
  const Tensor expected = model.predict(x, {.batch_size = 8, .verbose = Verbose::silent});
  run_on_threads([&](int t) {
    for (int i = 0; i < 5; ++i) {
      if (t == 0) {
        model.fit(x, zeros({20, 1}), {.batch_size = 8, .verbose = Verbose::silent});
      } else {
        const Tensor p = model.predict(x, {.batch_size = 4 + t, .verbose = Verbose::silent});
        EXPECT_TRUE(array_equal(p, expected).item<bool>());
      }
    }
  });
}

TEST(ConcurrentLayers, AnOptimizerOfManyThreadsLosesNoUpdate) {
  const Variable w(0.f);
  const optimizers::SGD sgd(1);
  auto step = function([&](Tensor g) { sgd.apply_gradients({g}, {w}); });
  run_on_threads([&](int) {
    for (int i = 0; i < 50; ++i) step(1.f);
  });
  EXPECT_EQ(w.value().item<float>(), -50 * kThreads);
  EXPECT_EQ(sgd.iterations().value().item<int64_t>(), 50 * kThreads);
}

}  // namespace
}  // namespace etch
