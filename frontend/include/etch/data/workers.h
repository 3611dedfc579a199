// The stages that have threads: prefetch and parallel map. Blocks of elements pass between threads. Internal.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "etch/data/stage.h"

namespace [[gnu::visibility("default")]] etch {
namespace data {

/// How many threads pipelines of this process have now.
int64_t num_pipeline_threads();

namespace detail {

/// The most elements of a block, however short a time they take.
inline constexpr int64_t kMaxBlock = 4096;

struct WorkerOptions {
  int threads = 1;       // or AUTOTUNE
  int64_t buffer = 256;  // elements that are ahead of the consumer at most, or AUTOTUNE
  int max_blocks = 0;    // the same of blocks; 0: any number
  bool pulls_alone = true;  // false: what a thread pulls in turn with the others, it works on beside them
};

/// The part of a cursor with threads that does not know its elements. Threads take turns at pulling a block of
/// elements from the input; each works on its own block; the consumer reads the blocks in the order in which they
/// were pulled, also one that is still being worked on, up to where it is ready.
class WorkerBase {
 public:
  WorkerBase(const OpenContext& context, WorkerOptions options);
  virtual ~WorkerBase();
  WorkerBase(const WorkerBase&) = delete;
  WorkerBase& operator=(const WorkerBase&) = delete;

  /// What the input is opened with.
  Cancellation& input_cancellation() { return cancellation_; }

 protected:
  struct Block {
    virtual ~Block() = default;
    std::atomic<int64_t> ready{0};       // elements that the consumer may read
    std::atomic<bool> is_closed{false};  // there will be no more; then the two below stand
    bool ends = false;                   // the input has ended behind it
    std::exception_ptr error;            // of the input, behind its elements
    int64_t capacity = 0;
    int64_t first = 0;                   // the index of its first element
    std::shared_ptr<const SavedState> state;  // of the input, `since` elements before the block
    int64_t since = 0;
    std::vector<std::exception_ptr> errors;  // by element
  };

  virtual std::unique_ptr<Block> make_block() const = 0;
  /// Makes room for `capacity` elements.
  virtual void resize(Block& block) const = 0;
  /// Takes one element of the input; false at the end. One thread at a time.
  virtual bool pull(Block& block, int64_t i) = 0;
  virtual void work(Block& block, int64_t i) const = 0;
  virtual CursorBase& input() = 0;
  virtual const CursorBase& input() const = 0;

  /// For derived classes' destructors: ends and joins all threads.
  void stop() noexcept;

  /// Waits until there is more to read than up to `read_`, and puts how far into `ready_`; false at the end. Throws
  /// an error of the input once.
  bool advance();
  /// Gives a block back as soon as it is read.
  void release_if_read();
  bool is_started() const { return is_started_; }
  void save_input(SavedState& state) const;
  void restore_input(const SavedState& state);
  int64_t skip_input(int64_t n);

  Block* current_ = nullptr;  // that the consumer reads
  int64_t read_ = 0, ready_ = 0;

 private:
  void start();
  void add_thread();
  void run() noexcept;
  /// False if there is nothing more to do.
  bool run_block();
  Block* begin_block();
  void note_state(Block& block);
  void publish(Block& block, int64_t count);
  void close(Block& block, int64_t count);
  void fit_block_size(int64_t count, int64_t capacity, int64_t nanoseconds);
  void release(std::unique_lock<std::mutex>& lock);
  void wait(std::unique_lock<std::mutex>& lock);
  void grow();
  bool is_in_child() const;

  const WorkerOptions options_;
  Cancellation cancellation_;
  bool is_started_ = false, is_finished_ = false;
  int forks_ = 0;  // of this process and those before it, when the threads started
  int64_t given_ = 0;  // elements before the first one of the threads'
  std::shared_ptr<const SavedState>
      resume_;  // of the input, `resume_since_` elements before what the consumer reads next
  int64_t resume_since_ = 0;

  /// In a child of a fork they may be held for ever by threads that are not there: nobody touches them any more.
  struct Locks {
    std::mutex pulling;  // guards the input and what stands behind it below
    std::mutex all;      // guards all that stands behind it below
    std::condition_variable has_elements, has_space;
  };
  std::unique_ptr<Locks> locks_ = std::make_unique<Locks>();

  // Guarded by `pulling`.
  std::shared_ptr<const SavedState> last_state_;
  int64_t since_ = 0, pulled_ = 0;
  int64_t state_cost_ = 0, state_time_ = 0;
  bool wants_state_ = false;
  mutable std::atomic<bool> is_asked_for_states_{false};
  std::atomic<int64_t> block_size_{1};

  // Guarded by `all`.
  std::atomic<bool> consumer_waits_{false};
  bool consumer_sleeps_ = false;  // for a block or, if consumer_waits_, for an element
  bool is_stopped_ = false, has_ended_ = false;
  std::exception_ptr fatal_;
  std::deque<std::unique_ptr<Block>> blocks_;
  std::vector<std::unique_ptr<Block>> free_;
  int64_t in_flight_ = 0;  // elements of blocks_
  int64_t limit_ = 0;
  int max_threads_ = 1, max_blocks_ = 0, starved_ = 0;

  std::vector<std::thread> threads_;
  std::unique_ptr<Cancellation::Listener> listener_;
};

/// A cursor with threads. `Work` is called as `R(int64_t index, T&&) const`.
template <class T, class R, class Work>
class WorkerCursor final : public Cursor<R>, private WorkerBase {
 public:
  WorkerCursor(const Stage<T>& input, const OpenContext& context, WorkerOptions options)
      : WorkerBase(context, options) {
    OpenContext inner = context;
    inner.cancellation = &input_cancellation();
    input_ = input.open(inner);
    inner_ = inner;
  }
  ~WorkerCursor() override { stop(); }

  /// To be called once.
  void set_work(Work work) { work_ = std::move(work); }
  std::unique_ptr<Cursor<T>>& source() { return input_; }
  const OpenContext& inner_context() const { return inner_; }
  const Work& the_work() const { return *work_; }
  Work& the_work() { return *work_; }

  bool next(R& out) override {
    if (read_ == ready_ && !advance()) return false;
    TypedBlock& block = static_cast<TypedBlock&>(*current_);
    const auto i = static_cast<size_t>(read_++);
    ++position_;
    if (block.errors[i]) [[unlikely]] {
      const std::exception_ptr error = std::exchange(block.errors[i], nullptr);
      if (read_ == ready_) release_if_read();
      std::rethrow_exception(error);
    }
    out = std::move(block.out[i]);
    if (read_ == ready_) release_if_read();
    return true;
  }
  int64_t skip(int64_t n) override {
    if (is_started()) return Cursor<R>::skip(n);
    const int64_t done = skip_input(n);
    position_ += done;
    return done;
  }
  void save(SavedState& state) const override {
    save_input(state);
    state.set("position", position_);
    if constexpr (requires { work_->save(state); }) work_->save(state);
  }
  void restore(const SavedState& state) override {
    restore_input(state);
    position_ = state.get<int64_t>("position");
    if constexpr (requires { work_->restore(state); }) work_->restore(state);
  }
  bool replays() const override { return input_->replays(); }

 private:
  struct TypedBlock final : Block {
    std::vector<T> in;
    std::vector<R> out;
  };
  static constexpr bool kMoves = std::is_same_v<T, R> && requires { Work::kMoves; };

  std::unique_ptr<Block> make_block() const override { return std::make_unique<TypedBlock>(); }
  void resize(Block& base) const override {
    auto& block = static_cast<TypedBlock&>(base);
    const auto count = static_cast<size_t>(block.capacity);
    if constexpr (!kMoves) {
      if (block.in.size() < count) block.in.resize(count);
    }
    if (block.out.size() < count) block.out.resize(count);
  }
  bool pull(Block& base, int64_t i) override {
    auto& block = static_cast<TypedBlock&>(base);
    if constexpr (kMoves) {
      return input_->next(block.out[static_cast<size_t>(i)]);
    } else {
      return input_->next(block.in[static_cast<size_t>(i)]);
    }
  }
  void work(Block& base, int64_t i) const override {
    if constexpr (!kMoves) {
      auto& block = static_cast<TypedBlock&>(base);
      const auto k = static_cast<size_t>(i);
      T element = std::move(block.in[k]);
      block.out[k] = (*work_)(block.first + i, std::move(element));
    }
  }
  CursorBase& input() override { return *input_; }
  const CursorBase& input() const override { return *input_; }

  std::unique_ptr<Cursor<T>> input_;
  OpenContext inner_;
  std::optional<Work> work_;
  int64_t position_ = 0;
};

/// The work of prefetch: none.
template <class T>
struct Moves {
  static constexpr bool kMoves = true;
  T operator()(int64_t, T&& element) const { return std::move(element); }
};

}  // namespace detail
}  // namespace data
}  // namespace etch
