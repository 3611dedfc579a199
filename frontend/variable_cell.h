// What stands behind a Variable's handle.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <utility>

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
  void unlock() noexcept {
    if (state_.exchange(kFree, std::memory_order_release) == kWanted) state_.notify_one();
  }

 private:
  static constexpr uint32_t kFree = 0, kTaken = 1, kWanted = 2;
  std::atomic<uint32_t> state_{kFree};
};

/// The tensor that copies of a Variable share, and what never changes about it.
class [[gnu::visibility("hidden")]] VariableCell : public Counted<VariableCell> {
 public:
  VariableCell(Tensor initial, VariableOptions options, Location where);

  const Type& type() const { return type_; }
  const std::string& name() const { return options_.name; }
  bool trainable() const { return options_.trainable; }
  /// Unlike that of any other cell. Whoever locks several cells locks them by ascending numbers.
  int64_t number() const { return fork_handler_.number(); }

  void lock() noexcept { lock_.lock(); }
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
  const Type type_;
  const VariableOptions options_;
  CellLock lock_;
  Tensor tensor_;
  const ForkHandler fork_handler_{ForkOrder::variable, this,
                                  [](void* self) { static_cast<VariableCell*>(self)->lock(); },
                                  [](void* self) { static_cast<VariableCell*>(self)->unlock(); },
                                  [](void* self) { static_cast<VariableCell*>(self)->unlock(); }};
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

/// `variable w f32[3]`.
std::string description(const VariableCell& cell);

}  // namespace etch::detail
