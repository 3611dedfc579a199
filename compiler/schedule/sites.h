// Where values are used while fusion decides who computes them.
#pragma once

#include <optional>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "compiler/schedule/partition.h"

namespace etch::schedule {

/// A use of a value: a cluster and the map from the cluster's domain to the value.
struct Site {
  int cluster = 0;
  int map = 0;
  Value consumer;        // an op that made it, or the stored value
  bool memory = false;   // must be loaded
  bool operand = false;  // unless the site's product may widen it while it reads it
  bool element = false;  // an instruction per element of a reduced axis reads it
  int repeated = 0;      // work per element that is done more than once on the way
  bool in_order = false; // must lie in memory itself, in row-major order: maps do not pass it on
};

/// The sites of each value. Clusters may be merged at any time: sites forward to the cluster that theirs went into.
class Sites {
 public:
  using List = absl::InlinedVector<Site, 2>;

  Sites(const Graph& graph, Partition& partition) : graph_(graph), partition_(partition), lists_(graph.num_values()) {}

  Cluster& cluster(const Site& site) const { return partition_.clusters[site.cluster]; }
  bool has(Value value) const { return !lists_[value.id].empty(); }

  /// The sites of a value, each cluster and map once.
  List of(Value value);

  /// A use of `value`; constants and iotas take no access.
  void add(Value value, Site site);

  /// The use needs no access any more.
  void leave(const Site& site) { --cluster(site).accesses; }

  /// The use of an operand that follows from a use of the node; the map is known to exist.
  void pass_on(Value value, int operand, Site site);

  void forward(Site& site) const;

  /// The cluster that a cluster went into.
  int forward(int cluster) const;

 private:
  const Graph& graph_;
  Partition& partition_;
  std::vector<List> lists_;
};

}  // namespace etch::schedule
