// operator new and delete of the test program, which fail on demand.
#include "failing_new.h"

#include <cstdlib>
#include <new>

namespace {
thread_local int64_t allocations_left = -1;
}  // namespace

void* operator new(size_t size, const std::nothrow_t&) noexcept {
  if (allocations_left == 0) return nullptr;
  if (allocations_left > 0) --allocations_left;
  return std::malloc(size);
}
void* operator new(size_t size) {
  if (void* memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

void etch::fail_after(int64_t allocations) { allocations_left = allocations; }
