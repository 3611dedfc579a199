// Undoes fusion where it takes too much memory.
#include "compiler/schedule/bound_arena.h"

#include <algorithm>
#include <set>

#include "compiler/schedule/verify_access.h"

namespace etch::schedule {
namespace {

/// Where the arena is larger than it may be.
struct Shortage {
  std::vector<bool> wanted;  // per buffer: it lies in the arena then
  int stretches = 0;         // of kernels that follow each other
};

Shortage shortage_of(const Schedule& schedule, int64_t bound) {
  const std::vector<ScheduledBuffer>& buffers = schedule.buffers;
  const int n = static_cast<int>(schedule.kernels.size());
  std::vector<int> first(buffers.size(), n), last(buffers.size(), -1);
  for (int k = 0; k < n; ++k) {
    for (int id : schedule.kernels[k].buffers) {
      first[id] = std::min(first[id], k);
      last[id] = k;
    }
  }
  std::vector<int> beyond(n + 1), short_before(n + 1);  // changes of the number of buffers beyond the bound; kernels
  for (size_t id = 0; id < buffers.size(); ++id) {
    if (!is_temporary(buffers[id]) || buffers[id].offset + buffers[id].bytes <= bound || last[id] < 0) continue;
    ++beyond[first[id]];
    --beyond[last[id] + 1];
  }
  Shortage shortage;
  for (int k = 0, depth = 0; k < n; ++k) {
    const bool was_short = depth > 0;
    depth += beyond[k];
    short_before[k + 1] = short_before[k] + (depth > 0);
    shortage.stretches += depth > 0 && !was_short;
  }
  for (size_t id = 0; id < buffers.size(); ++id) {
    const bool lives = is_temporary(buffers[id]) && last[id] >= 0;
    shortage.wanted.push_back(lives && short_before[last[id] + 1] > short_before[first[id]]);
  }
  return shortage;
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

int undo_where_short(const Graph& graph, const Plan& plan, int64_t bound, int count, std::vector<Care>& care) {
  struct Candidate {
    int64_t bytes = 0;  // that it touches where memory is short
    int kernel = 0;
    Work work;
  };
  const Shortage shortage = shortage_of(plan.schedule, bound);
  const int64_t most = int64_t{count} * std::max(shortage.stretches, 1);
  std::vector<Candidate> candidates;
  for (int k = 0; k < static_cast<int>(plan.schedule.kernels.size()); ++k) {
    const ScheduledKernel& kernel = plan.schedule.kernels[k];
    Candidate candidate{0, k, work_of(graph, plan.partition, kernel)};
    const auto is_alone = [&](Value value) { return care[value.id] == Care::alone; };
    if (candidate.work.nodes.size() < 2 || std::ranges::all_of(candidate.work.nodes, is_alone)) continue;
    std::set<int> touched(kernel.buffers.begin(), kernel.buffers.end());
    for (int id : touched) candidate.bytes += shortage.wanted[id] ? plan.schedule.buffers[id].bytes : 0;
    candidates.push_back(std::move(candidate));
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.bytes > b.bytes; });
  // What touches nothing of it is undone only when nothing else is left.
  bool touches = !candidates.empty() && candidates.front().bytes > 0;
  int undone = 0;
  for (const Candidate& candidate : candidates) {
    if (undone == most || (touches && candidate.bytes == 0)) break;
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
