// What fusion thinks pays: limits, costs, and the reasons that a schedule prints.
#include "compiler/schedule/fusion_policy.h"

#include <algorithm>
#include <optional>

#include "compiler/schedule/costs.h"
#include "compiler/schedule/pieces.h"
#include "runtime/rounding.h"

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
  const Domain domain = followed(c, site.map).domain;
  int64_t count = 1;
  bool varies = false;
  for (int i = 0; i < domain.rank; ++i) {
    varies |= map.coef[i] != 0 && domain.extents[i] > 1;
    const bool once = map.coef[i] == 0 && (domain.is_folded(i) || is_written_out(c.domain, i));
    if (!once) count = mul_saturated(count, domain.extents[i]);
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
  int64_t times = std::max<int64_t>(ceil_div(total, size), 1);
  if (times > kMaxTimes) return false;
  return read <= graph_.type(value).bytes() && cost_of(node.op) * (times - 1) + repeated <= cost::kRepeated;
}

// ---- Operands of products

/// True if a few cheap ops make the value of fewer bytes, by a quarter at least.
bool FusionPolicy::is_made_of_less(Value value) const {
  constexpr size_t kMaxSearched = 16;
  const Type& type = graph_.type(value);
  absl::InlinedVector<Value, kMaxSearched> searched{value};
  int64_t bytes = 0, work = 0;
  for (size_t i = 0; i < searched.size(); ++i) {
    const Node& node = graph_.node(searched[i]);
    const Type& of = graph_.type(searched[i]);
    if (!is_elementwise(node.op) && !is_movement(node.op)) {
      bytes += std::min(of.size(), type.size()) * size_of(of.dtype);
      continue;
    }
    if (is_elementwise(node.op) && of.size() >= type.size()) work += cost_of(node.op);
    for (Value operand : node.operands) {
      const bool known = std::find(searched.begin(), searched.end(), operand) != searched.end();
      if (known || is_splat(operand)) continue;
      if (searched.size() == kMaxSearched) return false;
      searched.push_back(operand);
    }
  }
  return 4 * bytes <= 3 * type.bytes() && work <= cost::kDear;
}

bool FusionPolicy::widens(Value value, const Site& site) const {
  const Node& node = graph_.node(value);
  Cluster& c = sites_.cluster(site);
  if (!site.operand || c.alone || !is_fused_freely(value) || !is_made_of_less(value)) return false;
  int operands = 0;
  for (Value operand : node.operands) operands += !is_splat(operand);
  if (!has_room(c, 1, cost_of(node.op)) || !has_room_for_accesses(c, operands)) return false;
  const auto& coef = c.maps[site.map].coef;
  const auto vector = std::ranges::find(c.domain.roles, Role::vector) - c.domain.roles.begin();
  const bool varies = std::ranges::any_of(coef, [](int64_t step) { return step != 0; });
  const bool is_dense = coef[c.domain.rank - 1] == 1 || coef[vector] == 1;  // else vectors would be fetched element by element
  if (varies && !is_dense) return false;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    if (!continue_map(graph_, c, node, static_cast<int>(i), site.map)) return false;
  }
  return true;
}

// ---- Parts of concats and pads

void FusionPolicy::find_readers(const std::vector<bool>& required) {
  readers_.assign(graph_.num_values(), kNobody);
  for (int i = 0; i < graph_.num_values(); ++i) {
    if (required[i]) readers_[i] = kMany;
  }
  for (int i = graph_.num_values() - 1; i >= 0; --i) {
    const Node& node = graph_.node(Value{i});
    if (node.first_result != i) continue;
    const int32_t reader = is_movement(node.op) ? readers_[i] : i;
    for (Value operand : node.operands) {
      int32_t& of_operand = readers_[operand.id];
      if (reader != kNobody && of_operand != reader) of_operand = of_operand == kNobody ? reader : kMany;
    }
  }
  parts_in_memory_.assign(graph_.num_values(), false);
  for (int i = 0; i < graph_.num_values(); ++i) {
    if (etch::place(graph_.node(Value{i}).op) == Place::boxes) parts_in_memory_[i] = has_parts_in_memory(Value{i});
  }
}

/// True if a part lies in memory, or will, whether or not a kernel looks through the concat.
bool FusionPolicy::is_in_memory(Value part) const {
  while (is_movement(graph_.node(part).op)) part = graph_.node(part).operands[0];
  switch (etch::place(graph_.node(part).op)) {
    case Place::boxes: return readers_[part.id] == kMany || parts_in_memory_[part.id];
    case Place::elementwise:
    case Place::indexed:
    case Place::reduction:
    case Place::product: return readers_[part.id] == kMany;
    default: return true;
  }
}

/// True if most of what a concat or pad holds does.
bool FusionPolicy::has_parts_in_memory(Value value) const {
  constexpr int64_t kMost = 8;
  int64_t computed = 0;
  for (const Part& part : parts_of(graph_, value)) {
    if (!is_in_memory(part.value)) computed += part.shape.product();
  }
  return kMost * computed <= graph_.type(value).size();
}

namespace {

/// True if vectors are too long for the pieces of a domain: most of the time would go to what rows cost beside their elements.
bool has_thin_pieces(const Cluster& cluster, const std::vector<Seam>& seams) {
  constexpr int64_t kRow = 16;  // elements that take as long as a row does beside its elements
  if (cluster.domain.size() < kManyElements) return false;
  const int lanes = vector_axis(cluster);
  const int64_t along = 1 + std::ranges::count(seams, lanes, &Seam::axis);
  return along > 1 && cluster.domain.extents[lanes] < along * kRow;
}

}  // namespace

const char* FusionPolicy::cannot_look_through(Value value, const Sites::List& sites) const {
  constexpr int64_t kMostTimes = 2;
  constexpr size_t kMostParts = 64;  // each site looks at all of them
  if (graph_.node(value).operands.size() > kMostParts) return reason::kManyPieces;
  const int64_t size = graph_.type(value).size();
  int64_t total = 0;
  for (const Site& site : sites) {
    Cluster& c = sites_.cluster(site);
    if (site.memory || site.in_order || c.indexes || c.sweeps || c.domain.has(Role::row)) return reason::kParts;
    if (c.alone) return reason::kUndone;
    const int64_t needed = computations(site);
    if (needed > kMostTimes * size) return reason::kSmallParts;
    total += needed;
    if (!parts_read(graph_, c, value, site.map)) return reason::kNoSeams;
  }
  if (sites.empty()) return reason::kParts;
  if (total > size && !parts_in_memory_[value.id]) return reason::kReadAgain;
  const Cluster* last = nullptr;
  std::vector<Seam> seams;
  for (const Site& site : sites) {  // those of one cluster follow each other
    Cluster& c = sites_.cluster(site);
    if (&c != last) seams = c.seams;
    last = &c;
    const std::optional<std::vector<PartUse>> uses = parts_read(graph_, c, value, site.map);
    if (!uses) return reason::kNoSeams;  // in the domain that another site has refined
    for (const PartUse& use : *uses) add_seams(c.domain, use.section, seams);
    if (!can_have_seams(c.domain, seams)) return reason::kNoSeams;
    if (num_pieces(seams) > kMostPieces) return reason::kManyPieces;
    if (has_thin_pieces(c, seams)) return reason::kThinPieces;
    if (!has_room_for_accesses(c, static_cast<int>(uses->size()))) return reason::kFull;
  }
  return nullptr;
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

bool FusionPolicy::looks_past_borders(Value pad, const Sites::List& sites) const {
  constexpr size_t kFewestPlaces = 3;
  const Node& node = graph_.node(pad);
  if (!is_fused_freely(pad) || sites.size() < kFewestPlaces) return false;
  const std::optional<Bordered> value = bordered(graph_, node);
  if (!value || !is_splat(node.operands[value->border])) return false;
  const Cluster& c = sites_.cluster(sites[0]);
  const int lanes = c.domain.rank - 1;
  const bool has_lanes = lanes > 0 && c.domain.extents[lanes] >= kSweptLanes;
  const bool has_parts = !c.seams.empty() || !c.cut_by.empty();  // of a box one part may be read alone, without a seam
  if (!has_lanes || c.alone || c.calls || has_parts || c.domain.folded_axis() >= 0 || c.domain.has(Role::row)) return false;
  return std::ranges::all_of(sites, [&](const Site& site) {
    if (site.cluster != sites[0].cluster || site.memory || site.in_order) return false;
    const std::optional<PaddedElement> padded = padded_element(graph_, node, c.maps[site.map], c.domain);
    return padded && std::ranges::all_of(padded->bounds, [&](const PaddedElement::Bound& bound) {
      const int axis = ascending_axis(bound.index);
      return axis >= 0 && axis != lanes;
    });
  });
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
  if (!c.seams.empty() || c.sweeps) return reason::kOtherOrder;
  if (!has_room(c, kIndexedInstrs, kIndexedInstrs) || !has_room_for_accesses(c, 2)) return reason::kFull;
  if (site.repeated + (repeats(value, site) ? cost_of(node.op) : 0) > cost::kRepeated) return reason::kRepeated;
  return continue_indexed(graph_, c, node, site.map) ? nullptr : reason::kOtherOrder;
}

const char* FusionPolicy::cannot_reduce(Value value, const Site& site) const {
  const Cluster& c = sites_.cluster(site);
  if (site.memory) return reason::kDotOperand;
  if (c.alone) return reason::kUndone;
  if (c.sweeps) return reason::kOtherAxis;
  if (c.instrs >= kMaxFoldingInstrs || c.accesses + 1 > kMaxAccesses) return reason::kFull;
  if (site.element && c.domain.has(Role::results)) return reason::kLongRows;
  const Hosting hosting = host_reduce(graph_, graph_.node(value), c, site.map, blocks_);
  if (!hosting.ok || c.sections[site.map]) return reason::kOtherAxis;
  if (c.dear == 0 && c.seams.empty()) return nullptr;
  if (hosting.split && !can_refine(c, *hosting.split)) return reason::kOtherAxis;
  Cluster copy = c;
  adopt_reduce(graph_, graph_.node(value), copy, hosting);
  if (!can_have_seams(copy.domain, copy.seams)) return reason::kOtherAxis;
  return c.dear > 0 && folds_short_rows(copy) ? reason::kShortRows : nullptr;
}

const char* FusionPolicy::cannot_multiply(Value value, const Site& site) const {
  const Cluster& c = sites_.cluster(site);
  const bool can = !site.memory && !c.alone && !c.sweeps && c.seams.empty() && c.instrs <= kMaxFoldingInstrs && c.accesses + 2 <= kMaxAccesses &&
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
