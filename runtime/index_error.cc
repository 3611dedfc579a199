// Errors that kernels find in indices.
#include <atomic>

#include "runtime/kernel_abi.h"

namespace etch {

void report_index(IndexError* error, int64_t position, int64_t index) {
  std::atomic_ref busy(error->busy);
  while (busy.exchange(1, std::memory_order_acquire) != 0) {
  }
  if (position < error->position) {
    error->position = position;
    error->index = index;
  }
  busy.store(0, std::memory_order_release);
}

}  // namespace etch
