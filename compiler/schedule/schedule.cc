// make_schedule: partition, kernels, their order, buffers.
#include "compiler/schedule/schedule.h"

#include <algorithm>
#include <queue>

#include "compiler/schedule/explain.h"
#include "compiler/schedule/lower_kernel.h"
#include "compiler/schedule/partition.h"
#include "compiler/schedule/plan_buffers.h"

namespace etch {
namespace {

using schedule::Effort;
using schedule::Lowered;
using schedule::Partition;

/// The kernels in an order that runs producers first and otherwise follows the graph, so that values die early.
absl::StatusOr<std::vector<int>> execution_order(const Graph& graph, const Lowered& lowered) {
  const auto kernels = static_cast<int>(lowered.kernels.size());
  std::vector<std::vector<int>> writers(graph.size() + lowered.scratch.size());
  std::vector<std::vector<bool>> stored;
  std::vector<int> key(kernels, 0);
  for (int k = 0; k < kernels; ++k) {
    const ScheduledKernel& kernel = lowered.kernels[k];
    stored.push_back(schedule::stored_accesses(kernel));
    for (size_t a = 0; a < kernel.buffers.size(); ++a) {
      if (stored[k][a]) writers[kernel.buffers[a]].push_back(k);
    }
    for (Value value : kernel.values) key[k] = std::max(key[k], value.node);
  }
  std::vector<std::vector<int>> readers(kernels);
  std::vector<int> waits(kernels, 0);
  for (int k = 0; k < kernels; ++k) {
    const ScheduledKernel& kernel = lowered.kernels[k];
    for (size_t a = 0; a < kernel.buffers.size(); ++a) {
      if (stored[k][a]) continue;
      for (int writer : writers[kernel.buffers[a]]) {
        if (writer == k) continue;
        readers[writer].push_back(k);
        ++waits[k];
      }
    }
  }
  using Entry = std::pair<int, int>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> ready;
  for (int k = 0; k < kernels; ++k) {
    if (waits[k] == 0) ready.emplace(key[k], k);
  }
  std::vector<int> order;
  while (!ready.empty()) {
    int k = ready.top().second;
    ready.pop();
    order.push_back(k);
    for (int reader : readers[k]) {
      if (--waits[reader] == 0) ready.emplace(key[reader], reader);
    }
  }
  if (static_cast<int>(order.size()) != kernels) return absl::InternalError("the kernels of the schedule form a cycle");
  return order;
}

absl::StatusOr<Schedule> build(const Graph& graph, Partition partition) {
  Lowered lowered;
  for (size_t c = 0; c < partition.clusters.size(); ++c) {
    if (partition.clusters[c].merged_into < 0) lower_cluster(graph, partition, static_cast<int>(c), lowered);
  }
  absl::StatusOr<std::vector<int>> order = execution_order(graph, lowered);
  if (!order.ok()) return order.status();
  std::vector<ScheduledKernel> ordered;
  for (int k : *order) {
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
