// Makes the memory of the test program fail: operator new, and what tensors are made of.
#pragma once

#include <cstdint>

namespace etch {

/// So many allocations of this thread succeed from now on, then every one fails; -1: all succeed again.
void fail_after(int64_t allocations);

}  // namespace etch
