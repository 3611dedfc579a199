// The compiled functions of eager ops: those that a thread called last, and behind them those of all threads.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/container/inlined_vector.h"
#include "frontend/eager_key.h"
#include "runtime/executable.h"

namespace etch::detail {

/// A compiled function of one op.
struct EagerKernel {
  explicit EagerKernel(const EagerKeyView& key) : key(key) {}

  const EagerKey key;
  Types types;
  absl::InlinedVector<int32_t, 2> same_as;  // per result: the operand whose elements it has, or -1 where steps write it
  bool computes = false;                    // some result
  bool is_plain = false;                    // it has one result, which it computes
  bool is_large = false;                    // some result begins beside the operands
  std::shared_ptr<const Executable> executable;
};

/// The kernel of a key for the time of a call. Of those that this thread called last it is taken and given back, so that a call takes
/// no lock and counts no references; a call inside of the call finds the place empty and asks the cache of all threads.
class LentKernel {
 public:
  explicit LentKernel(const EagerKeyView& key);
  /// Without asking the cache of all threads.
  static LentKernel recent(const EagerKeyView& key) { return LentKernel(key, Recent()); }
  LentKernel(const LentKernel&) = delete;
  LentKernel& operator=(const LentKernel&) = delete;
  ~LentKernel() {
    if (place_ != nullptr && kernel_ != nullptr && kernel_->is_plain) *place_ = std::move(kernel_);
  }

  /// Null where the op was not compiled for the key; then fill() hands it in, for all threads.
  const EagerKernel* get() const { return kernel_.get(); }
  void fill(std::shared_ptr<const EagerKernel> kernel);

 private:
  struct Recent {};
  LentKernel(const EagerKeyView& key, Recent);

  std::shared_ptr<const EagerKernel> kernel_;
  std::shared_ptr<const EagerKernel>* place_ = nullptr;  // among those of this thread
};

}  // namespace etch::detail
