// Where the values of a schedule live: which are inputs and outputs, and where the others lie in the arena.
#pragma once

#include "compiler/schedule/lower_kernel.h"

namespace etch::schedule {

/// Replaces the storages of the kernels, which are in execution order, by buffers, and fills in the schedule's kernels,
/// stripes, buffers, outputs, which of them may overwrite inputs, and arena size. Values share memory only as take_over.h
/// says. Kernels of stripes run at the same time: nothing that one of them touches ends before all are done, and what nobody
/// else touches, and all of them by rows, lies in the memory of a block.
void plan_buffers(const Graph& graph, const Partition& partition, Lowered lowered, std::vector<ScheduledStripes> stripes,
                  const ScheduleOptions& options, Schedule& schedule);

}  // namespace etch::schedule
