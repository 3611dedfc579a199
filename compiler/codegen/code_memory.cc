// Memory for machine code, in slabs that many modules share.
#include "compiler/codegen/code_memory.h"

#include <llvm/ExecutionEngine/JITLink/JITLink.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "runtime/rounding.h"

namespace etch::codegen {
namespace {

constexpr int64_t kSlabBytes = 1 << 20;
constexpr int64_t kAlignment = 64;  // of every segment: constants of whole vectors want it

int64_t page_bytes() {
  static const int64_t bytes = sysconf(_SC_PAGESIZE);
  return bytes;
}

/// `what` with the system's reason.
llvm::Error system_error(const char* what) {
  return llvm::createStringError(what + (": " + std::generic_category().message(errno)));
}

}  // namespace

struct CodeMemory::Slab {
  char* data = nullptr;
  int64_t bytes = 0;
  std::map<int64_t, int64_t> free;  // offset -> bytes; neighbours are merged

  /// Null if the system refuses; errno says why.
  static std::unique_ptr<Slab> map(int64_t bytes) {
    void* address = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address == MAP_FAILED) return nullptr;
    auto slab = std::make_unique<Slab>();
    slab->data = static_cast<char*>(address);
    slab->bytes = bytes;
    slab->free[0] = bytes;
    return slab;
  }

  ~Slab() { munmap(data, bytes); }

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
};

char* CodeMemory::Block::data() const { return slab->data + offset; }

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
    if (mprotect(block_.data(), block_.bytes, PROT_READ | PROT_EXEC) != 0) {
      llvm::Error error = system_error("the system does not let new machine code be executed");
      memory_.give_back(block_);
      return on_finalized(std::move(error));
    }
    __builtin___clear_cache(block_.data(), block_.data() + block_.bytes);
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
  const Block block = take(std::max(bytes, kAlignment));
  if (!block.slab) return on_allocated(system_error("there is no memory for machine code"));
  char* data = block.data();
  for (auto& [group, segment] : layout.segments()) {
    segment.WorkingMem = data;
    segment.Addr = llvm::orc::ExecutorAddr::fromPtr(data);
    int64_t size = segment.ContentSize + segment.ZeroFillSize;
    std::fill_n(segment.WorkingMem, size, '\0');
    data += round_up(size, kAlignment);
  }
  if (llvm::Error error = layout.apply()) {
    give_back(block);
    return on_allocated(std::move(error));
  }
  on_allocated(std::make_unique<InFlight>(*this, graph, block));
}

void CodeMemory::deallocate(std::vector<FinalizedAlloc> allocations, OnDeallocatedFunction on_deallocated) {
  for (FinalizedAlloc& allocation : allocations) {
    auto* block = allocation.release().toPtr<Block*>();
    give_back(*block);
    delete block;
  }
  on_deallocated(llvm::Error::success());
}

CodeMemory::Block CodeMemory::take(int64_t bytes) {
  bytes = round_up(bytes, page_bytes());
  Block block;
  {
    std::lock_guard lock(mutex_);
    for (const auto& slab : slabs_) {
      const int64_t offset = slab->take(bytes);
      if (offset < 0) continue;
      block = {slab.get(), offset, bytes};
      break;
    }
    if (!block.slab) {
      std::unique_ptr<Slab> slab = Slab::map(round_up(bytes, kSlabBytes));
      if (!slab) return {};
      slabs_.push_back(std::move(slab));
      block = {slabs_.back().get(), slabs_.back()->take(bytes), bytes};
    }
    live_bytes_ += bytes;
  }
  if (mprotect(block.data(), bytes, PROT_READ | PROT_WRITE) == 0) return block;
  const int reason = errno;
  give_back(block);
  errno = reason;
  return {};
}

void CodeMemory::give_back(const Block& block) {
  std::lock_guard lock(mutex_);
  block.slab->give_back(block.offset, block.bytes);
  live_bytes_ -= block.bytes;
  if (!block.slab->is_empty() || slabs_.size() == 1) return;
  std::erase_if(slabs_, [&](const auto& slab) { return slab.get() == block.slab; });
}

}  // namespace etch::codegen
