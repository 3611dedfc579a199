// Packed weights: made from the second call on, shared, and never those of another value.
#include "runtime/packs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <thread>

#include "etch/buffer.h"
#include "etch/checkpoint.h"
#include "etch/effects.h"
#include "etch/function.h"
#include "etch/nn.h"
#include "etch/ops.h"
#include "etch/variable.h"

namespace etch {
namespace {

constexpr int64_t kRows = 32, kSteps = 300, kColumns = 210;  // neither whole panels nor whole blocks
constexpr int64_t kBytes = kSteps * kColumns * 4;

Tensor numbers(const Shape& shape, float start) {
  std::vector<float> elements(shape.product());
  for (size_t i = 0; i < elements.size(); ++i) elements[i] = start + static_cast<float>(i * 37 % 101) / 8 - 6;
  return Tensor::from(elements, shape);
}
Tensor weights(float start) { return numbers({kSteps, kColumns}, start); }
Tensor input() { return numbers({kRows, kSteps}, 1); }

/// The product with a value of its own that nobody packed.
std::vector<float> expected(const Tensor& x, const Tensor& w) {
  ScopedFlags flags("packs=0");
  auto f = etch::function([](Tensor a, Tensor b) { return matmul(a, b); });
  return f(x, Tensor::from(w.to_vector<float>(), w.shape())).to_vector<float>();
}

class Packs : public testing::Test {
 protected:
  void SetUp() override { before_ = packed_bytes(); }
  void TearDown() override { EXPECT_EQ(packed(), 0) << "packs outlive their buffers"; }
  int64_t packed() const { return packed_bytes() - before_; }

  const Tensor x_ = input();

 private:
  int64_t before_ = 0;
};

TEST_F(Packs, AreMadeByTheSecondCallOnly) {
  const Variable w(weights(0));
  auto f = function([&w](Tensor x) { return matmul(x, w); });
  const std::vector<float> first = f(x_).to_vector<float>();
  EXPECT_EQ(packed(), 0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(f(x_).to_vector<float>(), first);
    EXPECT_GE(packed(), kBytes);
    EXPECT_LE(packed(), kBytes * 5 / 4);
  }
  EXPECT_EQ(first, expected(x_, w));
}

TEST_F(Packs, HoldAllStepsOfAConvolution) {
  const Variable w(numbers({3, 3, 32, 128}, 0));
  const Tensor x = numbers({1, 12, 12, 32}, 1);
  auto f = function([&w](Tensor x) { return conv2d(x, w); });
  const std::vector<float> first = f(x).to_vector<float>();
  EXPECT_EQ(packed(), 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f(x).to_vector<float>(), first) << i;
  EXPECT_GE(packed(), w.value().size() * 4);
}

TEST_F(Packs, StandBehindWhatAKernelThatChecksIndicesReports) {
  const Variable w(weights(0));
  const Tensor table = numbers({9, kColumns}, 3), indices = Tensor::from(std::vector<int64_t>(kRows, 7), {kRows});
  auto f = function([&w](Tensor x, Tensor table, Tensor indices) { return matmul(x, w) + gather(table, indices); });
  const std::vector<float> eager = (matmul(x_, w) + gather(table, indices)).to_vector<float>();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f(x_, table, indices).to_vector<float>(), eager) << "call " << i;
}

TEST_F(Packs, AreDroppedByEveryWayToAssign) {
  const Variable w(weights(0));
  auto f = function([&w](Tensor x) { return matmul(x, w); });
  auto assigns = function([&w](Tensor value) { w.assign(value); });
  auto adds = function([&w] { w += 1; });
  const std::function<void(int)> ways[] = {
      [&](int i) { w.assign(weights(static_cast<float>(i))); },
      [&](int) { w += 1; },
      [&](int) { w -= 2; },
      [&](int i) { assigns(weights(static_cast<float>(i) / 2)); },
      [&](int) { adds(); },
      [&](int) { adds(), adds(); },
  };
  for (int i = 0; i < 12; ++i) {
    for (int call = 0; call < 3; ++call) EXPECT_EQ(f(x_).to_vector<float>(), expected(x_, w)) << i << " " << call;
    EXPECT_GT(packed(), 0) << i;
    ways[i % std::size(ways)](i);
    EXPECT_EQ(packed(), 0) << i;
  }
}

TEST_F(Packs, OfAVariableThatIsWrittenInPlaceAreNotThoseOfItsNewValue) {
  const Variable w(weights(0));
  auto predict = function([&w](Tensor x) { return matmul(x, w); });
  auto step = function([&w] { w.assign(w * 0.5f); });
  const void* memory = w.value().data<float>().data();
  for (int i = 0; i < 4; ++i) {
    for (int call = 0; call < 3; ++call) EXPECT_EQ(predict(x_).to_vector<float>(), expected(x_, w)) << i;
    step();
    EXPECT_EQ(w.value().data<float>().data(), memory) << "this test wants the update in place";
  }
}

TEST_F(Packs, AFunctionThatReadsAndAssignsAVariableNeverPacksIt) {
  const Variable w(weights(0));
  auto step = function([&w](Tensor x) {
    const Tensor y = matmul(x, w);
    w.assign(w - mean(y) * 0.001f);
    return y;
  });
  for (int i = 0; i < 4; ++i) {
    const std::vector<float> now = expected(x_, w);
    EXPECT_EQ(step(x_).to_vector<float>(), now);
    EXPECT_EQ(packed(), 0);
  }
}

TEST_F(Packs, ANewBufferAtTheSameAddressHasNone) {
  const void* memory = nullptr;
  bool same = false;
  Variable w(weights(0));
  auto f = function([&w](Tensor x) { return matmul(x, w); });
  for (int i = 0; i < 20; ++i) {
    same |= memory == w.value().data<float>().data();
    memory = w.value().data<float>().data();
    for (int call = 0; call < 2; ++call) EXPECT_EQ(f(x_).to_vector<float>(), expected(x_, w));
    w.assign(zeros({kSteps, kColumns}));  // frees the old one, whose memory the next value may get
    w.assign(weights(static_cast<float>(i)));
  }
  EXPECT_TRUE(same) << "no address came again";
}

TEST_F(Packs, AreOneForSeveralFunctionsAndVariablesOnOneBuffer) {
  const Tensor value = weights(0);
  const Variable a(value), b(value);
  auto f = function([&a](Tensor x) { return matmul(x, a); });
  auto g = function([&b](Tensor x) { return tanh(matmul(x, b)); });
  for (int i = 0; i < 3; ++i) f(x_), g(x_);
  EXPECT_LE(packed(), kBytes * 5 / 4);
  b.assign(weights(5));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f(x_).to_vector<float>(), expected(x_, value)) << "the other keeps its value";
  const auto of_b = function([&b](Tensor x) { return matmul(x, b); });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(of_b(x_).to_vector<float>(), expected(x_, weights(5)));
}

TEST_F(Packs, OfPartsAndTurnedViewsOfOneVariableStayApart) {
  const Variable w(weights(0));
  auto f = function([&w](Tensor x, Tensor y) {
    const Tensor all = w;
    const Tensor left = all(Slice(), Slice(0, 150)), right = all(Slice(), Slice(60, 210));
    return std::tuple(matmul(x, left), matmul(x, right), matmul(y, transpose(all)));
  });
  const Tensor y = numbers({kRows, kColumns}, 3);
  for (int i = 0; i < 3; ++i) {
    const Tensor now = w;
    const auto [left, right, turned] = f(x_, y);
    EXPECT_EQ(left.to_vector<float>(), expected(x_, now(Slice(), Slice(0, 150))));
    EXPECT_EQ(right.to_vector<float>(), expected(x_, now(Slice(), Slice(60, 210))));
    EXPECT_EQ(turned.to_vector<float>(), expected(y, transpose(now)));
    if (i == 1) w += 3;
  }
}

TEST_F(Packs, OfCapturedTensorsFollowCallInto) {
  Tensor w = weights(0);
  auto f = function([&w](Tensor x) { return matmul(x, w); });
  auto change = function([](Tensor v) { return v + 1.5f; });
  for (int i = 0; i < 3; ++i) {
    for (int call = 0; call < 3; ++call) EXPECT_EQ(f(x_).to_vector<float>(), expected(x_, w)) << i;
    EXPECT_GT(packed(), 0);
    change.call_into(w, weights(static_cast<float>(i)));
  }
}

TEST_F(Packs, MemoryOfTheUserIsNeverPacked) {
  std::vector<float> elements = weights(0).to_vector<float>();
  const Tensor borrowed = Tensor::borrow(elements, {kSteps, kColumns});
  const Variable w(borrowed);
  auto f = function([&](Tensor x) { return std::pair(matmul(x, w), matmul(x, borrowed)); });
  for (int i = 0; i < 4; ++i) {
    const std::vector<float> now = expected(x_, Tensor::from(elements, {kSteps, kColumns}));
    const auto [of_variable, of_capture] = f(x_);
    EXPECT_EQ(of_variable.to_vector<float>(), now);
    EXPECT_EQ(of_capture.to_vector<float>(), now);
    EXPECT_EQ(packed(), 0);
    for (float& element : elements) element += 1;
  }
}

TEST_F(Packs, ArgumentsAreNotPacked) {
  auto f = function([](Tensor x, Tensor w) { return matmul(x, w); });
  const Tensor w = weights(0);
  for (int i = 0; i < 3; ++i) f(x_, w);
  EXPECT_EQ(packed(), 0);
}

TEST_F(Packs, FollowAVariableThatMoved) {
  Variable w(weights(0));
  auto f = function([&w](Tensor x) { return matmul(x, w); });
  f(x_), f(x_);
  Variable moved = std::move(w);
  w = Variable(weights(9));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f(x_).to_vector<float>(), expected(x_, moved)) << "it holds what it was traced with";
  auto g = function([&w](Tensor x) { return matmul(x, w); });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(g(x_).to_vector<float>(), expected(x_, weights(9)));
  moved.assign(w);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f(x_).to_vector<float>(), expected(x_, weights(9)));
}

TEST_F(Packs, AHandleThatWasReadBeforeAnAssignmentKeepsItsValue) {
  const Variable w(weights(0));
  auto f = function([&w](Tensor x) { return matmul(x, w); });
  f(x_), f(x_);
  const Tensor old = w;
  w += 1;
  EXPECT_EQ(packed(), 0);
  f(x_), f(x_);
  EXPECT_EQ(old.to_vector<float>(), weights(0).to_vector<float>());
  w.assign(old);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f(x_).to_vector<float>(), expected(x_, old));
}

TEST_F(Packs, ARestoredCheckpointIsSeen) {
  const std::string file = testing::TempDir() + "packs_test.etch";
  const Variable w(weights(0));
  Checkpoint checkpoint(named("w", w));
  checkpoint.save(file);
  auto f = function([&w](Tensor x) { return matmul(x, w); });
  w.assign(weights(4));
  f(x_), f(x_);
  EXPECT_GT(packed(), 0);
  checkpoint.restore(file);
  EXPECT_EQ(packed(), 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f(x_).to_vector<float>(), expected(x_, weights(0)));
  std::remove(file.c_str());
}

TEST_F(Packs, TwoThreadsCallWhileOneAssigns) {
  const Variable w(full({kSteps, kColumns}, 1.f));
  auto f = function([&w](Tensor x) { return matmul(x, w); });
  auto step = function([&w] { w += 1; });
  const Tensor x = ones({kRows, kSteps});
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 150; ++i) {
        const std::vector<float> y = f(x).to_vector<float>();
        EXPECT_EQ(y, std::vector<float>(y.size(), y[0])) << "two values in one product";
        EXPECT_EQ(static_cast<int64_t>(y[0]) % kSteps, 0);
      }
    });
  }
  for (int i = 0; i < 30; ++i) i % 2 == 0 ? step() : w.assign_add(1);
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f(x).to_vector<float>()[0], 31 * kSteps);
}

TEST_F(Packs, TheFlagAndSmallOrManyRowedProductsMakeNone) {
  const Variable w(weights(0)), small(numbers({50, 60}, 0));
  auto f = function([&w](Tensor x) { return matmul(x, w); });
  {
    ScopedFlags flags("packs=0");
    for (int i = 0; i < 3; ++i) f(x_);
  }
  auto many = function([&w](Tensor x) { return matmul(x, w); });
  auto one = function([&w](Tensor x) { return matmul(x, w); });
  auto of_small = function([&small](Tensor x) { return matmul(x, small); });
  for (int i = 0; i < 3; ++i) many(ones({1025, kSteps})), one(ones({1, kSteps})), of_small(ones({kRows, 50}));
  EXPECT_EQ(packed(), 0);
}

TEST(PackedBytes, AreBounded) {
  std::vector<Variable> all;
  for (int i = 0; i < 9; ++i) all.emplace_back(zeros({4096, 4096}));
  auto f = function([&all](Tensor x) {
    Tensor sum = matmul(x, all[0]);
    for (size_t i = 1; i < all.size(); ++i) sum = sum + matmul(x, all[i]);
    return sum;
  });
  for (int i = 0; i < 3; ++i) f(ones({4, 4096}));
  EXPECT_GT(packed_bytes(), kMostPackedBytes / 2);
  EXPECT_LE(packed_bytes(), kMostPackedBytes);
}

TEST_F(Packs, OfADestinationAreNotMadeWhileItIsWritten) {
  Tensor w = weights(0);
  auto serve = function([&w](Tensor x) { return matmul(x, w); });
  auto refresh = function([](Tensor value) {
    print("about to write", mean(value));
    return value * 2.0f;
  });
  {
    const ScopedPrintSink sink([&](std::string_view) { serve(x_), serve(x_); });
    refresh.call_into(w, weights(3));
  }
  EXPECT_EQ(serve(x_).to_vector<float>(), expected(x_, w));
}

TEST_F(Packs, AreNotMadeOfABufferThatTheUserHolds) {
  Buffer buffer = Buffer::allocate(kBytes);
  std::fill_n(static_cast<float*>(buffer.data()), kSteps * kColumns, 1.0f);
  const Tensor w = Tensor::adopt(buffer, DType::f32, {kSteps, kColumns});
  auto f = function([&w](Tensor x) { return matmul(x, w); });
  for (int i = 0; i < 3; ++i) f(x_);
  EXPECT_EQ(packed(), 0);
  auto view = function([v = reshape(w, {kColumns, kSteps})](Tensor x) { return matmul(x, transpose(v)); });
  for (int i = 0; i < 3; ++i) view(x_);
  EXPECT_EQ(packed(), 0);
}

TEST_F(Packs, AreGivenBackByTrimMemory) {
  const Variable w(weights(0));
  auto f = function([&w](Tensor x) { return matmul(x, w); });
  const std::vector<float> first = f(x_).to_vector<float>();
  f(x_);
  EXPECT_GT(packed(), 0);
  trim_memory();
  EXPECT_EQ(packed(), 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f(x_).to_vector<float>(), first);
  EXPECT_GT(packed(), 0);
}

TEST_F(Packs, AreCountedOnceThoughTheyAreDroppedInTheMaking) {
  const PackLayout layout{.steps = 256, .columns = 128, .step_stride = 128, .column_stride = 1, .panel = 16, .depth = 64, .element_bytes = 4};
  Buffer buffer = Buffer::allocate(int64_t{256} * 128 * 4);
  std::memset(buffer.data(), 0, static_cast<size_t>(buffer.bytes()));
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 3000; ++i) {
        if (t == 0) {
          drop_packs(buffer);
        } else {
          find_pack(buffer, buffer.data(), layout);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  drop_packs(buffer);
  EXPECT_EQ(packed(), 0);
}

}  // namespace
}  // namespace etch
