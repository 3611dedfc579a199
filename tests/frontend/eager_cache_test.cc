// What a thread keeps of the compiled functions of eager ops.
#include "frontend/eager_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "compiler/codegen/target.h"
#include "etch/etch.h"

namespace etch::detail {
namespace {

/// `negate` of a shape that no other test asks for.
struct Negation {
  explicit Negation(int64_t extent) : shape{extent} {}
  EagerKeyView view() const { return {op, {&type, 1}, {}, &host_target()}; }

  const AnyOp op = Op::neg;
  const Shape shape;
  const OperandType type{DType::f32, &shape};
};

std::shared_ptr<const EagerKernel> kernel_of(const EagerKeyView& key) {
  auto kernel = std::make_shared<EagerKernel>(key);
  kernel->is_plain = true;
  return kernel;
}

TEST(LentKernel, IsTheThreadsAgainAfterTheCall) {
  const Negation op(70'001);
  const EagerKernel* kernel;
  {
    LentKernel lent(op.view());
    ASSERT_EQ(lent.get(), nullptr);
    lent.fill(kernel_of(op.view()));
    kernel = lent.get();
  }
  EXPECT_EQ(LentKernel::recent(op.view()).get(), kernel);
  EXPECT_EQ(LentKernel::recent(op.view()).get(), kernel);
}

TEST(LentKernel, IsNotLentTwice) {
  const Negation op(70'002);
  LentKernel(op.view()).fill(kernel_of(op.view()));
  const LentKernel lent = LentKernel::recent(op.view());
  ASSERT_NE(lent.get(), nullptr);
  EXPECT_EQ(LentKernel::recent(op.view()).get(), nullptr);
  EXPECT_EQ(LentKernel(op.view()).get(), lent.get()) << "the cache of all threads has it";
}

TEST(LentKernel, AnotherKeyAtItsPlaceGetsItsOwn) {
  constexpr int kMoreThanPlaces = 200;
  std::vector<std::unique_ptr<Negation>> ops;
  for (int i = 0; i < kMoreThanPlaces; ++i) ops.push_back(std::make_unique<Negation>(80'000 + i));
  for (const auto& op : ops) LentKernel(op->view()).fill(kernel_of(op->view()));
  int kept = 0;
  for (const auto& op : ops) {
    const LentKernel lent = LentKernel::recent(op->view());
    if (lent.get() == nullptr) continue;
    EXPECT_TRUE(lent.get()->key.view() == op->view());
    ++kept;
  }
  EXPECT_GT(kept, 0);
  EXPECT_LT(kept, kMoreThanPlaces);
}

TEST(LentKernel, StandsBesideThatOfAnOpWithOtherFields) {
  const Shape shape{70'004, 1, 1, 1, 1, 1, 1, 1};
  const OperandType type{DType::f32, &shape};
  std::vector<AnyOp> sums;
  for (int axis = 0; axis < kMaxRank; ++axis) sums.push_back(op::Reduce{ReduceKind::sum, {axis}});
  const auto key = [&](const AnyOp& op) { return EagerKeyView{op, {&type, 1}, {}, &host_target()}; };
  for (const AnyOp& op : sums) LentKernel(key(op)).fill(kernel_of(key(op)));
  const auto at_hand = std::ranges::count_if(sums, [&](const AnyOp& op) { return LentKernel::recent(key(op)).get() != nullptr; });
  EXPECT_GT(at_hand, 1) << "any two may share a place, but not all";
}

TEST(LentKernel, OfAnotherThreadComesFromTheCacheOfAll) {
  const Negation op(70'003);
  LentKernel first(op.view());
  first.fill(kernel_of(op.view()));
  std::thread([&] {
    EXPECT_EQ(LentKernel::recent(op.view()).get(), nullptr);
    EXPECT_EQ(LentKernel(op.view()).get(), first.get());
  }).join();
}

TEST(EagerOp, GivesTheSameBitsAndErrorsOnceItsKernelIsAtHand) {
  const auto run = [](const Tensor& x) {
    std::vector<float> all;
    for (const Tensor& y : {x + x, x * 2, 1 - x, tanh(x), where(x > 0, x, -1.0f), maximum(x, 0.5), cast(cast(x, DType::f64), DType::f32)}) {
      const std::vector<float> of_op = y.to_vector<float>();
      all.insert(all.end(), of_op.begin(), of_op.end());
    }
    for (const auto& wrong : {+[](const Tensor& t) { return t + ones({3}); }, +[](const Tensor& t) { return t + Tensor(); },
                              +[](const Tensor& t) { return cast(t, DType::i32) + 0.5; }}) {
      EXPECT_THROW((void)wrong(x), Error);
    }
    return all;
  };
  const Tensor x({-1.5f, -0.0f, 0.25f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f, 9.0f});
  const std::vector<float> first = run(x), again = run(x);
  ASSERT_EQ(first.size(), again.size());
  EXPECT_EQ(std::memcmp(first.data(), again.data(), first.size() * sizeof(float)), 0);
}

// Its destructor runs after those of the thread's objects that were made later, as what an op keeps for the thread is.
struct AddsAtTheEnd {
  ~AddsAtTheEnd() {
    for (int i = 0; i < 2; ++i) *sum = (Tensor(1.0f) + Tensor(2.0f)).item<float>();
  }
  float* sum = nullptr;
};

TEST(EagerOp, RunsInADestructorAfterWhatTheThreadKeptIsGone) {
  float sum = 0;
  std::thread([&] {
    static thread_local AddsAtTheEnd last;
    last.sum = &sum;
    (void)(Tensor(3.0f) + Tensor(4.0f));
  }).join();
  EXPECT_EQ(sum, 3);
}

}  // namespace
}  // namespace etch::detail
