// Variables by themselves: what they hold, eager reads and assignments, and what they refuse.
#include <gtest/gtest.h>

#include <sstream>
#include <utility>

#include "etch/buffer.h"
#include "etch/function.h"
#include "etch/ops.h"
#include "etch/variable.h"
#include "tests/frontend/error_of.h"

namespace etch {
namespace {

using Floats = std::vector<float>;

Floats floats(const Variable& v) { return v.value().to_vector<float>(); }

// The place of the line above.
#define ABOVE ("variable_test.cc:" + std::to_string(__LINE__ - 1) + ": ")
// And of this line.
#define HERE ("variable_test.cc:" + std::to_string(__LINE__) + ": ")

TEST(Variable, HoldsTheTensorThatItIsMadeFrom) {
  const Tensor x({1.f, 2.f});
  const Variable v(x);
  EXPECT_EQ(v.dtype(), DType::f32);
  EXPECT_EQ(v.shape(), Shape({2}));
  EXPECT_EQ(v.value().data<float>().data(), x.data<float>().data()) << "no copy";
}

TEST(Variable, IsMadeFromNumbersListsAndCallables) {
  EXPECT_EQ(Variable(2.5f).value().item<float>(), 2.5f);
  EXPECT_EQ(Variable(7).dtype(), DType::i32);
  EXPECT_EQ(Variable({1.f}).shape(), Shape({1}));
  EXPECT_EQ(floats(Variable({{1.f, 2.f}, {3.f, 4.f}})), (Floats{1, 2, 3, 4}));
  EXPECT_EQ(floats(Variable([] { return full(2, 3.f); })), (Floats{3, 3}));
  auto f = function([] { return ones(2); });
  EXPECT_EQ(floats(Variable(f)), (Floats{1, 1}));
}

TEST(Variable, HasANameAndMayBeTrainable) {
  const Variable v(0.f, {.name = "rate", .trainable = false});
  EXPECT_EQ(v.name(), "rate");
  EXPECT_FALSE(v.trainable());
  const Variable w(0.f);
  EXPECT_EQ(w.name() + ": ", ABOVE);
  EXPECT_TRUE(w.trainable());
}

TEST(Variable, CopiesShareTheCell) {
  const Variable a({1.f, 2.f});
  const Variable b = a;
  b.assign(Tensor({3.f, 4.f}));
  EXPECT_EQ(floats(a), (Floats{3, 4}));
}

TEST(Variable, TheLastHandleFreesIt) {
  const int64_t before = memory_stats().live_bytes;
  Variable a(zeros({1 << 16}));
  Variable b = a;
  a = Variable();
  EXPECT_EQ(memory_stats().live_bytes, before + (4 << 16));
  b = Variable();
  EXPECT_EQ(memory_stats().live_bytes, before);
}

TEST(Variable, ATensorThatWasReadNeverChanges) {
  const Variable v({1.f, 2.f});
  const Tensor before = v;
  v.assign(Tensor({5.f, 6.f}));
  v += 1;
  EXPECT_EQ(before.to_vector<float>(), (Floats{1, 2}));
  EXPECT_EQ(floats(v), (Floats{6, 7}));
}

TEST(Variable, IsAnOperandOfOpsAndOperators) {
  const Variable v({1.f, -2.f});
  const Tensor x({10.f, 20.f});
  EXPECT_EQ((v * x).to_vector<float>(), (Floats{10, -40}));
  EXPECT_EQ((x - v).to_vector<float>(), (Floats{9, 22}));
  EXPECT_EQ((v + v).to_vector<float>(), (Floats{2, -4}));
  EXPECT_EQ((2 * v).to_vector<float>(), (Floats{2, -4}));
  EXPECT_EQ((-v).to_vector<float>(), (Floats{-1, 2}));
  EXPECT_EQ(abs(v).to_vector<float>(), (Floats{1, 2}));
  EXPECT_EQ(where(v > 0, v, x).to_vector<float>(), (Floats{1, 20}));
  EXPECT_EQ(concat(0, v, x).shape(), Shape({4}));
  EXPECT_TRUE(all(v == v).item<bool>());
  EXPECT_FALSE(!Variable(true).value().item<bool>() || (!Variable(true)).item<bool>());
  auto twice = function([](Tensor y) { return y * 2; });
  EXPECT_EQ(twice(v).to_vector<float>(), (Floats{2, -4}));
}

TEST(Variable, AssignsNumbersSumsAndDifferences) {
  const Variable v({1.f, 2.f});
  v.assign_add(Tensor({1.f, 1.f}));
  v.assign_sub(0.5f);  // broadcasts
  EXPECT_EQ(floats(v), (Floats{1.5, 2.5}));
  (v += 1) -= 2;
  EXPECT_EQ(floats(v), (Floats{0.5, 1.5}));
  v.assign(3);
  EXPECT_EQ(floats(v), (Floats{3, 3}));
  v.assign(Variable({1.f, 2.f}));
  EXPECT_EQ(floats(v), (Floats{1, 2}));
  v += v;
  EXPECT_EQ(floats(v), (Floats{2, 4}));
}

TEST(Variable, BorrowedMemoryIsNotWritten) {
  std::vector<float> mine{1, 2};
  const Variable v(Tensor::borrow(mine, {2}));
  auto f = function([&v] { v.assign_add(1); });
  f();
  f();
  EXPECT_EQ(mine, (Floats{1, 2}));
  EXPECT_EQ(floats(v), (Floats{3, 4}));
}

TEST(Variable, CallIntoDoesNotWriteToItsValue) {
  const Variable v({1.f, 2.f});
  auto f = function([](Tensor x) { return x + 1; }, {.name = "f"});
  Tensor read = v;
  EXPECT_NE(error_of([&] { f.call_into(read, ones(2)); }).find("shares its memory with another tensor"), std::string::npos);
}

TEST(Variable, PrintsNameTypeAndValue) {
  std::ostringstream text;
  text << Variable({1.f, 2.f}, {.name = "v"}) << Variable({{1}}, {.name = "w"}) << Variable();
  EXPECT_EQ(text.str(), "<variable v f32[2]: [1. 2.]><variable w i32[1,1]:\n[[1]]><no variable>");
}

TEST(Variable, AnotherTypeCannotBeAssigned) {
  const Variable v({1.f, 2.f}, {.name = "v"});
  EXPECT_EQ(error_of([&] { v.assign(ones(3)); }),
            ABOVE + "assign: variable v f32[2] cannot take f32[3]; the dtype and shape of a variable are fixed: cast, "
                    "reshape or reduce the value");
  EXPECT_EQ(error_of([&] { v.assign(ones(2, DType::f64)); }),
            ABOVE + "assign: variable v f32[2] cannot take f64[2]; the dtype and shape of a variable are fixed: cast, "
                    "reshape or reduce the value");
  EXPECT_EQ(error_of([&] { v.assign_add(ones({3, 1})); }),
            ABOVE + "assign_add: variable v f32[2] cannot take the result, f32[3,2]; the dtype and shape of a variable are "
                    "fixed: cast, reshape or reduce the value");
  EXPECT_EQ(error_of([&] { Variable(1, {.name = "n"}).assign(0.5f); }),
            ABOVE + "assign: the number 0.5 cannot become i32");
  EXPECT_EQ(floats(v), (Floats{1, 2}));
}

TEST(Variable, AnEmptyHandleIsAnError) {
  const std::string text = "the variable holds nothing: it was made by default or moved from; assign one first";
  Variable v;
  EXPECT_FALSE(v.defined());
  EXPECT_EQ(error_of([&] { (void)v.value(); }), HERE + text);
  EXPECT_EQ(error_of([&] { (void)v.shape(); }), HERE + text);
  EXPECT_EQ(error_of([&] { v += 1; }), HERE + text);
  EXPECT_EQ(error_of([&] { (void)(v + 1); }), HERE + text);
  const Variable w(0.f, {.name = "w"});
  EXPECT_EQ(error_of([&] { w.assign(Tensor()); }),
            ABOVE + "assign: the value for variable w f32[] holds nothing: it was made by default or moved from; assign one "
                    "first");
  EXPECT_EQ(error_of([&] { Variable made{Tensor()}; }),
            ABOVE + "the tensor holds nothing: it was made by default or moved from; assign one first");
}

TEST(Variable, HasNoValueOfASpec) {
  const Variable w(0.f, {.name = "w"});
  EXPECT_EQ(error_of([&] { w.assign(Tensor(TensorSpec{})); }),
            ABOVE + "assigning to variable w f32[]: the tensor is a TensorSpec f32[], which has no elements; only concrete() "
                    "and explain() take it");
}

}  // namespace
}  // namespace etch
