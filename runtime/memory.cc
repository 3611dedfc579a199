// Allocation of memory: small pieces from malloc, large ones from a bounded list of freed blocks.
#include "runtime/memory.h"

#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <new>

#include "etch/buffer.h"
#include "runtime/arena.h"
#include "runtime/fork.h"
#include "runtime/packs.h"

namespace etch {
namespace memory {
namespace {

constexpr int64_t kMaxCachedBytes = int64_t{512} << 20;
constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kPage = 4096;

std::atomic<int64_t> live_bytes{0};
std::atomic<int64_t> peak_bytes{0};
std::atomic<int64_t> allocations{0};
std::atomic<int64_t> copied_bytes{0};

int64_t round_up(int64_t bytes, int64_t unit) { return (bytes + unit - 1) / unit * unit; }

// Sizes of large blocks: four steps per power of two, so that a freed block serves similar sizes and at most a fifth of
// it is unused.
int64_t rounded(int64_t bytes) { return round_up(bytes, int64_t(std::bit_floor(static_cast<uint64_t>(bytes))) / 4); }

// The number of such a size, counted from kLargeBytes on.
int size_class(int64_t rounded_bytes) {
  const auto bytes = static_cast<uint64_t>(rounded_bytes);
  const int power = std::bit_width(bytes) - std::bit_width(static_cast<uint64_t>(kLargeBytes));
  return 4 * power + static_cast<int>((bytes - std::bit_floor(bytes)) / (std::bit_floor(bytes) / 4));
}

// Blocks begin at different places of a page, one after the other. Else the operands and the results of a kernel would begin at the
// same: their lines would fall into the same sets of the first cache, and a load would wait for a store to the same place of another
// page, as if it read what that wrote.
std::atomic<uint64_t> blocks{0}, huge_blocks{0};

// Of blocks that caches hold. Depthwise convolution of 14 x 14 x 512, whose pixels are 2 KiB apart, takes 86 us with one place for all
// and 49 with several.
int64_t next_place() {
  // Loads wait for stores a vector before them: neither the distance between blocks made near each other in time nor what is left of it
  // beside lines that are 1, 2 or 4 KiB apart is so little.
  constexpr uint64_t kStep = 19, kPlaces = kPage / Buffer::kAlignment;
  return static_cast<int64_t>(blocks.fetch_add(kStep, std::memory_order_relaxed) % kPlaces) * Buffer::kAlignment;
}

// Of blocks that come from memory. That is fetched ahead page by page, so a kernel should come to the next page of all its blocks at
// once, to wait for them together: with places all over a page three operands of 64 MB take a twentieth longer. A graph of six operands
// and four results of 4 MB each takes a sixth less time with these places than with one.
int64_t next_place_near_front() {
  constexpr uint64_t kPlaces = 8;
  constexpr int64_t kStepBytes = 128;
  return static_cast<int64_t>(huge_blocks.fetch_add(1, std::memory_order_relaxed) % kPlaces) * kStepBytes;
}

/// Null where there is no memory.
void* allocate_block(int64_t bytes) {
  const bool huge = bytes >= kHugePage;
  const int64_t page = huge ? kHugePage : kPage;
  void* block = std::aligned_alloc(page, round_up(bytes + kPage, page));
  if (block == nullptr) return nullptr;
  if (huge) madvise(block, bytes, MADV_HUGEPAGE);  // a hint: failure changes nothing
  return static_cast<std::byte*>(block) + (huge ? next_place_near_front() : next_place());
}

void* page_of(void* block) {
  const auto address = reinterpret_cast<uintptr_t>(block);
  return static_cast<std::byte*>(block) - address % kPage;
}

// Freed large blocks. Their lists stand in the blocks themselves, so that freeing needs no memory. Constant-initialised
// and never destroyed: buffers may be freed during static destruction.
class BlockCache {
 public:
  void* take(int64_t bytes) noexcept {
    std::lock_guard lock(mutex_);
    Entry* entry = newest_of_class_[size_class(bytes)];
    if (entry != nullptr) remove(entry);
    return entry;
  }

  void put(void* data, int64_t bytes) noexcept {
    Entry* evicted = nullptr;  // a list by `older`
    {
      std::lock_guard lock(mutex_);
      add(new (data) Entry{.bytes = bytes});
      while (cached_bytes_ > kMaxCachedBytes) {
        Entry* oldest = oldest_;
        remove(oldest);
        oldest->older = evicted;
        evicted = oldest;
      }
    }
    free_all(evicted);
  }

  void clear() noexcept {
    Entry* newest = nullptr;
    {
      std::lock_guard lock(mutex_);
      newest = newest_;
      newest_ = oldest_ = nullptr;
      for (Entry*& entry : newest_of_class_) entry = nullptr;
      cached_bytes_ = 0;
    }
    free_all(newest);
  }

  void lock() noexcept { mutex_.lock(); }
  void unlock() noexcept { mutex_.unlock(); }

  int64_t cached_bytes() noexcept {
    std::lock_guard lock(mutex_);
    return cached_bytes_;
  }

 private:
  /// Stands at the front of a freed block, in the list of all blocks and in that of its size.
  struct Entry {
    int64_t bytes = 0;
    Entry *older = nullptr, *newer = nullptr;
    Entry *older_of_class = nullptr, *newer_of_class = nullptr;
  };

  void add(Entry* entry) noexcept {
    entry->older = newest_;
    (newest_ ? newest_->newer : oldest_) = entry;
    newest_ = entry;
    Entry*& newest_of_class = newest_of_class_[size_class(entry->bytes)];
    entry->older_of_class = newest_of_class;
    if (newest_of_class) newest_of_class->newer_of_class = entry;
    newest_of_class = entry;
    cached_bytes_ += entry->bytes;
  }

  void remove(Entry* entry) noexcept {
    (entry->older ? entry->older->newer : oldest_) = entry->newer;
    (entry->newer ? entry->newer->older : newest_) = entry->older;
    if (entry->older_of_class) entry->older_of_class->newer_of_class = entry->newer_of_class;
    Entry*& newest_of_class = newest_of_class_[size_class(entry->bytes)];
    (entry->newer_of_class ? entry->newer_of_class->older_of_class : newest_of_class) = entry->older_of_class;
    cached_bytes_ -= entry->bytes;
  }

  static void free_all(Entry* entry) noexcept {
    while (entry != nullptr) std::free(page_of(std::exchange(entry, entry->older)));
  }

  // Up to the largest size that an int64_t holds.
  static constexpr int kClasses = 4 * (64 - std::bit_width(static_cast<uint64_t>(kLargeBytes)));

  std::mutex mutex_;
  Entry *newest_ = nullptr, *oldest_ = nullptr;
  Entry* newest_of_class_[kClasses] = {};
  int64_t cached_bytes_ = 0;
};

constinit BlockCache block_cache;

const ForkHandler fork_handler(
    ForkOrder::memory, nullptr,
    [](void*) {
      block_cache.lock();
      return true;
    },
    [](void*) { block_cache.unlock(); }, [](void*) { block_cache.unlock(); });

}  // namespace

void* allocate(int64_t bytes, bool* fresh) {
  if (fresh != nullptr) *fresh = true;
  if (bytes < kLargeBytes) {
    void* data = std::aligned_alloc(Buffer::kAlignment, round_up(std::max<int64_t>(bytes, 1), Buffer::kAlignment));
    if (data == nullptr) throw std::bad_alloc();
    return data;
  }
  const int64_t size = rounded(bytes);
  if (void* data = block_cache.take(size)) {
    if (fresh != nullptr) *fresh = false;
    return data;
  }
  void* data = allocate_block(size);
  if (data == nullptr) {
    trim_memory();
    data = allocate_block(size);
  }
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

void free(void* data, int64_t bytes) noexcept {
  if (data == nullptr) return;
  if (bytes < kLargeBytes) return std::free(data);
  block_cache.put(data, rounded(bytes));
}

void count_use(int64_t bytes) noexcept {
  const int64_t live = live_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t peak = peak_bytes.load(std::memory_order_relaxed);
  while (live > peak && !peak_bytes.compare_exchange_weak(peak, live, std::memory_order_relaxed)) {
  }
}

void count_end_of_use(int64_t bytes) noexcept { live_bytes.fetch_sub(bytes, std::memory_order_relaxed); }

void count_copy(int64_t bytes) noexcept { copied_bytes.fetch_add(bytes, std::memory_order_relaxed); }

void count_allocation() noexcept { allocations.fetch_add(1, std::memory_order_relaxed); }

}  // namespace memory

MemoryStats memory_stats() {
  MemoryStats stats;
  stats.live_bytes = memory::live_bytes.load();
  stats.peak_bytes = memory::peak_bytes.load();
  stats.scratch_bytes = ScratchArena::bytes_in_use();
  stats.cached_bytes = memory::block_cache.cached_bytes() + ScratchArena::bytes_kept();
  stats.allocations = memory::allocations.load();
  stats.copied_bytes = memory::copied_bytes.load();
  return stats;
}

void reset_peak_memory() { memory::peak_bytes.store(memory::live_bytes.load()); }

void trim_memory() {
  drop_all_packs();
  ScratchArena::free_kept();
  memory::block_cache.clear();
}

}  // namespace etch
