// Buffers: a counted header on memory of the allocator, or of somebody else.
#include "etch/buffer.h"

#include <memory>
#include <new>

#include "runtime/memory.h"
#include "runtime/packs.h"

namespace etch {
Buffer Buffer::allocate(int64_t bytes, const void* const* operands, size_t count) {
  Block* block = nullptr;
  if (bytes >= memory::kLargeBytes) {
    auto header = std::make_unique<Block>();
    header->data = memory::allocate_beside({operands, count}, bytes);
    block = header.release();
  } else {
    // One allocation holds the header of a small buffer and its elements.
    void* data = memory::allocate(bytes);
    static_assert(sizeof(Block) <= memory::kFrontBytes);
    block = new (static_cast<std::byte*>(data) - memory::kFrontBytes) Block;
    block->data = data;
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
    memory::free(block->data, block->bytes);
  }
}

}  // namespace etch
