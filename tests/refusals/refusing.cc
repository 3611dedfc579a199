// A system that refuses things: these stand before the C library's functions of the same names.
#include "refusing.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>

namespace etch {
namespace {

std::atomic<int> reasons[Refuse::kFunctions];
std::atomic<int> counts[Refuse::kFunctions];

/// 0, or the errno of a refusal.
int refused(Refuse::Function function) {
  const int reason = reasons[function];
  if (reason != 0) ++counts[function];
  return reason;
}

constexpr int64_t kNever = -1;
thread_local int64_t allocations_left = kNever;
thread_local bool allocation_refused = false;

/// True for the one that fails.
[[maybe_unused]] bool refuses_allocation() {
  if (allocations_left == kNever) return false;
  if (allocations_left-- > 0) return false;
  return allocation_refused = true;
}

template <class F>
F next(const char* name, F) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

}  // namespace

Refuse::Refuse(Function function, int reason) : function_(function) {
  counts[function] = 0;
  reasons[function] = reason;
}

Refuse::~Refuse() { reasons[function_] = 0; }

RefuseAllocation::RefuseAllocation(int64_t after) {
  allocation_refused = false;
  allocations_left = after;
}

RefuseAllocation::~RefuseAllocation() { allocations_left = kNever; }

bool RefuseAllocation::happened() const { return allocation_refused; }

int Refuse::count(Function function) { return counts[function]; }

}  // namespace etch

extern "C" {

int mprotect(void* address, size_t bytes, int protection) noexcept {
  if (protection & PROT_EXEC) {
    if (int reason = etch::refused(etch::Refuse::executable_pages)) return errno = reason, -1;
  }
  return etch::next("mprotect", &mprotect)(address, bytes, protection);
}

void* mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset) noexcept {
  if (protection == PROT_NONE) {
    if (int reason = etch::refused(etch::Refuse::mappings)) return errno = reason, MAP_FAILED;
  }
  return etch::next("mmap", &mmap)(address, bytes, protection, flags, file, offset);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) noexcept {
  if (int reason = etch::refused(etch::Refuse::threads)) return reason;
  return etch::next("pthread_create", &pthread_create)(thread, attributes, start, argument);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void* __libc_malloc(size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);

void* malloc(size_t bytes) noexcept { return etch::refuses_allocation() ? nullptr : __libc_malloc(bytes); }

void* aligned_alloc(size_t alignment, size_t bytes) noexcept {
  return etch::refuses_allocation() ? nullptr : __libc_memalign(alignment, bytes);
}
#endif

}  // extern "C"
