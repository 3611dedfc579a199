// Memory for machine code, in slabs that many modules share.
#include "compiler/codegen/code_memory.h"

#include <llvm/ExecutionEngine/JITLink/JITLink.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

namespace etch::codegen {
namespace {

constexpr int64_t kSlabBytes = 1 << 20;
constexpr int64_t kAlignment = 64;  // of every segment: constants of whole vectors want it

int64_t round_up(int64_t bytes, int64_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

struct CodeMemory::Slab {
  char* writable = nullptr;
  char* executable = nullptr;
  int64_t bytes = 0;
  std::map<int64_t, int64_t> free;  // offset -> bytes; neighbours are merged

  static std::unique_ptr<Slab> map(int64_t bytes) {
    int file = memfd_create("etch-code", MFD_CLOEXEC);
    if (file < 0) return nullptr;
    auto slab = std::make_unique<Slab>();
    slab->bytes = bytes;
    if (ftruncate(file, bytes) == 0) {
      slab->writable = map_view(file, bytes, PROT_READ | PROT_WRITE);
      slab->executable = map_view(file, bytes, PROT_READ | PROT_EXEC);
    }
    close(file);
    if (!slab->writable || !slab->executable) return nullptr;
    slab->free[0] = bytes;
    return slab;
  }

  ~Slab() {
    if (writable) munmap(writable, bytes);
    if (executable) munmap(executable, bytes);
  }

  /// The offset of `wanted` bytes, or -1.
  int64_t take(int64_t wanted) {
    for (auto [offset, size] : free) {
      if (size < wanted) continue;
      free.erase(offset);
      if (size > wanted) free[offset + wanted] = size - wanted;
      return offset;
    }
    return -1;
  }

  void give_back(int64_t offset, int64_t size) {
    auto next = free.lower_bound(offset);
    if (next != free.end() && offset + size == next->first) {
      size += next->second;
      next = free.erase(next);
    }
    if (next != free.begin()) {
      auto previous = std::prev(next);
      if (previous->first + previous->second == offset) {
        previous->second += size;
        return;
      }
    }
    free[offset] = size;
  }

  bool is_empty() const { return free.size() == 1 && free.begin()->second == bytes; }

 private:
  static char* map_view(int file, int64_t bytes, int protection) {
    void* address = mmap(nullptr, bytes, protection, MAP_SHARED, file, 0);
    return address == MAP_FAILED ? nullptr : static_cast<char*>(address);
  }
};

/// A block that is being linked.
class CodeMemory::InFlight : public llvm::jitlink::JITLinkMemoryManager::InFlightAlloc {
 public:
  InFlight(CodeMemory& memory, llvm::jitlink::LinkGraph& graph, const Block& block)
      : memory_(memory), graph_(graph), block_(block) {}

  void abandon(OnAbandonedFunction on_abandoned) override {
    memory_.give_back(block_);
    on_abandoned(llvm::Error::success());
  }

  void finalize(OnFinalizedFunction on_finalized) override {
    auto actions = llvm::orc::shared::runFinalizeActions(graph_.allocActions());
    if (!actions) {
      memory_.give_back(block_);
      return on_finalized(actions.takeError());
    }
    char* code = block_.slab->executable + block_.offset;
    __builtin___clear_cache(code, code + block_.bytes);
    on_finalized(FinalizedAlloc(llvm::orc::ExecutorAddr::fromPtr(new Block(block_))));
  }

 private:
  CodeMemory& memory_;
  llvm::jitlink::LinkGraph& graph_;
  Block block_;
};

CodeMemory::CodeMemory() = default;
CodeMemory::~CodeMemory() = default;

void CodeMemory::allocate(const llvm::jitlink::JITLinkDylib*, llvm::jitlink::LinkGraph& graph,
                          OnAllocatedFunction on_allocated) {
  llvm::jitlink::BasicLayout layout(graph);
  int64_t bytes = 0;
  for (auto& [group, segment] : layout.segments()) {
    bytes += round_up(segment.ContentSize + segment.ZeroFillSize, kAlignment);
  }
  std::optional<Block> block = take(std::max(bytes, kAlignment));
  if (!block) return on_allocated(llvm::createStringError("no memory for machine code"));
  int64_t offset = block->offset;
  for (auto& [group, segment] : layout.segments()) {
    segment.WorkingMem = block->slab->writable + offset;
    segment.Addr = llvm::orc::ExecutorAddr::fromPtr(block->slab->executable + offset);
    int64_t size = segment.ContentSize + segment.ZeroFillSize;
    std::fill_n(segment.WorkingMem, size, '\0');
    offset += round_up(size, kAlignment);
  }
  if (llvm::Error error = layout.apply()) {
    give_back(*block);
    return on_allocated(std::move(error));
  }
  on_allocated(std::make_unique<InFlight>(*this, graph, *block));
}

void CodeMemory::deallocate(std::vector<FinalizedAlloc> allocations, OnDeallocatedFunction on_deallocated) {
  for (FinalizedAlloc& allocation : allocations) {
    auto* block = allocation.release().toPtr<Block*>();
    give_back(*block);
    delete block;
  }
  on_deallocated(llvm::Error::success());
}

std::optional<CodeMemory::Block> CodeMemory::take(int64_t bytes) {
  bytes = round_up(bytes, kAlignment);
  std::lock_guard lock(mutex_);
  for (const auto& slab : slabs_) {
    int64_t offset = slab->take(bytes);
    if (offset < 0) continue;
    live_bytes_ += bytes;
    return Block{slab.get(), offset, bytes};
  }
  std::unique_ptr<Slab> slab = Slab::map(round_up(bytes, kSlabBytes));
  if (!slab) return std::nullopt;
  slabs_.push_back(std::move(slab));
  live_bytes_ += bytes;
  return Block{slabs_.back().get(), slabs_.back()->take(bytes), bytes};
}

void CodeMemory::give_back(const Block& block) {
  std::lock_guard lock(mutex_);
  block.slab->give_back(block.offset, block.bytes);
  live_bytes_ -= block.bytes;
  if (!block.slab->is_empty() || slabs_.size() == 1) return;
  std::erase_if(slabs_, [&](const auto& slab) { return slab.get() == block.slab; });
}

}  // namespace etch::codegen
