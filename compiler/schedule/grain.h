// The grain of a kernel: how much of it is worth handing to another thread.
#pragma once

#include <cstdint>

#include "compiler/schedule/schedule.h"

namespace etch {

/// The iterations of a kernel that a task takes at the least.
int64_t grain_of(const ScheduledKernel& kernel);

}  // namespace etch
