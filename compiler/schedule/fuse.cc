// Fusion: decides, from the outputs back to the inputs, which kernel computes each node.
//
// Every use of a node is a site: a cluster and the map from the cluster's domain to the node. Movement ops only pass
// their sites on, with another map. A node whose uses are one site is computed there; else it is computed once and
// stored by one of its users, or by a kernel of its own, or, if that costs less, by each user. Legality (maps, kinds,
// levels) stands in partition.cc and in the functions that ask `can`; the rest is profit.
#include <algorithm>

#include "absl/container/inlined_vector.h"
#include "compiler/schedule/partition.h"

namespace etch::schedule {
namespace {

// Limits keep kernels small enough for their compile time and the registers.
constexpr int kMaxInstrs = 64;
constexpr int kMaxAccesses = 24;
constexpr int kMaxSiblingRoots = 4;
constexpr int kMaxOverflowRoots = 8;  // of what one full kernel reads: it is alive together in any case
// Work that may be done more than once per element, in additions: about the cost of a store and a load.
constexpr int kMaxRepeatedCost = 4;
// Places at which kernels may compute a value again, and how often all of it.
constexpr size_t kMaxPlaces = 24;
constexpr int64_t kMaxTimes = 4;

constexpr char kFull[] = "the kernel would become too large";
constexpr char kRepeated[] = "it would be computed again for each element it is broadcast to";
constexpr char kDotOperand[] = "an operand of dot is read many times, so it is computed once";
constexpr char kOtherOrder[] = "its elements cannot be told from the consumer's by one stride per axis";
constexpr char kSeveral[] = "several kernels need it, and computing it again costs more than storing it";
constexpr char kOtherAxis[] = "the consumer does not run along the same reduced axis";
constexpr char kLongRows[] = "few long rows: their reduction runs in blocks on several threads, before the consumer";
constexpr char kDotConsumer[] = "its consumer does not take it element by element, or has a product of its own";
constexpr char kSeveralPlaces[] =
    "the kernel needs it at several places, and computing it again costs more than storing it";
constexpr char kOutputElsewhere[] =
    "it is an output too, whose elements the consumer does not visit once and in order";
constexpr char kUndone[] = "undone, because the arena would take more memory than it may";
constexpr char kRegions[] = "kernels write the parts of it in place";

struct Site {
  int cluster = 0;
  int map = 0;
  Value consumer;        // an op that made it, or the stored value
  bool memory = false;   // must be loaded
  bool element = false;  // an instruction per element of a reduced axis reads it
  int repeated = 0;      // work per element that is done more than once on the way
};

class Fusion {
 public:
  Fusion(const Graph& graph, const std::vector<Care>& care, const BlockSizes& blocks)
      : graph_(graph), care_(care), sites_(graph.num_values()) {
    partition_.blocks = blocks;
    partition_.home.assign(graph.num_values(), kNowhere);
    required_.resize(graph.num_values());
  }

  Partition run() {
    for (Value output : graph_.outputs()) required_[storage_of(graph_, output).id] = true;
    for (int i = graph_.num_values() - 1; i >= 0; --i) {
      if (required_[i] || !sites_[i].empty()) place(Value{i});
    }
    // Nodes of a cluster that was merged live in the one it went into.
    for (int32_t& home : partition_.home) {
      if (home >= 0) home = forward(home);
    }
    return std::move(partition_);
  }

 private:
  using Sites = std::vector<Site>;

  Cluster& cluster(const Site& site) { return partition_.clusters[site.cluster]; }
  int32_t& home(Value value) { return partition_.home[value.id]; }

  // ---- Sites

  void forward(Site& site) {
    while (cluster(site).merged_into >= 0) {
      site.map = cluster(site).forwarded[site.map];
      site.cluster = cluster(site).merged_into;
    }
  }

  /// The cluster that a cluster went into.
  int forward(int cluster) const {
    while (cluster >= 0 && partition_.clusters[cluster].merged_into >= 0) {
      cluster = partition_.clusters[cluster].merged_into;
    }
    return cluster;
  }

  /// The sites of a value, each cluster and map once.
  Sites sites_of(Value value) {
    auto& list = sites_[value.id];
    for (Site& site : list) forward(site);
    std::stable_sort(list.begin(), list.end(), [](const Site& a, const Site& b) {
      return a.cluster != b.cluster ? a.cluster < b.cluster : a.map < b.map;
    });
    Sites unique;
    for (const Site& site : list) {
      if (!unique.empty() && unique.back().cluster == site.cluster && unique.back().map == site.map) {
        unique.back().memory |= site.memory;
        unique.back().element |= site.element;
        unique.back().repeated = std::max(unique.back().repeated, site.repeated);
        --cluster(site).accesses;
      } else {
        unique.push_back(site);
      }
    }
    list.assign(unique.begin(), unique.end());
    return unique;
  }

  /// A use of `value`; constants and iotas take no access.
  void add_site(Value value, Site site) {
    auto& list = sites_[value.id];
    for (size_t i = list.size(), seen = 0; i-- > 0 && seen < 4; ++seen) {
      Site& known = list[i];
      if (known.cluster != site.cluster || known.map != site.map || known.memory != site.memory) continue;
      known.element |= site.element;
      known.repeated = std::max(known.repeated, site.repeated);
      return;
    }
    list.push_back(site);
    ++cluster(site).accesses;
  }

  void leave(const Site& site) { --cluster(site).accesses; }

  /// How many elements of the value that it uses the site's cluster would compute, counted each time.
  int64_t computations(const Site& site) {
    const Cluster& c = cluster(site);
    const Affine& map = c.maps[site.map];
    int64_t count = 1;
    bool varies = false;
    for (int i = 0; i < c.domain.rank; ++i) {
      varies |= map.coef[i] != 0;
      bool once_a_row = i == c.reduced && (c.kind == KernelKind::dot || map.coef[i] == 0);
      if (!once_a_row) count *= c.domain.extents[i];
    }
    return varies ? count : 1;
  }

  /// True if the site's cluster would compute elements of the value several times.
  bool repeats(Value value, const Site& site) {
    return computations(site) > graph_.type(value).size() && !becomes_row_value(value, site);
  }

  /// True if the value follows from a reduction that the site's cluster can take in: the cluster will compute both once
  /// a row. The reduction is at most a few ops on values of the same size away.
  bool becomes_row_value(Value value, const Site& site) {
    constexpr size_t kMaxSearched = 16;
    int64_t size = graph_.type(value).size();
    absl::InlinedVector<Value, kMaxSearched> searched{value};
    for (size_t i = 0; i < searched.size(); ++i) {
      const Node& node = graph_.node(searched[i]);
      if (etch::place(node.op) == Place::reduction && !cannot_reduce(searched[i], site)) return true;
      if (!is_elementwise(node.op) && etch::place(node.op) != Place::view) continue;
      for (Value operand : node.operands) {
        bool same_elements = graph_.type(operand).size() == size && !is_splat(operand);
        bool known = std::find(searched.begin(), searched.end(), operand) != searched.end();
        if (same_elements && !known && searched.size() < kMaxSearched) searched.push_back(operand);
      }
    }
    return false;
  }

  // ---- Placing nodes

  bool is_splat(Value value) const { return etch::place(graph_.node(value).op) == Place::splat; }

  void place(Value value) {
    const Node& node = graph_.node(value);
    if (graph_.type(value).size() == 0) {
      home(value) = kMemory;
      return;
    }
    if (is_computed(node.op) && is_undone(value)) return place_alone(value, sites_of(value), kUndone);
    switch (etch::place(node.op)) {
      case Place::input:
        home(value) = kMemory;
        merge_readers(value);
        return;
      case Place::elementwise: return place_elementwise(value);
      case Place::splat: return place_splat(value);
      case Place::index: return place_index(value);
      case Place::view:
      case Place::movement: return place_movement(value);
      case Place::boxes: return place_regions(value);
      case Place::reduction: return place_reduce(value);
      case Place::product: return place_dot(value);
    }
  }

  bool is_undone(Value value) const { return care_[value.id] == Care::alone; }

  void place_splat(Value value) {
    Sites sites = sites_of(value);
    bool memory = required_[value.id];
    for (const Site& site : sites) memory |= site.memory;
    if (memory) return place_alone(value, sites, nullptr);
    home(value) = kInline;
    for (const Site& site : sites) leave(site);
  }

  void place_index(Value value) {
    const Node& node = graph_.node(value);
    Sites sites = sites_of(value);
    bool memory = required_[value.id];
    const Shape& shape = graph_.type(value).shape;
    for (const Site& site : sites) {
      memory |= site.memory || !continue_axis_map(cluster(site), shape, index_axis(node.op), site.map);
    }
    if (memory) return place_alone(value, sites, nullptr);
    home(value) = kInline;
    for (const Site& site : sites) leave(site);
  }

  void place_movement(Value value) {
    const Node& node = graph_.node(value);
    Sites sites = sites_of(value);
    for (const Site& site : sites) {
      if (!continue_map(graph_, cluster(site), node, 0, site.map)) return place_alone(value, sites, kOtherOrder);
    }
    home(value) = kInline;
    for (const Site& site : sites) {
      leave(site);
      pass_on(value, 0, site);
    }
    if (required_[value.id]) pass_on(value, 0, new_root(value, 0));
  }

  /// The use of an operand that follows from a use of the node; the map is known to exist.
  void pass_on(Value value, int operand, Site site) {
    const Node& node = graph_.node(value);
    std::optional<Affine> map = continue_map(graph_, cluster(site), node, operand, site.map);
    site.map = intern(cluster(site), *map);
    add_site(node.operands[operand], site);
  }

  void place_elementwise(Value value) {
    Sites sites = sites_of(value);
    if (sites.size() > 1) {
      merge_readers(value);
      sites = sites_of(value);
    }
    bool memory = required_[value.id];
    for (const Site& site : sites) memory |= site.memory;
    const char* why = kSeveral;
    if (sites.size() == 1) why = kOutputElsewhere;
    if (sites.size() > 1 && sites.front().cluster == sites.back().cluster) why = kSeveralPlaces;
    if (!memory && sites.size() == 1) {
      why = cannot_join(value, sites[0]);
      if (!why) {
        home(value) = sites[0].cluster;
        return join(value, sites[0], 0);
      }
    }
    if (!memory && sites.size() > 1 && repeating_pays(value, sites)) {
      home(value) = kInline;
      for (const Site& site : sites) join(value, site, cost_of(graph_.node(value).op));
      return;
    }
    if (!memory && sites.size() > 1 && computed_once(value, sites)) {
      home(value) = sites[0].cluster;
      for (const Site& site : sites) join(value, site, 0);
      return;
    }
    if (store_in_a_consumer(value, sites, [&](const Site& site) { return !cannot_join(value, site); })) return;
    place_alone(value, sites, why);
    if (!sites.empty() && is_full(sites[0])) gather_overflow(sites[0], partition_.home[value.id]);
  }

  bool is_full(const Site& site) { return cluster(site).instrs >= kMaxInstrs; }

  /// Values that a full kernel reads are computed in one kernel before it: apart, each of them would need much of what
  /// the others compute.
  void gather_overflow(Site site, int from) {
    forward(site);
    std::vector<Cluster>& clusters = partition_.clusters;
    int first = forward(cluster(site).overflow);
    from = forward(from);
    bool joins = first >= 0 && first != from && can_merge(clusters[first], clusters[from], kMaxOverflowRoots);
    if (joins) merge(first, from);
    cluster(site).overflow = joins ? first : from;
  }

  /// Why an elementwise node cannot, or should not, be computed at a site; nullptr if it can.
  const char* cannot_join(Value value, const Site& site) {
    const Node& node = graph_.node(value);
    if (site.memory) return kDotOperand;
    if (cluster(site).alone) return kUndone;
    int operands = 0;
    for (Value operand : node.operands) operands += !is_splat(operand);
    Cluster& c = cluster(site);
    if (c.instrs >= kMaxInstrs || c.accesses + operands > kMaxAccesses) return kFull;
    if (site.repeated + (repeats(value, site) ? cost_of(node.op) : 0) > kMaxRepeatedCost) return kRepeated;
    for (size_t i = 0; i < node.operands.size(); ++i) {
      if (!continue_map(graph_, c, node, static_cast<int>(i), site.map)) return kOtherOrder;
    }
    return nullptr;
  }

  void join(Value value, Site site, int repeated) {
    const Node& node = graph_.node(value);
    leave(site);
    Cluster& c = cluster(site);
    ++c.instrs;
    bool per_row = c.reduced < 0 || c.maps[site.map].coef[c.reduced] == 0;
    if (repeats(value, site)) {
      repeated = std::max(repeated, cost_of(node.op));
    }
    Site use{site.cluster, site.map, value, false, site.element || !per_row, site.repeated + repeated};
    for (size_t i = 0; i < node.operands.size(); ++i) pass_on(value, static_cast<int>(i), use);
  }

  /// True if one kernel needs parts of a value that make up the value at most: slices of it, one for each place.
  bool computed_once(Value value, const Sites& sites) {
    if (sites.front().cluster != sites.back().cluster || sites.size() > kMaxPlaces) return false;
    if (cluster(sites[0]).instrs + static_cast<int>(sites.size()) > kMaxInstrs) return false;
    int64_t total = 0;
    for (const Site& site : sites) {
      if (cannot_join(value, site)) return false;
      total += computations(site);
    }
    return total <= graph_.type(value).size();
  }

  /// Computing a value in every kernel that needs it beats storing it: little work, and no more to read.
  bool repeating_pays(Value value, const Sites& sites) {
    const Node& node = graph_.node(value);
    if (care_[value.id] != Care::none || sites.size() > kMaxPlaces) return false;
    const int64_t size = graph_.type(value).size();
    int64_t total = 0, repeated = 0, read = 0;
    for (Value operand : node.operands) {
      if (!is_splat(operand)) read += graph_.type(operand).bytes();
    }
    for (const Site& site : sites) {
      if (cannot_join(value, site)) return false;
      total += std::min(computations(site), repeats(value, site) ? INT64_MAX : size);
      repeated = std::max<int64_t>(repeated, site.repeated);
    }
    // Slices of the value are a part of it each.
    int64_t times = std::max<int64_t>((total + size - 1) / size, 1);
    if (times > kMaxTimes) return false;
    return read <= graph_.type(value).bytes() && cost_of(node.op) * (times - 1) + repeated <= kMaxRepeatedCost;
  }

  /// True if the cluster of the site visits each element of a value once and in order, so that it can store it.
  bool in_order(const Site& site, int64_t size) {
    const Cluster& c = cluster(site);
    const Affine& map = c.maps[site.map];
    if (c.kind != KernelKind::dot && size == c.domain.size() && map == linear_index(c.domain)) return !c.in_blocks;
    if (c.reduced < 0) return false;
    int64_t rows = 1;
    for (int i = 0; i < c.domain.rank; ++i) rows *= i == c.reduced ? 1 : c.domain.extents[i];
    return rows == size && map == linear_index(c.domain, c.reduced);
  }

  /// The lowest level at which the cluster of a site can produce a value for the other clusters; -1 if it is used there
  /// at several maps.
  int producer_level(const Site& site, const Sites& sites) {
    int level = cluster(site).level, uses = 0;
    for (const Site& other : sites) {
      if (other.cluster != site.cluster) {
        level = std::max(level, cluster(other).level + 1);
      } else if (++uses > 1) {
        return -1;
      }
    }
    return level;
  }

  /// Computes and stores a value in one of the kernels that use it, the others load it.
  template <class Can>
  bool store_in_a_consumer(Value value, const Sites& sites, Can can) {
    constexpr size_t kCandidates = 4;
    Sites candidates = sites;
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&](const Site& a, const Site& b) { return cluster(a).level > cluster(b).level; });
    candidates.resize(std::min(candidates.size(), kCandidates));
    const Node& node = graph_.node(value);
    for (const Site& site : candidates) {
      int level = producer_level(site, sites);
      if (site.memory || level < 0 || level >= cluster(site).ceiling) continue;
      if (cluster(site).accesses + 2 > kMaxAccesses || !can(site)) continue;
      // A reduction is in order by its legality.
      if (etch::place(node.op) != Place::reduction && !in_order(site, graph_.type(value).size())) continue;
      Sites others;
      for (const Site& other : sites) {
        if (other.cluster != site.cluster) others.push_back(other);
      }
      loaded_by(value, others, level, kSeveral);
      Cluster& c = cluster(site);
      c.level = level;
      c.roots.push_back({value, value, site.map, site.map});
      ++c.accesses;
      home(value) = site.cluster;
      join_any(value, site);
      return true;
    }
    return false;
  }

  void join_any(Value value, const Site& site) {
    const Node& node = graph_.node(value);
    if (etch::place(node.op) == Place::reduction) return join_reduce(value, site);
    if (etch::place(node.op) == Place::product) return join_dot(value, site);
    join(value, site, 0);
  }

  // ---- Kernels of their own

  /// A new cluster that stores a value; its level is above those that load it.
  Site new_root(Value value, int level) {
    Cluster& c = partition_.clusters.emplace_back();
    c.domain = Domain::of(graph_.type(value).shape);
    c.level = level;
    c.alone = is_undone(value);
    c.single = care_[value.id] != Care::none;
    c.accesses = 2;
    int map = intern(c, linear_index(c.domain));
    c.roots.push_back({value, value, map, map});
    return {static_cast<int>(partition_.clusters.size()) - 1, map, value, false, false, 0};
  }

  int level_above(const Sites& sites) {
    int level = 0;
    for (const Site& site : sites) level = std::max(level, cluster(site).level + 1);
    return level;
  }

  void loaded_by(Value value, const Sites& sites, int level, const char* why) {
    for (const Site& site : sites) {
      cluster(site).ceiling = std::min(cluster(site).ceiling, level);
      if (why) not_fused(value, site, site.memory ? kDotOperand : why);
    }
  }

  void place_alone(Value value, const Sites& sites, const char* why) {
    int level = level_above(sites);
    loaded_by(value, sites, level, why);
    Site site = new_root(value, level);
    home(value) = site.cluster;
    const Place kind = etch::place(graph_.node(value).op);
    if (kind == Place::view || kind == Place::movement) {
      leave(site);
      pass_on(value, 0, site);
    } else if (kind != Place::splat && kind != Place::index) {
      join_any(value, site);
    }
    merge_readers(value);
  }

  void place_regions(Value value) {
    Sites sites = sites_of(value);
    int level = level_above(sites);
    loaded_by(value, sites, level, kRegions);
    home(value) = kMemory;
    for (const Region& region : regions_of(graph_, value)) {
      Cluster c = region_cluster(graph_, value, region);
      c.level = level;
      partition_.clusters.push_back(std::move(c));
      add_site(region.value, {static_cast<int>(partition_.clusters.size()) - 1, 0, value, false, false, 0});
    }
    merge_readers(value);
  }

  // ---- Reductions and products

  void place_reduce(Value value) {
    gather_hosts(value);
    Sites sites = sites_of(value);
    const auto can = [&](const Site& site) { return !cannot_reduce(value, site); };
    if (!required_[value.id] && sites.size() == 1 && can(sites[0])) {
      home(value) = sites[0].cluster;
      return join_reduce(value, sites[0]);
    }
    if (store_in_a_consumer(value, sites, can)) return;
    Geometry geometry = geometry_of(graph_, graph_.node(value));
    bool in_blocks = runs_in_blocks(geometry, reduction_of(graph_.node(value).op).kind, partition_.blocks);
    place_alone(value, sites, in_blocks ? kLongRows : sites.size() > 1 ? kSeveral : kOtherAxis);
  }

  void join(const Node& reduce, Cluster& c, int map) {
    const Hosting hosting = host_reduce(graph_, reduce, c, map, partition_.blocks);
    adopt_reduce(graph_, reduce, c, hosting, partition_.blocks);
  }

  const char* cannot_reduce(Value value, const Site& site) {
    const Cluster& c = cluster(site);
    if (site.memory) return kDotOperand;
    if (c.alone) return kUndone;
    if (c.instrs >= kMaxInstrs || c.accesses + 1 > kMaxAccesses) return kFull;
    if (c.in_blocks && site.element) return kLongRows;
    return host_reduce(graph_, graph_.node(value), c, site.map, partition_.blocks).ok ? nullptr : kOtherAxis;
  }

  /// Clusters that could all compute the reduction become one.
  void gather_hosts(Value value) {
    if (care_[value.id] != Care::none) return;
    const Node& node = graph_.node(value);
    Sites sites = sites_of(value);
    if (sites.size() < 2 || sites.size() > 8) return;
    const auto adopted = [&](const Site& site) {
      Cluster copy = cluster(site);
      join(node, copy, site.map);
      return copy;
    };
    const Site* first = nullptr;
    for (const Site& site : sites) {
      if (cannot_reduce(value, site)) continue;
      if (!first) {
        first = &site;
        continue;
      }
      if (site.cluster == first->cluster) continue;
      Cluster a = adopted(*first), b = adopted(site);
      if (!can_merge(a, b)) continue;
      cluster(*first) = std::move(a);
      cluster(site) = std::move(b);
      merge(first->cluster, site.cluster);
    }
  }

  void join_reduce(Value value, const Site& site) {
    const Node& node = graph_.node(value);
    leave(site);
    Cluster& c = cluster(site);
    join(node, c, site.map);
    ++c.instrs;
    int map = intern(c, linear_index(c.domain));
    add_site(node.operands[0], {site.cluster, map, value, false, true, site.repeated});
  }

  void place_dot(Value value) {
    Sites sites = sites_of(value);
    const auto can = [&](const Site& site) {
      return !site.memory && !cluster(site).alone && cluster(site).accesses + 2 <= kMaxAccesses &&
             can_host_dot(graph_, graph_.node(value), cluster(site), site.map);
    };
    if (!required_[value.id] && sites.size() == 1 && can(sites[0])) {
      home(value) = sites[0].cluster;
      return join_dot(value, sites[0]);
    }
    if (store_in_a_consumer(value, sites, can)) return;
    place_alone(value, sites, sites.size() > 1 ? kSeveral : kDotConsumer);
  }

  void join_dot(Value value, const Site& site) {
    const Node& node = graph_.node(value);
    leave(site);
    Cluster& c = cluster(site);
    adopt_dot(graph_, node, c);
    ++c.instrs;
    for (int i = 0; i < 2; ++i) {
      int map = intern(c, dot_operand_map(graph_, node, i, c.domain));
      add_site(node.operands[i], {site.cluster, map, value, true, true, 0});
    }
  }

  // ---- Siblings

  static bool same_rows(const Cluster& a, const Cluster& b) {
    if (a.reduced < 0 || b.reduced < 0) return !a.in_blocks && !b.in_blocks;
    return a.reduced == b.reduced && a.kind == b.kind && a.in_blocks == b.in_blocks;
  }

  /// True if two clusters can be one kernel: the same domain, no path between them, and small enough.
  bool can_merge(const Cluster& a, const Cluster& b, size_t max_roots = kMaxSiblingRoots) const {
    if (a.single || b.single) return false;
    if (a.kind == KernelKind::dot || b.kind == KernelKind::dot || a.domain.rank != b.domain.rank) return false;
    if (a.domain.extents != b.domain.extents || !same_rows(a, b)) return false;
    if (std::max(a.level, b.level) >= std::min(a.ceiling, b.ceiling)) return false;
    return a.roots.size() + b.roots.size() <= max_roots && a.instrs + b.instrs <= kMaxInstrs &&
           a.accesses + b.accesses <= kMaxAccesses;
  }

  void merge(int into, int from) {
    Cluster& a = partition_.clusters[into];
    Cluster& b = partition_.clusters[from];
    for (const Affine& map : b.maps) b.forwarded.push_back(intern(a, map));
    for (Root root : b.roots) {
      root.map = b.forwarded[root.map];
      root.address = b.forwarded[root.address];
      a.roots.push_back(root);
    }
    if (a.reduced < 0) {
      a.kind = b.kind;
      a.reduced = b.reduced;
    }
    a.domain.whole |= b.domain.whole;
    a.instrs += b.instrs;
    a.accesses += b.accesses;
    a.level = std::max(a.level, b.level);
    a.ceiling = std::min(a.ceiling, b.ceiling);
    a.took_in = true;
    b.merged_into = into;
    b.maps.clear();
    b.roots.clear();
  }

  /// Kernels that read all of the same value in the same order become one, which reads it once.
  void merge_readers(Value value) {
    Sites sites = sites_of(value);
    int64_t size = graph_.type(value).size();
    int open = -1;
    for (const Site& site : sites) {
      if (site.memory || partition_.clusters[site.cluster].merged_into >= 0) continue;
      Cluster& c = cluster(site);
      if (c.kind == KernelKind::dot || c.domain.size() != size) continue;
      if (!(c.maps[site.map] == linear_index(c.domain))) continue;
      if (open >= 0 && open != site.cluster && can_merge(partition_.clusters[open], c)) {
        merge(open, site.cluster);
      } else {
        open = site.cluster;
      }
    }
  }

  void not_fused(Value producer, const Site& site, const char* why) {
    std::vector<UnfusedEdge>& edges = partition_.unfused;
    for (size_t i = edges.size(); i-- > 0 && edges[i].producer == producer;) {
      if (edges[i].consumer == site.consumer) return;
      if (edges.size() - i > 8) break;
    }
    edges.push_back({producer, site.consumer, why});
  }

  const Graph& graph_;
  const std::vector<Care>& care_;
  Partition partition_;
  std::vector<absl::InlinedVector<Site, 2>> sites_;
  std::vector<bool> required_;
};

}  // namespace

Partition partition_fused(const Graph& graph, const std::vector<Care>& care, const BlockSizes& blocks) {
  return Fusion(graph, care, blocks).run();
}

}  // namespace etch::schedule
