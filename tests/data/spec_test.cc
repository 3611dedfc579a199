// What is known of a data set without reading it, types that are stated, bad arguments, and caches.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "etch/function.h"
#include "tests/data/element_text.h"
#include "tests/messages.h"

namespace etch::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class T>
std::string spec_line(const Dataset<T>& dataset) {
  std::string line;
  for (const ElementSpec& spec : dataset.element_spec()) line += (line.empty() ? "" : " or ") + to_string(spec);
  return line;
}
Dataset<Tensor> rows(int64_t n) { return from_tensor_slices(etch::zeros({n, 3})); }
Dataset<std::pair<Tensor, Tensor>> pairs(int64_t n) {
  return from_tensor_slices(std::pair(etch::zeros({n, 3}), etch::range(n, DType::i64)));
}

TEST(DataSpec, IsAClosedListOfTypes) {
  EXPECT_EQ(spec_line(pairs(10)), "f32[3], i64[]");
  EXPECT_EQ(spec_line(pairs(10).shuffle(3).take(7).repeat(2).prefetch().cache()), "f32[3], i64[]");
  EXPECT_EQ(spec_line(pairs(10).batch(4)), "f32[4,3], i64[4] or f32[2,3], i64[2]");
  EXPECT_EQ(spec_line(pairs(8).batch(4)), "f32[4,3], i64[4]");
  EXPECT_EQ(spec_line(pairs(3).batch(4)), "f32[3,3], i64[3]");
  EXPECT_EQ(spec_line(pairs(10).batch(4, {.drop_remainder = true})), "f32[4,3], i64[4]");
  EXPECT_EQ(spec_line(pairs(10).repeat().batch(4)), "f32[4,3], i64[4]");
  EXPECT_EQ(spec_line(rows(10).filter([](Tensor) { return true; })), "f32[3]");
  EXPECT_EQ(spec_line(rows(10).filter([](Tensor) { return true; }).batch(4)),
            "");  // nobody knows the last one's extent
  EXPECT_EQ(spec_line(rows(10).filter([](Tensor) { return true; }).batch(4, {.drop_remainder = true})), "f32[4,3]");
  EXPECT_EQ(spec_line(rows(10).filter([](Tensor) { return true; }).assert_cardinality(9).batch(4)),
            "f32[4,3] or f32[1,3]");
  EXPECT_EQ(spec_line(rows(10).batch(4).unbatch()), "f32[3]");
  EXPECT_EQ(spec_line(rows(10).concatenate(from_tensor_slices(etch::zeros({2, 5})))), "f32[3] or f32[5]");
  EXPECT_EQ(spec_line(zip(rows(3), rows(4).batch(3))), "f32[3], f32[3,3] or f32[3], f32[1,3]");
  EXPECT_EQ(spec_line(rows(10).padded_batch(4)), "f32[4,3] or f32[2,3]");
  EXPECT_EQ(spec_line(rows(10).concatenate(from_tensor_slices(etch::zeros({2, 5}))).padded_batch(4)), "");
  EXPECT_EQ(spec_line(rows(10).concatenate(from_tensor_slices(etch::zeros({2, 5}))).padded_batch(4, {.shapes = {{6}}})),
            "f32[4,6]");
}

TEST(DataSpec, OfHostCallablesIsStatedOrNotKnown) {
  const auto f = [](Tensor x) { return x + 1.f; };
  EXPECT_EQ(spec_line(rows(4).map(f)), "");
  EXPECT_EQ(spec_line(rows(4).map(f, {.spec = {{{{DType::f32, {3}}}}}})), "f32[3]");
  EXPECT_EQ(spec_line(rows(4).map(f).with_spec({{{{DType::f32, {3}}}}}).batch(4)), "f32[4,3]");
  EXPECT_EQ(spec_line(range(4)), "");  // numbers of C++
}

TEST(DataSpec, ElementsOfOtherTypesAreErrorsThatNameBoth) {
  const auto growing = range(1, 5).map(run_of);
  EXPECT_EQ(error_of([&] { growing.with_spec({{{{DType::i64, {1}}}}, {{{DType::i64, {2}}}}}).to_vector(); }),
            "range > map > with_spec: with_spec, element 2: it is (i64[3]), but (i64[1]) or (i64[2]) is stated");
  EXPECT_EQ(error_of([&] { range(1, 5).map(run_of, {.parallel = 2, .spec = {{{{DType::i64, {1}}}}}}).to_vector(); }),
            "range > map: map, element 1: it is (i64[2]), but (i64[1]) is stated");
  EXPECT_THAT(error_of([&] { rows(3).with_spec({{{{DType::f32, {3}}, {DType::f32, {3}}}}}); }),
              HasSubstr("with_spec: a stated type, f32[3], f32[3], has 2 tensors where elements have 1"));
  EXPECT_EQ(
      error_of([&] { range(5).assert_cardinality(4).to_vector(); }),
      "range > assert_cardinality: element 4: assert_cardinality: 4 elements are stated, but there are 5 or more");
  EXPECT_EQ(error_of([&] { range(5).assert_cardinality(6).to_vector(); }),
            "range > assert_cardinality: element 5: assert_cardinality: 6 elements are stated, but there are 5");
}

TEST(DataSpec, Cardinalities) {
  const auto unknown = range(9).filter([](int64_t) { return true; });
  EXPECT_EQ(unknown.cardinality(), UNKNOWN_CARDINALITY);
  EXPECT_EQ(range(0).filter([](int64_t) { return true; }).cardinality(), 0);
  EXPECT_EQ(range(9).repeat().cardinality(), INFINITE_CARDINALITY);
  EXPECT_EQ(range(9).repeat().take(4).cardinality(), 4);
  EXPECT_EQ(range(9).repeat().batch(4).cardinality(), INFINITE_CARDINALITY);
  EXPECT_EQ(range(0).repeat().cardinality(), 0);
  EXPECT_EQ(zip(range(9).repeat(), range(4)).cardinality(), 4);
  EXPECT_EQ(zip(unknown, range(4)).cardinality(), UNKNOWN_CARDINALITY);
  EXPECT_EQ(range(9).concatenate(range(4).repeat()).cardinality(), INFINITE_CARDINALITY);
  EXPECT_EQ(range(9).concatenate(unknown).cardinality(), UNKNOWN_CARDINALITY);
  EXPECT_EQ(unknown.assert_cardinality(9).map([](int64_t x) { return x; }).batch(2).cardinality(), 5);
  EXPECT_EQ(rows(10).batch(5).unbatch().cardinality(), 10);
  EXPECT_EQ(range(INT64_MIN, INT64_MAX, INT64_MAX).cardinality(), 3);
}

TEST(DataSpec, ARepeatOfNothingEnds) {
  EXPECT_EQ(line_of(range(0).repeat()), "");
  EXPECT_EQ(line_of(range(3).filter([](int64_t) { return false; }).repeat()), "");
}

TEST(DataArguments, ThatCannotBeAreErrorsWithTheirPlace) {
  const auto error = [](auto f) {
    const std::string text = error_of(f);
    return text.substr(text.find(": ") + 2);  // behind spec_test.cc:LINE
  };
  EXPECT_TRUE(error_of([] { range(3).batch(0); }).starts_with("spec_test.cc:"));
  EXPECT_EQ(error([] { range(3).batch(0); }), "batch: size, which must be 1 or more, is 0");
  EXPECT_EQ(error([] { range(3).shuffle(-1); }), "shuffle: buffer_size, which must be 1 or more, is -1");
  EXPECT_EQ(error([] { range(3).prefetch(0); }), "prefetch: buffer_size, which must be 1 or more, is 0");
  EXPECT_EQ(error([] { range(3).map([](int64_t x) { return x; }, {.parallel = 0}); }),
            "map: parallel, which must be 1 to 1024 or AUTOTUNE, is 0");
  EXPECT_EQ(error([] { range(3).shard(3, 3); }), "shard: index, which must be below num_shards, is 3");
  EXPECT_EQ(error([] { range(3).window(2, {.shift = -1}); }), "window: shift, which must be 1 or more, is -1");
  EXPECT_EQ(error([] { range(1, 5, 0); }), "range: the step is 0");
  EXPECT_EQ(error([] { sample_from_datasets(std::vector{range(3)}, {.weights = {1, 2}}); }),
            "sample_from_datasets: there are 2 weights for 1 data sets");
  EXPECT_EQ(error([] { rows(3).bucket_by_sequence_length([](Tensor x) { return x.size(); }, {3, 3}, {1, 1, 1}); }),
            "bucket_by_sequence_length: each boundary must be larger than the one before");
  EXPECT_EQ(error([] { Dataset<int64_t>().batch(2); }),
            "the data set holds nothing: it was made by default; assign one first");
  EXPECT_EQ(error_of([] { Iterator<int64_t>().next(); }),
            "the iterator holds nothing: it was made by default or moved from; assign one first");
  EXPECT_EQ(error_of([] { from_tensor_slices(std::pair(zeros({3}), zeros({4}))); }),
            "from_tensor_slices: the parts of an element have 3 and 4 rows; they must be as many");
  EXPECT_EQ(error_of([] { from_tensor_slices(Tensor(1)); }), "from_tensor_slices: i32[] has no rows");
  EXPECT_EQ(error_of([] { choose_from_datasets(std::vector{range(3)}, range(1, 3)).to_vector(); }),
            "range > choose_from_datasets: element 0: choose_from_datasets: the choice 1 is not one of 0 .. 0");
  EXPECT_EQ(error_of([] { range(1, 5).map(run_of).padded_batch(4, {.shapes = {{3}}}).to_vector(); }),
            "range > map > padded_batch: padded_batch, element 0: padded_batch: an extent of 4 is beyond that of the "
            "stated shape [3]");
  EXPECT_EQ(error_of([] {
              range(9)
                  .map(run_of)
                  .bucket_by_sequence_length([](const Tensor& x) { return x.size(); }, {3}, {2, 2},
                                             {.pad_to_bucket_boundary = true})
                  .to_vector();
            }),
            "range > map > bucket_by_sequence_length: bucket_by_sequence_length, element 1: bucket_by_sequence_length: "
            "an element is as "
            "long as the last boundary, 3, or longer, so that it cannot be filled up to one; filter it out or add a "
            "boundary");
}

TEST(DataErrors, AnElementOfAnotherTypeIsNamedWhereElementsAreTakenByIndex) {
  const std::vector<Tensor> lists{zeros({3}), zeros({3}), zeros({3}), zeros({4})};
  EXPECT_EQ(error_of([&] { from_tensor_slices(lists).batch(2).to_vector(); }),
            "from_tensor_slices > batch: batch, element 3: batch: the element has f32[4] where the first of its batch has f32[3]; "
            "padded_batch takes elements of different extents");
}

TEST(DataErrors, IgnoredOnesLeaveOthers) {
  const auto odd = [](int64_t x) { return x % 2 == 0 ? throw Error("even") : x; };
  EXPECT_EQ(line_of(range(6).map(odd).ignore_errors()), "1;3;5");
  EXPECT_EQ(line_of(range(6).map(odd, {.parallel = 2}).prefetch(3).ignore_errors()), "1;3;5");
  EXPECT_EQ(line_of(zip(range(6).map(odd), range(6)).ignore_errors()), "(1,1);(3,3);(5,5)");  // side by side still
  EXPECT_EQ(line_of(range(1, 5).map(run_of).batch(1).concatenate(range(2, 4).map(run_of).batch(2)).ignore_errors()),
            "[[1]];[[2,2]];[[3,3,3]];[[4,4,4,4]]");
}

// ---- cache

class DataCache : public testing::Test {
 protected:
  DataCache() {
    std::string name = testing::TempDir() + "etch_data_XXXXXX";
    folder_ = mkdtemp(name.data());
    path_ = folder_ + "/cache";
  }
  ~DataCache() override { std::filesystem::remove_all(folder_); }
  size_t num_files() const {
    return static_cast<size_t>(
        std::distance(std::filesystem::directory_iterator(folder_), std::filesystem::directory_iterator()));
  }
  auto counted() {
    return range(6).map([this](int64_t i) { return ++calls_, std::tuple(run_of(i), i, std::to_string(i)); });
  }

  std::string folder_, path_;
  int calls_ = 0;
};

TEST_F(DataCache, KeepsAWholeWalk) {
  for (const std::string& path : {std::string(), path_}) {
    calls_ = 0;
    const auto dataset = counted().cache({.path = path});
    const auto first = texts_of(dataset);
    EXPECT_EQ(calls_, 6);
    EXPECT_EQ(texts_of(dataset, 1), first);
    EXPECT_EQ(line_of(dataset.skip(4)), "([4,4,4,4],4,4);([5,5,5,5,5],5,5)");
    EXPECT_EQ(calls_, 6);
  }
}

TEST_F(DataCache, ABrokenOffWalkLeavesNothing) {
  for (const std::string& path : {std::string(), path_}) {
    calls_ = 0;
    const auto dataset = counted().cache({.path = path});
    for (const auto& element : dataset) {
      if (std::get<1>(element) == 3) break;
    }
    EXPECT_EQ(num_files(), 0u);
    EXPECT_EQ(calls_, 4);
    EXPECT_EQ(texts_of(dataset).size(), 6u);
    EXPECT_EQ(calls_, 10);
  }
}

TEST_F(DataCache, AnErrorLeavesNothing) {
  bool fails = true;
  const auto dataset =
      range(6).map([&fails](int64_t i) { return fails && i == 4 ? throw Error("no") : i; }).cache({.path = path_});
  EXPECT_EQ(error_of([&] { dataset.to_vector(); }), "range > map > cache: map, element 4: no");
  EXPECT_EQ(num_files(), 0u);
  fails = false;
  EXPECT_EQ(line_of(dataset), "0;1;2;3;4;5");
  fails = true;
  EXPECT_EQ(line_of(dataset), "0;1;2;3;4;5");
}

TEST_F(DataCache, HoldsEpochZeroWhicheverWalkFillsIt) {
  const auto shuffled = range(20).shuffle(20, {.seed = 1});
  EXPECT_EQ(shuffled.cache().to_vector({.epoch = 5}), shuffled.to_vector());
}

TEST_F(DataCache, InAFileIsForAnotherProcessOfTheSamePipelineOnly) {
  counted().cache({.path = path_}).to_vector();
  EXPECT_EQ(texts_of(counted().cache({.path = path_})).size(), 6u);
  EXPECT_EQ(calls_, 6);
  EXPECT_THAT(error_of([&] { range(6).cache({.path = path_}).to_vector(); }), HasSubstr("holds other elements"));
}

TEST_F(DataCache, DamagedFilesAreErrorsThatNameTheByte) {
  counted().cache({.path = path_}).to_vector();
  std::ifstream in(path_, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const auto error_with = [&](const std::string& bytes) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
    return error_of([&] { counted().cache({.path = path_}).to_vector(); });
  };
  ASSERT_EQ(error_with(whole), "no error");
  for (size_t length = 0; length < whole.size(); length += 7) {
    EXPECT_THAT(error_with(whole.substr(0, length)), HasSubstr("cache")) << length;
  }
  uint64_t random = 1;
  for (int i = 0; i < 300; ++i) {
    std::string damaged = whole;
    random = detail::mix(random, 1);
    damaged[random % damaged.size()] ^= static_cast<char>(1 << (random >> 32) % 8);
    EXPECT_THAT(error_with(damaged), HasSubstr("cache")) << i;
  }
}

TEST_F(DataCache, InMemoryIsBounded) {
  const auto dataset = range(1000).map([](int64_t) { return etch::zeros({1000}); }).cache({.max_bytes = 100000});
  EXPECT_EQ(error_of([&] { dataset.to_vector(); }),
            "range > map > cache: element 23: cache: 24 elements take more than 100000 bytes of memory; cache them in "
            "a file, .path = "
            "..., or allow more, .max_bytes = ...");
}

TEST_F(DataCache, ThatCannotBeWrittenIsAnError) {
  EXPECT_THAT(error_of([] { range(3).cache({.path = "/no/such/folder/cache"}).to_vector(); }),
              HasSubstr("cache: cannot write /no/such/folder/cache: No such file or directory"));
}

}  // namespace
}  // namespace etch::data
