// Eager tensors: making them, reading them, indexing and slicing.
#include "etch/tensor.h"

#include <gtest/gtest.h>

#include <concepts>
#include <iterator>

#include <array>

#include "etch/buffer.h"
#include "etch/function.h"
#include "etch/ops.h"

namespace etch {
namespace {

TEST(Tensor, ScalarsHaveTheirOwnDType) {
  EXPECT_EQ(Tensor(1.5f).dtype(), DType::f32);
  EXPECT_EQ(Tensor(1.5).dtype(), DType::f64);
  EXPECT_EQ(Tensor(1).dtype(), DType::i32);
  EXPECT_EQ(Tensor(int8_t{1}).dtype(), DType::i8);
  EXPECT_EQ(Tensor(int16_t{1}).dtype(), DType::i16);
  EXPECT_EQ(Tensor('a').dtype(), DType::i32);
  EXPECT_EQ(Tensor(u'a').dtype(), DType::i32);
  EXPECT_EQ(Tensor(1L).dtype(), DType::i64);
  EXPECT_EQ(Tensor(1LL).dtype(), DType::i64);
  EXPECT_EQ(Tensor(1u).dtype(), DType::u32);
  EXPECT_EQ(Tensor(1ul).dtype(), DType::u64);
  EXPECT_EQ(Tensor(1ull).dtype(), DType::u64);
  EXPECT_EQ(Tensor(uint8_t{1}).dtype(), DType::u8);
  EXPECT_EQ(Tensor(true).dtype(), DType::boolean);
  EXPECT_EQ(Tensor(2.5f).item<float>(), 2.5f);
  EXPECT_EQ(Tensor(2.5f).rank(), 0);
}

TEST(Tensor, NestedListsOfAnyDepth) {
  const Tensor matrix({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}});
  EXPECT_EQ(to_string(matrix.shape()), "[2,3]");
  EXPECT_EQ(matrix.to_vector<float>(), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(to_string(Tensor({{1.f, 2.f}}).shape()), "[1,2]");
  EXPECT_EQ(to_string(Tensor({{{1.f}}}).shape()), "[1,1,1]");
  EXPECT_EQ(to_string(Tensor({1, 2, 3}).shape()), "[3]");
  EXPECT_EQ(to_string(Tensor({{{{{{{{1}}}}}}}}).shape()), "[1,1,1,1,1,1,1,1]");
  const Tensor assigned = {{true}, {false}};
  EXPECT_EQ(to_string(assigned.shape()), "[2,1]");
}

TEST(Tensor, MixedListsTakeTheLastDType) {
  EXPECT_EQ(Tensor({1, 2.5}).dtype(), DType::f64);
  EXPECT_EQ(Tensor({1, 2.5f}).dtype(), DType::f32);
  EXPECT_EQ(Tensor({1, 2L}).dtype(), DType::i64);
  EXPECT_EQ(Tensor({true, 2}).to_vector<int32_t>(), (std::vector<int32_t>{1, 2}));
  EXPECT_THROW(Tensor({16777217, 1.0f}), Error);
}

TEST(Tensor, ListsOfSeveralIntegerTypesTakeTheShortestThatHoldsAll) {
  EXPECT_EQ(Tensor({int8_t{-1}, uint8_t{200}}).dtype(), DType::i16);
  EXPECT_EQ(Tensor({1, 2u}).dtype(), DType::i64);
  EXPECT_EQ(Tensor({-1, 4'000'000'000u}).to_vector<int64_t>(), (std::vector<int64_t>{-1, 4'000'000'000}));
  EXPECT_EQ(Tensor({1, 18446744073709551615u}).to_vector<uint64_t>(), (std::vector<uint64_t>{1, UINT64_MAX}));
  EXPECT_THROW(Tensor({-1, 18446744073709551615u}), Error);
}

TEST(Tensor, NumbersBesideShortDTypes) {
  const Tensor x = full({2}, 3, DType::bf16);
  EXPECT_EQ((x + 0.5).dtype(), DType::bf16);
  EXPECT_EQ((x + 0.5).to_vector<bfloat16>()[1].bits, bfloat16(3.5).bits);
  EXPECT_EQ((x * 0.1).to_vector<bfloat16>()[0].bits, bfloat16(3 * static_cast<float>(bfloat16(0.1))).bits);
  EXPECT_THROW(x + 1e39, Error);
  EXPECT_EQ((full({2}, 3, DType::f16) * 10.0).to_vector<float16>()[0].bits, float16(30.0).bits);
  EXPECT_THROW(full({2}, 3, DType::f16) + 70000.0, Error);
  EXPECT_THROW(full({2}, 3, DType::u32) + (-1), Error);
  EXPECT_EQ((full({2}, 3, DType::u32) - 4).to_vector<uint32_t>()[0], UINT32_MAX);
  EXPECT_EQ((full({2}, 3, DType::u64) + 18446744073709551615u).to_vector<uint64_t>()[0], 2u);
  EXPECT_THROW(full({2}, 3, DType::u64) + (-1), Error);
  EXPECT_EQ((full({2}, 3, DType::u64) + 0x1p63).to_vector<uint64_t>()[0], (uint64_t{1} << 63) + 3);
  EXPECT_THROW(full({2}, 3, DType::u64) + 0x1p64, Error);
  EXPECT_THROW(full({2}, 3, DType::i8) + 128, Error);
  EXPECT_THROW(full({2}, 3, DType::u16) + 0.5, Error);
}

TEST(Tensor, ShortFloatsAreNumbersToo) {
  EXPECT_EQ(Tensor(bfloat16(1.5f)).dtype(), DType::bf16);
  EXPECT_EQ(Tensor(float16(1.5f)).item<float16>(), float16(1.5f));
  EXPECT_EQ(Tensor({bfloat16(1.5f), bfloat16(2.0f)}).dtype(), DType::bf16);
  EXPECT_EQ(Tensor({bfloat16(1.5f), float16(2.0f)}).dtype(), DType::f32);
  EXPECT_EQ((full({2}, 3, DType::bf16) * bfloat16(0.5f)).to_vector<bfloat16>()[0], bfloat16(1.5f));
  EXPECT_EQ((full({2}, 3.0, DType::f64) * float16(0.5f)).to_vector<double>()[0], 1.5);
  const auto scaled = function([](Tensor x, bfloat16 by) { return x * by; });
  EXPECT_EQ(scaled(full({1}, 3, DType::bf16), bfloat16(2.0f)).item<bfloat16>(), bfloat16(6.0f));
  EXPECT_EQ(scaled(full({1}, 3, DType::bf16), bfloat16(0.5f)).item<bfloat16>(), bfloat16(1.5f));
}

TEST(Tensor, HoldsEveryElementType) {
  const Tensor halves = Tensor::from(std::vector{float16(1.5f), float16(-2.0f)}, {2});
  EXPECT_EQ(halves.dtype(), DType::f16);
  EXPECT_EQ(to_string(halves), "[ 1.5 -2. ]");
  const Tensor brains = Tensor::from(std::vector{bfloat16(0.1f), bfloat16(1e30f)}, {2});
  EXPECT_EQ(brains.dtype(), DType::bf16);
  EXPECT_EQ(to_string(brains), "[1.e-01 1.e+30]");
  EXPECT_EQ(to_string(Tensor::from(std::vector<uint64_t>{UINT64_MAX}, {1})), "[18446744073709551615]");
  EXPECT_EQ(to_string(Tensor::from(std::vector<int8_t>{-128, 65}, {2})), "[-128   65]");
  EXPECT_TRUE(static_cast<bool>(full({}, 1, DType::bf16)));
  EXPECT_FALSE(static_cast<bool>(full({}, -0.0, DType::f16)));
}

TEST(Tensor, EmptyLists) {
  EXPECT_EQ(to_string(Tensor({}).shape()), "[0]");
  EXPECT_EQ(to_string(Tensor({{}, {}}).shape()), "[2,0]");
  EXPECT_EQ(Tensor({}).dtype(), DType::f32);
}

TEST(Tensor, RaggedListsAreErrors) {
  EXPECT_THROW(Tensor({{1, 2}, {3}}), Error);
  EXPECT_THROW(Tensor({{1, 2}, 3}), Error);
  EXPECT_THROW(Tensor({1, {2, 3}}), Error);
  EXPECT_THROW(Tensor({{}, {1}}), Error);
  EXPECT_THROW(Tensor({{1}, {}}), Error);
  EXPECT_THROW(Tensor({{{1}}, {1}}), Error);
}

TEST(Tensor, FromCopiesAnyContiguousRange) {
  std::vector<float> values{1, 2, 3, 4};
  const Tensor tensor = Tensor::from(values, {2, 2});
  values[0] = 9;
  EXPECT_EQ(tensor[0].to_vector<float>(), (std::vector<float>{1, 2}));
  EXPECT_EQ(Tensor::from(std::array<int64_t, 2>{1, 2}, {2}).dtype(), DType::i64);
  EXPECT_EQ(Tensor::from(std::span<const float>(values).first(2), {2}).size(), 2);
  EXPECT_EQ(Tensor(std::vector<bool>{true, false, true}).to_vector<bool>(), (std::vector<bool>{true, false, true}));
  EXPECT_THROW(Tensor::from(values, {3}), Error);
  EXPECT_THROW(Tensor::from(values, {-4}), Error);
}

TEST(Tensor, AdoptsMemoryAndGivesItBack) {
  alignas(8) static float memory[4] = {1, 2, 3, 4};
  static int released = 0;
  {
    Buffer buffer = Buffer::wrap(memory, sizeof memory, [](void*) { ++released; }, nullptr);
    Tensor tensor = Tensor::adopt(std::move(buffer), DType::f32, {2, 2});
    EXPECT_EQ(tensor.data<float>().data(), memory);
    const Tensor part = reshape(tensor, {4});
    tensor = Tensor();
    EXPECT_EQ(released, 0);
    EXPECT_EQ(part.data<float>()[3], 4.0f);
  }
  EXPECT_EQ(released, 1);
}

TEST(Tensor, IsACopyOfAVectorAnArrayOrASpan) {
  std::vector<float> values{1, 2, 3};
  const Tensor tensor(values), of_array(std::array<int32_t, 2>{4, 5}), of_span(std::span<const float>(values).last(1));
  values[2] = 9;
  EXPECT_EQ(tensor.to_vector<float>(), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(of_array.to_vector<int32_t>(), (std::vector<int32_t>{4, 5}));
  EXPECT_EQ(of_span.to_vector<float>(), (std::vector<float>{3}));
}

TEST(Tensor, BorrowsMemoryWithoutACopy) {
  std::vector<float> values{1, 2, 3, 4};
  const Tensor tensor = Tensor::borrow(values, {2, 2});
  EXPECT_EQ(tensor.data<float>().data(), values.data());
  EXPECT_EQ(to_string(tensor.shape()), "[2,2]");
  EXPECT_EQ(Tensor::borrow(std::span(values).subspan(1), 3).data<float>().data(), values.data() + 1);
  EXPECT_THROW(Tensor::borrow(values, {3}), Error);
  EXPECT_THROW(Tensor::borrow(values, {-4}), Error);
}

TEST(Tensor, BorrowedConstMemoryIsNoDestination) {
  const std::vector<float> constants{1, 2};
  std::vector<float> variables{1, 2};
  auto twice = function([](Tensor x) { return x * 2; });
  const Tensor x({3.f, 4.f});
  Tensor out = Tensor::borrow(variables, 2);
  twice.call_into(out, x);
  EXPECT_EQ(variables, (std::vector<float>{6, 8}));
  out = Tensor::borrow(constants, 2);
  EXPECT_THROW(twice.call_into(out, x), Error);
  out = reshape(Tensor::borrow(std::span(constants), {1, 2}), 2);
  EXPECT_THROW(twice.call_into(out, x), Error);
}

TEST(Tensor, AdoptsAVectorWithoutACopy) {
  std::vector<double> values{1, 2, 3};
  const double* data = values.data();
  const Tensor tensor = Tensor::adopt(std::move(values), 3);
  EXPECT_EQ(tensor.data<double>().data(), data);
  EXPECT_EQ(tensor.to_vector<double>(), (std::vector<double>{1, 2, 3}));
  EXPECT_THROW(Tensor::adopt(std::vector<float>(3), {2}), Error);
}

TEST(Tensor, AdoptsExternalMemoryAndReleasesItOnce) {
  int32_t memory[] = {1, 2, 3, 4};
  int released = 0;
  {
    const Tensor tensor = Tensor::adopt(memory, {2, 2}, [&] { ++released; });
    const Tensor part = reshape(tensor, 4);
    EXPECT_EQ(part.data<int32_t>().data(), memory);
    EXPECT_EQ(released, 0);
  }
  EXPECT_EQ(released, 1);
  EXPECT_THROW(Tensor::adopt(memory, {-1}, [&] { ++released; }), Error);
  EXPECT_EQ(released, 2) << "a call that fails releases too";
  EXPECT_THROW(Tensor::adopt(static_cast<int32_t*>(nullptr), 1, [] {}), Error);
}

static_assert(std::input_iterator<Tensor::Rows>);
static_assert(std::same_as<std::iterator_traits<Tensor::Rows>::iterator_category, std::input_iterator_tag>);

TEST(Tensor, LoopsOverTheFirstAxis) {
  const Tensor x = reshape(range(6), {3, 2});
  int32_t next = 0;
  for (Tensor row : x) {
    EXPECT_EQ(row.to_vector<int32_t>(), (std::vector<int32_t>{next, next + 1}));
    next += 2;
  }
  EXPECT_EQ(next, 6);
  for (Tensor row : zeros({0, 2})) FAIL() << row;
  const auto sum_of_rows = function([](Tensor x) {
    Tensor total = zeros(2, DType::i32);
    for (Tensor row : x) total += row;
    return total;
  });
  EXPECT_EQ(sum_of_rows(x).to_vector<int32_t>(), (std::vector<int32_t>{6, 9}));
  EXPECT_EQ(std::vector<Tensor>(x.begin(), x.end()).size(), 3u);
  EXPECT_THROW(x[0][0].begin(), Error);
}

TEST(Tensor, ExtentsUnpack) {
  const auto [height, width] = zeros({3, 5}).extents<2>();
  EXPECT_EQ(height, 3);
  EXPECT_EQ(width, 5);
  EXPECT_THROW(zeros({3, 5}).extents<3>(), Error);
  EXPECT_THROW(Tensor().extents<1>(), Error);
}

TEST(Tensor, DTypesOutOfTheEnumAreErrors) {
  const auto none = static_cast<DType>(200);
  const Tensor x({1.f, 2.f});
  EXPECT_THROW(zeros(2, none), Error);
  EXPECT_THROW(full(2, 1, none), Error);
  EXPECT_THROW(iota(2, 0, none), Error);
  EXPECT_THROW(range(2, none), Error);
  EXPECT_THROW(linspace(0, 1, 3, none), Error);
  EXPECT_THROW(eye(2, none), Error);
  EXPECT_THROW(cast(x, none), Error);
  EXPECT_THROW(bitcast(x, none), Error);
  EXPECT_THROW((void)result_type(x, none), Error);
  EXPECT_THROW(size_of(none), Error);
  EXPECT_EQ(to_string(none), "no dtype");
  EXPECT_THROW(dispatch(none, []<class T> { return 0; }), Error);
  EXPECT_THROW((void)Tensor(TensorSpec{none, {2}}), Error);
  static float memory[2];
  EXPECT_THROW(Tensor::adopt(Buffer::wrap(memory, 8, [](void*) {}, nullptr), none, 2), Error);
}

TEST(Tensor, AdoptChecksSizeAndAlignment) {
  alignas(8) static char memory[16];
  const auto wrap = [](char* data, int64_t bytes) { return Buffer::wrap(data, bytes, [](void*) {}, nullptr); };
  EXPECT_THROW(Tensor::adopt(wrap(memory, 16), DType::f32, {5}), Error);
  EXPECT_THROW(Tensor::adopt(wrap(memory + 1, 8), DType::f32, {1}), Error);
}

TEST(Tensor, ReadingAnotherDTypeIsAnError) {
  EXPECT_THROW(Tensor(1.0f).item<double>(), Error);
  EXPECT_THROW(Tensor({1.0f, 2.0f}).data<int32_t>(), Error);
  EXPECT_THROW(Tensor({1.0f, 2.0f}).item<float>(), Error);
}

TEST(Tensor, TruthNeedsOneElement) {
  EXPECT_TRUE(static_cast<bool>(Tensor(2.0f)));
  EXPECT_FALSE(static_cast<bool>(Tensor({{0}})));
  EXPECT_THROW(static_cast<void>(static_cast<bool>(Tensor({1, 2}))), Error);
}

TEST(Tensor, DefaultMadeHoldsNothing) {
  Tensor tensor;
  EXPECT_FALSE(tensor.defined());
  EXPECT_THROW(tensor.dtype(), Error);
  EXPECT_THROW(tensor + 1, Error);
  tensor = Tensor(1.0f);
  EXPECT_TRUE(tensor.defined());
}

TEST(Tensor, SmallReshapeOutlivesItsSource) {
  Tensor shaped;
  {
    const Tensor source({1.f, 2.f, 3.f, 4.f});
    shaped = reshape(source, {2, 2});
    EXPECT_EQ(shaped.data<float>().data(), source.data<float>().data());
  }
  EXPECT_EQ(shaped.to_vector<float>(), (std::vector<float>{1, 2, 3, 4}));
}

TEST(Tensor, HugeShapesAreErrors) {
  EXPECT_THROW(zeros({int64_t{1} << 40, int64_t{1} << 40}), Error);
  EXPECT_THROW(zeros({int64_t{1} << 45}), Error);
  EXPECT_THROW(zeros({-1}), Error);
}

std::vector<int32_t> values_of(const Tensor& x) { return x.to_vector<int32_t>(); }

TEST(Slicing, FollowsPython) {
  const Tensor x = range(10);
  EXPECT_EQ(values_of(x.slice({{2, 5}})), (std::vector<int32_t>{2, 3, 4}));
  EXPECT_EQ(values_of(x.slice({{-3, kOpen}})), (std::vector<int32_t>{7, 8, 9}));
  EXPECT_EQ(values_of(x.slice({{kOpen, -7}})), (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(values_of(x.slice({{1, 8, 3}})), (std::vector<int32_t>{1, 4, 7}));
  EXPECT_EQ(values_of(x.slice({{kOpen, kOpen, -4}})), (std::vector<int32_t>{9, 5, 1}));
  EXPECT_EQ(values_of(x.slice({{7, 2, -2}})), (std::vector<int32_t>{7, 5, 3}));
  EXPECT_EQ(values_of(x.slice({{5, 100}})), (std::vector<int32_t>{5, 6, 7, 8, 9}));
  EXPECT_EQ(values_of(x.slice({{-100, 2}})), (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(values_of(x.slice({{5, 5}})), (std::vector<int32_t>{}));
  EXPECT_EQ(values_of(x.slice({{8, 2}})), (std::vector<int32_t>{}));
  EXPECT_EQ(values_of(x.slice({{0, 10, INT64_MAX}})), (std::vector<int32_t>{0}));
  EXPECT_EQ(values_of(x.slice({{kOpen, kOpen, INT64_MIN + 1}})), (std::vector<int32_t>{9}));
  EXPECT_EQ(values_of(x.slice({{INT64_MIN + 1, INT64_MAX}})).size(), 10u);
}

TEST(Slicing, IndicesDropTheirAxis) {
  const Tensor x = reshape(range(24), {2, 3, 4});
  EXPECT_EQ(to_string(x[1].shape()), "[3,4]");
  EXPECT_EQ(x[-1][2][3].item<int32_t>(), 23);
  EXPECT_EQ(to_string(x.slice({{}, 1, {1, 3}}).shape()), "[2,2]");
  EXPECT_EQ(values_of(x.slice({{}, 1, {1, 3}})), (std::vector<int32_t>{5, 6, 17, 18}));
  EXPECT_EQ(to_string(x.slice({}).shape()), "[2,3,4]");
}

TEST(Slicing, ReadsWell) {
  const Tensor x = reshape(range(24), {2, 3, 4});
  const auto same = [](const Tensor& a, const Tensor& b) { return static_cast<bool>(array_equal(a, b)); };
  EXPECT_TRUE(same(x(1, 2), x[1][2]));
  EXPECT_TRUE(same(x(1, 2, -1), Tensor(23)));
  EXPECT_TRUE(same(x[{1, Slice(1, 3)}], x.slice({1, {1, 3}})));
  EXPECT_TRUE(same(x(Slice::from(1)), x.slice({{1, kOpen}})));
  EXPECT_TRUE(same(x[Slice::to(-1)], x.slice({{kOpen, -1}})));
  EXPECT_TRUE(same(x(ellipsis, Slice(0, 4).by(2)), x.slice({{}, {}, {0, 4, 2}})));
  EXPECT_TRUE(same(x[{ellipsis, 1}], x.slice({{}, {}, 1})));
  EXPECT_TRUE(same(x[{0, ellipsis, 1}], x.slice({0, {}, 1})));
  EXPECT_TRUE(same(x[{0, 1, 2, ellipsis}], Tensor(6)));
  EXPECT_TRUE(same(x[{newaxis, 1, ellipsis, newaxis}], expand_dims(expand_dims(x[1], 0), -1)));
  EXPECT_TRUE(same(x[newaxis], expand_dims(x, 0)));
  EXPECT_TRUE(same(x[{}], x));
  EXPECT_TRUE(same(x[ellipsis], x));
  const std::vector<Slice> slices{Slice(), 1};
  EXPECT_TRUE(same(x[slices], x(Slice(), 1)));
  EXPECT_THROW((x[{ellipsis, 0, ellipsis}]), Error);
  EXPECT_THROW((x[{ellipsis, 0, 0, 0, 0}]), Error);
  EXPECT_THROW((x[{newaxis, newaxis, newaxis, newaxis, newaxis, newaxis}]), Error);
  EXPECT_EQ((x[{newaxis, newaxis, newaxis, newaxis, newaxis, newaxis, 0}].rank()), 8);
  EXPECT_THROW((x[std::vector<int>().size() - 1]), Error) << "an unsigned difference below 0";
}

TEST(Slicing, OutOfRangeIndicesAndZeroStepsAreErrors) {
  const Tensor x = range(3);
  EXPECT_THROW(x[3], Error);
  EXPECT_THROW(x[-4], Error);
  EXPECT_THROW(x[0][0], Error);
  EXPECT_THROW(x.slice({{0, 1, 0}}), Error);
  EXPECT_THROW(x.slice({{}, {}}), Error);
}

}  // namespace
}  // namespace etch
