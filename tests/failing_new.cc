// operator new and delete, and aligned_alloc, of the test program, which fail on demand.
#include "tests/failing_new.h"

#include <malloc.h>

#include <cstdlib>
#include <new>

namespace {

thread_local int64_t allocations_left = -1;

bool fails() {
  if (allocations_left == 0) return true;
  if (allocations_left > 0) --allocations_left;
  return false;
}

}  // namespace

void* operator new(size_t size, const std::nothrow_t&) noexcept { return fails() ? nullptr : std::malloc(size); }
void* operator new(size_t size) {
  if (void* memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

extern "C" void* aligned_alloc(size_t alignment, size_t size) noexcept {
  return fails() ? nullptr : memalign(alignment, size);
}

void etch::fail_after(int64_t allocations) { allocations_left = allocations; }
