// What clusters are made of and how they change; the partition without fusion.
#include "compiler/schedule/partition.h"

#include <algorithm>

#include "compiler/schedule/costs.h"
#include "compiler/schedule/native_region.h"

namespace etch::schedule {
namespace {

// Reductions of so few results run in blocks, which threads share; those of columns, which are cut at cache lines only, if they are
// worth it: to fold the results of blocks is a kernel of its own.
constexpr int64_t kFewRows = 16, kFewColumns = 128, kWorthBlocks = int64_t{1} << 20;

/// The axis at which the domain's inner part of `inner` elements starts, or -1.
int boundary(const Domain& domain, int64_t inner) {
  int64_t size = 1;
  for (int axis = domain.rank; axis >= 0; --axis) {
    if (size == inner) return axis;
    if (axis > 0) size *= domain.extents[axis - 1];
  }
  return -1;
}

/// The split that makes such a boundary, if there is one.
std::optional<Split> split_at(const Domain& domain, int64_t inner) {
  int64_t size = 1;
  for (int axis = domain.rank - 1; axis >= 0; --axis) {
    int64_t extent = domain.extents[axis];
    if (size * extent > inner) {
      bool possible = inner % size == 0 && extent % (inner / size) == 0 && domain.roles[axis] == Role::batch;
      return possible ? std::optional(Split{axis, inner / size}) : std::nullopt;
    }
    size *= extent;
  }
  return std::nullopt;
}

}  // namespace

int64_t Partition::bytes_of(const Graph& graph, int storage) const {
  return is_partial(storage) ? partials[storage - num_values()].bytes : graph.type(Value{storage}).bytes();
}

const ScheduledKernel* Partition::native(const Node& node) const { return natives ? natives->kernel(node) : nullptr; }

int Partition::partial_of(Value reduction) const {
  const auto it = std::find_if(partials.begin(), partials.end(), [&](const Partial& p) { return p.value == reduction; });
  return num_values() + static_cast<int>(it - partials.begin());
}

Value storage_of(const Graph& graph, Value value) {
  while (place(graph.node(value).op) == Place::view) value = graph.node(value).operands[0];
  return value;
}

int intern(Cluster& cluster, const Affine& map, const std::optional<Section>& section) {
  for (size_t i = 0; i < cluster.maps.size(); ++i) {
    if (cluster.maps[i] == map && cluster.sections[i] == section) return static_cast<int>(i);
  }
  cluster.maps.push_back(map);
  cluster.sections.push_back(section);
  return static_cast<int>(cluster.maps.size()) - 1;
}

namespace {

/// The same axis of a section as two.
void apply(const Split& split, Section& section) {
  const auto insert = [&](auto& list) {
    for (int i = kMaxDomainRank - 1; i > split.axis; --i) list[i] = list[i - 1];
  };
  insert(section.begin);
  insert(section.end);
  section.begin[split.axis] /= split.inner;
  section.end[split.axis] /= split.inner;
  section.begin[split.axis + 1] = 0;
  section.end[split.axis + 1] = split.inner;
}

}  // namespace

void refine(Cluster& cluster, const Split& split) {
  schedule::apply(split, cluster.domain);
  for (Affine& map : cluster.maps) schedule::apply(split, map);
  for (std::optional<Section>& section : cluster.sections) {
    if (section) apply(split, *section);
  }
  for (Seam& seam : cluster.seams) {
    if (seam.axis == split.axis) seam.at /= split.inner;
    if (seam.axis > split.axis) ++seam.axis;
  }
}

bool can_refine(const Cluster& cluster, const Split& split) {
  return cluster.domain.extents[split.axis] % split.inner == 0 && std::ranges::all_of(cluster.seams, [&](const Seam& seam) {
    return seam.axis != split.axis || seam.at % split.inner == 0;
  });
}

void insert_axis(Cluster& cluster, int at, int64_t extent, Role role) {
  insert_axis(at, extent, role, cluster.domain);
  for (Affine& map : cluster.maps) insert_axis(at, map);
  for (std::optional<Section>& section : cluster.sections) {
    if (!section) continue;
    for (int i = kMaxDomainRank - 1; i > at; --i) {
      section->begin[i] = section->begin[i - 1];
      section->end[i] = section->end[i - 1];
    }
    section->begin[at] = 0;
    section->end[at] = extent;
  }
  for (Seam& seam : cluster.seams) seam.axis += seam.axis >= at;
}

Followed followed(const Cluster& cluster, int map) {
  Followed result{cluster.domain, cluster.maps[map]};
  const std::optional<Section>& section = cluster.sections[map];
  if (!section) return result;
  for (int axis = 0; axis < cluster.domain.rank; ++axis) {
    result.domain.extents[axis] = section->end[axis] - section->begin[axis];
    result.map.offset += result.map.coef[axis] * section->begin[axis];
  }
  return result;
}

Affine from_section(const Cluster& cluster, int map, Affine found) {
  const std::optional<Section>& section = cluster.sections[map];
  for (int axis = 0; section && axis < cluster.domain.rank; ++axis) {
    if (section->end[axis] - section->begin[axis] == 1) found.coef[axis] = 0;
    found.offset -= found.coef[axis] * section->begin[axis];
  }
  return found;
}

std::optional<Affine> continue_map(const Graph& graph, Cluster& cluster, const Node& node, int operand, int map) {
  while (true) {
    const Followed at = followed(cluster, map);
    const Continued next = operand_map(graph, node, operand, at.map, at.domain);
    if (next.map) return from_section(cluster, map, *next.map);
    if (!next.split || cluster.sweeps || !can_refine(cluster, *next.split)) return std::nullopt;
    refine(cluster, *next.split);
  }
}

std::optional<IndexedElement> continue_indexed(const Graph& graph, Cluster& cluster, const Node& node, int map) {
  while (true) {
    const Followed at = followed(cluster, map);
    const ContinuedIndexed next = indexed_maps(graph, node, at.map, at.domain);
    if (next.element) return IndexedElement{from_section(cluster, map, next.element->base), from_section(cluster, map, next.element->index)};
    if (!next.split || cluster.sweeps || !can_refine(cluster, *next.split)) return std::nullopt;
    refine(cluster, *next.split);
  }
}

std::optional<Affine> continue_axis_map(Cluster& cluster, const Shape& shape, int axis, int map) {
  while (true) {
    const Followed at = followed(cluster, map);
    const Continued next = axis_map(shape, axis, at.map, at.domain);
    if (next.map) return from_section(cluster, map, *next.map);
    if (!next.split || cluster.sweeps || !can_refine(cluster, *next.split)) return std::nullopt;
    refine(cluster, *next.split);
  }
}

int vector_axis(const Cluster& cluster) {
  const int last = cluster.domain.rank - 1, folded = cluster.domain.folded_axis();
  for (int axis = last; axis >= 0; --axis) {
    const bool beside_lanes = axis == folded && folded < last;
    if (cluster.domain.extents[axis] > kShortAxis && !beside_lanes) return axis;
  }
  return last;
}

bool is_written_out(const Domain& domain, int axis) {
  constexpr int64_t kLongEnough = 8;
  const int folded = axis - 1;
  const bool beside_folded = folded > 0 && axis == domain.rank - 1 && domain.roles[folded] == Role::reduce &&
                             domain.roles[axis] == Role::batch;
  if (!beside_folded || domain.extents[axis] > kShortAxis) return false;
  return *std::max_element(domain.extents.begin(), domain.extents.begin() + folded) >= kLongEnough;
}

bool turns_rows(const Cluster& cluster, const Affine& map) {
  const Domain& domain = cluster.domain;
  if (domain.folded_axis() < 0 || domain.has(Role::row) || domain.has(Role::results)) return false;
  const int lanes = vector_axis(cluster);
  const int64_t step = map.coef[lanes];
  if (step >= -1 && step <= 1) return false;
  for (int axis = 0; axis < domain.rank; ++axis) {
    const int64_t extent = domain.extents[axis];
    // A short axis that is folded is written out, so that all elements between are read.
    const bool turns = cost::goes_lane_by_lane(step) ? extent > kShortAxis : extent == step && !is_folded(domain.roles[axis]);
    if (axis != lanes && map.coef[axis] == 1 && turns) return true;
  }
  return false;
}

bool folds_short_rows(const Cluster& cluster) {
  const Domain& domain = cluster.domain;
  const int last = domain.rank - 1;
  if (domain.size() < kManyElements) return false;
  return last > 0 && domain.roles[last] == Role::reduce && !domain.has(Role::block) &&
         is_ragged(domain.extents[last]);
}

Geometry geometry_of(const Graph& graph, const Node& reduce) {
  const Shape& shape = graph.type(reduce.operands[0]).shape;
  int axis = static_cast<int>(reduction_of(reduce.op).axes[0]);
  Geometry geometry;
  for (int i = 0; i < shape.rank(); ++i) {
    (i < axis ? geometry.outer : i == axis ? geometry.n : geometry.inner) *= shape[i];
  }
  return geometry;
}

bool runs_in_blocks(const Geometry& geometry, ReduceKind kind, const BlockSizes& blocks) {
  if (kind == ReduceKind::argmax || kind == ReduceKind::argmin) return false;
  const int64_t block = geometry.inner == 1 ? blocks.row : blocks.column, results = geometry.outer * geometry.inner;
  if (geometry.n <= block) return false;
  return results < kFewRows || (geometry.inner > 1 && results < kFewColumns && results * geometry.n >= kWorthBlocks);
}

Hosting host_reduce(const Graph& graph, const Node& node, const Cluster& cluster, int map, const BlockSizes& blocks) {
  Hosting hosting;
  const Domain& domain = cluster.domain;
  const Affine& use = cluster.maps[map];
  const int folded = domain.folded_axis();
  Geometry geometry = geometry_of(graph, node);
  if (domain.has(Role::row)) return hosting;

  hosting.role = runs_in_blocks(geometry, reduction_of(node.op).kind, blocks) ? Role::results : Role::reduce;
  if (folded >= 0) {
    hosting.axis = folded;
    hosting.reduces_already = true;
    hosting.ok = domain.extents[folded] == geometry.n && domain.size_from(folded + 1) == geometry.inner &&
                 domain.roles[folded] == hosting.role && use == linear_index(domain, folded);
    return hosting;
  }
  // The cluster runs over the reduce's operand: one of its axes becomes the reduced one.
  const bool runs_over_operand = domain.size() == geometry.outer * geometry.n * geometry.inner;
  if (geometry.n > 1 && hosting.role == Role::reduce && runs_over_operand) {
    int after = boundary(domain, geometry.inner);
    if (after > 0 && domain.extents[after - 1] == geometry.n && use == linear_index(domain, after - 1)) {
      hosting.axis = after - 1;
      hosting.ok = true;
      return hosting;
    }
  }
  // The cluster runs over the reduce's result: the reduced axis is new.
  if (domain.size() != geometry.outer * geometry.inner || domain.rank + 2 > kMaxDomainRank) return hosting;
  if (!(use == linear_index(domain))) return hosting;
  hosting.insert = true;
  hosting.axis = boundary(domain, geometry.inner);
  hosting.ok = hosting.axis >= 0;
  if (hosting.ok) return hosting;
  hosting.split = split_at(domain, geometry.inner);
  hosting.ok = hosting.split.has_value();
  if (hosting.ok) hosting.axis = hosting.split->axis + 1;
  return hosting;
}

void adopt_reduce(const Graph& graph, const Node& node, Cluster& cluster, const Hosting& hosting) {
  const ReduceKind kind = reduction_of(node.op).kind;
  const bool adds_up = kind == ReduceKind::sum || kind == ReduceKind::prod;
  cluster.ordered = cluster.ordered || (adds_up && is_floating(graph.type(node.result()).dtype));
  if (hosting.reduces_already) return;
  if (hosting.split) refine(cluster, *hosting.split);
  if (hosting.insert) insert_axis(cluster, hosting.axis, geometry_of(graph, node).n, hosting.role);
  cluster.domain.roles[hosting.axis] = hosting.role;
}

bool is_of_vector(const Graph& graph, const Node& dot) {
  const Shape& shape = graph.type(dot.result()).shape;
  return shape.back() == 1 || shape[shape.rank() - 2] == 1;
}

bool can_host_dot(const Graph& graph, const Node& node, const Cluster& cluster, int map) {
  const Domain& domain = cluster.domain;
  const Shape& shape = graph.type(node.result()).shape;
  if (domain.folded_axis() >= 0 || domain.size() != shape.product() || domain.rank + 4 > kMaxDomainRank) {
    return false;
  }
  if (!(cluster.maps[map] == linear_index(domain))) return false;
  const int64_t m = shape[shape.rank() - 2], n = shape.back();
  int axis = domain.rank - 1;
  if (n != 1 && (axis < 0 || domain.extents[axis--] != n)) return false;
  int64_t rows = 1;  // may be several axes
  while (rows < m && axis >= 0) rows *= domain.extents[axis--];
  return rows == m;
}

void adopt_dot(const Graph& graph, const Node& node, Cluster& cluster) {
  const Shape& shape = graph.type(node.result()).shape;
  Domain& domain = cluster.domain;
  int64_t m = shape[shape.rank() - 2], n = shape.back();
  if (n == 1) insert_axis(cluster, domain.rank, 1, Role::batch);
  if (m == 1) insert_axis(cluster, domain.rank - 1, 1, Role::batch);
  int axis = domain.rank - 1;
  domain.roles[axis--] = Role::vector;
  int64_t rows = 1;
  do {
    domain.roles[axis] = Role::row;
    rows *= domain.extents[axis--];
  } while (rows < m);
  insert_axis(cluster, domain.rank, graph.type(node.operands[0]).shape.back(), Role::reduce);
}

Affine dot_operand_map(const Graph& graph, const Node& node, int operand, const Domain& domain) {
  const Shape& shape = graph.type(node.operands[operand]).shape;
  const int vector = static_cast<int>(std::ranges::find(domain.roles, Role::vector) - domain.roles.begin());
  const bool is_first = operand == 0;
  Affine map;
  int64_t stride = is_first ? 1 : shape.back();
  const auto step = [&](int axis) {
    if (domain.extents[axis] != 1) map.coef[axis] = stride;
    stride *= domain.extents[axis];
  };
  for (int axis = domain.rank - 1; axis > vector; --axis) step(axis);
  if (!is_first) {
    stride = 1;
    step(vector);
  }
  stride = is_first ? shape.back() : 0;
  int axis = vector - 1;
  for (; axis >= 0 && domain.roles[axis] == Role::row; --axis) step(axis);
  stride = shape[shape.rank() - 2] * shape.back();
  for (; axis >= 0; --axis) step(axis);
  return map;
}

std::vector<Part> parts_of(const Graph& graph, Value target) {
  const Node& node = graph.node(target);
  std::vector<Type> operands;
  for (Value operand : node.operands) operands.push_back(graph.type(operand));
  std::vector<Part> parts;
  for (const Box& box : boxes_of(node.op, operands, graph.type(target))) {
    parts.push_back({node.operands[box.operand], box.shape, box.start, box.splat});
  }
  return parts;
}

Cluster call_cluster(const Node& node) {
  Cluster cluster;
  cluster.domain = Domain::of({});
  cluster.accesses = static_cast<int>(node.operands.size()) + node.num_results;
  cluster.alone = true;
  cluster.single = true;
  cluster.calls = true;
  const int map = intern(cluster, Affine{});
  cluster.roots.push_back({node.result(), node.result().id, map, map});
  return cluster;
}

Cluster part_cluster(const Graph& graph, Value target, const Part& part) {
  Cluster cluster;
  cluster.domain = Domain::of(part.shape);
  cluster.accesses = 2;
  Affine address;
  Dims strides = row_major_strides(graph.type(target).shape);
  for (int i = 0, axis = 0; i < part.shape.rank(); ++i) {
    address.offset += part.start[i] * strides[i];
    if (part.shape[i] != 1) address.coef[axis++] = strides[i];
  }
  int map = intern(cluster, part.splat ? Affine{} : linear_index(cluster.domain));
  cluster.roots.push_back({part.value, target.id, map, intern(cluster, address)});
  return cluster;
}

void cut_blocks(const Graph& graph, Partition& partition) {
  std::vector<int> blocks_of(partition.clusters.size(), -1);
  for (int i = 0; i < graph.num_values(); ++i) {
    const int32_t self = partition.home[i];
    const bool in_blocks = self >= 0 && place(graph.node(Value{i}).op) == Place::reduction &&
                           partition.clusters[self].domain.has(Role::results);
    if (!in_blocks) continue;
    if (blocks_of[self] < 0) {
      blocks_of[self] = static_cast<int>(partition.clusters.size());
      Cluster blocks = partition.clusters[self];
      blocks.domain.roles[blocks.domain.folded_axis()] = Role::block;
      blocks.blocks_of = self;
      blocks.roots.clear();
      partition.clusters.push_back(std::move(blocks));
    }
    Cluster& results = partition.clusters[self];
    Cluster& blocks = partition.clusters[blocks_of[self]];
    const int row = intern(blocks, linear_index(blocks.domain, blocks.domain.folded_axis()));
    results.domain.extents[results.domain.folded_axis()] = blocks.domain.num_blocks(partition.blocks);
    blocks.roots.push_back({Value{i}, partition.num_storages(), row, row});
    partition.partials.push_back({Value{i}, results.domain.size() * size_of(graph.type(Value{i}).dtype)});
  }
}

namespace {

/// True if a node's kernel must find this operand in memory: it cannot fold what has none.
bool wants_memory(const Graph& graph, Value value, const std::vector<bool>& forced) {
  const Place kind = place(graph.node(value).op);
  return (kind != Place::splat && kind != Place::index) || forced[value.id];
}

/// Constants that products and library functions read, or that indices lead into, and iotas seen through a reshape, get
/// memory.
std::vector<bool> splats_in_memory(const Graph& graph) {
  std::vector<bool> forced(graph.num_values());
  for (const Node& node : graph.nodes()) {
    for (Value operand : node.operands) {
      Value source = storage_of(graph, operand);
      bool index_in_view = place(graph.node(source).op) == Place::index && place(node.op) == Place::view;
      bool reads_memory = place(node.op) == Place::product || is_called(node.op) ||
                          (place(node.op) == Place::indexed && operand == node.operands[0]);
      if (reads_memory || index_in_view) forced[source.id] = true;
    }
  }
  for (Value output : graph.outputs()) forced[storage_of(graph, output).id] = true;
  return forced;
}

}  // namespace

Partition partition_unfused(const Graph& graph, const BlockSizes& blocks) {
  Partition partition;
  partition.blocks = blocks;
  partition.home.assign(graph.num_values(), kMemory);
  std::vector<bool> forced = splats_in_memory(graph);
  std::vector<bool> needed(graph.num_values());
  for (Value output : graph.outputs()) needed[output.id] = true;
  for (int i = graph.num_values() - 1; i >= 0; --i) {
    if (!needed[i]) continue;
    for (Value operand : graph.node(Value{i}).operands) needed[operand.id] = true;
  }
  for (int i = 0; i < graph.num_values(); ++i) {
    Value value{i};
    const Node& node = graph.node(value);
    if (!needed[i]) {
      partition.home[i] = kNowhere;
      continue;
    }
    if (place(node.op) == Place::view || !wants_memory(graph, value, forced)) {
      partition.home[i] = kInline;
      continue;
    }
    if (place(node.op) == Place::input || graph.type(value).size() == 0) continue;
    if (place(node.op) == Place::boxes) {
      for (const Part& part : parts_of(graph, value)) {
        partition.clusters.push_back(part_cluster(graph, value, part));
      }
      continue;
    }
    if (is_called(node.op)) {
      if (partition.home[node.first_result] >= 0) continue;
      for (Value result : results(node)) partition.home[result.id] = static_cast<int32_t>(partition.clusters.size());
      partition.clusters.push_back(call_cluster(node));
      continue;
    }
    partition.home[i] = static_cast<int32_t>(partition.clusters.size());
    Cluster& cluster = partition.clusters.emplace_back();
    cluster.domain = Domain::of(graph.type(value).shape);
    int map = intern(cluster, linear_index(cluster.domain));
    cluster.roots.push_back({value, value.id, map, map});
    if (place(node.op) == Place::reduction) {
      adopt_reduce(graph, node, cluster, host_reduce(graph, node, cluster, map, blocks));
    }
    if (place(node.op) == Place::product) adopt_dot(graph, node, cluster);
  }
  cut_blocks(graph, partition);
  return partition;
}

}  // namespace etch::schedule
