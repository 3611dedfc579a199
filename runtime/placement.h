// Which processor the threads of a parallel loop wake up on.
#pragma once

#include <sched.h>
#include <time.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>

namespace etch {

/// Lets threads that sleep wake up for a loop on other processors than that of the loop's caller.
///
/// Linux may wake a thread where its waker runs though another processor is idle: in a virtual machine one that has halted
/// counts as taken away. There the two would take turns for milliseconds. So while a loop runs, the caller's processor is
/// taken out of the affinity of the threads that took part in earlier loops and sleep. Others may be at a task of the user's: a thread
/// that this makes would keep the affinity. Threads that the user has bound stay bound.
class Placement {
 public:
  /// A thread that takes part in loops, but does not call them: an object on that thread, for as long as it does.
  class Member {
   public:
    explicit Member(Placement& placement);
    ~Member();
    Member(const Member&) = delete;
    Member& operator=(const Member&) = delete;

    /// Said when it begins to take part in a loop: it runs, so from now on it may do so anywhere.
    void take_part();

   private:
    Placement& placement_;
    int place_ = -1;  // none: there are many others
  };

  /// A loop, on the thread that calls it.
  class Loop {
   public:
    explicit Loop(Placement& placement);
    ~Loop();
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;

   private:
    Placement& placement_;
    int processor_ = -1;  // the caller's, if it was taken out
  };

  // Around a fork: the threads of the parent are not there in a child. The one that forks has its usual affinity.
  void lock_for_fork();
  void unlock() { mutex_.unlock(); }
  void forget_all();

 private:
  struct Thread {
    pid_t id = 0;       // 0: a free place
    clockid_t clock{};  // of the time that it has run
    cpu_set_t usual{};  // its affinity
    int without = -1;   // the processor that is taken out of it

    bool sleeps() const;
  };
  // Where there are more, the system finds idle processors faster than it could be told so.
  static constexpr int kMostThreads = 8;

  void displace(Thread& thread, int processor);
  void put_back(Thread& thread);

  std::mutex mutex_;
  std::array<Thread, kMostThreads> threads_{};
  std::atomic<int> displaced_{0};
  std::atomic<int> others_{0};  // members without a place
  std::atomic<int64_t> last_loop_{0};  // when it ended, in ns
};

}  // namespace etch
