// Allocation of memory: small pieces from malloc, large ones from a bounded list of freed blocks.
#include "runtime/memory.h"

#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <new>

#include "etch/buffer.h"
#include "runtime/arena.h"
#include "runtime/fork.h"
#include "runtime/packs.h"
#include "runtime/rounding.h"

namespace etch {
namespace memory {
namespace {

constexpr int64_t kMaxCachedBytes = int64_t{512} << 20;
constexpr int64_t kHugePage = int64_t{2} << 20;
constexpr int64_t kPage = 4096;
constexpr int64_t kMallocAlignment = alignof(std::max_align_t);

std::atomic<int64_t> live_bytes{0};
std::atomic<int64_t> peak_bytes{0};
std::atomic<int64_t> allocations{0};
std::atomic<int64_t> copied_bytes{0};

// Sizes of large blocks: four steps per power of two, so that a freed block serves similar sizes and at most a fifth of
// it is unused.
int64_t rounded(int64_t bytes) { return round_up(bytes, int64_t(std::bit_floor(static_cast<uint64_t>(bytes))) / 4); }

// The number of such a size, counted from kLargeBytes on.
int size_class(int64_t rounded_bytes) {
  const auto bytes = static_cast<uint64_t>(rounded_bytes);
  const int power = std::bit_width(bytes) - std::bit_width(static_cast<uint64_t>(kLargeBytes));
  return 4 * power + static_cast<int>((bytes - std::bit_floor(bytes)) / (std::bit_floor(bytes) / 4));
}

// Loads of a loop's next turns begin before the stores of this one are done, and wait for one to the same place of another page as if
// they read what it wrote. Where results begin 64 to 512 bytes behind an operand, by the place in a page, gelu of 8,192 elements takes
// 1.2 to 9 times as long (Intel Sapphire Rapids), a sum of two 1.1 to 4 times; from 1,024 bytes on, or before it, as long as at the same
// place. So blocks begin at multiples of this.
constexpr int64_t kStep = Buffer::kPlaceStep;

// They begin at different ones, one after the other. Else the lines of all operands and results of a kernel would fall into the same sets
// of the first cache: depthwise convolution of 14 x 14 x 512 takes 86 us with one place for all and 49 with several.
int64_t next_place() {
  static std::atomic<uint64_t> blocks{0};
  return static_cast<int64_t>(blocks.fetch_add(1, std::memory_order_relaxed) % (kPage / kStep)) * kStep;
}

// What comes from memory is fetched ahead page by page, so a kernel should come to the next page of all its blocks near the same time:
// those begin at two places only, unless they are chosen beside operands.
int64_t next_place_of_huge() {
  static std::atomic<uint64_t> blocks{0};
  return static_cast<int64_t>(blocks.fetch_add(1, std::memory_order_relaxed) % 2) * (kPage / 2);
}

int64_t place_of(const void* address) { return static_cast<int64_t>(reinterpret_cast<uintptr_t>(address) % kPage); }

// What a loop loses if its result begins so far behind an operand. At the same place, or at rows behind it, it loses only where it reads
// neighbours: rows of 1,024 bytes and their multiples are usual.
int loss_at(int64_t distance) {
  constexpr int64_t kNeighbours = 128;
  if (distance > 0 && distance < kStep) return distance <= kStep / 2 ? 16 : 4;
  if (distance % kStep == 0 || distance > kPage - kNeighbours) return 2;
  return distance % kStep <= kStep / 2 ? 1 : 0;
}

/// The place at which a result loses least: a little before the first operand, where the others allow it.
int64_t place_beside(std::span<const void* const> operands) {
  constexpr size_t kMost = 8;
  constexpr int64_t kGrid = 256;
  const int64_t first = place_of(operands[0]) / kGrid * kGrid;
  int64_t best = 0;
  int least = std::numeric_limits<int>::max();
  for (int64_t before = kGrid; before <= kPage && least > 0; before += kGrid) {
    const int64_t place = (first - before + kPage) % kPage;
    int loss = 0;
    for (const void* operand : operands.first(std::min(operands.size(), kMost))) {
      loss += loss_at((place - place_of(operand) + kPage) % kPage);
    }
    if (loss < least) {
      least = loss;
      best = place;
    }
  }
  return best;
}

/// A block with a page more than it needs, at one of its places. Null where there is no memory.
void* allocate_block(int64_t bytes) {
  const bool huge = bytes >= kHugePage;
  const int64_t page = huge ? kHugePage : kPage;
  void* block = std::aligned_alloc(page, round_up(bytes + kPage, page));
  if (block == nullptr) return nullptr;
  if (huge) madvise(block, bytes, MADV_HUGEPAGE);  // a hint: failure changes nothing
  return static_cast<std::byte*>(block) + (huge ? next_place_of_huge() : next_place());
}

std::byte* page_of(void* block) { return static_cast<std::byte*>(block) - place_of(block); }

// Where a small block begins, which malloc gave: what computes a short one is done before it matters, and a sanitizer watches what lies
// close behind a block.
int64_t step_of_small(int64_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  constexpr bool is_watched = true;
#else
  constexpr bool is_watched = false;
#endif
  return bytes < kStep || is_watched ? Buffer::kAlignment : kStep;
}

// In front of a small block, and of what belongs to its owner, stands what malloc gave.
void*& base_of(void* small) { return *reinterpret_cast<void**>(static_cast<std::byte*>(small) - kFrontBytes - sizeof(void*)); }

/// Null where there is no memory. Faster than aligned_alloc, which goes past the lists of what was freed last.
void* allocate_small(int64_t bytes) {
  const int64_t step = step_of_small(bytes);
  const int64_t front = kFrontBytes + static_cast<int64_t>(sizeof(void*));
  void* base = std::malloc(static_cast<size_t>(front + step - kMallocAlignment / 2 + bytes));
  if (base == nullptr) return nullptr;
  auto* data = reinterpret_cast<void*>(round_up(reinterpret_cast<int64_t>(base) + front, step));
  base_of(data) = base;
  return data;
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
    void* data = allocate_small(bytes);
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

void* allocate_beside(std::span<const void* const> operands, int64_t bytes) {
  void* data = allocate(bytes);
  return bytes < kLargeBytes || operands.empty() ? data : page_of(data) + place_beside(operands);
}

void free(void* data, int64_t bytes) noexcept {
  if (data == nullptr) return;
  if (bytes < kLargeBytes) return std::free(base_of(data));
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
