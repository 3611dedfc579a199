// What stands behind a function: its callable, its options and the cache of its concrete functions.
#pragma once

#include <pthread.h>

#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "frontend/concrete.h"
#include "runtime/flat_map.h"
#include "runtime/fork.h"

namespace etch::detail {

/// The concrete function that a thread ran first of the functions of a name, once it did.
struct ObservedCall {
  std::string name;
  Ref<const Concrete> concrete{};
};
/// Lets the calls of this thread be seen as long as the observer is there; it takes the place of one before.
std::shared_ptr<ObservedCall> observe_calls(std::string name);

class [[gnu::visibility("hidden")]] FunctionCore : public Counted<FunctionCore> {
 public:
  FunctionCore(Callable callable, FunctionOptions options);
  ~FunctionCore();

  const Callable& callable() const { return callable_; }
  const std::string& name() const { return callable_.name; }

  /// The concrete function of a call's signature; traced and compiled by the first of the threads that ask, the others
  /// wait. `is_call` is false for concrete() and explain(), which count neither as calls nor as retraces.
  Ref<const Concrete> find(const Call& call, bool is_call);
  /// The same for a call that will run. Error if captures changed and the option or the flag asks to check that.
  Ref<const Concrete> find_to_run(const Call& call);
  FunctionStats stats();

 private:
  struct Entry {
    std::string key;
    Ref<const Concrete> concrete;  // empty while it is being built
    pthread_t builder = pthread_self();
  };
  using Entries = std::list<Entry>;

  /// The concrete function if there is one; waits for one that is being built. Called with the lock held.
  Ref<const Concrete> find_known(std::unique_lock<std::mutex>& lock, std::string_view key, bool is_call);
  /// Called with the lock held.
  bool is_building(std::string_view key) const;
  void add_key(Entries::iterator entry);
  void remove_key(Entries::iterator entry);
  /// Describes the arguments. Error for those that a call cannot take.
  Leaves describe(const Call& call, bool is_call) const;
  /// Why a signature is new, against the nearest one. Error if a retrace is forbidden. Called with the lock held.
  std::string reason_to_trace(const Call& call, const Leaves& leaves, bool is_retrace);
  std::string retrace_reason(const Leaves& leaves) const;
  /// True if the caller should warn of many retraces. Called with the lock held.
  bool retraces_too_often();
  Ref<const Concrete> build(const Call& call, Leaves leaves, std::string reason);
  Ref<const Concrete> build_entry(const Call& call, Entries::iterator entry, Leaves leaves, std::string reason);
  /// Gives an entry the key of what was built for it, which is another one where the trace made variables that belong to it;
  /// false, and the entry is gone, if there is one of that key that may be used now. Called with the lock held.
  bool rename(Entries::iterator entry, const std::string& key);
  /// Takes what is too much out of the cache; it is destroyed without the lock.
  void evict(Entries& evicted);
  void start_as_child();

  const Callable callable_;
  const FunctionOptions options_;
  std::mutex mutex_;        // guards all below
  std::condition_variable built_;
  Entries entries_;         // those used last at the end
  // Those of one key differ in their guards. It stands in the first of them.
  FlatMap<std::string_view, std::vector<Entries::iterator>> by_key_;
  Entry* last_ = nullptr;   // the entry of the last call
  int64_t calls_ = 0;
  int64_t num_concrete_ = 0;
  std::vector<int64_t> retrace_calls_;  // at which calls the last retraces happened
  bool warned_ = false;                 // one warning a function is enough
  FunctionStats stats_;

  const ForkHandler fork_handler_{
      ForkOrder::function, this, [](void* self) { return lock_soon(static_cast<FunctionCore*>(self)->mutex_); },
      [](void* self) { static_cast<FunctionCore*>(self)->mutex_.unlock(); },
      [](void* self) { static_cast<FunctionCore*>(self)->start_as_child(); }};
};

}  // namespace etch::detail
