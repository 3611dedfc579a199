// Undoes fusion where it takes too much memory.
#include "compiler/schedule/bound_arena.h"

#include <algorithm>
#include <set>

namespace etch::schedule {
namespace {

bool is_temporary(const ScheduledBuffer& buffer) { return buffer.kind == ScheduledBuffer::Kind::temporary; }

/// Per buffer: it holds a value that is wanted when the kernel at the peak runs.
std::vector<bool> alive_at_peak(const Plan& plan) {
  const auto& [buffers, kernels] = std::tie(plan.schedule.buffers, plan.schedule.kernels);
  std::vector<bool> begun(buffers.size()), alive(buffers.size());
  for (int k = 0; k < static_cast<int>(kernels.size()); ++k) {
    for (int id : kernels[k].buffers) {
      if (k <= plan.peak) begun[id] = true;
      if (k >= plan.peak && begun[id] && is_temporary(buffers[id])) alive[id] = true;
    }
  }
  return alive;
}

/// What a cluster does beyond one node: the nodes it computes, with those that it computes for itself on the way.
struct Work {
  std::vector<Value> nodes;
  bool again = false;  // some of them are computed in other kernels too
};

Work work_of(const Graph& graph, const Partition& partition, const ScheduledKernel& kernel) {
  Work work;
  const auto add = [&](Value value) {
    bool known = std::find(work.nodes.begin(), work.nodes.end(), value) != work.nodes.end();
    if (is_computed(graph.node(value).op) && !known) work.nodes.push_back(value);
  };
  for (Value value : kernel.values) add(value);
  for (size_t i = 0; i < work.nodes.size(); ++i) {
    Value value = work.nodes[i];
    work.again |= is_elementwise(graph.node(value).op) && partition.home[value.id] == kInline;
    for (Value operand : graph.node(value).operands) {
      operand = storage_of(graph, operand);
      if (partition.home[operand.id] == kInline) add(operand);
    }
  }
  return work;
}

/// Raises the care of nodes to at least `least`, or to the next step where all have that. False if there is none.
bool take_more_care(const std::vector<Value>& nodes, Care least, std::vector<Care>& care) {
  const auto raise = [&](Care to) {
    bool raised = false;
    for (Value value : nodes) {
      raised |= care[value.id] < to;
      care[value.id] = std::max(care[value.id], to);
    }
    return raised;
  };
  return raise(least) || raise(Care::alone);
}

}  // namespace

int undo_at_peak(const Graph& graph, const Plan& plan, int count, std::vector<Care>& care) {
  struct Candidate {
    int64_t bytes = 0;  // alive at the peak
    int kernel = 0;
    Work work;
  };
  std::vector<bool> alive = alive_at_peak(plan);
  std::vector<Candidate> candidates;
  for (int k = 0; k < static_cast<int>(plan.schedule.kernels.size()); ++k) {
    const ScheduledKernel& kernel = plan.schedule.kernels[k];
    Candidate candidate{0, k, work_of(graph, plan.partition, kernel)};
    const auto is_alone = [&](Value value) { return care[value.id] == Care::alone; };
    if (candidate.work.nodes.size() < 2 || std::ranges::all_of(candidate.work.nodes, is_alone)) continue;
    std::set<int> touched(kernel.buffers.begin(), kernel.buffers.end());
    for (int id : touched) candidate.bytes += alive[id] ? plan.schedule.buffers[id].bytes : 0;
    candidates.push_back(std::move(candidate));
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.bytes > b.bytes; });
  // What does not touch the peak is undone only when nothing else is left.
  bool touches = !candidates.empty() && candidates.front().bytes > 0;
  int undone = 0;
  for (const Candidate& candidate : candidates) {
    if (undone == count || (touches && candidate.bytes == 0)) break;
    const Cluster& cluster = plan.partition.clusters[plan.cluster[candidate.kernel]];
    bool apart = !cluster.took_in && !candidate.work.again;
    for (Value value : candidate.work.nodes) {
      apart |= care[value.id] != Care::none && !cluster.took_in;
    }
    undone += take_more_care(candidate.work.nodes, apart ? Care::alone : Care::single, care);
  }
  return undone;
}

}  // namespace etch::schedule
