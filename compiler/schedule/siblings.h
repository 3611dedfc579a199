// Clusters that become one: those that read the same value, and those that one reduction can serve.
#pragma once

#include "compiler/schedule/fusion_policy.h"

namespace etch::schedule {

class Siblings {
 public:
  Siblings(const Graph& graph, Partition& partition, Sites& sites, const FusionPolicy& policy)
      : graph_(graph), partition_(partition), sites_(sites), policy_(policy) {}

  /// Kernels that read the same elements of a value in the same order become one, which reads them once.
  void merge_readers(Value value);

  /// Clusters that could all compute the reduction become one.
  void merge_hosts(Value reduction);

  /// Values that a full kernel reads are computed in one kernel before it, which cluster `from` joins: apart, each of
  /// them would need much of what the others compute.
  void merge_overflow(Site reader, int from);

 private:
  bool reads_throughout(const Site& site) const;
  bool can_merge(const Cluster& a, const Cluster& b, size_t max_roots = kMaxSiblingRoots) const;
  void merge(int into, int from);

  const Graph& graph_;
  Partition& partition_;
  Sites& sites_;
  const FusionPolicy& policy_;
};

}  // namespace etch::schedule
