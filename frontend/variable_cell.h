// What stands behind a Variable's handle.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "etch/variable.h"
#include "frontend/counted.h"
#include "frontend/tensor_impl.h"
#include "runtime/fork.h"

namespace etch::detail {

/// A lock of four bytes. Threads that find it taken sleep.
class CellLock {
 public:
  void lock() noexcept {
    uint32_t expected = kFree;
    if (state_.compare_exchange_strong(expected, kTaken, std::memory_order_acquire)) [[likely]] return;
    while (state_.exchange(kWanted, std::memory_order_acquire) != kFree) {
      state_.wait(kWanted, std::memory_order_relaxed);
    }
  }
  bool try_lock() noexcept {
    uint32_t expected = kFree;
    return state_.compare_exchange_strong(expected, kTaken, std::memory_order_acquire);
  }
  void unlock() noexcept {
    if (state_.exchange(kFree, std::memory_order_release) == kWanted) state_.notify_one();
  }

 private:
  static constexpr uint32_t kFree = 0, kTaken = 1, kWanted = 2;
  std::atomic<uint32_t> state_{kFree};
};

/// The tensor that copies of a Variable share, and what never changes about it once it is built.
class [[gnu::visibility("hidden")]] VariableCell : public Counted<VariableCell> {
 public:
  VariableCell(Tensor initial, VariableOptions options, Location where);
  /// One that is built later.
  VariableCell(VariableOptions options, Location where);

  /// True once it holds a tensor and has a type.
  bool is_built() const { return state_.load(std::memory_order_acquire) == State::built; }
  /// True if this thread is to build it, and to end that by end_build or cancel_build; false if it is built. Waits while
  /// another thread builds it. Error if this one does already.
  bool begin_build(Location where);
  void end_build(Tensor initial, Location where);
  void cancel_build() noexcept;

  /// Of one that is built.
  const Type& type() const { return type_; }
  const std::string& name() const { return options_.name; }
  const VariableOptions& options() const { return options_; }
  /// Whether it is to be trained: made so and not frozen. See ask_frozen.
  bool trainable() const;
  /// Whether it was made to be trained, and whether that is switched off now.
  bool is_made_trainable() const { return options_.trainable; }
  bool is_frozen() const { return frozen_.load(std::memory_order_relaxed); }
  void set_frozen(bool frozen) { frozen_.store(frozen, std::memory_order_relaxed); }
  /// Unlike that of any other cell. Whoever locks several cells locks them by ascending numbers.
  int64_t number() const { return fork_handler_.number(); }

  void lock() noexcept { lock_.lock(); }
  bool try_lock() noexcept { return lock_.try_lock(); }
  void unlock() noexcept { lock_.unlock(); }
  /// The tensor that stands in it, an eager one. Read and replaced with the lock held; whoever holds it may also write the
  /// elements, if nobody else holds those (is_exclusive).
  Tensor& tensor() { return tensor_; }

  /// A handle to the tensor.
  Tensor read();
  /// Replaces the tensor; false, and nothing happens, if another one than `before` stands there. The tensor that stood there
  /// comes back in `after`, so that it is freed without the lock.
  bool replace(const TensorImpl* before, Tensor& after);
  void assign(Tensor value);

 private:
  enum class State : uint8_t { empty, building, built };

  void start_as_child();

  const VariableOptions options_;
  Type type_;
  std::atomic<State> state_{State::empty};
  std::atomic<bool> frozen_{false};
  std::atomic<pthread_t> builder_{};  // while it is building
  CellLock lock_;
  Tensor tensor_;
  const ForkHandler fork_handler_{ForkOrder::variable, this,
                                  [](void* self) { return lock_soon(*static_cast<VariableCell*>(self)); },
                                  [](void* self) { static_cast<VariableCell*>(self)->unlock(); },
                                  [](void* self) { static_cast<VariableCell*>(self)->start_as_child(); }};
};

/// While it stands, this thread reads and assigns values of its own in the place of those in the cells, and takes no lock that
/// it could wait for.
class VariableSnapshot {
 public:
  VariableSnapshot();
  ~VariableSnapshot();
  VariableSnapshot(const VariableSnapshot&) = delete;
  VariableSnapshot& operator=(const VariableSnapshot&) = delete;

  static VariableSnapshot* current() { return current_; }

  /// What stands in a cell here. That of one that was not put in before is taken from the cell; Unavailable if another thread
  /// holds that for long.
  Tensor& at(VariableCell& cell);
  void put(VariableCell& cell, Tensor value);
  struct Entry {
    Ref<VariableCell> cell;
    Tensor value, before;
  };
  const std::vector<Entry>& entries() const { return entries_; }

  struct Unavailable {};
  /// True if that was thrown: a callable may have caught it.
  bool is_incomplete() const { return is_incomplete_; }

 private:
  [[gnu::tls_model("initial-exec")]] static constinit thread_local VariableSnapshot* current_;
  std::vector<Entry> entries_;
  bool is_incomplete_ = false;
};

struct VariableAccess {
  static VariableCell* get(const Variable& variable) { return variable.cell_.get(); }
  static Variable share(VariableCell& cell) {
    cell.add_reference();
    Variable variable;
    variable.cell_ = Ref<VariableCell>(&cell);
    return variable;
  }
  static const Ref<VariableCell>& ref(const Variable& variable) { return variable.cell_; }
};

void retain(const VariableCell* cell) noexcept;
void release(const VariableCell* cell) noexcept;

/// What a function that was traced with a variable took for granted: whether it was frozen.
struct FlagGuard {
  Ref<const VariableCell> cell;
  bool frozen = false;
};

/// Whether set_trainable froze a variable, as the innermost trace of this thread found it first, if there is one: what it was
/// told becomes a guard of the function.
bool ask_frozen(const VariableCell& cell);

/// The tensors that stand in variables at one moment; null cells and such that are not built give none.
std::vector<Tensor> read_together(std::span<VariableCell* const> cells);
/// Puts tensors of the cells' types in at one moment.
void assign_together(std::span<VariableCell* const> cells, std::vector<Tensor> values);

/// `variable w f32[3]`, or `variable w, not built yet`.
std::string description(const VariableCell& cell);

}  // namespace etch::detail
