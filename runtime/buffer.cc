// Allocation of buffers: small ones from malloc, large ones from a bounded list of freed blocks.
#include "etch/buffer.h"

#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

namespace etch {
namespace {

// Fresh pages cost more than most kernels that fill them (a fault per 4 KiB), so large blocks are kept when freed.
constexpr int64_t kLargeBytes = int64_t{256} << 10;
constexpr int64_t kMaxCachedBytes = int64_t{512} << 20;
constexpr int64_t kHugePage = int64_t{2} << 20;

std::atomic<int64_t> live_bytes{0};
std::atomic<int64_t> peak_bytes{0};
std::atomic<int64_t> allocations{0};

void count(int64_t bytes) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  int64_t live = live_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t peak = peak_bytes.load(std::memory_order_relaxed);
  while (live > peak && !peak_bytes.compare_exchange_weak(peak, live, std::memory_order_relaxed)) {
  }
}

// Sizes of large blocks: four steps per power of two, so that a freed block serves similar sizes and at most a fifth of
// it is unused.
int64_t rounded(int64_t bytes) {
  int64_t step = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(bytes))) / 4;
  return (bytes + step - 1) / step * step;
}

// Freed large blocks, newest last. It lives as long as the process: buffers may die during static destruction.
class BlockCache {
 public:
  static BlockCache& instance() {
    static BlockCache* cache = new BlockCache;
    return *cache;
  }

  void* take(int64_t bytes) {
    std::lock_guard lock(mutex_);
    for (auto it = blocks_.rbegin(); it != blocks_.rend(); ++it) {
      if (it->bytes != bytes) continue;
      void* data = it->data;
      blocks_.erase(std::next(it).base());
      cached_bytes_ -= bytes;
      return data;
    }
    return nullptr;
  }

  void put(void* data, int64_t bytes) {
    std::vector<Entry> evicted;
    {
      std::lock_guard lock(mutex_);
      blocks_.push_back({data, bytes});
      cached_bytes_ += bytes;
      while (cached_bytes_ > kMaxCachedBytes) {
        evicted.push_back(blocks_.front());
        cached_bytes_ -= blocks_.front().bytes;
        blocks_.erase(blocks_.begin());
      }
    }
    for (const Entry& entry : evicted) std::free(entry.data);
  }

  void clear() {
    std::vector<Entry> blocks;
    {
      std::lock_guard lock(mutex_);
      blocks.swap(blocks_);
      cached_bytes_ = 0;
    }
    for (const Entry& entry : blocks) std::free(entry.data);
  }

  int64_t cached_bytes() {
    std::lock_guard lock(mutex_);
    return cached_bytes_;
  }

 private:
  struct Entry {
    void* data;
    int64_t bytes;
  };
  std::mutex mutex_;
  std::vector<Entry> blocks_;
  int64_t cached_bytes_ = 0;
};

void* allocate_large(int64_t bytes) {
  if (void* data = BlockCache::instance().take(bytes)) return data;
  int64_t alignment = bytes >= kHugePage ? kHugePage : Buffer::kAlignment;
  void* data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (data == nullptr) {
    BlockCache::instance().clear();
    data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  }
  if (data == nullptr) throw std::bad_alloc();
  if (bytes >= kHugePage) madvise(data, bytes, MADV_HUGEPAGE);  // a hint: failure changes nothing
  return data;
}

void free_large(void* context) {
  auto* header = static_cast<std::pair<void*, int64_t>*>(context);
  BlockCache::instance().put(header->first, header->second);
  delete header;
}

}  // namespace

Buffer Buffer::allocate(int64_t bytes) {
  if (bytes >= kLargeBytes) {
    int64_t size = rounded(bytes);
    auto* context = new std::pair<void*, int64_t>(nullptr, size);
    Block* block = nullptr;
    try {
      context->first = allocate_large(size);
      block = new Block;
    } catch (...) {
      std::free(context->first);
      delete context;
      throw;
    }
    block->data = context->first;
    block->bytes = bytes;
    block->free = free_large;
    block->context = context;
    count(bytes);
    return Buffer(block);
  }
  // One allocation holds the header, padded to the alignment, and the elements.
  constexpr int64_t kHeader = kAlignment;
  static_assert(sizeof(Block) <= kHeader);
  int64_t size = kHeader + (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, size);
  if (memory == nullptr) throw std::bad_alloc();
  Block* block = new (memory) Block;
  block->data = static_cast<std::byte*>(memory) + kHeader;
  block->bytes = bytes;
  count(bytes);
  return Buffer(block);
}

Buffer Buffer::wrap(void* data, int64_t bytes, void (*release)(void*), void* context) {
  auto* block = new Block;
  block->data = data;
  block->bytes = bytes;
  block->free = release;
  block->context = context;
  count(bytes);
  return Buffer(block);
}

void Buffer::destroy(Block* block) {
  live_bytes.fetch_sub(block->bytes, std::memory_order_relaxed);
  if (block->free == nullptr) {
    block->~Block();
    std::free(block);
    return;
  }
  block->free(block->context);
  delete block;
}

MemoryStats memory_stats() {
  return {live_bytes.load(), peak_bytes.load(), BlockCache::instance().cached_bytes(), allocations.load()};
}

void reset_peak_memory() { peak_bytes.store(live_bytes.load()); }

void trim_memory() { BlockCache::instance().clear(); }

}  // namespace etch
