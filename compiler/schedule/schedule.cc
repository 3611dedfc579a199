// make_schedule: partition, kernels, their order, buffers.
#include "compiler/schedule/schedule.h"

#include <algorithm>

#include "compiler/schedule/explain.h"
#include "compiler/schedule/lower_kernel.h"
#include "compiler/schedule/order_kernels.h"
#include "compiler/schedule/partition.h"
#include "compiler/schedule/plan_buffers.h"

namespace etch {
namespace {

using schedule::Effort;
using schedule::Lowered;
using schedule::Partition;

absl::StatusOr<Schedule> build(const Graph& graph, Partition partition) {
  Lowered lowered;
  for (size_t c = 0; c < partition.clusters.size(); ++c) {
    if (partition.clusters[c].merged_into < 0) lower_cluster(graph, partition, static_cast<int>(c), lowered);
  }
  absl::StatusOr<schedule::KernelOrder> order = schedule::order_kernels(graph, lowered);
  if (!order.ok()) return order.status();
  std::vector<ScheduledKernel> ordered;
  for (int k : order->kernels) {
    ScheduledKernel& kernel = lowered.kernels[k];
    kernel.name = schedule::kernel_name(graph, kernel, ordered.size());
    kernel.why = schedule::kernel_reason(graph, kernel, partition.clusters[lowered.cluster[k]]);
    ordered.push_back(std::move(kernel));
  }
  lowered.kernels = std::move(ordered);
  Schedule result;
  result.unfused = std::move(partition.unfused);
  std::reverse(result.unfused.begin(), result.unfused.end());
  schedule::plan_buffers(graph, std::move(lowered), result);
  return result;
}

}  // namespace

absl::StatusOr<Schedule> make_schedule(const Graph& graph, const ScheduleOptions& options) {
  if (!options.fuse) return build(graph, schedule::partition_unfused(graph));
  int64_t unfused_bytes = -1;
  for (Effort effort : {Effort::all, Effort::thrifty}) {
    absl::StatusOr<Schedule> result = build(graph, schedule::partition_fused(graph, effort));
    if (!result.ok() || result->arena_bytes == 0) return result;
    if (unfused_bytes < 0) unfused_bytes = schedule::unfused_arena_bytes(graph);
    if (result->arena_bytes <= unfused_bytes) return result;
  }
  return build(graph, schedule::partition_unfused(graph));
}

}  // namespace etch
