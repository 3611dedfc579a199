// Where values are used while fusion decides who computes them.
#include "compiler/schedule/sites.h"

#include <algorithm>

namespace etch::schedule {

void Sites::forward(Site& site) const {
  while (cluster(site).merged_into >= 0) {
    site.map = cluster(site).forwarded[site.map];
    site.cluster = cluster(site).merged_into;
  }
}

int Sites::forward(int cluster) const {
  while (cluster >= 0 && partition_.clusters[cluster].merged_into >= 0) {
    cluster = partition_.clusters[cluster].merged_into;
  }
  return cluster;
}

Sites::List Sites::of(Value value) {
  List& list = lists_[value.id];
  for (Site& site : list) forward(site);
  if (list.size() < 2) return list;
  std::stable_sort(list.begin(), list.end(), [](const Site& a, const Site& b) {
    return a.cluster != b.cluster ? a.cluster < b.cluster : a.map < b.map;
  });
  List unique;
  for (const Site& site : list) {
    if (!unique.empty() && unique.back().cluster == site.cluster && unique.back().map == site.map) {
      unique.back().memory |= site.memory;
      unique.back().operand &= site.operand;
      unique.back().element |= site.element;
      unique.back().in_order |= site.in_order;
      unique.back().repeated = std::max(unique.back().repeated, site.repeated);
      leave(site);
    } else {
      unique.push_back(site);
    }
  }
  list = unique;
  return unique;
}

void Sites::add(Value value, Site site) {
  List& list = lists_[value.id];
  for (size_t i = list.size(), seen = 0; i-- > 0 && seen < 4; ++seen) {
    Site& known = list[i];
    if (known.cluster != site.cluster || known.map != site.map || known.memory != site.memory || known.operand != site.operand) continue;
    known.element |= site.element;
    known.in_order |= site.in_order;
    known.repeated = std::max(known.repeated, site.repeated);
    return;
  }
  list.push_back(site);
  ++cluster(site).accesses;
}

void Sites::pass_on(Value value, int operand, Site site) {
  const Node& node = graph_.node(value);
  std::optional<Affine> map = continue_map(graph_, cluster(site), node, operand, site.map);
  site.map = intern(cluster(site), *map, std::optional(cluster(site).sections[site.map]));
  add(node.operands[operand], site);
}

}  // namespace etch::schedule
