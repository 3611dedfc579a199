// Where the values of a schedule live: which are inputs and outputs, and where the others lie in the arena.
#pragma once

#include "compiler/schedule/lower_kernel.h"

namespace etch::schedule {

/// Replaces the storages of the kernels, which are in execution order, by buffers, and fills in the schedule's kernels,
/// buffers, outputs and arena size.
void plan_buffers(const Graph& graph, Lowered lowered, Schedule& schedule);

/// The arena that the schedule without fusion needs.
int64_t unfused_arena_bytes(const Graph& graph);

}  // namespace etch::schedule
