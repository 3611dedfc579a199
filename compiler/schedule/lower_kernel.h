// Writes the kernel of a cluster down: its program and its sizes.
#pragma once

#include <vector>

#include "compiler/schedule/partition.h"
#include "compiler/schedule/schedule.h"

namespace etch::schedule {

/// Memory beside the graph's values: the results of blocks, between the two kernels of a long reduction.
struct Scratch {
  int64_t bytes = 0;
  Value value;  // the reduction
};

/// The kernels of clusters. ScheduledKernel::buffers holds storages: the number of a value, or the number of values plus
/// the index of a scratch. Names and reasons are not filled in.
struct Lowered {
  std::vector<ScheduledKernel> kernels;
  std::vector<int> cluster;  // per kernel: the cluster it comes from
  std::vector<Scratch> scratch;
};

/// Appends the kernel of a cluster, or the two of a reduction in blocks.
void lower_cluster(const Graph& graph, const Partition& partition, int cluster, Lowered& lowered);

/// Per access of a kernel: whether it is stored to.
std::vector<bool> stored_accesses(const ScheduledKernel& kernel);

}  // namespace etch::schedule
