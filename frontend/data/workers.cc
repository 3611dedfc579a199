// The threads of pipelines.
#include "etch/data/workers.h"

#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <system_error>

#include "compiler/ir/cat.h"
#include "etch/options.h"
#include "runtime/parallel.h"

namespace etch::data {
namespace {

std::atomic<int64_t> live_threads{0};

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Bytes of the tensors in a state.
int64_t bytes_of(const SavedState& state) {
  int64_t bytes = 0;
  for (const auto& [name, value] : state) {
    if (const Tensor* tensor = std::get_if<Tensor>(&value)) bytes += tensor->size() * size_of(tensor->dtype());
  }
  return bytes;
}

/// How many forks lie between this process and the one that loaded the library.
std::atomic<int> num_forks{0};

int count_forks() {
  static const int registered =
      pthread_atfork(nullptr, nullptr, [] { num_forks.fetch_add(1, std::memory_order_relaxed); });
  static_cast<void>(registered);
  return num_forks.load(std::memory_order_relaxed);
}

// A block takes a millisecond at most: to wake a thread of a virtual machine costs 30 us, to start on it 50.
constexpr int64_t kMicrosecond = 1000;
constexpr int64_t kLongBlock = 1000 * kMicrosecond, kShortBlock = 250 * kMicrosecond;
constexpr int64_t kMaxAutomaticBuffer = 2 * detail::kMaxBlock;

}  // namespace

int64_t num_pipeline_threads() { return live_threads.load(); }

namespace detail {

WorkerBase::WorkerBase(const OpenContext& context, WorkerOptions options)
    : options_(options), cancellation_(*context.cancellation) {
  const bool is_automatic = options.threads == AUTOTUNE;
  max_threads_ = is_automatic ? default_threads() : options.threads;
  limit_ = options.buffer == AUTOTUNE ? 2 : options.buffer;
  max_blocks_ = options.max_blocks;
  const auto wake = [](void* context) {
    auto* self = static_cast<WorkerBase*>(context);
    const std::lock_guard lock(self->locks_->all);
    self->is_stopped_ = true;
    self->locks_->has_elements.notify_all();
    self->locks_->has_space.notify_all();
  };
  listener_ = std::make_unique<Cancellation::Listener>(cancellation_, wake, this);
}

WorkerBase::~WorkerBase() = default;

void WorkerBase::stop() noexcept {
  if (is_in_child()) {
    for (std::thread& thread : threads_) thread.detach();
    listener_.reset();
    static_cast<void>(locks_.release());  // conditions cannot be destroyed while threads that are gone wait for them
    live_threads.fetch_sub(static_cast<int64_t>(threads_.size()));
    return;
  }
  cancellation_.cancel();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerBase::add_thread() {
  live_threads.fetch_add(1);
  try {
    threads_.emplace_back([this] {
      run();
      live_threads.fetch_sub(1);
    });
  } catch (const std::system_error& error) {
    live_threads.fetch_sub(1);
    if (threads_.empty()) throw Error(cat("cannot start a thread of a data set: ", error.what()));
  }
}

void WorkerBase::start() {
  is_started_ = true;
  forks_ = count_forks();
  auto state = std::make_shared<SavedState>();
  input().save(*state);
  last_state_ = resume_ = std::move(state);
  resume_since_ = 0;
  state_time_ = now();
  const int count = options_.threads == AUTOTUNE ? 1 : max_threads_;
  for (int i = 0; i < count; ++i) add_thread();
}

void WorkerBase::run() noexcept {
  const ScopedFlags one_thread("threads=1");
  try {
    while (run_block()) {
    }
  } catch (...) {
    const std::lock_guard lock(locks_->all);
    if (!fatal_) fatal_ = std::current_exception();
    has_ended_ = true;
    locks_->has_elements.notify_all();
    locks_->has_space.notify_all();
  }
}

bool WorkerBase::run_block() {
  std::unique_lock turn(locks_->pulling);
  Block* const block = begin_block();
  if (block == nullptr) return false;
  const int64_t begin = now();
  int64_t pulled = 0;
  bool goes_on = true;
  while (pulled < block->capacity) {
    try {
      if (!pull(*block, pulled)) {
        block->ends = true;
        goes_on = false;
        break;
      }
    } catch (...) {
      block->error = std::current_exception();
      wants_state_ = true;
      break;
    }
    ++pulled;
    if (options_.pulls_alone && pulled < block->capacity) publish(*block, pulled);
  }
  since_ += pulled;
  pulled_ += pulled;
  if (!goes_on) {
    const std::lock_guard lock(locks_->all);
    has_ended_ = true;
    locks_->has_space.notify_all();
  }
  turn.unlock();
  if (!options_.pulls_alone) {
    for (int64_t i = 0; i < pulled; ++i) {
      try {
        work(*block, i);
      } catch (...) {
        block->errors[static_cast<size_t>(i)] = std::current_exception();
      }
      if (i + 1 < pulled) publish(*block, i + 1);
    }
  }
  const int64_t capacity = block->capacity;
  const int64_t elapsed = now() - begin;
  close(*block, pulled);  // and no more of the block: the consumer may have it
  fit_block_size(pulled, capacity, elapsed);
  return goes_on;
}

void WorkerBase::fit_block_size(int64_t count, int64_t capacity, int64_t nanoseconds) {
  const int64_t size = block_size_.load(std::memory_order_relaxed);
  if (nanoseconds > kLongBlock) {
    block_size_.store(std::max<int64_t>(1, std::min(size, capacity) / 2), std::memory_order_relaxed);
  } else if (nanoseconds < kShortBlock && count == capacity && capacity == size) {
    block_size_.store(std::min(kMaxBlock, size * 2), std::memory_order_relaxed);
  }
}

WorkerBase::Block* WorkerBase::begin_block() {
  std::unique_lock lock(locks_->all);
  // For a whole block: what is left over in a buffer makes no small ones, each of which would wake somebody.
  const auto wanted = [&] {
    return std::min(block_size_.load(std::memory_order_relaxed), std::max<int64_t>(1, limit_ / 2));
  };
  locks_->has_space.wait(lock, [&] {
    const bool has_room =
        in_flight_ + wanted() <= limit_ && (max_blocks_ == 0 || static_cast<int>(blocks_.size()) < max_blocks_);
    return is_stopped_ || has_ended_ || has_room;
  });
  if (is_stopped_ || has_ended_) return nullptr;
  std::unique_ptr<Block> block;
  if (!free_.empty()) {
    block = std::move(free_.back());
    free_.pop_back();
  }
  const int64_t capacity = wanted();
  in_flight_ += capacity;
  lock.unlock();

  if (!block) block = make_block();
  block->ready.store(0, std::memory_order_relaxed);
  block->is_closed.store(false, std::memory_order_relaxed);
  block->ends = false;
  block->error = nullptr;
  block->capacity = capacity;
  block->first = given_ + pulled_;
  block->errors.assign(static_cast<size_t>(capacity), nullptr);
  resize(*block);
  note_state(*block);
  Block* const begun = block.get();
  lock.lock();
  blocks_.push_back(std::move(block));
  return begun;
}

/// States are taken as often as costs a hundredth of the time, and such that copy much memory only when somebody
/// wants them: from the one before, the rest is found by skipping.
void WorkerBase::note_state(Block& block) {
  constexpr int64_t kLarge = int64_t{1} << 20;
  const int64_t begin = since_ > 0 || wants_state_ ? now() : 0;
  if (wants_state_ || (since_ > 0 && state_cost_ >= 0 && begin - state_time_ > 100 * state_cost_)) {
    auto state = std::make_shared<SavedState>();
    input().save(*state);
    state_time_ = now();
    state_cost_ = state_time_ - begin;
    if (bytes_of(*state) > kLarge && !is_asked_for_states_.load(std::memory_order_relaxed)) state_cost_ = -1;
    last_state_ = std::move(state);
    since_ = 0;
    wants_state_ = false;
  }
  if (state_cost_ < 0 && is_asked_for_states_.load(std::memory_order_relaxed)) state_cost_ = 0;
  block.state = last_state_;
  block.since = since_;
}

/// Wakes a consumer only if that has waited for long: one that was woken for each element would take its time from the
/// threads.
void WorkerBase::publish(Block& block, int64_t count) {
  block.ready.store(count);
  if (!consumer_waits_.load()) [[likely]] return;
  const std::lock_guard lock(locks_->all);
  if (blocks_.front().get() != &block) return;
  consumer_sleeps_ = false;
  consumer_waits_.store(false);
  locks_->has_elements.notify_one();
}

void WorkerBase::close(Block& block, int64_t count) {
  const std::lock_guard lock(locks_->all);
  in_flight_ += count - block.capacity;
  block.ready.store(count);
  block.is_closed.store(true);
  locks_->has_space.notify_one();
  if (!consumer_sleeps_ || blocks_.front().get() != &block) return;
  consumer_sleeps_ = false;
  consumer_waits_.store(false);
  locks_->has_elements.notify_one();
}

/// Takes the block that is read out of the queue. Called with the lock held.
void WorkerBase::release(std::unique_lock<std::mutex>&) {
  Block& block = *current_;
  const int64_t count = block.ready.load(std::memory_order_relaxed);
  resume_ = std::move(block.state);
  resume_since_ = block.since + count;
  in_flight_ -= count;
  constexpr size_t kKept = 8;
  if (free_.size() < kKept) free_.push_back(std::move(blocks_.front()));
  blocks_.pop_front();
  current_ = nullptr;
  read_ = ready_ = 0;
  locks_->has_space.notify_one();
}

bool WorkerBase::is_in_child() const { return is_started_ && num_forks.load(std::memory_order_relaxed) != forks_; }

void WorkerBase::release_if_read() {
  if (is_in_child()) return;
  const Block& block = *current_;
  if (!block.is_closed.load(std::memory_order_acquire) || block.ready.load(std::memory_order_relaxed) != read_) return;
  if (block.error || block.ends) return;
  std::unique_lock lock(locks_->all);
  release(lock);
}

/// The consumer finds nothing to read: what is left to the pipeline to choose grows. Called with the lock held.
void WorkerBase::grow() {
  if (options_.buffer == AUTOTUNE && limit_ < kMaxAutomaticBuffer && in_flight_ == 0) {
    limit_ *= 2;
    locks_->has_space.notify_one();
  }
  constexpr int kPatience = 2;
  const bool may_start =
      options_.threads == AUTOTUNE && static_cast<int>(threads_.size()) < max_threads_ && !has_ended_;
  if (may_start && ++starved_ >= kPatience) {
    starved_ = 0;
    add_thread();
  }
}

bool WorkerBase::advance() {
  if (is_finished_) return false;
  if (!is_started_) start();
  if (is_in_child())
    throw Error("a data set's iterator with threads was used before a fork; make a new one in the child");
  if (current_) {
    ready_ = current_->ready.load(std::memory_order_acquire);
    if (ready_ > read_) return true;
  }
  std::unique_lock lock(locks_->all);
  while (true) {
    if (is_stopped_) return false;
    if (current_ == nullptr && !blocks_.empty()) {
      current_ = blocks_.front().get();
      read_ = ready_ = 0;
    }
    if (current_) {
      ready_ = current_->ready.load();
      if (ready_ > read_) return true;
      if (current_->is_closed.load()) {
        const std::exception_ptr error = current_->error;
        is_finished_ = current_->ends;
        release(lock);
        if (error) std::rethrow_exception(error);
        if (is_finished_) return false;
        continue;
      }
    }
    if (fatal_) {
      is_finished_ = true;
      std::rethrow_exception(fatal_);
    }
    wait(lock);
  }
}

/// First for a whole block, and when that takes its time for a single element.
void WorkerBase::wait(std::unique_lock<std::mutex>& lock) {
  constexpr auto kPatience = std::chrono::nanoseconds(kLongBlock);
  const auto is_woken = [&] { return is_stopped_ || fatal_ || !consumer_sleeps_; };
  grow();
  consumer_sleeps_ = true;
  if (locks_->has_elements.wait_for(lock, kPatience, is_woken)) return;
  consumer_waits_.store(true);
  const Block* const block = blocks_.empty() ? nullptr : blocks_.front().get();
  const int64_t read = block == current_ ? read_ : 0;
  const bool has_one = block && (block->ready.load() > read || block->is_closed.load());
  if (!has_one) locks_->has_elements.wait(lock, is_woken);
  consumer_waits_.store(false);
  consumer_sleeps_ = false;
}

void WorkerBase::save_input(SavedState& state) const {
  if (!is_started_) {
    SavedState part;
    input().save(part);
    state.set_part("input", part);
    state.set("skip", int64_t{0});
    return;
  }
  is_asked_for_states_.store(true, std::memory_order_relaxed);
  state.set_part("input", current_ ? *current_->state : *resume_);
  state.set("skip", current_ ? current_->since + read_ : resume_since_);
}

void WorkerBase::restore_input(const SavedState& state) {
  input().restore(state.part("input"));
  const int64_t skip = state.get<int64_t>("skip");
  if (skip > 0 && input().skip(skip) < skip) throw Error("a saved state of a data set stands behind its end");
  given_ = state.get<int64_t>("position");
}

int64_t WorkerBase::skip_input(int64_t n) {
  const int64_t done = input().skip(n);
  given_ += done;
  return done;
}

}  // namespace detail
}  // namespace etch::data
