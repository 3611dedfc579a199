// The grain of a kernel: how much of it is worth handing to another thread.
#pragma once

#include <cstdint>
#include <span>

#include "compiler/schedule/schedule.h"

namespace etch {

/// The iterations of a kernel that a task takes at the least.
int64_t grain_of(const ScheduledKernel& kernel);

/// The iterations that a task takes if there are enough for all threads: what lies beside each other in memory and is read row by row.
int64_t piece_of(const ScheduledKernel& kernel);

/// The rows that a task takes at the least of kernels that run block by block, each on `rows` in all.
int64_t grain_of(std::span<const ScheduledKernel> kernels, int64_t rows);

}  // namespace etch
