// Names of kernels, and why their nodes stand together.
#pragma once

#include "compiler/schedule/partition.h"
#include "compiler/schedule/schedule.h"

namespace etch::schedule {

/// Such as `row_2_softmax` or `loop_3_tanh_add`.
std::string kernel_name(const Graph& graph, const ScheduledKernel& kernel, size_t index);

/// One line: what stays out of memory in full.
std::string stripes_reason(const Schedule& schedule, const ScheduledStripes& stripes);

/// One line.
std::string kernel_reason(const Graph& graph, const ScheduledKernel& kernel, const Partition& partition, int number);

}  // namespace etch::schedule
