// make_schedule: partition, kernels, their order, buffers.
#include "compiler/schedule/schedule.h"

#include <algorithm>

#include "compiler/schedule/bound_arena.h"
#include "compiler/schedule/bring_together.h"
#include "compiler/schedule/explain.h"
#include "compiler/schedule/flow.h"
#include "compiler/schedule/lower_kernel.h"
#include "compiler/schedule/mark_streams.h"
#include "compiler/schedule/native_region.h"
#include "compiler/schedule/order_kernels.h"
#include "compiler/schedule/plan_buffers.h"
#include "compiler/schedule/stripes.h"

namespace etch {
namespace {

using schedule::Care;
using schedule::Flows;
using schedule::Lowered;
using schedule::NativeKernels;
using schedule::Partition;
using schedule::Plan;

/// The plan for kernels in the order in which they run, or nearly: those of stripes are put together.
Plan plan_in_order(const Graph& graph, const Partition& partition, Lowered lowered, bool with_stripes,
                   const ScheduleOptions& options) {
  std::vector<ScheduledStripes> stripes;
  Lowered as_it_is;
  if (with_stripes && options.stripes.make) {
    as_it_is = lowered;
    stripes = schedule::find_stripes(graph, partition, lowered, options.stripes);
  }
  const auto plan_of = [&](Lowered kernels, std::vector<ScheduledStripes> groups) {
    Plan plan;
    plan.cluster = kernels.cluster;
    for (const ScheduledKernel& kernel : kernels.kernels) plan.storages.push_back(kernel.buffers);
    schedule::plan_buffers(graph, partition, std::move(kernels), std::move(groups), options, plan.schedule);
    return plan;
  };
  if (stripes.empty()) return plan_of(std::move(lowered), {});
  Plan plan = plan_of(std::move(lowered), std::move(stripes));
  Plan apart = plan_of(std::move(as_it_is), {});
  const bool is_larger = plan.schedule.arena_bytes > apart.schedule.arena_bytes;
  return is_larger || plan.schedule.overwrites != apart.schedule.overwrites ? std::move(apart) : std::move(plan);
}

/// The kernels of a partition in order, over planned buffers; without names and reasons.
Plan plan_of(const Graph& graph, Partition partition, bool with_stripes, const ScheduleOptions& options, Flows& flows) {
  Lowered lowered;
  for (size_t c = 0; c < partition.clusters.size(); ++c) {
    if (partition.clusters[c].merged_into < 0) lower_cluster(graph, partition, static_cast<int>(c), flows, lowered);
  }
  Lowered ordered;
  for (int k : schedule::order_kernels(graph, partition, lowered).kernels) {
    ordered.kernels.push_back(std::move(lowered.kernels[k]));
    ordered.cluster.push_back(lowered.cluster[k]);
  }
  Plan plan = plan_in_order(graph, partition, std::move(ordered), with_stripes, options);
  plan.partition = std::move(partition);
  return plan;
}

/// The plan with equal small kernels next to each other, unless the arena grows, stripes are lost, or an output can overwrite
/// its input no more.
Plan brought_together(const Graph& graph, Plan plan, const ScheduleOptions& options) {
  const std::vector<int> order = schedule::order_together(plan.schedule);
  if (std::ranges::is_sorted(order)) return plan;
  Lowered lowered;
  for (const int k : order) {
    lowered.kernels.push_back(plan.schedule.kernels[k]);
    lowered.kernels.back().buffers = plan.storages[k];
    lowered.kernels.back().errors = -1;
    lowered.cluster.push_back(plan.cluster[k]);
  }
  const Schedule& before = plan.schedule;
  Plan moved = plan_in_order(graph, plan.partition, std::move(lowered), !before.stripes.empty(), options);
  Schedule& after = moved.schedule;
  if (after.arena_bytes > before.arena_bytes || after.overwrites != before.overwrites) return plan;
  if (after.stripes.size() < before.stripes.size()) return plan;
  after.arena_bound = before.arena_bound;
  after.undone = before.undone;
  after.gave_up = before.gave_up;
  moved.partition = std::move(plan.partition);
  return moved;
}

/// The schedule with names and reasons.
Schedule explained(const Graph& graph, Plan plan) {
  Schedule& result = plan.schedule;
  for (size_t k = 0; k < result.kernels.size(); ++k) {
    ScheduledKernel& kernel = result.kernels[k];
    kernel.name = schedule::kernel_name(graph, kernel, k);
    kernel.why = schedule::kernel_reason(graph, kernel, plan.partition, plan.cluster[k]);
  }
  for (ScheduledStripes& stripes : result.stripes) stripes.why = schedule::stripes_reason(result, stripes);
  result.unfused = std::move(plan.partition.unfused);
  std::reverse(result.unfused.begin(), result.unfused.end());
  return std::move(result);
}

/// The fused plan, with single clusters undone until the arena keeps to its bound. Each round plans the whole graph again
/// and undoes twice as much as the one before, so that few rounds suffice; if they do not, nothing is fused.
Plan bounded_plan(const Graph& graph, const ScheduleOptions& options, const NativeKernels& natives, Flows& flows) {
  constexpr int kMaxRounds = 12;
  std::vector<Care> care(graph.num_values(), Care::none);
  Plan plan = plan_of(graph, partition_fused(graph, care, options.blocks, &natives), true, options, flows);
  if (plan.schedule.arena_bytes <= options.arena_slack) return plan;
  Plan unfused = plan_of(graph, schedule::partition_unfused(graph, options.blocks), false, options, flows);
  const auto least = static_cast<double>(unfused.schedule.arena_bytes);
  const int64_t bound = static_cast<int64_t>(options.arena_ratio * least) + options.arena_slack;
  int undone = 0;
  for (int round = 0; plan.schedule.arena_bytes > bound; ++round) {
    const int count = round < kMaxRounds ? schedule::undo_where_short(graph, plan, bound, 1 << round, care) : 0;
    undone += count;
    if (count == 0) {
      plan = std::move(unfused);
      plan.schedule.gave_up = true;
      break;
    }
    plan = plan_of(graph, partition_fused(graph, care, options.blocks, &natives), true, options, flows);
  }
  plan.schedule.arena_bound = bound;
  plan.schedule.undone = undone;
  return plan;
}

}  // namespace

absl::StatusOr<Schedule> make_schedule(const Graph& graph, const ScheduleOptions& options) {
  Flows flows(options);
  return schedule::make_schedule(graph, options, flows);
}

Schedule schedule::make_schedule(const Graph& graph, const ScheduleOptions& options, Flows& flows) {
  const schedule::NativeOptions native{.small_values = options.native_regions, .lanes = options.masked_regions};
  const NativeKernels natives = options.fuse ? NativeKernels(graph, native) : NativeKernels();
  Plan plan = options.fuse ? bounded_plan(graph, options, natives, flows)
                           : plan_of(graph, partition_unfused(graph, options.blocks), false, options, flows);
  if (options.group) plan = brought_together(graph, std::move(plan), options);
  schedule::stretch_rows(plan.schedule);
  mark_streams(options.cache_bytes, plan.schedule);
  return explained(graph, std::move(plan));
}

}  // namespace etch
