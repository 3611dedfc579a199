// Undoes fusion where it takes too much memory.
#pragma once

#include <vector>

#include "compiler/schedule/partition.h"
#include "compiler/schedule/schedule.h"

namespace etch::schedule {

/// A schedule and the clusters that its kernels come from.
struct Plan {
  Partition partition;
  std::vector<int> cluster;  // per kernel of the schedule
  std::vector<std::vector<int>> storages;  // per kernel and access
  Schedule schedule;         // without names and reasons
};

/// Takes more care of the nodes of some clusters, wherever the values that are wanted at one time take more than `bound`
/// bytes: of at most `count` for each such stretch of kernels, those first that read or write the most of what lies in the
/// arena there. A cluster that took in others is told not to, any other falls apart into its nodes. Returns how many
/// clusters it changed; 0 says that nothing is left to undo, so that rounds come to an end.
int undo_where_short(const Graph& graph, const Plan& plan, int64_t bound, int count, std::vector<Care>& care);

}  // namespace etch::schedule
