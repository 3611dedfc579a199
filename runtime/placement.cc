// Which processor the threads of a parallel loop wake up on.
#include "runtime/placement.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

namespace etch {
namespace {

// Threads that have worked so lately still wait awake: those of oneTBB do for 100 us.
constexpr int64_t kAwake = 80'000;  // ns

int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

/// How long a thread has run, in ns; -1 if it has ended.
int64_t run_time(clockid_t clock) {
  timespec time;
  return clock_gettime(clock, &time) == 0 ? time.tv_sec * 1'000'000'000 + time.tv_nsec : -1;
}

cpu_set_t without(cpu_set_t set, int processor) {
  CPU_CLR(processor, &set);
  return set;
}

/// Changes a thread's affinity, unless it is no longer what it was set to: then the user has bound the thread.
bool change_affinity(pid_t thread, const cpu_set_t& from, const cpu_set_t& to) {
  cpu_set_t set;
  if (sched_getaffinity(thread, sizeof set, &set) != 0 || !CPU_EQUAL(&set, &from)) return false;
  return sched_setaffinity(thread, sizeof to, &to) == 0;
}

}  // namespace

Placement::Member::Member(Placement& placement) : placement_(placement) {
  const std::lock_guard lock(placement.mutex_);
  const auto free = std::ranges::find(placement.threads_, 0, &Thread::id);
  if (free == placement.threads_.end() || sched_getaffinity(0, sizeof free->usual, &free->usual) != 0 ||
      pthread_getcpuclockid(pthread_self(), &free->clock) != 0) {
    placement.others_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  free->id = gettid();
  place_ = static_cast<int>(free - placement.threads_.begin());
}

Placement::Member::~Member() {
  if (place_ < 0) {
    placement_.others_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  const std::lock_guard lock(placement_.mutex_);
  Thread& thread = placement_.threads_[place_];
  placement_.put_back(thread);
  thread = {};
}

void Placement::Member::take_part() {
  if (place_ < 0 || placement_.displaced_.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(placement_.mutex_);
  placement_.put_back(placement_.threads_[place_]);
}

Placement::Loop::Loop(Placement& placement) : placement_(placement) {
  if (placement.others_.load(std::memory_order_relaxed) > 0) return;
  if (now() - placement.last_loop_.load(std::memory_order_relaxed) < kAwake) return;
  const std::unique_lock lock(placement.mutex_, std::try_to_lock);
  const int here = sched_getcpu();
  if (!lock || here < 0) return;
  processor_ = here;
  for (Thread& thread : placement.threads_) placement.displace(thread, here);
}

Placement::Loop::~Loop() {
  placement_.last_loop_.store(now(), std::memory_order_relaxed);
  if (processor_ < 0 || placement_.displaced_.load(std::memory_order_relaxed) == 0) return;
  const std::lock_guard lock(placement_.mutex_);
  for (Thread& thread : placement_.threads_) {
    if (thread.without == processor_) placement_.put_back(thread);
  }
}

void Placement::displace(Thread& thread, int processor) {
  if (thread.id == 0 || thread.without >= 0 || !CPU_ISSET(processor, &thread.usual) || CPU_COUNT(&thread.usual) < 2) return;
  if (thread.id == gettid() || !thread.sleeps()) return;
  if (!change_affinity(thread.id, thread.usual, without(thread.usual, processor))) return;
  thread.without = processor;
  displaced_.fetch_add(1, std::memory_order_relaxed);
}

void Placement::put_back(Thread& thread) {
  if (thread.without < 0) return;
  change_affinity(thread.id, without(thread.usual, thread.without), thread.usual);
  thread.without = -1;
  displaced_.fetch_sub(1, std::memory_order_relaxed);
}

bool Placement::Thread::sleeps() const {
  const int64_t before = run_time(clock);
  return before >= 0 && run_time(clock) == before;  // the clock of one that runs goes on meanwhile
}

void Placement::lock_for_fork() {
  mutex_.lock();
  const auto own = std::ranges::find(threads_, gettid(), &Thread::id);
  if (own != threads_.end()) put_back(*own);
}

void Placement::forget_all() {
  threads_.fill({});
  displaced_.store(0, std::memory_order_relaxed);
  others_.store(0, std::memory_order_relaxed);
}

}  // namespace etch
