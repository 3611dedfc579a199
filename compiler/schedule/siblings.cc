// Clusters that become one: those that read the same value, and those that one reduction can serve.
#include "compiler/schedule/siblings.h"

#include <algorithm>
#include <iterator>

#include "compiler/schedule/pieces.h"

namespace etch::schedule {
namespace {

/// True if the clusters fold the same axis in the same way, or if one of them folds none and can run beside the elements of
/// the other. A short row it cannot run beside: lanes lie across such rows, and would have to be put together again.
bool same_rows(const Domain& a, const Domain& b) {
  const int row = a.folded_axis(), other = b.folded_axis();
  if (row < 0 && other < 0) return true;
  if (row < 0 || other < 0) {
    const Domain& folds = row < 0 ? b : a;
    const int axis = std::max(row, other);
    const bool short_row = axis == folds.rank - 1 && folds.extents[axis] <= kShortAxis;
    return !folds.has(Role::results) && !short_row;
  }
  return row == other && a.roles[row] == b.roles[row];
}

/// True if `loop` would keep a cluster that folds from running as it does best: many elements in a vector, or short rows
/// beside each other. Nor could several dear ops run in segments. What computes for long need not wait for memory anyway.
bool slows(const Cluster& loop, const Cluster& folding) {
  if (loop.dear == 0 || loop.domain.folded_axis() >= 0 || folding.domain.folded_axis() < 0) return false;
  return loop.dear > 1 || folds_short_rows(folding) || loop.widest > folding.widest;
}

/// True if one kernel may be cut at the seams of both.
bool can_share_seams(const Cluster& a, const Cluster& b) {
  if (a.seams.empty() && b.seams.empty()) return true;
  std::vector<Seam> seams;
  std::ranges::set_union(a.seams, b.seams, std::back_inserter(seams));
  return !a.indexes && !b.indexes && num_pieces(seams) <= kMostPieces && can_have_seams(a.domain, seams) && can_have_seams(b.domain, seams);
}

}  // namespace

/// True if the cluster reads another element of the site's value at each of its own, as often as it reads any.
bool Siblings::reads_throughout(const Site& site) const {
  const Cluster& c = sites_.cluster(site);
  const Affine& map = c.maps[site.map];
  for (int axis = 0; axis < c.domain.rank; ++axis) {
    if (c.domain.extents[axis] > 1 && map.coef[axis] == 0) return false;
  }
  return !c.domain.has(Role::row);
}

void Siblings::merge_readers(Value value) {
  constexpr size_t kOpen = 4;
  absl::InlinedVector<Site, kOpen> open;  // clusters that the next ones may go into; at the most recent maps
  for (Site site : sites_.of(value)) {
    sites_.forward(site);
    for (Site& other : open) sites_.forward(other);  // a cluster may be open at one of its maps and merged at another
    if (site.memory || !reads_throughout(site)) continue;
    const auto takes_in = [&](const Site& other) {
      const Cluster &a = sites_.cluster(other), &b = sites_.cluster(site);
      return other.cluster != site.cluster && a.maps[other.map] == b.maps[site.map] && a.sections[other.map] == b.sections[site.map] &&
             can_merge(a, b, policy_.max_sibling_roots(site));
    };
    auto into = std::find_if(open.begin(), open.end(), takes_in);
    if (into != open.end()) {
      merge(into->cluster, site.cluster);
    } else {
      if (open.size() == kOpen) open.erase(open.begin());
      open.push_back(site);
    }
  }
}

void Siblings::merge_hosts(Value reduction) {
  if (!policy_.is_fused_freely(reduction)) return;
  const Node& node = graph_.node(reduction);
  Sites::List sites = sites_.of(reduction);
  if (sites.size() < 2 || sites.size() > 8) return;
  const auto adopted = [&](const Site& site) {
    Cluster copy = sites_.cluster(site);
    adopt_reduce(graph_, node, copy, host_reduce(graph_, node, copy, site.map, partition_.blocks));
    return copy;
  };
  Site* first = nullptr;
  for (Site& site : sites) {
    sites_.forward(site);
    if (first) sites_.forward(*first);
    if (policy_.cannot_reduce(reduction, site)) continue;
    if (!first) {
      first = &site;
      continue;
    }
    if (site.cluster == first->cluster) continue;
    Cluster a = adopted(*first), b = adopted(site);
    if (!can_merge(a, b)) continue;
    sites_.cluster(*first) = std::move(a);
    sites_.cluster(site) = std::move(b);
    merge(first->cluster, site.cluster);
  }
}

void Siblings::merge_overflow(Site reader, int from) {
  sites_.forward(reader);
  int first = sites_.forward(sites_.cluster(reader).overflow);
  from = sites_.forward(from);
  const std::vector<Cluster>& clusters = partition_.clusters;
  bool joins = first >= 0 && first != from && can_merge(clusters[first], clusters[from], kMaxOverflowRoots);
  if (joins) merge(first, from);
  sites_.cluster(reader).overflow = joins ? first : from;
}

/// True if two clusters can be one kernel: the same domain, no path between them, and small enough.
bool Siblings::can_merge(const Cluster& a, const Cluster& b, size_t max_roots) const {
  if (a.single || b.single) return false;
  if (a.domain.has(Role::row) || b.domain.has(Role::row) || a.domain.rank != b.domain.rank) return false;
  if (a.domain.extents != b.domain.extents || !same_rows(a.domain, b.domain)) return false;
  if (slows(a, b) || slows(b, a)) return false;
  if (!can_share_seams(a, b)) return false;
  if (std::max(a.level, b.level) >= std::min(a.ceiling, b.ceiling)) return false;
  return policy_.fit_together(a, b, max_roots);
}

void Siblings::merge(int into, int from) {
  Cluster& a = partition_.clusters[into];
  Cluster& b = partition_.clusters[from];
  for (size_t i = 0; i < b.maps.size(); ++i) b.forwarded.push_back(intern(a, b.maps[i], b.sections[i]));
  std::vector<Seam> seams;
  std::ranges::set_union(a.seams, b.seams, std::back_inserter(seams));
  a.seams = std::move(seams);
  a.cut_by.insert(a.cut_by.end(), b.cut_by.begin(), b.cut_by.end());
  a.indexes = a.indexes || b.indexes;
  for (Root root : b.roots) {
    root.map = b.forwarded[root.map];
    root.address = b.forwarded[root.address];
    a.roots.push_back(root);
  }
  if (a.domain.folded_axis() < 0) a.domain.roles = b.domain.roles;
  a.instrs += b.instrs;
  a.code += b.code;
  a.accesses += b.accesses;
  a.level = std::max(a.level, b.level);
  a.ceiling = std::min(a.ceiling, b.ceiling);
  a.dear += b.dear;
  a.widest = std::max(a.widest, b.widest);
  a.ordered = a.ordered || b.ordered;
  a.took_in = true;
  b.merged_into = into;
  b.maps.clear();
  b.sections.clear();
  b.roots.clear();
}

}  // namespace etch::schedule
