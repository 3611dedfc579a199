// The signature of every compiled kernel.
#pragma once

#include <cstdint>

namespace etch {

/// Runs iterations begin..end of a kernel. `buffers` holds one base pointer per access, `sizes` what SizesLayout says.
/// Iterations may be split at any multiple of the launch's grain and run on any threads in any order.
using KernelFn = void (*)(void* const* buffers, const int64_t* sizes, int64_t begin, int64_t end);

}  // namespace etch
