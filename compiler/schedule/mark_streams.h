// Which kernels write past the caches.
#pragma once

#include <cstdint>

#include "compiler/schedule/schedule.h"

namespace etch::schedule {

/// Says of each loop kernel, in its sizes, whether its stores go past the caches: where it moves more than `cache_bytes`, at
/// least half as much of it is written, and no later kernel finds the result in the cache.
void mark_streams(int64_t cache_bytes, Schedule& schedule);

}  // namespace etch::schedule
