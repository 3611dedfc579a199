// What each kernel of a schedule moves and computes, beside what the machine reaches at best.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "compiler/schedule/schedule.h"
#include "runtime/probe.h"

namespace etch {

/// Bytes that a kernel moves at the least: each element that it reads or writes once.
int64_t bytes_moved(const Schedule& schedule, const ScheduledKernel& kernel);

/// A line on what the probes measured.
std::string peaks_text(const MachinePeaks& peaks, int threads);

/// A line per kernel: its time, the bytes it moves, its work, and which shares of the memory and arithmetic probes that
/// is. More than all of the memory probe is possible where data comes from the caches. @param microseconds per kernel.
std::string kernel_costs(const Schedule& schedule, const Graph& graph, std::span<const double> microseconds,
                         const MachinePeaks& peaks);

}  // namespace etch
