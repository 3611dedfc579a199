// Memory for machine code, in slabs that many modules share.
#pragma once

#include <llvm/ExecutionEngine/JITLink/JITLinkMemoryManager.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace etch::codegen {

/// Gives JITLink blocks out of slabs. A slab is private memory, one mapping for some hundred modules. A block is whole
/// pages: they can be written until its module is linked, and executed from then on, never both at once. A forked child
/// has its own copy, like all private memory. Thread-safe.
class CodeMemory : public llvm::jitlink::JITLinkMemoryManager {
 public:
  CodeMemory();
  ~CodeMemory() override;
  CodeMemory(const CodeMemory&) = delete;
  CodeMemory& operator=(const CodeMemory&) = delete;

  void allocate(const llvm::jitlink::JITLinkDylib* dylib, llvm::jitlink::LinkGraph& graph,
                OnAllocatedFunction on_allocated) override;
  using JITLinkMemoryManager::allocate;
  void deallocate(std::vector<FinalizedAlloc> allocations, OnDeallocatedFunction on_deallocated) override;
  using JITLinkMemoryManager::deallocate;

  /// Bytes of code and constants alive now.
  int64_t live_bytes() const { return live_bytes_.load(std::memory_order_relaxed); }

  /// Around a fork: what the lists say is true in the child, too.
  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }

 private:
  struct Slab;
  class InFlight;
  /// A piece of a slab.
  struct Block {
    Slab* slab = nullptr;
    int64_t offset = 0;
    int64_t bytes = 0;
    char* data() const;
  };

  /// A block that can be written; on failure nullptr as its slab, and errno says why.
  Block take(int64_t bytes);
  void give_back(const Block& block);

  std::mutex mutex_;
  std::vector<std::unique_ptr<Slab>> slabs_;
  std::atomic<int64_t> live_bytes_{0};
};

}  // namespace etch::codegen
