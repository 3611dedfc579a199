// Dims, the lists of axes and extents: what they are made from, how they print, and what they refuse.
#include "etch/shape.h"

#include <gtest/gtest.h>

#include <array>
#include <sstream>
#include <vector>

#include "etch/ops.h"

namespace etch {
namespace {

constexpr Shape kEight{1, 2, 3, 4, 5, 6, 7, 8};

TEST(Shape, IsMadeFromListsAndRangesOfIntegers) {
  EXPECT_EQ(Shape(5), Shape{5});
  EXPECT_EQ(Shape(std::vector<int>{2, 3}), (Shape{2, 3}));
  EXPECT_EQ(Shape(std::array<size_t, 2>{2, 3}), (Shape{2, 3}));
  const std::vector<float> values(7);
  EXPECT_EQ((Shape{values.size(), 1u, int8_t{2}}), (Shape{7, 1, 2}));
  EXPECT_EQ(zeros(5).shape(), Shape{5});
  EXPECT_EQ(zeros(std::vector<int64_t>{2, 3}).shape(), (Shape{2, 3}));
  EXPECT_EQ(reshape(zeros({2, 3}), -1).shape(), Shape{6});
  EXPECT_EQ(sum(zeros({2, 3, 4}), std::vector<int>{0, 2}).shape(), Shape{3});
  EXPECT_EQ(sum(zeros({2, 3, 4}), std::array{1}).shape(), (Shape{2, 4}));
}

TEST(Shape, PrintsAsAList) {
  std::ostringstream stream;
  stream << kEight << ' ' << Shape() << ' ' << DType::boolean;
  EXPECT_EQ(stream.str(), "[1,2,3,4,5,6,7,8] [] bool");
  EXPECT_EQ(to_string(Shape(3)) + to_string(DType::f32), "[3]f32");
}

TEST(Shape, HasAtMostEightEntries) {
  EXPECT_THROW((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), Error);
  EXPECT_THROW(Shape(std::vector<int>(9)), Error);
  EXPECT_THROW(Shape::filled(9, 1), Error);
  Shape shape = kEight;
  EXPECT_THROW(shape.push_back(9), Error);
  EXPECT_THROW(shape.insert(0, 9), Error);
  EXPECT_EQ(shape, kEight);
}

TEST(Shape, RefusesIndicesOutOfRange) {
  Shape shape{1, 2};
  EXPECT_THROW((void)shape[2], Error);
  EXPECT_THROW((void)shape[-1], Error);
  EXPECT_THROW(shape[2] = 1, Error);
  EXPECT_THROW(shape.erase(2), Error);
  EXPECT_THROW(shape.erase(-1), Error);
  EXPECT_THROW(shape.insert(3, 1), Error);
  EXPECT_THROW(shape.insert(-1, 1), Error);
  EXPECT_EQ(shape, (Shape{1, 2}));
  shape.insert(2, 3);
  EXPECT_EQ(shape, (Shape{1, 2, 3}));
}

TEST(Shape, RefusesToTakeFromNothing) {
  Shape shape;
  EXPECT_THROW((void)shape.back(), Error);
  EXPECT_THROW(shape.pop_back(), Error);
  EXPECT_THROW(shape.erase(0), Error);
}

TEST(Shape, RefusesIntegersBeyondInt64) {
  EXPECT_THROW(Shape{UINT64_MAX}, Error);
  EXPECT_THROW(Shape(std::vector<uint64_t>{UINT64_MAX}), Error);
  EXPECT_THROW((void)(Shape{int64_t{1} << 40, int64_t{1} << 40}.product()), Error);
}

TEST(Shape, WorksAtCompileTime) {
  static_assert(kEight.back() == 8 && kEight[0] == 1 && kEight.product() == 40320);
}

}  // namespace
}  // namespace etch
