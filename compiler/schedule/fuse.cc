// Fusion: decides, from the outputs back to the inputs, which kernel computes each node.
//
// A concat or pad passes its sites on to its parts, each in the section that reads it, if the kernels that use it can be cut
// there (pieces.h); else kernels write the parts into its memory.
//
// Every use of a node is a site (sites.h): a cluster and the map from the cluster's domain to the node. Movement ops only
// pass their sites on, with another map. A node whose uses are one site is computed there; else it is computed once and
// stored by one of its users, or by a kernel of its own, or, if that costs less, by each user. Kernels that read the same
// become one (siblings.h). What is legal stands in partition.h, what pays in fusion_policy.h.
#include <algorithm>

#include "compiler/schedule/costs.h"
#include "compiler/schedule/fusion_policy.h"
#include "compiler/schedule/native_region.h"
#include "compiler/schedule/pieces.h"
#include "compiler/schedule/siblings.h"
#include "compiler/schedule/sites.h"

namespace etch::schedule {
namespace {

class Fusion {
 public:
  Fusion(const Graph& graph, const std::vector<Care>& care, const BlockSizes& blocks, const NativeKernels* natives)
      : graph_(graph), sites_(graph, partition_), policy_(graph, care, partition_.blocks, sites_),
        siblings_(graph, partition_, sites_, policy_), required_(graph.num_values()) {
    partition_.blocks = blocks;
    partition_.natives = natives;
    partition_.home.assign(graph.num_values(), kNowhere);
  }

  Partition run() {
    for (Value output : graph_.outputs()) required_[storage_of(graph_, output).id] = true;
    policy_.find_readers(required_);
    for (int i = graph_.num_values() - 1; i >= 0; --i) {
      if (required_[i] || sites_.has(Value{i})) place(Value{i});
    }
    // Nodes of a cluster that was merged live in the one it went into.
    for (int32_t& home : partition_.home) {
      if (home >= 0) home = sites_.forward(home);
    }
    cut_blocks(graph_, partition_);
    return std::move(partition_);
  }

 private:
  Cluster& cluster(const Site& site) { return sites_.cluster(site); }
  int32_t& home(Value value) { return partition_.home[value.id]; }

  void place(Value value) {
    const Node& node = graph_.node(value);
    if (graph_.type(value).size() == 0) {
      home(value) = kMemory;
      return;
    }
    if (is_computed(node.op) && policy_.is_undone(value)) return place_alone(value, sites_.of(value), reason::kUndone);
    switch (etch::place(node.op)) {
      case Place::input:
        home(value) = kMemory;
        siblings_.merge_readers(value);
        return;
      case Place::elementwise: return place_elementwise(value);
      case Place::splat: return place_splat(value);
      case Place::index: return place_index(value);
      case Place::view:
      case Place::movement: return place_movement(value);
      case Place::boxes: return place_boxes(value);
      case Place::indexed: return place_indexed(value);
      case Place::reduction: return place_reduce(value);
      case Place::product: return place_dot(value);
      case Place::call:
      case Place::region:
      case Place::host: return place_call(value);
    }
  }

  // ---- What is never stored unless somebody must load it

  void place_splat(Value value) {
    Sites::List sites = sites_.of(value);
    bool memory = required_[value.id];
    for (const Site& site : sites) memory |= site.memory && !is_inside_operand(site);
    if (memory) return place_alone(value, sites, nullptr);
    home(value) = kInline;
    for (const Site& site : sites) sites_.leave(site);
  }

  /// True if an op that a product computes for its operand reads the site's value.
  bool is_inside_operand(const Site& site) const {
    return site.operand && etch::place(graph_.node(site.consumer).op) != Place::product;
  }

  void place_index(Value value) {
    const Node& node = graph_.node(value);
    Sites::List sites = sites_.of(value);
    bool memory = required_[value.id];
    const Shape& shape = graph_.type(value).shape;
    for (const Site& site : sites) {
      memory |= site.memory || !continue_axis_map(cluster(site), shape, index_axis(node.op), site.map);
    }
    if (memory) return place_alone(value, sites, nullptr);
    home(value) = kInline;
    for (const Site& site : sites) sites_.leave(site);
  }

  void place_movement(Value value) {
    const Node& node = graph_.node(value);
    Sites::List sites = sites_.of(value);
    int scattered = 0, strided = 0;  // kernels, in whose order sites are
    for (size_t i = 0; i < sites.size(); ++i) {
      const Site& site = sites[i];
      if (site.in_order) return place_alone(value, sites, why_in_order(site));
      const std::optional<Affine> next = continue_map(graph_, cluster(site), node, 0, site.map);
      if (!next) return place_alone(value, sites, reason::kOtherOrder);
      if (policy_.is_fused_freely(value) && policy_.turns_rows(site, *next)) {
        return place_alone(value, sites, reason::kTurned);
      }
      const bool moves = etch::place(node.op) == Place::movement;  // a view has no memory of its own
      if (moves && policy_.is_fused_freely(value) && policy_.packs_again(site, *next)) {
        return place_alone(value, sites, reason::kDotOperand);
      }
      if (required_[value.id] && policy_.is_fused_freely(value) && policy_.strides_along_row(site, *next)) {
        return place_alone(value, sites, reason::kTurned);
      }
      const bool again = i > 0 && sites[i - 1].cluster == site.cluster;
      if (again || !policy_.is_fused_freely(value)) continue;
      if (policy_.scatters(site, *next)) {
        if (policy_.takes_bytes_apart(value, site)) return place_alone(value, sites, reason::kBytesApart);
        ++scattered;
      } else if (policy_.strides(site, *next)) {
        ++strided;
      }
    }
    if (scattered > 0 && scattered + strided > 1) return place_alone(value, sites, reason::kTurnedOnce);
    home(value) = kInline;
    if (required_[value.id]) {
      Site root = new_root(value, 0);
      sites_.leave(root);
      sites_.add(value, root);
    }
    siblings_.merge_readers(value);
    for (const Site& site : sites_.of(value)) {
      sites_.leave(site);
      sites_.pass_on(value, 0, site);
    }
  }

  // ---- Elementwise ops

  void place_elementwise(Value value) {
    Sites::List sites = sites_.of(value);
    if (sites.size() > 1) {
      siblings_.merge_readers(value);
      sites = sites_.of(value);
    }
    if (widens_for_products(value, sites)) {
      home(value) = sites.size() == 1 ? sites[0].cluster : kInline;
      for (const Site& site : sites) join(value, site, 0);
      return;
    }
    bool memory = required_[value.id];
    for (const Site& site : sites) memory |= site.memory;
    const char* why = reason::kSeveral;
    if (sites.size() == 1) why = reason::kOutputElsewhere;
    if (sites.size() > 1 && sites.front().cluster == sites.back().cluster) why = reason::kSeveralPlaces;
    if (!memory && sites.size() == 1) {
      if (policy_.hides_sums(value, sites[0])) return place_alone(value, sites, reason::kHidesSums);
      why = policy_.cannot_join(value, sites[0]);
      if (!why) {
        home(value) = sites[0].cluster;
        return join(value, sites[0], 0);
      }
    }
    if (!memory && sites.size() > 1 && policy_.repeating_pays(value, sites)) {
      home(value) = kInline;
      for (const Site& site : sites) join(value, site, cost_of(graph_.node(value).op));
      return;
    }
    if (!memory && sites.size() > 1 && policy_.computed_once(value, sites)) {
      home(value) = sites[0].cluster;
      for (const Site& site : sites) join(value, site, 0);
      return;
    }
    if (store_in_a_consumer(value, sites, [&](const Site& site) { return !policy_.cannot_join(value, site); })) return;
    place_alone(value, sites, why);
    if (!sites.empty() && policy_.is_full(cluster(sites[0]))) siblings_.merge_overflow(sites[0], home(value));
  }

  /// True if all that need the value are products, which read less if each widens it for itself.
  bool widens_for_products(Value value, const Sites::List& sites) const {
    return !required_[value.id] && !sites.empty() &&
           std::ranges::all_of(sites, [&](const Site& site) { return policy_.widens(value, site); });
  }

  void join(Value value, Site site, int repeated) {
    const Node& node = graph_.node(value);
    sites_.leave(site);
    Cluster& c = cluster(site);
    ++c.instrs;
    c.code += cost_of(node.op);
    const int folded = c.domain.folded_axis();
    const bool along_row = folded >= 0 && c.maps[site.map].coef[folded] != 0;
    c.widest = std::max(c.widest, size_of(graph_.type(value).dtype));
    if ((along_row || folded < 0) && cost_of(node.op) >= cost::kDear) ++c.dear;
    if (policy_.repeats(value, site)) {
      repeated = std::max(repeated, cost_of(node.op));
    }
    Site use = site;
    use.consumer = value;
    use.element |= along_row;
    use.repeated += repeated;
    for (size_t i = 0; i < node.operands.size(); ++i) sites_.pass_on(value, static_cast<int>(i), use);
  }

  // ---- Elements at indices

  void place_indexed(Value value) {
    Sites::List sites = sites_.of(value);
    if (sites.size() > 1) {
      siblings_.merge_readers(value);
      sites = sites_.of(value);
    }
    const auto can = [&](const Site& site) { return !policy_.cannot_index(value, site); };
    const char* why = sites.size() == 1 ? policy_.cannot_index(value, sites[0]) : reason::kSeveral;
    if (!required_[value.id] && sites.size() == 1 && why == nullptr) {
      home(value) = sites[0].cluster;
      return join_indexed(value, sites[0]);
    }
    if (store_in_a_consumer(value, sites, can)) return;
    place_alone(value, sites, why ? why : reason::kOutputElsewhere);
  }

  void join_indexed(Value value, const Site& site) {
    const Node& node = graph_.node(value);
    sites_.leave(site);
    Cluster& c = cluster(site);
    c.instrs += kIndexedInstrs;
    c.code += kIndexedInstrs;
    c.indexes = true;
    const int folded = c.domain.folded_axis();
    const bool along_row = folded >= 0 && c.maps[site.map].coef[folded] != 0;
    c.widest = std::max(c.widest, size_of(graph_.type(value).dtype));
    const int repeated = site.repeated + (policy_.repeats(value, site) ? cost_of(node.op) : 0);
    const std::optional<IndexedElement> element = continue_indexed(graph_, c, node, site.map);
    Site table{.cluster = site.cluster, .map = intern(c, element->base), .consumer = value, .memory = true, .element = true};
    table.in_order = true;
    sites_.add(storage_of(graph_, node.operands[0]), table);
    const int index = intern(cluster(site), element->index);
    sites_.add(node.operands[1], {.cluster = site.cluster, .map = index, .consumer = value, .element = site.element || along_row, .repeated = repeated});
  }

  // ---- Reductions and products

  void place_reduce(Value value) {
    siblings_.merge_hosts(value);
    Sites::List sites = sites_.of(value);
    const auto can = [&](const Site& site) { return !policy_.cannot_reduce(value, site); };
    if (!required_[value.id] && sites.size() == 1 && can(sites[0])) {
      home(value) = sites[0].cluster;
      return join_reduce(value, sites[0]);
    }
    if (store_in_a_consumer(value, sites, can)) return;
    Geometry geometry = geometry_of(graph_, graph_.node(value));
    bool in_blocks = runs_in_blocks(geometry, reduction_of(graph_.node(value).op).kind, partition_.blocks);
    place_alone(value, sites,
                in_blocks ? reason::kLongRows : sites.size() > 1 ? reason::kSeveral : reason::kOtherAxis);
  }

  void join_reduce(Value value, const Site& site) {
    const Node& node = graph_.node(value);
    sites_.leave(site);
    Cluster& c = cluster(site);
    adopt_reduce(graph_, node, c, host_reduce(graph_, node, c, site.map, partition_.blocks));
    c.widest = std::max(c.widest, size_of(graph_.type(node.operands[0]).dtype));
    ++c.instrs;
    int map = intern(c, linear_index(c.domain));
    sites_.add(node.operands[0], {.cluster = site.cluster, .map = map, .consumer = value, .element = true, .repeated = site.repeated});
  }

  void place_dot(Value value) {
    Sites::List sites = sites_.of(value);
    const auto can = [&](const Site& site) { return !policy_.cannot_multiply(value, site); };
    if (!required_[value.id] && sites.size() == 1 && can(sites[0])) {
      home(value) = sites[0].cluster;
      return join_dot(value, sites[0]);
    }
    if (store_in_a_consumer(value, sites, can)) return;
    place_alone(value, sites, sites.size() > 1 ? reason::kSeveral : reason::kDotConsumer);
  }

  void join_dot(Value value, const Site& site) {
    const Node& node = graph_.node(value);
    sites_.leave(site);
    Cluster& c = cluster(site);
    adopt_dot(graph_, node, c);
    ++c.instrs;
    for (int i = 0; i < 2; ++i) {
      int map = intern(c, dot_operand_map(graph_, node, i, c.domain));
      sites_.add(node.operands[i], {.cluster = site.cluster, .map = map, .consumer = value, .memory = true, .operand = true, .element = true});
    }
  }

  // ---- Library functions and regions

  /// The results of a node are placed one after the other, with nothing between them; the first one that is used makes
  /// the cluster.
  void place_call(Value value) {
    const Node& node = graph_.node(value);
    const Sites::List sites = sites_.of(value);
    if (home(value) == kNowhere) add_call(node);
    int& level = partition_.clusters[home(value)].level;
    for (const Site& site : sites) level = std::max(level, cluster(site).level + 1);
    loaded_by(value, sites, level, why_called(node));
    siblings_.merge_readers(value);
  }

  static const char* why_called(const Node& node) {
    switch (etch::place(node.op)) {
      case Place::call: return reason::kLibraryResult;
      case Place::host: return reason::kHostResult;
      default: return reason::kRegionResult;
    }
  }

  void add_call(const Node& node) {
    const auto self = static_cast<int>(partition_.clusters.size());
    partition_.clusters.push_back(call_cluster(node));
    for (Value result : results(node)) home(result) = self;
    const bool is_native = partition_.native(node) != nullptr;
    for (Value operand : node.operands) {
      if (is_native && is_known(graph_, operand)) continue;
      Site site{.cluster = self, .consumer = node.result(), .memory = true, .element = true};
      site.in_order = true;
      sites_.add(storage_of(graph_, operand), site);
    }
  }

  void join_any(Value value, const Site& site) {
    const Node& node = graph_.node(value);
    if (etch::place(node.op) == Place::reduction) return join_reduce(value, site);
    if (etch::place(node.op) == Place::product) return join_dot(value, site);
    if (etch::place(node.op) == Place::indexed) return join_indexed(value, site);
    join(value, site, 0);
  }

  // ---- Stored by a kernel that uses it

  /// True if the cluster of the site visits each element of a value once and in order, so that it can store it.
  bool in_order(const Site& site, int64_t size) {
    const Cluster& c = cluster(site);
    if (c.sections[site.map]) return false;
    const Affine& map = c.maps[site.map];
    if (size == c.domain.size() && map == linear_index(c.domain)) return !c.domain.has(Role::results);
    if (c.domain.folded_axis() < 0) return false;
    int64_t rows = 1;
    for (int i = 0; i < c.domain.rank; ++i) rows *= c.domain.is_folded(i) ? 1 : c.domain.extents[i];
    return rows == size && map == row_index(c.domain);
  }

  /// The lowest level at which the cluster of a site can produce a value for the other clusters; -1 if it is used there
  /// at several maps.
  int producer_level(const Site& site, const Sites::List& sites) {
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
  bool store_in_a_consumer(Value value, const Sites::List& sites, Can can) {
    constexpr size_t kCandidates = 4;
    Sites::List candidates = sites;
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&](const Site& a, const Site& b) { return cluster(a).level > cluster(b).level; });
    candidates.resize(std::min(candidates.size(), kCandidates));
    const Node& node = graph_.node(value);
    for (const Site& site : candidates) {
      int level = producer_level(site, sites);
      if (site.memory || level < 0 || level >= cluster(site).ceiling) continue;
      if (!policy_.has_room_to_store(cluster(site)) || !can(site)) continue;
      // A reduction is in order by its legality.
      if (etch::place(node.op) != Place::reduction && !in_order(site, graph_.type(value).size())) continue;
      Sites::List others;
      for (const Site& other : sites) {
        if (other.cluster != site.cluster) others.push_back(other);
      }
      loaded_by(value, others, level, reason::kSeveral);
      Cluster& c = cluster(site);
      c.level = level;
      c.roots.push_back({value, value.id, site.map, site.map});
      ++c.accesses;
      home(value) = site.cluster;
      join_any(value, site);
      return true;
    }
    return false;
  }

  // ---- Kernels of their own

  /// A new cluster that stores a value; its level is above those that load it.
  Site new_root(Value value, int level) {
    Cluster& c = partition_.clusters.emplace_back();
    c.domain = Domain::of(graph_.type(value).shape);
    c.level = level;
    c.alone = policy_.is_undone(value);
    c.single = !policy_.is_fused_freely(value);
    c.accesses = 2;
    int map = intern(c, linear_index(c.domain));
    c.roots.push_back({value, value.id, map, map});
    return {.cluster = static_cast<int>(partition_.clusters.size()) - 1, .map = map, .consumer = value};
  }

  int level_above(const Sites::List& sites) {
    int level = 0;
    for (const Site& site : sites) level = std::max(level, cluster(site).level + 1);
    return level;
  }

  void loaded_by(Value value, const Sites::List& sites, int level, const char* why) {
    for (const Site& site : sites) {
      cluster(site).ceiling = std::min(cluster(site).ceiling, level);
      if (why) not_fused(value, site, site.in_order ? why_in_order(site) : site.memory ? why_in_memory(site) : why);
    }
  }

  const char* why_in_memory(const Site& site) const {
    return etch::place(graph_.node(site.consumer).op) == Place::boxes ? reason::kBorders : reason::kDotOperand;
  }

  const char* why_in_order(const Site& site) const {
    const Place consumer = etch::place(graph_.node(site.consumer).op);
    if (consumer == Place::region) return reason::kRegion;
    if (consumer == Place::host) return reason::kHost;
    return consumer == Place::indexed ? reason::kTable : reason::kLibrary;
  }

  void place_alone(Value value, const Sites::List& sites, const char* why) {
    int level = level_above(sites);
    loaded_by(value, sites, level, why);
    Site site = new_root(value, level);
    home(value) = site.cluster;
    const Place kind = etch::place(graph_.node(value).op);
    if (kind == Place::view || kind == Place::movement) {
      sites_.leave(site);
      sites_.pass_on(value, 0, site);
    } else if (kind != Place::splat && kind != Place::index) {
      join_any(value, site);
    }
    siblings_.merge_readers(value);
  }

  void place_boxes(Value value) {
    const Sites::List sites = sites_.of(value);
    if (!required_[value.id] && policy_.looks_past_borders(value, sites)) return look_past_borders(value, sites);
    place_parts(value);
  }

  /// The kernel that reads windows of a pad loads the elements of its operand.
  void look_past_borders(Value value, const Sites::List& sites) {
    home(value) = kInline;
    const Node& node = graph_.node(value);
    for (const Site& site : sites) {
      sites_.leave(site);
      Cluster& c = cluster(site);
      c.sweeps = c.single = true;
      const std::optional<PaddedElement> padded = padded_element(graph_, node, c.maps[site.map], c.domain);
      const Value inside = storage_of(graph_, node.operands[bordered(graph_, node)->inside.operand]);
      sites_.add(inside, {.cluster = site.cluster, .map = intern(c, padded->element), .consumer = value, .memory = true, .element = true});
    }
  }

  void place_parts(Value value) {
    Sites::List sites = sites_.of(value);
    const char* why = required_[value.id] ? reason::kParts : policy_.cannot_look_through(value, sites);
    if (why == nullptr) return look_through(value, sites);
    int level = level_above(sites);
    loaded_by(value, sites, level, why);
    home(value) = kMemory;
    for (const Part& part : parts_of(graph_, value)) {
      Cluster c = part_cluster(graph_, value, part);
      c.level = level;
      partition_.clusters.push_back(std::move(c));
      const int self = static_cast<int>(partition_.clusters.size()) - 1;
      sites_.add(part.value, {.cluster = self, .consumer = value});
    }
    siblings_.merge_readers(value);
  }

  /// The kernels that use it read its parts.
  void look_through(Value value, const Sites::List& sites) {
    home(value) = kInline;
    for (const Site& site : sites) {
      sites_.leave(site);
      Cluster& c = cluster(site);
      c.cut_by.push_back(value);
      const std::vector<PartUse> parts = *parts_read(graph_, c, value, site.map);
      for (const PartUse& part : parts) {
        add_seams(c.domain, part.section, c.seams);
        Site use = site;
        use.map = intern(c, part.map, part.section);
        sites_.add(part.value, use);
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
  Partition partition_;
  Sites sites_;
  FusionPolicy policy_;
  Siblings siblings_;
  std::vector<bool> required_;
};

}  // namespace

Partition partition_fused(const Graph& graph, const std::vector<Care>& care, const BlockSizes& blocks,
                          const NativeKernels* natives) {
  return Fusion(graph, care, blocks, natives).run();
}

}  // namespace etch::schedule
