// Where the values of a schedule live: which are inputs and outputs, and where the others lie in the arena.
#pragma once

#include "compiler/schedule/lower_kernel.h"

namespace etch::schedule {

/// Replaces the storages of the kernels, which are in execution order, by buffers, and fills in the schedule's kernels,
/// buffers, outputs, which of them may overwrite inputs, and arena size. Values share memory only as take_over.h says.
void plan_buffers(const Graph& graph, const Partition& partition, Lowered lowered,
                  const ScheduleOptions& options, Schedule& schedule);

}  // namespace etch::schedule
