// The sizes of the machine's caches.
#pragma once

#include <cstdint>

namespace etch {

/// Bytes that the cache before memory keeps for those who read them soon; a usual size where the system does not say.
int64_t last_level_cache_bytes();

}  // namespace etch
