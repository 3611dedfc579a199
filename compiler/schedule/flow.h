// The way through the regions of an op: their schedules, and where the values lie that go from one to the next.
#pragma once

#include <memory>

#include "compiler/ir/graph.h"
#include "compiler/schedule/schedule.h"
#include "runtime/flat_map.h"

namespace etch::schedule {

/// The flows of a graph's ops with regions. An op is planned once, however often the graph around it is.
class Flows {
 public:
  /// @param options of the graph around; what they say of its outputs does not hold for regions.
  explicit Flows(const ScheduleOptions& options);

  /// @param num_operands that a node of this op has.
  std::shared_ptr<const ScheduledFlow> of(const AnyOp& op, int num_operands);

 private:
  friend class FlowPlanner;

  ScheduleOptions options_;
  FlatMap<AnyOp, std::shared_ptr<const ScheduledFlow>> known_;
};

/// etch::make_schedule with the flows that are known.
Schedule make_schedule(const Graph& graph, const ScheduleOptions& options, Flows& flows);

}  // namespace etch::schedule
