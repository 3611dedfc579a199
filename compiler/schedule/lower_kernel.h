// Writes the kernel of a cluster down: its program and its sizes.
#pragma once

#include <vector>

#include "compiler/schedule/flow.h"
#include "compiler/schedule/partition.h"
#include "compiler/schedule/schedule.h"

namespace etch::schedule {

/// The kernels of clusters. ScheduledKernel::buffers holds storages, see Partition. Names and reasons are not filled in.
struct Lowered {
  std::vector<ScheduledKernel> kernels;
  std::vector<int> cluster;  // per kernel: the cluster it comes from
};

/// Appends the kernel of a cluster, or those of its pieces; plan_terms() may add roots to it, and an op with regions memory to the partition.
void lower_cluster(const Graph& graph, Partition& partition, int cluster, Flows& flows, Lowered& lowered);

/// Per access of a kernel: whether it is stored to.
std::vector<bool> stored_accesses(const ScheduledKernel& kernel);

}  // namespace etch::schedule
