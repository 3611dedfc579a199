// Indices that are out of range: what the Error says, in every way of running, and what it leaves.
#include <gtest/gtest.h>

#include "etch/function.h"
#include "etch/gradient_tape.h"
#include "etch/ops.h"
#include "etch/variable.h"
#include "tests/frontend/error_of.h"

namespace etch {
namespace {

const Tensor kTable({{1.f, 2.f}, {3.f, 4.f}, {5.f, 6.f}});

/// Every way of running a function: eager, and traced with each of these options.
struct Way {
  const char* name;
  const char* flags;
  FunctionOptions options;
};
class Indices : public testing::TestWithParam<Way> {
 protected:
  template <class F>
  auto function(F f) {
    return etch::function(std::move(f), GetParam().options);
  }

 private:
  ScopedFlags flags_{GetParam().flags};
};
INSTANTIATE_TEST_SUITE_P(Ways, Indices,
                         testing::Values(Way{"eager", "eager", {}}, Way{"eager_on_two_threads", "eager,threads=2,grain=1", {}},
                                         Way{"fused", "", {}}, Way{"fused_on_two_threads", "threads=2,grain=1", {}},
                                         Way{"unfused", "threads=2,grain=1", {.fuse = false}},
                                         Way{"unsimplified", "", {.simplify = false}}),
                         [](const auto& info) { return info.param.name; });

// The place of the line above.
#define ABOVE ("indices_test.cc:" + std::to_string(__LINE__ - 1) + ": ")

TEST_P(Indices, TheFirstOneIsNamedWithItsPlace) {
  auto f = function([](Tensor x, Tensor i) { return exp(gather(x, i)) + 1; });
  const std::string op = ABOVE + "gather(f32[3,2], i32[2,3]) axis=0: ";
  EXPECT_EQ(error_of([&] { f(kTable, Tensor({{0, 1, 2}, {1, 7, 3}})); }),
            op + "index 7, at [1,1] of the indices, is not in 0..2; clip the indices first");
  EXPECT_EQ(error_of([&] { f(kTable, Tensor({{0, 1, -1}, {1, 0, 3}})); }),
            op + "index -1, at [0,2] of the indices, is not in 0..2; negative indices do not count from the end");
  EXPECT_EQ(f(kTable * 0, Tensor({{0, 1, 2}, {2, 1, 0}})).to_vector<float>(), std::vector<float>(12, 2.f)) << "it still works";
}

TEST_P(Indices, OfOneLaneEachAreNamedToo) {
  auto f = function([](Tensor x, Tensor i) { return gather(x, i) * 2; });
  const std::string op = ABOVE + "gather(f64[100], i64[50]) axis=0: ";
  std::vector<int64_t> indices(50, 3);
  indices[41] = int64_t{1} << 40;
  indices[47] = 100;
  EXPECT_EQ(error_of([&] { f(ones(100, DType::f64), Tensor::from(indices, 50)); }),
            op + "index 1099511627776, at [41] of the indices, is not in 0..99; clip the indices first");
}

TEST_P(Indices, OfUnsignedIntegersBeyondAllSignedOnesAreTheLargestOfThese) {
  auto f = function([](Tensor x, Tensor i) { return gather(x, i); });
  const std::string op = ABOVE + "gather(f32[3,2], i64[1]) axis=0: ";
  EXPECT_EQ(error_of([&] { f(kTable, Tensor({~uint64_t{0}})); }),
            op + "index 9223372036854775807, at [0] of the indices, is not in 0..2; clip the indices first");
}

TEST_P(Indices, OfScatterAddAreNamed) {
  auto f = function([](Tensor x, Tensor i, Tensor u) { return scatter_add(x, i, u, 1); });
  const std::string op = ABOVE + "scatter_add(f32[3,2], i32[3], f32[3,3]) axis=1 extent=2: ";
  EXPECT_EQ(error_of([&] { f(kTable, Tensor({0, 5, -2}), ones({3, 3})); }),
            op + "index 5, at [1] of the indices, is not in 0..1; clip the indices first");
}

TEST_P(Indices, ThatAReductionReadsAreNamed) {
  auto f = function([](Tensor x, Tensor i) { return sum(gather(x, i), 0); });
  const std::string op = ABOVE + "gather(f32[3,2], i32[2]) axis=0: ";
  EXPECT_EQ(error_of([&] { f(kTable, Tensor({0, 3})); }),
            op + "index 3, at [1] of the indices, is not in 0..2; clip the indices first");
}

TEST_P(Indices, AreThoseOfTheOpThatFails) {
  auto f = function([](Tensor x, Tensor i, Tensor j) {
    return gather(x, i) +
           gather(x, j);
  });
  const std::string op = "indices_test.cc:" + std::to_string(__LINE__ - 2) + ": gather(f32[3,2], i32[1]) axis=0: ";
  EXPECT_EQ(error_of([&] { f(kTable, Tensor({1}), Tensor({4})); }),
            op + "index 4, at [0] of the indices, is not in 0..2; clip the indices first");
}

TEST_P(Indices, OutOfRangeLeaveVariablesAsTheyWere) {
  const Variable before({1.f, 2.f}), behind({3.f, 4.f}), table(kTable);
  auto f = function([&](Tensor i) {
    before.assign(before * 2);
    const Tensor row = gather(table.value(), i);
    table.assign(table + 1);
    behind.assign(behind + row);
    return row;
  });
  f(Tensor(1));
  EXPECT_EQ(behind.value().to_vector<float>(), (std::vector<float>{6, 8}));
  const std::vector<float> values = table.value().to_vector<float>();
  if (std::string_view(GetParam().flags).starts_with("eager")) return;  // there each op is a call of its own
  EXPECT_NE(error_of([&] { f(Tensor(3)); }), "no error");
  EXPECT_EQ(before.value().to_vector<float>(), (std::vector<float>{2, 4}));
  EXPECT_EQ(table.value().to_vector<float>(), values);
  EXPECT_EQ(behind.value().to_vector<float>(), (std::vector<float>{6, 8}));
}

TEST_P(Indices, ThatNothingNeedsAreNotLookedAt) {
  if (!GetParam().options.simplify || std::string_view(GetParam().flags).starts_with("eager")) return;
  auto f = function([](Tensor x, Tensor i) {
    const Tensor unused = gather(x, i);
    return x + 1;
  });
  EXPECT_EQ(error_of([&] { f(kTable, Tensor({9})); }), "no error");
}

}  // namespace
}  // namespace etch
