// Aligned memory for buffers and scratch, and its counts. Large blocks are kept when they are freed.
#pragma once

#include <cstdint>
#include <span>

namespace etch::memory {

// Fresh pages cost more than most kernels that fill them (a fault per 4 KiB), and malloc returns what is freed at the end of its
// memory to the system, once a few results together are more than 128 KiB. So blocks from this size on are kept.
inline constexpr int64_t kLargeBytes = int64_t{32} << 10;

// In front of a smaller block, for its owner.
inline constexpr int64_t kFrontBytes = 48;

/// Uninitialised memory of at least `bytes`, aligned to Buffer::kAlignment. Sets `fresh` to whether the system gave it.
/// Throws std::bad_alloc.
void* allocate(int64_t bytes, bool* fresh = nullptr);

/// The same for a result of these operands: a large one begins at a place of a page from which a loop over it and them runs well.
void* allocate_beside(std::span<const void* const> operands, int64_t bytes);

/// Frees what these gave for as many bytes.
void free(void* data, int64_t bytes) noexcept;

/// Counts bytes that come into use.
void count_use(int64_t bytes) noexcept;
void count_end_of_use(int64_t bytes) noexcept;
/// Counts bytes that were copied from one tensor to another.
void count_copy(int64_t bytes) noexcept;
/// Counts an allocation.
void count_allocation() noexcept;

}  // namespace etch::memory
