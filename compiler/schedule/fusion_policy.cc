// What fusion thinks pays: limits, costs, and the reasons that a schedule prints.
#include "compiler/schedule/fusion_policy.h"

#include <algorithm>
#include <optional>

#include "compiler/schedule/costs.h"

namespace etch::schedule {
namespace {

// What a loop takes, in additions: the code of a dear op is as long as it is dear. It bounds the time that LLVM takes.
constexpr int kMaxCode = 2048;
// Values that are alive at one time in a loop. Those beyond the registers wait in the frame, which costs less than to store them
// for another kernel and to load them there, however many they are: what is bounded is the frame.
constexpr int kMaxLive = 160;
// What a kernel takes that folds: each of its stages may need all of it, beside accumulators.
constexpr int kMaxFoldingInstrs = 64;
constexpr int kMaxAccesses = 24;
// Places at which kernels may compute a value again, and how often all of it.
constexpr size_t kMaxPlaces = 24;
constexpr int64_t kMaxTimes = 4;

}  // namespace

bool FusionPolicy::has_room(const Cluster& cluster, int instrs, int code) const {
  if (cluster.domain.folded_axis() >= 0) return cluster.instrs + instrs <= kMaxFoldingInstrs;
  return cluster.code + code <= kMaxCode;
}

bool FusionPolicy::has_room_for_accesses(const Cluster& cluster, int more) const {
  return cluster.accesses + more <= (cluster.domain.folded_axis() >= 0 ? kMaxAccesses : kMaxLive);
}

bool FusionPolicy::is_full(const Cluster& cluster) const {
  return !has_room(cluster, 1, 1) || !has_room_for_accesses(cluster, 2);
}

bool FusionPolicy::has_room_to_store(const Cluster& cluster) const { return has_room_for_accesses(cluster, 2); }

bool FusionPolicy::fit_together(const Cluster& a, const Cluster& b, size_t max_roots) const {
  const Cluster& stricter = a.domain.folded_axis() >= 0 ? a : b;
  const Cluster& other = a.domain.folded_axis() >= 0 ? b : a;
  return a.roots.size() + b.roots.size() <= max_roots && has_room(stricter, other.instrs, other.code) &&
         has_room_for_accesses(stricter, other.accesses);
}

// ---- What is computed several times

/// How many elements of the value that it uses the site's cluster would compute, counted each time.
int64_t FusionPolicy::computations(const Site& site) const {
  const Cluster& c = sites_.cluster(site);
  const Affine& map = c.maps[site.map];
  int64_t count = 1;
  bool varies = false;
  for (int i = 0; i < c.domain.rank; ++i) {
    varies |= map.coef[i] != 0;
    const bool once = map.coef[i] == 0 && (c.domain.is_folded(i) || is_written_out(c.domain, i));
    if (!once) count *= c.domain.extents[i];
  }
  return varies ? count : 1;
}

bool FusionPolicy::repeats(Value value, const Site& site) const {
  return computations(site) > graph_.type(value).size() && !becomes_row_value(value, site);
}

/// True if the value follows from a reduction that the site's cluster can take in: the cluster will compute both once
/// a row. The reduction is at most a few ops on values of the same size away.
bool FusionPolicy::becomes_row_value(Value value, const Site& site) const {
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

bool FusionPolicy::computed_once(Value value, const Sites::List& sites) const {
  if (sites.front().cluster != sites.back().cluster || sites.size() > kMaxPlaces) return false;
  const auto times = static_cast<int>(sites.size());
  if (!has_room(sites_.cluster(sites[0]), times, times * cost_of(graph_.node(value).op))) return false;
  int64_t total = 0;
  for (const Site& site : sites) {
    if (cannot_join(value, site)) return false;
    total += computations(site);
  }
  return total <= graph_.type(value).size();
}

bool FusionPolicy::repeating_pays(Value value, const Sites::List& sites) const {
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
  return read <= graph_.type(value).bytes() && cost_of(node.op) * (times - 1) + repeated <= cost::kRepeated;
}

// ---- What is fetched one by one

bool FusionPolicy::turns_rows(const Site& site, const Affine& map) const {
  const Cluster& c = sites_.cluster(site);
  const Affine& own = c.maps[site.map];
  if (!schedule::turns_rows(c, map) || schedule::turns_rows(c, own) || is_scattered(site)) return false;
  const int folded = c.domain.folded_axis();
  const bool stores_elements = std::any_of(c.roots.begin(), c.roots.end(), [&](const Root& root) {
    return c.maps[root.address].coef[folded] != 0;
  });
  return c.ordered || stores_elements;
}

bool FusionPolicy::packs_again(const Site& site, const Affine& map) const {
  const Domain& domain = sites_.cluster(site).domain;
  if (!site.memory || !domain.has(Role::row)) return false;
  const auto vector = std::ranges::find(domain.roles, Role::vector) - domain.roles.begin();
  const int64_t step = map.coef[vector];
  const bool has_pieces = domain.rank - vector > 2;
  if (!has_pieces || step == 0 || step == 1) return false;
  int64_t rows = 1;
  for (int axis = 0; axis < vector; ++axis) rows *= map.coef[axis] == 0 ? domain.extents[axis] : 1;
  return rows > blocks_.dot_rows;
}

/// True if the lanes of the site's kernel find the elements at this map far apart.
bool FusionPolicy::is_scattered(const Site& site, const Affine& map) const {
  const Cluster& c = sites_.cluster(site);
  if (c.domain.has(Role::row) || c.domain.rank == 0) return false;
  return cost::goes_lane_by_lane(map.coef[vector_axis(c)]);
}

bool FusionPolicy::strides(const Site& site, const Affine& map) const {
  const Cluster& c = sites_.cluster(site);
  if (c.domain.has(Role::row) || c.domain.rank == 0) return false;
  const int lanes = vector_axis(c);
  const auto strides = [&](const Affine& at) { return at.coef[lanes] < -1 || at.coef[lanes] > 1; };
  return strides(map) && !strides(c.maps[site.map]);
}

bool FusionPolicy::strides_along_row(const Site& site, const Affine& map) const {
  const Domain& domain = sites_.cluster(site).domain;
  return domain.folded_axis() >= 0 && !domain.has(Role::results) && strides(site, map);
}

/// What lies near each other along another axis goes as tiles, at little cost.
bool FusionPolicy::goes_one_by_one(const Site& site, const Affine& map) const {
  if (!is_scattered(site, map)) return false;
  const Domain& domain = sites_.cluster(site).domain;
  for (int axis = 0; axis < domain.rank; ++axis) {
    if (map.coef[axis] == 1 && domain.extents[axis] > kShortAxis) return false;
  }
  return true;
}

bool FusionPolicy::scatters(const Site& site, const Affine& map) const {
  return goes_one_by_one(site, map) && !goes_one_by_one(site, sites_.cluster(site).maps[site.map]);
}

bool FusionPolicy::takes_bytes_apart(Value value, const Site& site) const {
  const Cluster& c = sites_.cluster(site);
  return size_of(graph_.type(value).dtype) == 1 && c.domain.folded_axis() < 0 && c.accesses > 2;
}

/// True if more bytes are loaded to compute a value of this size than it has itself.
bool FusionPolicy::fetches_more(Value value) const {
  constexpr size_t kMaxSearched = 16;
  const Type& type = graph_.type(value);
  absl::InlinedVector<Value, kMaxSearched> searched{value};
  int64_t loaded = 0;  // per element
  for (size_t i = 0; i < searched.size(); ++i) {
    const Node& node = graph_.node(searched[i]);
    if (!is_elementwise(node.op) && !is_movement(node.op)) {
      loaded += size_of(graph_.type(searched[i]).dtype);
      if (loaded > size_of(type.dtype)) return true;
      continue;
    }
    for (Value operand : node.operands) {
      const Place place = etch::place(graph_.node(operand).op);
      const bool counts = place != Place::splat && place != Place::index && graph_.type(operand).size() >= type.size();
      const bool known = std::find(searched.begin(), searched.end(), operand) != searched.end();
      if (counts && !known && searched.size() < kMaxSearched) searched.push_back(operand);
    }
  }
  return false;
}

size_t FusionPolicy::max_sibling_roots(const Site& site) const {
  return is_scattered(site) ? kMaxScatteredRoots : kMaxSiblingRoots;
}

// ---- One node at one site

/// True if a loop would find one element at this map for a short row each, so that it cannot run over all rows as one.
bool FusionPolicy::is_per_short_row(const Cluster& cluster, const Affine& map) const {
  const Domain& domain = cluster.domain;
  const int last = domain.rank - 1;
  return last > 0 && domain.folded_axis() < 0 && domain.size() >= kManyElements &&
         is_ragged(domain.extents[last]) && map.coef[last] == 0;
}

const char* FusionPolicy::cannot_join(Value value, const Site& site) const {
  const Node& node = graph_.node(value);
  Cluster& c = sites_.cluster(site);
  if (site.memory) return reason::kDotOperand;
  if (c.alone) return reason::kUndone;
  int operands = 0;
  for (Value operand : node.operands) operands += !is_splat(operand);
  if (!has_room(c, 1, cost_of(node.op)) || !has_room_for_accesses(c, operands)) return reason::kFull;
  if (site.repeated + (repeats(value, site) ? cost_of(node.op) : 0) > cost::kRepeated) return reason::kRepeated;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    const std::optional<Affine> map = continue_map(graph_, c, node, static_cast<int>(i), site.map);
    if (!map) return reason::kOtherOrder;
    if (c.dear > 0 && !is_splat(node.operands[i]) && is_per_short_row(c, *map)) return reason::kPerShortRow;
  }
  const int folded = c.domain.folded_axis();
  const bool is_dear = cost_of(node.op) >= cost::kDear && folded >= 0 && c.maps[site.map].coef[folded] != 0;
  if (is_dear && folds_short_rows(c)) return reason::kShortRows;
  const bool needs_much = 4 * computations(site) >= graph_.type(value).size();
  if (needs_much && is_scattered(site) && fetches_more(value)) return reason::kScattered;
  return nullptr;
}

const char* FusionPolicy::cannot_index(Value value, const Site& site) const {
  const Node& node = graph_.node(value);
  Cluster& c = sites_.cluster(site);
  if (site.memory) return reason::kDotOperand;
  if (c.alone) return reason::kUndone;
  if (c.domain.has(Role::row)) return reason::kIndexedInProduct;
  if (!has_room(c, kIndexedInstrs, kIndexedInstrs) || !has_room_for_accesses(c, 2)) return reason::kFull;
  if (site.repeated + (repeats(value, site) ? cost_of(node.op) : 0) > cost::kRepeated) return reason::kRepeated;
  return continue_indexed(graph_, c, node, site.map) ? nullptr : reason::kOtherOrder;
}

const char* FusionPolicy::cannot_reduce(Value value, const Site& site) const {
  const Cluster& c = sites_.cluster(site);
  if (site.memory) return reason::kDotOperand;
  if (c.alone) return reason::kUndone;
  if (c.instrs >= kMaxFoldingInstrs || c.accesses + 1 > kMaxAccesses) return reason::kFull;
  if (site.element && c.domain.has(Role::results)) return reason::kLongRows;
  const Hosting hosting = host_reduce(graph_, graph_.node(value), c, site.map, blocks_);
  if (!hosting.ok) return reason::kOtherAxis;
  if (c.dear == 0) return nullptr;
  Cluster copy = c;
  adopt_reduce(graph_, graph_.node(value), copy, hosting);
  return folds_short_rows(copy) ? reason::kShortRows : nullptr;
}

const char* FusionPolicy::cannot_multiply(Value value, const Site& site) const {
  const Cluster& c = sites_.cluster(site);
  const bool can = !site.memory && !c.alone && c.instrs <= kMaxFoldingInstrs && c.accesses + 2 <= kMaxAccesses &&
                   can_host_dot(graph_, graph_.node(value), c, site.map);
  return can ? nullptr : reason::kDotConsumer;
}

/// True if the value is made of numbers and indices by so many ops at the most.
bool FusionPolicy::is_of_indices(Value value, int most_ops, bool& has_index) const {
  const Node& node = graph_.node(value);
  const Place place = etch::place(node.op);
  has_index |= place == Place::index;
  if (place == Place::splat || place == Place::index) return true;
  const bool passes = place == Place::elementwise || place == Place::view || place == Place::movement;
  return passes && most_ops > 0 &&
         std::ranges::all_of(node.operands, [&](Value operand) { return is_of_indices(operand, most_ops - 1, has_index); });
}

bool FusionPolicy::hides_sums(Value value, const Site& site) const {
  constexpr int kMostOps = 8, kMostOfIndices = 4;
  const Cluster& c = sites_.cluster(site);
  if (!is_fused_freely(value) || c.domain.folded_axis() < 0 || c.domain.has(Role::row)) return false;
  const int64_t size = graph_.type(value).size();
  bool has_index = false;
  for (int ops = 0; ops < kMostOps; ++ops) {
    const Node& node = graph_.node(value);
    const Place place = etch::place(node.op);
    if (place == Place::product) return has_index && !is_of_vector(graph_, node);
    if (place != Place::elementwise && place != Place::view) return false;
    std::optional<Value> next;
    for (Value operand : node.operands) {
      if (is_of_indices(operand, kMostOfIndices, has_index)) continue;
      if (next || uses_[operand.id] != 1 || graph_.type(operand).size() != size) return false;
      next = operand;
    }
    if (!next) return false;
    value = *next;
  }
  return false;
}

}  // namespace etch::schedule
