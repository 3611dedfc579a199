// An iterator that restores a state gives the rest that the saved one would have given, at every position of every
// transform.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data/element_text.h"
#include "tests/messages.h"

namespace etch::data {
namespace {

/// Saves at each position and restores in an iterator of a data set that was made anew.
template <class Make>
void check_states(const char* what, Make make, uint64_t epoch = 2) {
  const std::vector<std::string> all = texts_of(make(), epoch);
  EXPECT_FALSE(all.empty()) << what;
  auto walk = make().iterator({.epoch = epoch});
  for (size_t position = 0;; ++position) {
    const SavedState state = walk.state();
    auto restored = make().iterator();
    restored.restore(state);
    EXPECT_EQ(restored.position(), static_cast<int64_t>(position));
    ASSERT_EQ(rest_of(restored), std::vector<std::string>(all.begin() + static_cast<int64_t>(position), all.end()))
        << what << " at " << position;
    // And a state of the restored one, one element on.
    auto again = make().iterator();
    again.restore(state);
    const bool has_more = again.next().has_value();
    auto third = make().iterator();
    third.restore(again.state());
    ASSERT_EQ(rest_of(third),
              std::vector<std::string>(all.begin() + static_cast<int64_t>(position + has_more), all.end()))
        << what << " behind " << position;
    if (!walk.next()) break;
  }
}

/// A source without random access whose elements are tensors.
Dataset<Tensor> plain(int64_t n) {
  return range(n).map([](int64_t i) { return Tensor(i); });
}
Dataset<int64_t> generated(int64_t n) {
  return from_generator([i = int64_t{0}, n]() mutable { return i < n ? std::optional(i++) : std::nullopt; });
}
int64_t doubled(int64_t x) { return 2 * x; }

#define CHECK_STATES(name, dataset) \
  TEST(DataStates, name) {          \
    check_states(#name, [] { return dataset; }); \
  }

CHECK_STATES(Slices, from_tensor_slices(std::pair(etch::range(5), etch::range(5))))
CHECK_STATES(Tensors, from_tensors(Tensor(3)))
CHECK_STATES(Numbers, range(5))
CHECK_STATES(Generator, generated(6))
CHECK_STATES(CppRange, from_range(std::vector<std::string>{"a", "b", "c"}))
CHECK_STATES(CppView, from_range(std::views::iota(0, 6) | std::views::filter([](int i) { return i != 2; })))
CHECK_STATES(Map, range(6).map(doubled))
CHECK_STATES(ParallelMap, generated(40).map(doubled, {.parallel = 3}))
CHECK_STATES(RandomMap,
             range(6).map_random([](Tensor x,
                                    Tensor seed) { return x + random::uniform_int(seed, {2}, 0, 1000, DType::i64); },
                                 7))
CHECK_STATES(Filter, range(10).filter([](int64_t x) { return x % 3 == 1; }))
CHECK_STATES(TakeWhile, range(10).take_while([](int64_t x) { return x < 4; }))
CHECK_STATES(Scan, range(6).scan(Tensor(0.5),
                                 [](const Tensor& s, int64_t x) { return std::pair(s + static_cast<double>(x), s); }))
CHECK_STATES(Enumerate, plain(5).enumerate(3))
CHECK_STATES(Batch, range(11).batch(3))
CHECK_STATES(BatchOfShuffledSlices, from_tensor_slices(etch::range(11)).shuffle(5, {.seed = 1}).batch(3))
CHECK_STATES(BatchDropped, range(11).batch(3, {.drop_remainder = true}))
CHECK_STATES(PaddedBatch, range(7).map(run_of).padded_batch(3))
CHECK_STATES(Unbatch, plain(7).batch(3).unbatch())
CHECK_STATES(Rebatch, plain(11).batch(4).rebatch(3))
CHECK_STATES(Window, range(9).window(3, {.shift = 2}))
CHECK_STATES(WindowWithGaps, range(20).window(2, {.shift = 5, .stride = 2}))
CHECK_STATES(GroupByWindow,
             range(13).group_by_window([](int64_t x) { return x % 3; },
                                       [](int64_t, const Dataset<int64_t>& w) { return w.map(doubled); }, 2))
CHECK_STATES(Buckets, range(9).map(run_of).bucket_by_sequence_length([](const Tensor& x) { return x.size(); }, {3, 6},
                                                                     {2, 2, 2}))
CHECK_STATES(ShuffleByIndex, range(12).shuffle(5, {.seed = 3}))
CHECK_STATES(ShuffleOfElements, plain(12).shuffle(5, {.seed = 3}))
CHECK_STATES(FullShuffle, from_tensor_slices(etch::range(12)).shuffle(12, {.seed = 3}))
CHECK_STATES(Repeat, range(4).repeat(3))
CHECK_STATES(RepeatShuffled, range(4).shuffle(4, {.seed = 3}).repeat(3))
CHECK_STATES(Take, plain(9).take(4))
CHECK_STATES(Skip, plain(9).skip(4))
CHECK_STATES(Shard, plain(9).shard(3, 1))
CHECK_STATES(IndexedParts, range(20).skip(3).take(12).shard(3, 1))
CHECK_STATES(Zip, zip(plain(5), range(9), generated(7)))
CHECK_STATES(Concatenate, generated(4).concatenate(range(3)))
CHECK_STATES(FlatMap, range(1, 5).flat_map([](int64_t n) { return range(n).shuffle(3, {.seed = 1}); }))
CHECK_STATES(Interleave, range(1, 7).interleave([](int64_t n) { return range(10 * n, 10 * n + n); },
                                                {.cycle_length = 3, .block_length = 2}))
CHECK_STATES(ParallelInterleave, generated(7).interleave([](int64_t n) { return generated(n).map(doubled); },
                                                         {.cycle_length = 3, .block_length = 2, .parallel = 2}))
CHECK_STATES(Cache, plain(6).cache())
CHECK_STATES(Prefetch, generated(40).prefetch(7))
CHECK_STATES(PrefetchOfShuffle, plain(40).shuffle(9, {.seed = 4}).prefetch(5).batch(3))
CHECK_STATES(Autotune, range(30).map(doubled, {.parallel = AUTOTUNE}).prefetch())
CHECK_STATES(Sample, sample_from_datasets(std::vector{range(5), range(10, 14)}, {.seed = 1}))
CHECK_STATES(Choose,
             choose_from_datasets(std::vector{range(5), range(10, 14)}, range(9).map([](int64_t i) { return i % 2; })))
CHECK_STATES(IgnoreErrors, range(12).map([](int64_t x) { return x % 3 == 1 ? throw Error("no") : x; }).ignore_errors())
CHECK_STATES(IgnoreErrorsOfThreads,
             range(40)
                 .map([](int64_t x) { return x % 3 == 1 ? throw Error("no") : x; }, {.parallel = 3})
                 .ignore_errors()
                 .prefetch(4))
CHECK_STATES(IgnoreErrorsBeforePrefetch,
             range(40).map([](int64_t x) { return x % 3 == 1 ? throw Error("no") : x; }).prefetch(4).ignore_errors())
CHECK_STATES(WithSpec, plain(5).with_spec({{{{DType::i64, {}}}}}))
CHECK_STATES(AssertCardinality, plain(5).assert_cardinality(5))
CHECK_STATES(AllTogether, zip(plain(40).shuffle(9, {.seed = 1}), range(50).map(doubled, {.parallel = 2}))
                              .filter([](const Tensor&, int64_t x) { return x % 4 == 0; })
                              .repeat(2).batch(3).prefetch(2))

/// What cannot be saved is taken anew.
struct Opaque {
  Opaque() = default;
  explicit Opaque(int64_t i) : value(std::make_shared<int64_t>(i)) {}
  std::shared_ptr<int64_t> value;
};
auto opaque_shuffle() {
  return range(12).map([](int64_t i) { return Opaque(i); }).shuffle(5, {.seed = 1});
}
CHECK_STATES(ReplayedShuffle, opaque_shuffle().map([](const Opaque& x) { return *x.value; }))
CHECK_STATES(
    ReplayedWindow,
    range(9).map([](int64_t i) { return Opaque(i); }).window(3, {.shift = 2}).flat_map([](const Dataset<Opaque>& w) {
      return w.map([](const Opaque& x) { return *x.value; });
    }))

TEST(DataStates, IteratorsSayWhetherTheyReplay) {
  EXPECT_FALSE(range(5).shuffle(3).iterator().replays());
  EXPECT_FALSE(plain(5).shuffle(3).prefetch(2).iterator().replays());
  EXPECT_TRUE(generated(5).batch(2).iterator().replays());
  EXPECT_TRUE(opaque_shuffle().iterator().replays());
}

struct Counter {
  std::optional<int64_t> operator()() { return next < 10 ? std::optional(next++) : std::nullopt; }
  SavedState save_state() const {
    SavedState state;
    state.set("next", next);
    return state;
  }
  void restore_state(const SavedState& state) { next = state.get<int64_t>("next"); }
  int64_t next = 0;
};

TEST(DataStates, AGeneratorWithAStateIsNotReplayed) {
  const auto dataset = from_generator(Counter());
  EXPECT_FALSE(dataset.iterator().replays());
  check_states("Counter", [&] { return dataset; });
  auto walk = dataset.iterator();
  walk.skip(4);
  EXPECT_EQ(walk.state().get<int64_t>("walk/generator/next"), 4);
}

TEST(DataStates, MapIsNotCalledForElementsThatAreSkipped) {
  int calls = 0;
  auto walk = range(100).map([&calls](int64_t x) { return ++calls, x; }).shuffle(1).iterator();
  walk.skip(50);
  EXPECT_EQ(calls, 50);  // a shuffle of elements takes them
  calls = 0;
  auto mapped = range(100).map([&calls](int64_t x) { return ++calls, x; }).batch(2).iterator();
  EXPECT_EQ(mapped.skip(20), 20);
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(text_of(*mapped.next()), "[40,41]");
  EXPECT_EQ(mapped.skip(100), 29);
  EXPECT_TRUE(mapped.has_ended());
}

TEST(DataStates, AShuffleOverASourceWithRandomAccessIsSavedAsIndices) {
  auto walk = from_tensor_slices(zeros({100, 1000})).shuffle(100, {.seed = 1}).iterator();
  walk.next();
  const SavedState state = walk.state();
  EXPECT_EQ(state.get<Tensor>("walk/buffer").shape(), Shape{99});
  EXPECT_EQ(state.get<Tensor>("walk/buffer").dtype(), DType::i64);
}

TEST(DataStates, APositionIsWhatWasGivenNotWhatWasReadAhead) {
  auto walk = range(1000).prefetch(100).iterator();
  for (int i = 0; i < 3; ++i) walk.next();
  EXPECT_EQ(walk.position(), 3);
  auto restored = range(1000).prefetch(100).iterator();
  restored.restore(walk.state());
  EXPECT_EQ(*restored.next(), 3);
}

TEST(DataStates, AStateOfAnotherPipelineIsRefused) {
  auto walk = range(9).batch(2).iterator();
  walk.next();
  EXPECT_EQ(error_of([&] { walk.restore(range(9).iterator().state()); }),
            "a state of the data set range cannot be restored by one of range > batch");
  EXPECT_EQ(text_of(*walk.next()), "[2,3]");  // it stands where it was
  EXPECT_EQ(error_of([&] { walk.restore(SavedState()); }), "a saved state holds no `pipeline`");
}

TEST(DataStates, AStateBehindTheEndOfTheSourceIsAnError) {
  auto walk = generated(9).iterator();
  walk.skip(7);
  auto shorter = generated(5).iterator();
  EXPECT_EQ(error_of([&] { shorter.restore(walk.state()); }),
            "from_generator: element 7: a saved state stands at element 7, but there are only 5 now");
}

TEST(DataStates, AnEndedIteratorIsRestoredAsEnded) {
  auto walk = range(2).iterator();
  rest_of(walk);
  auto restored = range(2).iterator();
  restored.restore(walk.state());
  EXPECT_TRUE(restored.has_ended());
  EXPECT_EQ(restored.position(), 2);
}

}  // namespace
}  // namespace etch::data
