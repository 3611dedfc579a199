// Aligned memory for buffers and scratch, and its counts. Large blocks are kept when they are freed.
#pragma once

#include <cstdint>

namespace etch::memory {

// Fresh pages cost more than most kernels that fill them (a fault per 4 KiB), and malloc returns what is freed at the end of its
// memory to the system, once a few results together are more than 128 KiB. So blocks from this size on are kept.
inline constexpr int64_t kLargeBytes = int64_t{32} << 10;

/// Uninitialised memory of at least `bytes`, aligned to Buffer::kAlignment. Sets `fresh` to whether the system gave it.
/// Throws std::bad_alloc.
void* allocate(int64_t bytes, bool* fresh = nullptr);

/// Frees what allocate() gave for as many bytes.
void free(void* data, int64_t bytes) noexcept;

/// Counts bytes that come into use.
void count_use(int64_t bytes) noexcept;
void count_end_of_use(int64_t bytes) noexcept;
/// Counts bytes that were copied from one tensor to another.
void count_copy(int64_t bytes) noexcept;
/// Counts an allocation.
void count_allocation() noexcept;

}  // namespace etch::memory
