// The signature of every compiled kernel and of library functions that steps call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace etch {

/// Runs iterations begin..end. `buffers` holds one base pointer per access, then what else the kernel's program says (IndexErrors,
/// a TurnGuard, the pack of a product in tiles or null), `sizes` what SizesLayout says (of a library
/// function: what that function says). `scratch` is memory of the launch's scratch_bytes, aligned to 64, that no other
/// thread uses meanwhile; its contents are undefined. Iterations may be split at any multiple of the launch's grain and
/// run on any threads in any order. The function does not throw.
using KernelFn = void (*)(void* const* buffers, const int64_t* sizes, int64_t begin, int64_t end, std::byte* scratch);

/// Where an IndexError stands while nothing has failed.
inline constexpr int64_t kNoError = std::numeric_limits<int64_t>::max();

/// An entry of an error slot: the first of the indices that a kernel looked at and could not use. Its memory holds
/// anything before the launch resets it.
struct IndexError {
  int64_t position;  // of the index among the indices, flattened, or kNoError
  int64_t index;     // its value
  int32_t busy;      // a thread writes the entry
};

/// How many turns the guarded loops of one run may take, each time that they begin. A loop that would take more ends the
/// whole run, whose results are of no use then.
struct TurnGuard {
  int64_t limit = kNoLimit;
  int64_t turns = 0;      // of all guarded loops, so far
  bool exceeded = false;  // the run has ended so

  static constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();
};

/// Notes an index that cannot be used; that of the lowest position stays, whatever the threads. Kernels call it.
void report_index(IndexError* error, int64_t position, int64_t index);

}  // namespace etch
