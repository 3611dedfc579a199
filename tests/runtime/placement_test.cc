// Which processor the threads of parallel loops may wake up on.
#include "runtime/placement.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <deque>
#include <optional>
#include <thread>

namespace etch {
namespace {

cpu_set_t affinity_of(pid_t thread) {
  cpu_set_t set;
  EXPECT_EQ(sched_getaffinity(thread, sizeof set, &set), 0);
  return set;
}

cpu_set_t only(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  return set;
}

void bind(pid_t thread, const cpu_set_t& set) { ASSERT_EQ(sched_setaffinity(thread, sizeof set, &set), 0); }

/// A thread that took part in a loop, and does so again when it is told.
class Participant {
 public:
  explicit Participant(Placement& placement) : thread_([this, &placement] { run(placement); }) { turn_.arrive_and_wait(); }
  ~Participant() {
    ends_ = true;
    turn_.arrive_and_wait();
    thread_.join();
  }
  pid_t thread() const { return id_; }
  void take_part() {
    turn_.arrive_and_wait();
    turn_.arrive_and_wait();
  }
  /// Does something else while `body` runs.
  template <class Body>
  void work_during(Body body) {
    works_ = true;
    turn_.arrive_and_wait();
    body();
    works_ = false;
    turn_.arrive_and_wait();
  }

 private:
  void run(Placement& placement) {
    id_ = gettid();
    Placement::Member member(placement);
    turn_.arrive_and_wait();
    for (turn_.arrive_and_wait(); !ends_; turn_.arrive_and_wait()) {
      while (works_) continue;
      member.take_part();
      turn_.arrive_and_wait();
    }
  }

  std::barrier<> turn_{2};
  bool ends_ = false;
  std::atomic<bool> works_{false};
  pid_t id_ = 0;
  std::thread thread_;
};

class PlacementTest : public testing::Test {
 protected:
  void SetUp() override {
    if (CPU_COUNT(&usual_) < 2) GTEST_SKIP() << "one processor leaves no choice";
    here_ = sched_getcpu();
    ASSERT_GE(here_, 0);
    elsewhere_ = usual_;
    CPU_CLR(here_, &elsewhere_);
    one_.emplace(placement_);
    bind(0, only(here_));  // so that this thread stays there
  }
  void TearDown() override {
    bind(0, usual_);
  }
  void expect_affinity(const cpu_set_t& expected) const {
    const cpu_set_t set = affinity_of(one_->thread());
    EXPECT_TRUE(CPU_EQUAL(&set, &expected));
  }

  Placement placement_;
  const cpu_set_t usual_ = affinity_of(0);
  cpu_set_t elsewhere_;
  int here_ = -1;
  std::optional<Participant> one_;
};

TEST_F(PlacementTest, ASleepingThreadIsKeptOffTheCallersProcessorForTheLengthOfALoop) {
  {
    const Placement::Loop loop(placement_);
    expect_affinity(elsewhere_);
  }
  expect_affinity(usual_);
}

TEST_F(PlacementTest, AThreadThatTakesPartMayRunAnywhereAgain) {
  const Placement::Loop loop(placement_);
  one_->take_part();
  expect_affinity(usual_);
}

TEST_F(PlacementTest, AThreadThatHasJustWorkedIsLeftAlone) {
  // The machine may stop this thread between the two loops; it does not do so always.
  bool was_left_alone = false;
  for (int attempt = 0; attempt < 1000 && !was_left_alone; ++attempt) {
    { const Placement::Loop loop(placement_); }
    const Placement::Loop next(placement_);
    const cpu_set_t set = affinity_of(one_->thread());
    was_left_alone = CPU_EQUAL(&set, &usual_);
  }
  EXPECT_TRUE(was_left_alone);
}

TEST_F(PlacementTest, AThreadThatTheUserHasBoundStaysBound) {
  bind(one_->thread(), only(here_));
  {
    const Placement::Loop loop(placement_);
    expect_affinity(only(here_));
  }
  expect_affinity(only(here_));
}

TEST_F(PlacementTest, AThreadThatTheUserBindsDuringALoopStaysBound) {
  {
    const Placement::Loop loop(placement_);
    bind(one_->thread(), only(here_));
  }
  expect_affinity(only(here_));
}

TEST_F(PlacementTest, TheCallerIsNotMovedThoughItTookPartInEarlierLoops) {
  std::thread([this] {
    bind(0, usual_);
    const Placement::Member member(placement_);
    const Placement::Loop loop(placement_);
    const cpu_set_t set = affinity_of(0);
    EXPECT_TRUE(CPU_EQUAL(&set, &usual_));
  }).join();
}

TEST_F(PlacementTest, TheAffinityIsWhatItWasIfAThreadEndsToBeAMemberDuringALoop) {
  std::optional<Placement::Loop> loop;
  std::thread([&] {
    bind(0, usual_);
    std::optional<Placement::Member> member(placement_);
    std::thread([&] { loop.emplace(placement_); }).join();
    const cpu_set_t during = affinity_of(0);
    member.reset();
    const cpu_set_t after = affinity_of(0);
    EXPECT_FALSE(CPU_EQUAL(&during, &usual_));
    EXPECT_TRUE(CPU_EQUAL(&after, &usual_));
  }).join();
}

TEST_F(PlacementTest, AChildOfAForkKnowsNoThreads) {
  placement_.lock_for_fork();
  placement_.forget_all();
  placement_.unlock();
  const Placement::Loop loop(placement_);
  expect_affinity(usual_);
}

TEST_F(PlacementTest, AThreadThatForksHasItsUsualAffinity) {
  std::optional<Placement::Loop> loop;
  std::thread([&] {
    bind(0, usual_);
    Placement::Member member(placement_);
    std::thread([&] { loop.emplace(placement_); }).join();
    placement_.lock_for_fork();
    placement_.unlock();
    const cpu_set_t set = affinity_of(0);
    EXPECT_TRUE(CPU_EQUAL(&set, &usual_));
  }).join();
}

TEST_F(PlacementTest, AThreadThatRunsIsLeftAlone) {
  // The machine may have stopped it at the moment that it is looked at; it has not always.
  bool was_left_alone = false;
  one_->work_during([&] {
    for (int attempt = 0; attempt < 100 && !was_left_alone; ++attempt) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      const Placement::Loop loop(placement_);
      const cpu_set_t set = affinity_of(one_->thread());
      was_left_alone = CPU_EQUAL(&set, &usual_);
    }
  });
  EXPECT_TRUE(was_left_alone);
}

TEST_F(PlacementTest, AmongManyNobodyIsDisplaced) {
  std::deque<Participant> others;
  for (int i = 0; i < 8; ++i) others.emplace_back(placement_);
  const Placement::Loop loop(placement_);
  expect_affinity(usual_);
}

}  // namespace
}  // namespace etch
