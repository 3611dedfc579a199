// What a checkpoint takes at which moment: beside calls, beside other threads, while training goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>

#include "etch/buffer.h"
#include "etch/checkpoint.h"
#include "etch/data.h"
#include "etch/effects.h"
#include "etch/function.h"
#include "etch/ops.h"
#include "frontend/checkpoint/file_system.h"
#include "tests/checkpoint/scratch.h"

namespace etch {
namespace {

using detail::FileSystem;
using testing::HasSubstr;

/// Holds the first write of a save until it is let go.
class HeldWriter final : public FileSystem {
 public:
  HeldWriter() { FileSystem::replace(this); }
  ~HeldWriter() override { FileSystem::replace(nullptr); }
  void wait_until_held() { held_.wait(); }
  void let_go() { gone_.count_down(); }

 private:
  int before(const Step& step) override {
    if (step.call == Call::write && !was_held_.exchange(true)) {
      held_.count_down();
      gone_.wait();
    }
    return 0;
  }
  std::latch held_{1}, gone_{1};
  std::atomic<bool> was_held_{false};
};

TEST(Snapshot, TenStepsGoOnWhileAWriterIsHeldAndTheFileHoldsTheStateOfTheCall) {
  const Scratch scratch;
  const Variable weights(ones({1000, 1000}));
  const Variable count(int64_t{0});
  const auto step = function([&] {
    weights.assign(weights * 0.5f);
    count.assign_add(int64_t{1});
  });
  step();
  const std::string expected = to_string(weights.value());
  const Checkpoint checkpoint(named("weights", weights), named("count", count));
  const int64_t copied = memory_stats().copied_bytes;
  HeldWriter writer;
  PendingSave save = checkpoint.save_async(scratch.file("x"));
  writer.wait_until_held();
  for (int i = 0; i < 10; ++i) step();
  EXPECT_FALSE(save.is_done());
  EXPECT_EQ(count.value().item<int64_t>(), 11);
  EXPECT_EQ(memory_stats().copied_bytes - copied, 0);
  writer.let_go();
  save.wait();
  EXPECT_TRUE(save.is_done());
  checkpoint.restore(scratch.file("x")).assert_consumed();
  EXPECT_EQ(count.value().item<int64_t>(), 1);
  EXPECT_EQ(to_string(weights.value()), expected);
}

TEST(Snapshot, ASaveLetsGoOfTheTensorsWhenItIsOver) {
  const Scratch scratch;
  const Variable weights(ones({1000, 1000}));
  PendingSave save = Checkpoint(named("weights", weights)).save_async(scratch.file("x"));
  save.wait();
  const auto step = function([&] { weights.assign(weights * 0.5f); });
  step();
  const void* before = weights.value().data<float>().data();
  step();
  EXPECT_EQ(weights.value().data<float>().data(), before);  // written in place again
}

TEST(Snapshot, IsOfOneMoment) {
  const Scratch scratch;
  const Variable a(int64_t{0}), b(int64_t{0});
  const auto step = function([&] {
    a.assign_add(int64_t{1});
    b.assign_add(int64_t{1});
  });
  step();
  const Checkpoint checkpoint(named("a", a), named("b", b));
  std::atomic<bool> is_over{false};
  std::thread training([&] {
    while (!is_over) step();
  });
  for (int i = 0; i < 20; ++i) {
    checkpoint.save(scratch.file("x"));
    const NamedTensors saved = load_safetensors(scratch.file("x"));
    EXPECT_EQ(saved.at("a").item<int64_t>(), saved.at("b").item<int64_t>());
  }
  is_over = true;
  training.join();
}

struct Watcher {
  const Variable* variable;
  int64_t seen = 0;
  SavedState save_state() const {
    SavedState state;
    state.set("seen", variable->value().item<int64_t>());
    return state;
  }
  void restore_state(const SavedState& state) { seen = state.get<int64_t>("seen"); }
};

TEST(Snapshot, StatesOfTheHostAreOfTheSameMomentAndMayReadVariables) {
  const Scratch scratch;
  const Variable a(int64_t{0});
  const auto step = function([&] { a.assign_add(int64_t{1}); });
  step();
  Watcher watcher{&a};
  const Checkpoint checkpoint(named("a", a), named("watcher", watcher));
  std::atomic<bool> is_over{false};
  std::thread training([&] {
    while (!is_over) step();
  });
  for (int i = 0; i < 20; ++i) {
    checkpoint.save(scratch.file("x"));
    Watcher restored{&a};
    Variable b(int64_t{0});
    Checkpoint(named("a", b), named("watcher", restored)).restore(scratch.file("x")).assert_consumed();
    EXPECT_EQ(b.value().item<int64_t>(), restored.seen);
  }
  is_over = true;
  training.join();
}

TEST(Snapshot, AnIteratorWithThreadsTakesPart) {
  const Scratch scratch;
  const Variable scale(2.f);
  const auto scaled = function([&](Tensor x) { return x * scale; });
  const auto dataset = data::from_tensor_slices(range(1000, DType::f32))
                           .shuffle(100, {.seed = 1})
                           .map(scaled, {.parallel = 2})
                           .prefetch(4);
  auto iterator = dataset.iterator({.epoch = 3});
  for (int i = 0; i < 500; ++i) (void)iterator.next();
  Checkpoint(named("scale", scale), named("data", iterator)).save(scratch.file("x"));
  auto restored = dataset.iterator({.epoch = 3});
  Checkpoint(named("scale", scale), named("data", restored)).restore(scratch.file("x")).assert_consumed();
  int left = 0;
  while (auto element = iterator.next()) {
    EXPECT_EQ(restored.next()->item<float>(), element->item<float>());
    ++left;
  }
  EXPECT_EQ(left, 500);
  EXPECT_FALSE(restored.next().has_value());
}

TEST(Snapshot, WaitsForACallThatGoesOn) {
  const Scratch scratch;
  const Variable a(ones({600, 600}));
  // Long enough that saves come while it goes on.
  const auto step = function([&] {
    Tensor x = a;
    for (int i = 0; i < 4; ++i) x = matmul(x, x) * (1.f / 600);
    a.assign(x * 0 + a + 1);
  });
  step();
  std::atomic<bool> is_over{false};
  std::thread training([&] {
    while (!is_over) step();
  });
  float before = 0;
  for (int i = 0; i < 5; ++i) {
    Checkpoint(named("a", a)).save(scratch.file("x"));
    const Tensor saved = load_safetensors(scratch.file("x")).at("a");
    const float value = saved.data<float>()[0];
    for (const float x : saved.data<float>()) ASSERT_EQ(x, value);
    EXPECT_GE(value, before);
    before = value;
  }
  is_over = true;
  training.join();
}

TEST(PendingSave, GivesItsErrorAtTheFirstWait) {
  const Scratch scratch;
  write_bytes(scratch.file("file"), "x");
  const Variable a(ones({2}));
  PendingSave save = Checkpoint(named("a", a)).save_async(scratch.file("file/x"));
  EXPECT_THAT(error_of([&] { save.wait(); }), HasSubstr("cannot write " + scratch.file("file/x")));
  save.wait();
}

TEST(PendingSave, AnErrorThatNobodyWaitedForIsAWarning) {
  const Scratch scratch;
  const Warnings warnings;
  write_bytes(scratch.file("file"), "x");
  const Variable a(ones({2}));
  { const PendingSave save = Checkpoint(named("a", a)).save_async(scratch.file("file/x")); }
  ASSERT_EQ(Warnings::kept().size(), 1u);
  EXPECT_THAT(Warnings::kept()[0], HasSubstr("a save failed: "));
}

TEST(Snapshot, FromInsideOfARunningCallIsAnError) {
  const Scratch scratch;
  Variable w(1.0f, {.name = "w"});
  const Checkpoint checkpoint(named("w", w));
  std::string error = "none";
  const ScopedPrintSink sink([&](std::string_view) {
    try {
      checkpoint.save(scratch.file("inside.safetensors"));
    } catch (const Error& thrown) {
      error = thrown.what();
    }
  });
  auto step = function([&](Tensor x) {
    print("now", x);
    w += x;
    return x;
  }, {.audit = false});
  step(Tensor(2.0f));
  EXPECT_THAT(error, HasSubstr("cannot be saved by what a compiled function calls while it runs"));
  EXPECT_EQ(w.value().item<float>(), 3.0f);
}

}  // namespace
}  // namespace etch
