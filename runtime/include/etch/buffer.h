// Buffer: reference-counted, aligned memory that tensors share.
#pragma once

#include <cstddef>
#include <cstdint>

#include "etch/ref.h"

namespace [[gnu::visibility("default")]] etch {

/// Memory of a tensor. Copies share it; the last owner frees it. The count is atomic, the bytes are not guarded.
class Buffer {
 public:
  static constexpr int64_t kAlignment = 64;
  /// What allocate() gives of so many bytes, beside no operands, begins at a multiple of it (not under AddressSanitizer).
  static constexpr int64_t kPlaceStep = 1024;

  Buffer() = default;

  /// Uninitialised memory, aligned to kAlignment. Throws std::bad_alloc. A large one begins at
  /// a place of a page at which a loop over it and these operands is not slowed down by where they begin.
  static Buffer allocate(int64_t bytes, const void* const* operands = nullptr, size_t count = 0);

  /// Memory owned by someone else; `release(context)` is called when the last Buffer that names it is gone.
  static Buffer wrap(void* data, int64_t bytes, void (*release)(void*), void* context);

  void* data() const { return block_ ? block_->data : nullptr; }
  int64_t bytes() const { return block_ ? block_->bytes : 0; }
  explicit operator bool() const { return static_cast<bool>(block_); }
  /// True if allocate() gave the memory.
  bool is_allocated() const { return block_ && block_->free == nullptr; }
  /// True if no other Buffer shares the memory.
  bool unique() const { return block_ && __atomic_load_n(&block_->references, __ATOMIC_ACQUIRE) == 1; }

 private:
  struct Block {
    int64_t references = 1;  // changed by the compiler's atomic functions: <atomic> doubles the time to parse this file
    void* data = nullptr;
    int64_t bytes = 0;
    void (*free)(void* context) = nullptr;
    void* context = nullptr;

    static void destroy(Block* block);
    friend void retain(Block* block) noexcept { __atomic_fetch_add(&block->references, 1, __ATOMIC_RELAXED); }
    friend void release(Block* block) noexcept {
      if (__atomic_fetch_sub(&block->references, 1, __ATOMIC_ACQ_REL) == 1) Block::destroy(block);
    }
  };
  explicit Buffer(Block* block) : block_(block) {}

  Ref<Block> block_;
};

/// Memory that tensors and runs hold now, and what is kept for reuse.
struct MemoryStats {
  int64_t live_bytes = 0;     // of tensors, of packed copies of weights, and of the temporaries of calls that are running
  int64_t peak_bytes = 0;     // highest live_bytes since the last reset
  int64_t scratch_bytes = 0;  // of live_bytes: the temporaries
  int64_t cached_bytes = 0;   // freed blocks and scratch memory, kept for reuse; at most about 530 MiB
  int64_t allocations = 0;
  int64_t copied_bytes = 0;   // so far: where a result equals an input or another result and must be a tensor of its own
};
MemoryStats memory_stats();
void reset_peak_memory();
/// Gives all memory that is kept for reuse back to the system, packed copies of weights as well: calls make them anew.
void trim_memory();

}  // namespace etch
