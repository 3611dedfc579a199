// batches: rows in order or shuffled, the same way for the same seed.
#include "etch/batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "etch/ops.h"
#include "tests/frontend/error_of.h"

namespace etch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// The labels of each batch; checks that the rows beside them are theirs.
std::vector<std::vector<int32_t>> walk(Batches& batches) {
  std::vector<std::vector<int32_t>> all;
  for (auto [x, y] : batches) {
    EXPECT_TRUE(array_equal(x, transpose(stack(y * 2, y * 2 + 1))).item<bool>());
    all.push_back(y.to_vector<int32_t>());
  }
  return all;
}

Tensor images(int64_t n) { return reshape(range(2 * n), {n, 2}); }

TEST(Batches, WithoutASeedComeInOrderTheLastOneShorter) {
  Batches all = batches(images(5), range(5), 2);
  EXPECT_THAT(walk(all), ElementsAre(ElementsAre(0, 1), ElementsAre(2, 3), ElementsAre(4)));
  EXPECT_EQ(all.count(), 3);
}

TEST(Batches, WithASeedHaveEachRowOnceInAnotherOrder) {
  Batches all = batches(images(100), range(100), 32, 1);
  std::vector<int32_t> rows;
  for (const auto& batch : walk(all)) rows.insert(rows.end(), batch.begin(), batch.end());
  EXPECT_FALSE(std::ranges::is_sorted(rows));
  std::ranges::sort(rows);
  EXPECT_EQ(rows, range(100).to_vector<int32_t>());
}

TEST(Batches, AreOrderedBySeedAndWalk) {
  Batches a = batches(images(50), range(50), 50, 1), b = batches(images(50), range(50), 50, 1);
  const auto first = walk(a), second = walk(a);
  EXPECT_NE(first, second);
  EXPECT_EQ(walk(b), first);
  EXPECT_EQ(walk(b), second);
  Batches other = batches(images(50), range(50), 50, 2);
  EXPECT_NE(walk(other), first);
}

TEST(Batches, OfNoRowsAreNone) {
  Batches none = batches(images(0), range(0), 4, 1);
  EXPECT_TRUE(walk(none).empty());
}

TEST(Batches, MisuseIsAnError) {
  EXPECT_THAT(error_of([] { (void)batches(images(5), range(4), 2); }), HasSubstr("the tensors have 5 and 4 rows"));
  EXPECT_THAT(error_of([] { (void)batches(images(5), range(5), 0); }), HasSubstr("a batch of 0 rows"));
  EXPECT_THAT(error_of([] { (void)batches(Tensor(1), range(5), 1); }), HasSubstr("i32[] has no rows"));
}

}  // namespace
}  // namespace etch
