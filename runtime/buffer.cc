// Buffers: a counted header on memory of the allocator, or of somebody else.
#include "etch/buffer.h"

#include <memory>
#include <new>

#include "runtime/memory.h"
#include "runtime/packs.h"

namespace etch {
namespace {

// One allocation holds the header of a small buffer, padded to the alignment, and its elements.
constexpr int64_t kHeader = Buffer::kAlignment;

}  // namespace

Buffer Buffer::allocate(int64_t bytes) {
  Block* block = nullptr;
  if (bytes >= memory::kLargeBytes) {
    auto header = std::make_unique<Block>();
    header->data = memory::allocate(bytes);
    block = header.release();
  } else {
    void* data = memory::allocate(kHeader + bytes);
    static_assert(sizeof(Block) <= kHeader);
    block = new (data) Block;
    block->data = static_cast<std::byte*>(data) + kHeader;
  }
  block->bytes = bytes;
  memory::count_allocation();
  memory::count_use(bytes);
  return Buffer(block);
}

Buffer Buffer::wrap(void* data, int64_t bytes, void (*release)(void*), void* context) {
  auto* block = new Block;
  block->data = data;
  block->bytes = bytes;
  block->free = release;
  block->context = context;
  memory::count_allocation();
  memory::count_use(bytes);
  return Buffer(block);
}

void Buffer::Block::destroy(Block* block) {
  memory::count_end_of_use(block->bytes);
  free_packs(block->data, block->bytes);
  if (block->free != nullptr) {
    block->free(block->context);
    delete block;
  } else if (block->bytes >= memory::kLargeBytes) {
    memory::free(block->data, block->bytes);
    delete block;
  } else {
    const int64_t bytes = block->bytes;
    block->~Block();
    memory::free(block, kHeader + bytes);
  }
}

}  // namespace etch
