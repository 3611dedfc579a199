// What a fork must leave whole: locks that it waits for, and what a child puts in order.
#pragma once

#include <cstdint>
#include <thread>

namespace etch {

/// The order in which a fork takes locks: who may hold one of them while he waits for another stands before it.
enum class ForkOrder {
  function, variable, eager_cache, graph_cache, kernel_cache, compiling, session, memory, parallel
};

/// While it stands, every fork() of this process calls `prepare` before, and after it `parent` in the parent and `child`
/// in the child. Each gets `context`. Handlers run in the order of ForkOrder before the fork, those of one order by their
/// number, and in the opposite order after it. A thread that holds what prepare locks does not fork.
///
/// Where prepare returns false, it has locked nothing: what was locked before is unlocked again by `parent`, and all of it
/// begins anew after a pause. So whoever runs code of the user's with a lock held has it tried by lock_soon(): that code may
/// want any lock, or make a handler.
///
/// Of all threads only the one that forked lives on in the child. So the child gets locks that are free, and drops what
/// others of the parent's threads were about to do, such as kernels that they compile.
class ForkHandler {
 public:
  using Prepare = bool (*)(void* context);
  using Function = void (*)(void* context);

  ForkHandler(ForkOrder order, void* context, Prepare prepare, Function parent, Function child);
  ~ForkHandler();
  ForkHandler(const ForkHandler&) = delete;
  ForkHandler& operator=(const ForkHandler&) = delete;

  /// Which of all handlers it is, counted from 1 as they are made. No number stands twice.
  int64_t number() const { return number_; }

 private:
  friend struct ForkHandlers;
  const ForkOrder order_;
  void* const context_;
  const Prepare prepare_;
  const Function parent_, child_;
  int64_t number_ = 0;
  ForkHandler *previous_ = nullptr, *next_ = nullptr;
};

/// Takes a lock, or returns false if somebody holds it for long.
template <class Lock>
bool lock_soon(Lock& lock) {
  constexpr int kTries = 1000;
  for (int i = 0; i < kTries; ++i) {
    if (lock.try_lock()) return true;
    std::this_thread::yield();
  }
  return false;
}

}  // namespace etch
