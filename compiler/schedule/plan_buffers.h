// Where the values of a schedule live: which are inputs and outputs, and where the others lie in the arena.
#pragma once

#include "compiler/schedule/lower_kernel.h"

namespace etch::schedule {

/// Replaces the storages of the kernels, which are in execution order, by buffers, and fills in the schedule's kernels,
/// buffers, outputs and arena size. Returns the kernel at which the arena grew last, where memory is shortest; -1 if
/// there is no arena.
int plan_buffers(const Graph& graph, const Partition& partition, Lowered lowered, Schedule& schedule);

}  // namespace etch::schedule
