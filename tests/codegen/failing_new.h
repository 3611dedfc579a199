// Makes operator new of the test program fail.
#pragma once

#include <cstdint>

namespace etch {

/// So many allocations of this thread succeed from now on, then every one fails; -1: all succeed again.
void fail_after(int64_t allocations);

}  // namespace etch
