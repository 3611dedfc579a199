// Pipelines whose order is fixed give what tf.data's give (expected.txt).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <map>

#include "tests/data/element_text.h"

namespace etch::data {
namespace {

struct Found {
  int64_t cardinality;
  std::string elements;
};
using Case = std::function<Found()>;

template <class T>
Case of(Dataset<T> dataset) {
  return [dataset] { return Found{dataset.cardinality(), line_of(dataset)}; };
}

Dataset<int64_t> interleaved(int64_t cycle, int64_t block) {
  return range(1, 7).interleave([](int64_t n) { return range(10 * n, 10 * n + n); },
                                {.cycle_length = cycle, .block_length = block});
}
auto windows(int64_t size, int64_t shift, int64_t stride, bool drop) {
  return range(7).window(size, {.shift = shift, .stride = stride, .drop_remainder = drop});
}
Dataset<Tensor> runs(int64_t start, int64_t stop) { return range(start, stop).map(run_of); }
Dataset<Tensor> bucketed(std::vector<int64_t> boundaries, BucketOptions options = {}) {
  const std::vector<int64_t> lengths{0, 4, 1, 2, 8, 3, 3, 5, 7, 2, 1};
  return from_tensor_slices(lengths).map(run_of).bucket_by_sequence_length(
      [](const Tensor& x) { return x.size(); }, std::move(boundaries), {2, 3, 2}, std::move(options));
}
Dataset<int64_t> chosen(int64_t second, bool stops) {
  const std::vector<int64_t> choices{0, 1, 2, 0, 2, 1, 1, 1, 1, 0};
  return choose_from_datasets(std::vector{range(3), range(10, second), range(20, 23)}, from_tensor_slices(choices),
                              {.stop_on_empty_dataset = stops});
}

std::map<std::string, Case> cases() {
  const auto batches = range(7).batch(3);
  const auto mod3 = [](int64_t x) { return x % 3; };
  return {
      {"range", of(range(2, 11, 3))},
      {"range_down", of(range(5, -3, -2))},
      {"range_empty", of(range(0))},
      {"map", of(range(5).map([](int64_t x) { return x * x; }))},
      {"filter", of(range(10).filter([](int64_t x) { return x % 3 == 1; }))},
      {"take_while", of(range(10).take_while([](int64_t x) { return x < 4; }))},
      {"scan", of(range(1, 6).scan(int64_t{10}, [](int64_t s, int64_t x) { return std::pair(s + x, s * x); }))},
      {"enumerate", of(range(10, 13).enumerate(5))},
      {"batch", of(batches)},
      {"batch_drop", of(range(7).batch(3, {.drop_remainder = true}))},
      {"batch_exact", of(range(6).batch(3))},
      {"unbatch", of(batches.unbatch())},
      {"rebatch", of(batches.rebatch(2))},
      {"rebatch_drop", of(batches.rebatch(2, {.drop_remainder = true}))},
      {"window_3_3_1_0", of(windows(3, 3, 1, false))},
      {"window_3_1_1_0", of(windows(3, 1, 1, false))},
      {"window_3_1_2_0", of(windows(3, 1, 2, false))},
      {"window_2_3_2_0", of(windows(2, 3, 2, false))},
      {"window_3_2_1_1", of(windows(3, 2, 1, true))},
      {"window_2_5_1_0", of(windows(2, 5, 1, false))},
      {"window_3_1_2_1", of(windows(3, 1, 2, true))},
      {"window_2_1_3_1", of(windows(2, 1, 3, true))},
      {"window_10_1_1_1", of(windows(10, 1, 1, true))},
      {"padded_batch", of(runs(1, 6).padded_batch(2))},
      {"padded_batch_shape", of(runs(1, 4).padded_batch(2, {.shapes = {{4}}, .padding = {-1}}))},
      {"padded_batch_drop", of(runs(1, 4).padded_batch(2, {.drop_remainder = true}))},
      {"padded_batch_2d", of(range(1, 5)
                                 .map([](int64_t n) { return full({n, 5 - n}, n, DType::i64); })
                                 .padded_batch(4, {.padding = {9}}))},
      {"flat_map", of(range(1, 5).flat_map([](int64_t n) { return range(n); }))},
      {"flat_map_empty", of(range(0, 4).flat_map([](int64_t n) { return range(n % 2); }))},
      {"interleave_1_1", of(interleaved(1, 1))},
      {"interleave_2_1", of(interleaved(2, 1))},
      {"interleave_2_3", of(interleaved(2, 3))},
      {"interleave_3_2", of(interleaved(3, 2))},
      {"interleave_5_1", of(interleaved(5, 1))},
      {"interleave_4_4", of(interleaved(4, 4))},
      {"interleave_uneven", of(range(6).interleave([](int64_t n) { return range(10 * n, 10 * n + (n * 5) % 7); },
                                                   {.cycle_length = 3, .block_length = 2}))},
      {"zip", of(zip(range(3), range(10, 15)))},
      {"concatenate", of(range(3).concatenate(range(7, 9)))},
      {"repeat", of(range(3).repeat(2))},
      {"repeat_none", of(range(3).repeat(0))},
      {"take", of(range(5).take(3))},
      {"take_more", of(range(5).take(9))},
      {"take_all", of(range(5).take(-1))},
      {"skip", of(range(5).skip(3))},
      {"skip_more", of(range(5).skip(9))},
      {"skip_all", of(range(5).skip(-1))},
      {"shard", of(range(10).shard(3, 1))},
      {"shard_short", of(range(4).shard(7, 5))},
      {"group_by_window",
       of(range(10).group_by_window(mod3, [](int64_t, const Dataset<int64_t>& window) { return window.batch(2); }, 2))},
      {"group_by_window_sizes",
       of(range(12).group_by_window(mod3, [](int64_t, const Dataset<int64_t>& window) { return window.batch(10); },
                                    [](int64_t key) { return key + 1; }))},
      {"bucket", of(bucketed({3, 5}))},
      {"bucket_drop", of(bucketed({3, 5}, {.drop_remainder = true}))},
      {"bucket_boundary", of(bucketed({3, 10}, {.pad_to_bucket_boundary = true}))},
      {"choose", of(chosen(14, true))},
      {"choose_on", of(chosen(12, false))},
      {"choose_stop", of(chosen(12, true))},
      {"slices", of(from_tensor_slices(std::pair(reshape(etch::range(6), {3, 2}), etch::range(3))))},
      {"tensors", of(from_tensors(etch::range(4)))},
  };
}

TEST(DataSemantics, ElementsAndCardinalitiesAreThoseOfTensorFlow) {
  const std::map<std::string, Case> known = cases();
  std::ifstream file(ETCH_SOURCE_DIR "/tests/data/expected.txt");
  ASSERT_TRUE(file);
  size_t count = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    const size_t first = line.find('|'), second = line.find('|', first + 1);
    const std::string name = line.substr(0, first);
    ASSERT_TRUE(known.contains(name)) << name;
    const Found found = known.at(name)();
    EXPECT_EQ(found.elements, line.substr(second + 1)) << name;
    EXPECT_EQ(found.cardinality, std::stoll(line.substr(first + 1, second - first - 1))) << name;
    ++count;
  }
  EXPECT_EQ(count, known.size());
}

/// What differs from the way in which a source is walked by index must not show.
TEST(DataSemantics, SourcesWithoutRandomAccessGiveTheSame) {
  const auto plain = range(20).filter([](int64_t) { return true; });
  EXPECT_EQ(line_of(plain.take(7)), line_of(range(20).take(7)));
  EXPECT_EQ(line_of(plain.skip(7)), line_of(range(20).skip(7)));
  EXPECT_EQ(line_of(plain.shard(3, 2)), line_of(range(20).shard(3, 2)));
  EXPECT_EQ(line_of(plain.enumerate()), line_of(range(20).enumerate()));
  EXPECT_EQ(line_of(zip(plain, range(5))), line_of(zip(range(20), range(5))));
  EXPECT_EQ(line_of(plain.shuffle(6, {.seed = 3})), line_of(range(20).shuffle(6, {.seed = 3})));
  EXPECT_EQ(line_of(plain.shuffle(50, {.seed = 3}).batch(3)), line_of(range(20).shuffle(50, {.seed = 3}).batch(3)));
}

TEST(DataSemantics, BatchOfShuffledSlicesHasTheirRows) {
  const Tensor x = reshape(etch::range(40), {20, 2}), y = etch::range(20);
  const auto rows = from_tensor_slices(std::pair(x, y));
  const auto copied = rows.map([](Tensor a, Tensor b) { return std::pair(a, b); });
  EXPECT_EQ(line_of(rows.shuffle(20, {.seed = 1}).batch(6)), line_of(copied.shuffle(20, {.seed = 1}).batch(6)));
  EXPECT_EQ(line_of(zip(from_tensor_slices(x), from_tensor_slices(y)).shard(2, 1).shuffle(4, {.seed = 1}).batch(6)),
            line_of(copied.shard(2, 1).shuffle(4, {.seed = 1}).batch(6)));
  EXPECT_EQ(line_of(rows.shuffle(20, {.seed = 1}).repeat(3).batch(7)),
            line_of(copied.shuffle(20, {.seed = 1}).repeat(3).batch(7)));
}

TEST(DataSemantics, AShuffleIsAPermutationAndAnotherOneInEachEpoch) {
  const auto shuffled = range(100).shuffle(100, {.seed = 5});
  const auto sorted = [](std::vector<int64_t> values) {
    std::sort(values.begin(), values.end());
    return values;
  };
  const auto first = shuffled.to_vector(), second = shuffled.to_vector({.epoch = 1});
  EXPECT_EQ(sorted(first), range(100).to_vector());
  EXPECT_EQ(sorted(second), range(100).to_vector());
  EXPECT_NE(first, second);
  EXPECT_NE(first, range(100).to_vector());
  EXPECT_EQ(shuffled.to_vector(), first);
  const auto fixed = range(100).shuffle(100, {.seed = 5, .reshuffle_each_iteration = false});
  EXPECT_EQ(fixed.to_vector({.epoch = 7}), fixed.to_vector());
  EXPECT_NE(range(100).shuffle(100, {.seed = 6}).to_vector(), first);
}

TEST(DataSemantics,
     AShuffleIsUniform) {  // chi-squared of the place of element 0, 9 degrees of freedom: 27.9 is the 0.1 % point
  int64_t counts[10] = {};
  constexpr int kEpochs = 5000;
  for (uint64_t epoch = 0; epoch < kEpochs; ++epoch) {
    const auto order = range(10).shuffle(10, {.seed = 11}).to_vector({.epoch = epoch});
    ++counts[std::find(order.begin(), order.end(), 0) - order.begin()];
  }
  double chi = 0;
  for (int64_t count : counts) chi += (count - kEpochs / 10.0) * (count - kEpochs / 10.0) / (kEpochs / 10.0);
  EXPECT_LT(chi, 27.9);
}

TEST(DataSemantics, TurnsOfRepeatAreShuffledEachInItsWay) {
  const auto repeated = range(50).shuffle(50, {.seed = 5}).repeat(2);
  const auto all = repeated.to_vector();
  const std::vector<int64_t> first(all.begin(), all.begin() + 50), second(all.begin() + 50, all.end());
  EXPECT_NE(first, second);
  const auto next = repeated.to_vector({.epoch = 1});
  EXPECT_NE(std::vector<int64_t>(next.begin(), next.begin() + 50), second);
  EXPECT_EQ(range(50).shuffle(50, {.seed = 5}).to_vector({.epoch = 1}), second);
}

TEST(DataSemantics, SamplesComeByWeight) {
  const auto endless = [](int64_t value) { return range(value, value + 1).repeat(); };
  const auto sampled =
      sample_from_datasets(std::vector{endless(0), endless(1), endless(2)}, {.weights = {0.5, 0, 1.5}, .seed = 1})
          .take(10000);
  int64_t counts[3] = {};
  for (int64_t value : sampled) ++counts[value];
  EXPECT_NEAR(counts[0], 2500, 200);
  EXPECT_EQ(counts[1], 0);
  const auto uneven = sample_from_datasets(std::vector{range(3), range(10, 30)}, {.seed = 1});
  EXPECT_EQ(uneven.to_vector().size(), 23u);
  EXPECT_LT(sample_from_datasets(std::vector{range(3), range(10, 30)}, {.seed = 1, .stop_on_empty_dataset = true})
                .to_vector()
                .size(),
            23u);
}

struct Sample {
  Tensor image;
  int label = 0;
  std::string name;
};
struct Labeled {
  Tensor image, label;
};

TEST(DataSemantics, ElementsAreOfManyTypes) {
  const auto names = from_range(std::vector<std::string>{"a", "b", "c"});
  const auto samples = zip(range(3), names).map([](int64_t i, std::string name) {
    return Sample{full({2}, i, DType::i64), static_cast<int>(i), name};
  });
  EXPECT_EQ(line_of(samples), "([0,0],0,a);([1,1],1,b);([2,2],2,c)");
  const auto tuples = samples.map([](const Sample& s) { return std::tuple(s.image, s.label, s.name); });
  EXPECT_EQ(line_of(tuples.batch(2)), "([[0,0],[1,1]],[0,1],[a,b]);([[2,2]],[2],[c])");
  EXPECT_EQ(line_of(tuples.batch(2).unbatch()), "([0,0],0,a);([1,1],1,b);([2,2],2,c)");
  const auto labeled = samples.map([](const Sample& s) { return Labeled{s.image, Tensor(s.label)}; });
  EXPECT_EQ(line_of(labeled.batch(3)), "([[0,0],[1,1],[2,2]],[0,1,2])");
  EXPECT_EQ(line_of(range(3).map([](int64_t i) { return std::pair(i, i > 1); }).as_tensors()), "(0,0);(1,0);(2,1)");
}

TEST(DataSemantics, GeneratorsBeginAnewWithEachWalk) {
  const auto numbers = from_generator([i = 0]() mutable { return i < 3 ? std::optional<int64_t>(i++) : std::nullopt; });
  EXPECT_EQ(line_of(numbers), "0;1;2");
  EXPECT_EQ(line_of(numbers), "0;1;2");
  EXPECT_EQ(line_of(numbers.repeat(2)), "0;1;2;0;1;2");
}

TEST(DataSemantics, RangesOfCppAreSources) {
  EXPECT_EQ(line_of(from_range(std::views::iota(0, 4) | std::views::filter([](int i) { return i != 2; }))), "0;1;3");
  EXPECT_EQ(line_of(from_range(std::vector<double>{0.5}).batch(1)), "[0.500000]");
  EXPECT_EQ(from_range(std::vector<int>{1, 2, 3}).cardinality(), 3);
  static_assert(std::ranges::input_range<Dataset<Tensor>>);
}

TEST(DataSemantics, ReduceAndApply) {
  EXPECT_EQ(range(5).reduce(int64_t{100}, [](int64_t sum, int64_t x) { return sum + x; }), 110);
  EXPECT_EQ(line_of(range(4).apply([](const Dataset<int64_t>& d) { return d.batch(2); })), "[0,1];[2,3]");
}

TEST(DataSemantics, ForGoesAlongElements) {
  int64_t sum = 0;
  for (auto [i, x] : range(10, 13).enumerate()) sum += i * x;
  EXPECT_EQ(sum, 0 * 10 + 1 * 11 + 2 * 12);
  std::vector<int64_t> second;
  for (int64_t x : range(9).shuffle(9, {.seed = 2}).epoch(4)) second.push_back(x);
  EXPECT_EQ(second, range(9).shuffle(9, {.seed = 2}).to_vector({.epoch = 4}));
}

TEST(DataSemantics, PathsNameTheStages) {
  EXPECT_EQ(range(3).map([](int64_t x) { return x; }).batch(2).prefetch(1).path(), "range > map > batch > prefetch");
  EXPECT_EQ(zip(range(3).take(2), range(1)).path(), "range > take > zip");
}

}  // namespace
}  // namespace etch::data
