// Threads of pipelines: order and bits do not depend on them, errors and destroyed iterators end them, buffers bound
// memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <latch>
#include <thread>

#include "runtime/parallel.h"
#include "tests/data/element_text.h"
#include "tests/messages.h"

namespace etch::data {
namespace {

/// Takes a time that depends on the element, so that threads overtake each other.
int64_t uneven(int64_t x) {
  volatile int64_t sum = 0;
  for (int64_t i = 0; i < x * 7919 % 3000; ++i) sum = sum + i;
  return 3 * x;
}
Dataset<int64_t> plain(int64_t n) {
  return range(n).filter([](int64_t) { return true; });
}

template <class Make>
void check_threads(const char* what, Make make) {
  const std::vector<std::string> one = texts_of(make(1), 3);
  EXPECT_FALSE(one.empty()) << what;
  for (int threads : {2, 4, AUTOTUNE}) {
    ASSERT_EQ(texts_of(make(threads), 3), one) << what << " with " << threads;
    ASSERT_EQ(texts_of(make(threads).prefetch(3), 3), one) << what << " with " << threads;
  }
  EXPECT_EQ(num_pipeline_threads(), 0) << what;
}

TEST(DataThreads, OrderAndBitsDoNotDependOnThem) {
  check_threads("map", [](int n) { return range(500).map(uneven, {.parallel = n}); });
  check_threads("map of a shuffle",
                [](int n) { return plain(500).shuffle(50, {.seed = 1}).map(uneven, {.parallel = n}); });
  check_threads("shuffle of a map",
                [](int n) { return range(500).map(uneven, {.parallel = n}).shuffle(50, {.seed = 1}); });
  check_threads("map_random", [](int n) {
    return range(300).map_random(
        [](int64_t x, const Tensor& seed) { return random::normal(seed, {3}) + Tensor(float(uneven(x))); }, 5,
        {.parallel = n});
  });
  check_threads("interleave", [](int n) {
    return range(20).interleave([](int64_t k) { return range(k).map(uneven); },
                                {.cycle_length = 4, .block_length = 3, .parallel = n});
  });
  check_threads("random maps in flat_map", [](int n) {
    return range(10).flat_map([n](int64_t k) {
      return range(k).map_random([](int64_t, const Tensor& seed) { return random::bits(seed, {2}); }, 1,
                                 {.parallel = n});
    });
  });
  check_threads("filter of a map", [](int n) {
    return range(500).map(uneven, {.parallel = n}).filter([](int64_t x) { return x % 2 == 0; }).batch(7);
  });
  check_threads("an etch::function", [](int n) {
    return range(200).as_tensors().map(etch::function([](Tensor x) { return x * x + 1; }), {.parallel = n}).batch(9);
  });
  check_threads("groups", [](int n) {
    return range(100)
        .map(uneven, {.parallel = n})
        .group_by_window([](int64_t x) { return x % 5; },
                         [n](int64_t, const auto& w) { return w.map(uneven, {.parallel = n}).batch(3); }, 4);
  });
  check_threads("repeat",
                [](int n) { return range(30).shuffle(30, {.seed = 2}).map(uneven, {.parallel = n}).repeat(4); });
  check_threads("zip", [](int n) {
    return zip(range(100).map(uneven, {.parallel = n}), plain(90).map(uneven, {.parallel = n}));
  });
  check_threads("cache", [](int n) { return range(50).map(uneven, {.parallel = n}).cache().repeat(2); });
}

TEST(DataThreads, RandomMapsInDataSetsOfFlatMapDiffer) {
  const auto dataset = range(4).flat_map([](int64_t) {
    return range(1).map_random([](int64_t, const Tensor& seed) { return random::bits(seed, {1}); }, 1);
  });
  const auto all = texts_of(dataset);
  EXPECT_NE(all[0], all[1]);
  EXPECT_NE(all[1], all[2]);
  EXPECT_NE(texts_of(dataset, 1), all);  // another epoch
}

TEST(DataThreads, AnErrorComesOnceWithPathAndElementAndEndsAllThreads) {
  for (int threads : {1, 3}) {
    const auto dataset =
        plain(1000)
            .map([](int64_t x) { return x == 101 ? throw std::runtime_error("bad record") : uneven(x); },
                 {.parallel = threads})
            .batch(4)
            .prefetch(2);
    auto walk = dataset.iterator();
    std::vector<std::string> errors;
    int64_t given = 0;
    for (int i = 0; i < 300; ++i) {
      const std::string error = error_of([&] { given += walk.next().has_value(); });
      if (error != "no error") errors.push_back(error);
    }
    EXPECT_THAT(errors, testing::ElementsAre("range > filter > map > batch > prefetch: map, element 101: bad record"));
    EXPECT_EQ(given, 25);  // the whole batches before it
    EXPECT_TRUE(walk.has_ended());
    EXPECT_EQ(num_pipeline_threads(), 0);
  }
}

TEST(DataThreads, TheExceptionIsNestedInTheError) {
  struct Mine {
    int number;
  };
  auto walk = range(5).map([](int64_t x) { return x == 2 ? throw Mine{7} : x; }, {.parallel = 2}).iterator();
  walk.next();
  walk.next();
  const auto innermost = [](auto&& self, const std::exception& error) -> int {
    try {
      std::rethrow_if_nested(error);
    } catch (const std::exception& inner) {
      return self(self, inner);
    } catch (const Mine& mine) {
      return mine.number;
    }
    return -1;
  };
  try {
    walk.next();
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "range > map: map, element 2: something that is no std::exception was thrown");
    EXPECT_EQ(innermost(innermost, error), 7);
  }
}

TEST(DataThreads, ErrorsOfSourcesAndOtherStagesNameThem) {
  const auto error = [](const auto& dataset) { return error_of([&] { dataset.prefetch(2).to_vector(); }); };
  EXPECT_EQ(error(range(9).filter([](int64_t x) { return x == 3 ? throw Error("no") : true; })),
            "range > filter > prefetch: filter, element 3: no");
  EXPECT_EQ(error(range(9).flat_map([](int64_t x) { return x == 3 ? throw Error("no") : range(2); })),
            "range > flat_map > prefetch: flat_map, element 3: no");
  EXPECT_EQ(error(range(9).flat_map(
                [](int64_t) { return range(2).map([](int64_t x) { return x == 1 ? throw Error("no") : x; }); })),
            "range > flat_map > prefetch: map, element 1: no");
  EXPECT_EQ(error(from_generator([i = 0]() mutable -> std::optional<int> { return ++i == 3 ? throw Error("no") : i; })),
            "from_generator > prefetch: from_generator, element 2: no");
  EXPECT_EQ(error(range(1, 4).map(run_of).batch(2)),
            "range > map > batch > prefetch: batch, element 1: batch: the element has i64[2] where the first of its "
            "batch has "
            "i64[1]; padded_batch takes elements of different extents");
  EXPECT_EQ(num_pipeline_threads(), 0);
}

TEST(DataThreads, DestroyedIteratorsLeaveNone) {
  const auto dataset = from_generator([i = int64_t{0}]() mutable { return std::optional(i++); })
                           .map(uneven, {.parallel = 3})
                           .prefetch(8)
                           .batch(2)
                           .prefetch(3);
  for (int taken = 0; taken < 40; ++taken) {
    auto walk = dataset.iterator();
    for (int i = 0; i < taken; ++i) walk.next();
    if (taken > 0) {
      EXPECT_EQ(num_pipeline_threads(), 5);
    }
  }
  EXPECT_EQ(num_pipeline_threads(), 0);
  for (const Tensor& x : dataset) {
    if (x.data<int64_t>()[0] > 100) break;
  }
  EXPECT_EQ(num_pipeline_threads(), 0);
}

TEST(DataThreads, NoneStartBeforeTheFirstElement) {
  auto walk = range(10).map(uneven, {.parallel = 3}).prefetch(2).iterator();
  EXPECT_EQ(num_pipeline_threads(), 0);
  walk.skip(4);
  EXPECT_EQ(num_pipeline_threads(), 0);
  EXPECT_EQ(*walk.next(), 12);
}

/// Counts how many there are.
struct Alive {
  Alive() { note(1); }
  Alive(const Alive&) { note(1); }
  Alive& operator=(const Alive&) = default;
  ~Alive() { note(-1); }
  static void note(int64_t n) {
    const int64_t now = count.fetch_add(n) + n;
    int64_t before = peak.load();
    while (before < now && !peak.compare_exchange_weak(before, now)) {
    }
  }
  static std::atomic<int64_t> count, peak;
};
std::atomic<int64_t> Alive::count{0}, Alive::peak{0};

TEST(DataThreads, AnEndlessGeneratorNeedsMemoryForTheBuffersOnly) {
  {
    const auto dataset = from_generator([] { return std::optional(Alive()); })
                             .map([](const Alive& x) { return x; }, {.parallel = 2})
                             .shuffle(100, {.seed = 1})
                             .prefetch(10);
    int64_t taken = 0;
    for (const Alive& x : dataset) {
      static_cast<void>(x);
      if (++taken == 200000) break;
    }
  }
  EXPECT_EQ(Alive::count, 0);
  EXPECT_LT(Alive::peak, 100 + 10 + 5 * 2 * 4096);  // blocks, in and out: four, and one kept
}

TEST(DataThreads, PrefetchTakesNoMoreAheadThanItsBuffer) {
  std::atomic<int64_t> pulls{0};
  const auto dataset = from_generator([&pulls] { return std::optional(pulls.fetch_add(1)); }).prefetch(5);
  auto walk = dataset.iterator();
  for (int64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(*walk.next(), i);
    EXPECT_LE(pulls, i + 1 + 5 + 1);
  }
}

TEST(DataThreads, PrefetchReadsOnWhileTheConsumerWorks) {
  std::latch third(3);
  const auto dataset = range(10).map([&third](int64_t x) {
    if (x < 3) third.count_down();
    return x;
  }).prefetch(4);
  auto walk = dataset.iterator();
  walk.next();
  third.wait();  // without another call of next
  EXPECT_EQ(*walk.next(), 1);
}

TEST(DataThreads, AnElementIsGivenWhileTheNextIsAwaited) {
  std::latch taken(1);
  const auto dataset = range(4).map([&taken](int64_t x) {
    if (x == 3) taken.wait();  // comes only when the elements before are there
    return x;
  }).prefetch(100);
  auto walk = dataset.iterator();
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(*walk.next(), i);
  taken.count_down();
  EXPECT_EQ(*walk.next(), 3);
}

TEST(DataThreads, SeveralElementsAreWorkedOnAtATime) {
  std::latch both(2);
  const auto dataset = range(2).map([&both](int64_t x) {
    both.arrive_and_wait();
    return x;
  }, {.parallel = 2});
  EXPECT_EQ(line_of(dataset), "0;1");
}

TEST(DataThreads, PipelineThreadsRunKernelsWithOneThread) {
  const auto large = [](int64_t) { return sum(sin(etch::zeros({1 << 22}) + 1.f)); };
  const auto split_loops = [&](int threads) {
    const int64_t before = num_split_loops();
    range(2).map(large, {.parallel = threads}).to_vector();
    return num_split_loops() - before;
  };
  EXPECT_EQ(split_loops(2), 0);
  if (default_threads() > 1) {
    EXPECT_GT(split_loops(1), 0);  // the consumer's own thread
  }
}

TEST(DataThreads, ManyThreadsWalkOneDataset) {
  const auto dataset = range(300).map(uneven, {.parallel = 2}).shuffle(20, {.seed = 1}).cache().prefetch(4);
  const std::vector<int64_t> expected = range(300).map(uneven).shuffle(20, {.seed = 1}).to_vector();
  std::atomic<int> equal{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) threads.emplace_back([&] { equal += dataset.to_vector() == expected; });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(equal, 6);
}

TEST(DataThreads, AnIteratorWithThreadsIsAnErrorInAChildOfAFork) {
  auto walk = range(100000).prefetch(4).iterator();
  walk.next();
  const pid_t child = fork();
  if (child == 0) {
    const std::string error = error_of([&] {
      for (int i = 0; i < 100; ++i) walk.next();
    });
    _exit(num_pipeline_threads() == 0 && error.find("used before a fork") != error.npos ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(*walk.next(), 1);
}

}  // namespace
}  // namespace etch::data
