// The signature of every compiled kernel and of library functions that steps call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace etch {

/// Runs iterations begin..end. `buffers` holds one base pointer per access, `sizes` what SizesLayout says (of a library
/// function: what that function says). `scratch` is memory of the launch's scratch_bytes, aligned to 64, that no other
/// thread uses meanwhile; its contents are undefined. Iterations may be split at any multiple of the launch's grain and
/// run on any threads in any order. The function does not throw.
using KernelFn = void (*)(void* const* buffers, const int64_t* sizes, int64_t begin, int64_t end, std::byte* scratch);

/// What an error slot holds while nothing has failed. A kernel that finds an error lowers the slot to the index that
/// failed, atomically: the lowest one stays, whatever the threads.
inline constexpr int64_t kNoError = std::numeric_limits<int64_t>::max();

}  // namespace etch
