// The cache of one-op functions, and each thread's share of it.
#include "frontend/eager_cache.h"

#include <array>
#include <utility>

#include "frontend/compiled_cache.h"

namespace etch::detail {
namespace {

class EagerCache : public CompiledCache<EagerKey, EagerKeyView, EagerKernel> {
 public:
  static EagerCache& instance() {
    static auto* cache = new EagerCache;  // lives as long as the process: tensors may be used during static destruction
    return *cache;
  }

 private:
  EagerCache() : CompiledCache(ForkOrder::eager_cache) {}
};

/// What a thread called last, one kernel for each hash. They live until another one takes the place or the thread ends.
struct RecentKernels {
  static constexpr int kBits = 6;

  std::shared_ptr<const EagerKernel>& place_of(const EagerKeyView& key) { return places[key.quick_hash() >> (64 - kBits)]; }

  std::array<std::shared_ptr<const EagerKernel>, 1 << kBits> places;
};

// Null until the thread's first op, and once its objects are destroyed.
[[gnu::tls_model("initial-exec")]] constinit thread_local RecentKernels* recent_kernels = nullptr;
[[gnu::tls_model("initial-exec")]] constinit thread_local bool is_thread_over = false;

// What a thread has for itself stays small: a program that loads the library late has little room for it.
struct OwnerOfRecent {
  OwnerOfRecent() : kernels(std::make_unique<RecentKernels>()) { recent_kernels = kernels.get(); }
  ~OwnerOfRecent() {
    recent_kernels = nullptr;
    is_thread_over = true;
  }
  const std::unique_ptr<RecentKernels> kernels;
};

void make_recent_kernels() { static thread_local const OwnerOfRecent owner; }

}  // namespace

LentKernel::LentKernel(const EagerKeyView& key, Recent) {
  if (recent_kernels == nullptr) return;
  place_ = &recent_kernels->place_of(key);
  if (*place_ != nullptr && (*place_)->key.view() == key) kernel_ = std::move(*place_);
}

LentKernel::LentKernel(const EagerKeyView& key) {
  if (recent_kernels == nullptr && !is_thread_over) make_recent_kernels();
  if (recent_kernels != nullptr) place_ = &recent_kernels->place_of(key);
  kernel_ = EagerCache::instance().find(key);
}

void LentKernel::fill(std::shared_ptr<const EagerKernel> kernel) {
  kernel_ = std::move(kernel);
  EagerCache::instance().insert(kernel_->key.view(), kernel_);
}

}  // namespace etch::detail
