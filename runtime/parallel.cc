// Parallel loops over ranges of iterations, on oneTBB.
#include "runtime/parallel.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <thread>

#include "oneapi/tbb/blocked_range.h"
#include "oneapi/tbb/parallel_for.h"
#include "oneapi/tbb/task_arena.h"
#include "oneapi/tbb/task_group.h"
#include "runtime/fork.h"
#include "runtime/memory.h"
#include "runtime/placement.h"
#include "runtime/rounding.h"

namespace etch {
namespace {

std::atomic<int64_t> split_loops{0};

// oneTBB's threads are not there in a child of fork(), and it does not notice: once the parent has used them, a child works
// on one thread.
std::atomic<bool> threads_are_gone{false};
constinit Placement placement;
const ForkHandler fork_handler(
    ForkOrder::parallel, nullptr,
    [](void*) {
      placement.lock_for_fork();
      return true;
    },
    [](void*) { placement.unlock(); },
    [](void*) {
      if (split_loops.load(std::memory_order_relaxed) > 0) threads_are_gone.store(true, std::memory_order_relaxed);
      placement.forget_all();
      placement.unlock();
    });

/// A thread's part in loops ends with it. It hangs on a key and not on a thread_local: to register the destructor of one takes the
/// lock that dlopen holds while constructors of a library run, and one of those may wait for this thread.
struct MemberKey {
  MemberKey() { is_made = pthread_key_create(&key, [](void* member) { delete static_cast<Placement::Member*>(member); }) == 0; }

  pthread_key_t key{};
  bool is_made = false;
};
const MemberKey member_key;

void take_part_in_loop() {
  if (!member_key.is_made) return;
  auto* member = static_cast<Placement::Member*>(pthread_getspecific(member_key.key));
  if (member == nullptr) {
    std::unique_ptr<Placement::Member> made(new (std::nothrow) Placement::Member(placement));
    if (made == nullptr || pthread_setspecific(member_key.key, made.get()) != 0) return;
    member = made.release();
  }
  member->take_part();
}

/// The chunks of a loop in shares, one for each worker. He takes those of his own first, so that calls of one function give the same
/// elements to the same processor, which may still have them in its cache; then what is left of the others'.
class Shares {
 public:
  Shares(int64_t chunks, int workers) : count_(std::min<int>(workers, kMost)) {
    for (int i = 0; i < count_; ++i) {
      shares_[i].next.store(chunks * i / count_, std::memory_order_relaxed);
      shares_[i].end = chunks * (i + 1) / count_;
    }
  }
  /// Calls body(chunk) for chunks that no other worker takes, until none is left.
  template <class Body>
  void take(int worker, Body body) {
    for (int i = 0; i < count_; ++i) {
      Share& share = shares_[(worker + i) % count_];
      for (int64_t chunk; (chunk = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;) body(chunk);
    }
  }

 private:
  struct alignas(64) Share {
    std::atomic<int64_t> next;
    int64_t end;
  };
  static constexpr int kMost = 32;  // more workers have one together
  const int count_;
  std::array<Share, kMost> shares_;
};

}  // namespace

int default_threads() {
  static const int threads = [] {
    // That of the process's first thread: the one that asks may be bound.
    cpu_set_t set;
    if (sched_getaffinity(getpid(), sizeof set, &set) != 0) return 1;
    return std::max(1, CPU_COUNT(&set));
  }();
  return threads;
}

int num_workers(int64_t n, int64_t grain, int threads) {
  if (n <= 0 || threads <= 1 || threads_are_gone.load(std::memory_order_relaxed)) return 1;
  return static_cast<int>(std::min<int64_t>(ceil_div(n, grain), threads));
}

int64_t num_split_loops() { return split_loops.load(std::memory_order_relaxed); }

namespace {

/// parallel_for and parallel_tasks: what is long changes no thread's affinity.
void run_loop(int64_t n, int64_t grain, int threads, void (*body)(void* context, int worker, int64_t begin, int64_t end),
              void* context, int64_t piece, bool is_long) {
  if (n <= 0) return;
  const int workers = num_workers(n, grain, threads);
  if (workers == 1) return body(context, 0, 0, n);

  // A few chunks per worker even out what the threads have to do; each is a whole number of grains, and workers take the
  // next one when they are done.
  const int64_t grains = ceil_div(n, grain);
  const int64_t chunks = std::min(grains, std::clamp<int64_t>(n / piece, workers, int64_t{4} * workers));
  Shares shares(chunks, workers);
  std::atomic<int> running{0};
  std::atomic<int> finished{0};
  (void)default_threads();  // looks at an affinity: before one is changed
  std::optional<Placement::Loop> placed;
  if (!is_long) placed.emplace(placement);
  const std::thread::id caller = std::this_thread::get_id();
  auto run_worker = [&](int worker) {
    (void)split_loops.load(std::memory_order_acquire);
    running.fetch_add(1, std::memory_order_relaxed);
    if (std::this_thread::get_id() != caller) take_part_in_loop();
    shares.take(worker, [&](int64_t chunk) {
      body(context, worker, grains * chunk / chunks * grain, std::min(n, grains * (chunk + 1) / chunks * grain));
    });
    finished.fetch_add(1, std::memory_order_release);
    running.fetch_sub(1, std::memory_order_release);  // the last that it touches
  };
  // A context of its own: a task of the user's that throws, or a group that is cancelled, would stop the loop as well.
  tbb::task_group_context own(tbb::task_group_context::isolated);
  auto loop = [&] {
    // What it captures lies in tasks that oneTBB copies.
    const auto run_workers = [&](const tbb::blocked_range<int>& range) __attribute__((no_sanitize_thread)) {
      for (int worker = range.begin(); worker < range.end(); ++worker) run_worker(worker);
    };
    tbb::parallel_for(tbb::blocked_range<int>(0, workers, 1), run_workers, tbb::simple_partitioner(), own);
    (void)finished.load(std::memory_order_acquire);
  };
  // oneTBB orders what was written before the loop and in it. ThreadSanitizer cannot see into it, so the same is said by this
  // release, the acquire of each worker, and `finished`.
  split_loops.fetch_add(1, std::memory_order_release);
  try {
    // The arena that the caller stands in is the user's choice; a smaller bound gets an arena of its own. Isolated, this
    // thread does not begin another task of the user's while it waits: that one could want what this call has locked.
    if (tbb::this_task_arena::max_concurrency() <= threads) {
      tbb::this_task_arena::isolate(loop);
    } else {
      tbb::task_arena(threads).execute(loop);
    }
  } catch (const std::exception&) {
    // The system refused oneTBB a thread: bodies do not throw. This thread does what is left, when the others are done.
    while (running.load(std::memory_order_acquire) > 0) std::this_thread::yield();
    run_worker(0);
  }
}

}  // namespace

void parallel_for(int64_t n, int64_t grain, int threads,
                  void (*body)(void* context, int worker, int64_t begin, int64_t end), void* context, int64_t piece) {
  run_loop(n, grain, threads, body, context, piece, /*is_long=*/false);
}

void parallel_tasks(int64_t n, int threads, void (*body)(void* context, int worker, int64_t begin, int64_t end), void* context) {
  run_loop(n, 1, threads, body, context, 1, /*is_long=*/true);
}

void copy_bytes(void* to, const void* from, int64_t bytes, int threads) {
  memory::count_copy(bytes);
  constexpr int64_t kGrain = int64_t{1} << 20;
  struct Copy {
    std::byte* to;
    const std::byte* from;
  } copy{static_cast<std::byte*>(to), static_cast<const std::byte*>(from)};
  const auto body = [](void* context, int, int64_t begin, int64_t end) {
    const Copy& copy = *static_cast<const Copy*>(context);
    std::memcpy(copy.to + begin, copy.from + begin, static_cast<size_t>(end - begin));
  };
  parallel_for(bytes, kGrain, threads, body, &copy);
}

}  // namespace etch
