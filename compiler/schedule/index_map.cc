// Affine maps from the domain of a kernel to the elements of a value, and their way through movement ops.
#include "compiler/schedule/index_map.h"

#include <algorithm>
#include <cstdlib>

#include "runtime/rounding.h"

namespace etch::schedule {
namespace {

int64_t floor_mod(int64_t a, int64_t b) {
  int64_t r = a % b;
  return r < 0 ? r + b : r;
}

/// The index along each axis of a value, or what stands in the way.
struct AxisMaps {
  std::array<Affine, kMaxRank> axes;
  bool ok = false;
  std::optional<Split> split;
};

/// Splits the terms of `map` into whole multiples of `inner` (they move the outer axes) and the rest, which stays below
/// `inner`. False if it cannot; `split` is set if a finer domain would help.
bool divide(const Affine& map, int64_t inner, const Domain& domain, Affine& high, Affine& low,
            std::optional<Split>& split) {
  high = {};
  low = {};
  int64_t least = 0, most = 0;  // of the low terms without their offset
  for (int k = 0; k < domain.rank; ++k) {
    int64_t c = map.coef[k];
    if (c == 0) continue;
    if (c % inner == 0) {
      high.coef[k] = c / inner;
      continue;
    }
    int64_t reach = c * (domain.extents[k] - 1);
    if (std::abs(reach) >= inner) {
      int64_t step = std::abs(c);
      bool possible = inner % step == 0 && domain.extents[k] % (inner / step) == 0 && domain.can_split(k, inner / step) &&
                      domain.rank < kMaxDomainRank - 1;
      if (possible) split = Split{k, inner / step};
      return false;
    }
    low.coef[k] = c;
    (reach < 0 ? least : most) += reach;
  }
  low.offset = floor_mod(map.offset + least, inner) - least;
  high.offset = (map.offset - low.offset) / inner;
  return low.offset + most < inner;
}

AxisMaps find_axis_maps(const Shape& shape, const Affine& map, const Domain& domain) {
  AxisMaps result;
  if (shape.product() == 0) {  // nothing is ever read
    result.ok = true;
    return result;
  }
  Affine rest = map;
  int64_t left = shape.product();
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    int64_t extent = shape[axis];
    if (extent == 1) continue;
    if (extent == left) {  // the outermost axis that counts
      result.axes[axis] = rest;
      break;
    }
    Affine high;
    if (!divide(rest, extent, domain, high, result.axes[axis], result.split)) return result;
    rest = high;
    left /= extent;
  }
  result.ok = true;
  return result;
}

/// The map of an operand that broadcasts to `shape`.
Affine broadcast_map(const AxisMaps& axes, const Shape& shape, const Shape& operand) {
  Affine map;
  Dims strides = row_major_strides(operand);
  int shift = shape.rank() - operand.rank();
  for (int i = 0; i < operand.rank(); ++i) {
    if (operand[i] != 1) map.add(axes.axes[i + shift], strides[i]);
  }
  return map;
}

/// True if a movement reads the operand's elements in their order.
bool is_identity(const Movement& movement, const Shape& result) {
  const Dims strides = row_major_strides(result);
  for (int i = 0; i < result.rank(); ++i) {
    if (result[i] != 1 && movement.strides[i] != strides[i]) return false;
  }
  return movement.offset == 0;
}

}  // namespace

Domain Domain::of(const Shape& shape) {
  Domain domain;
  for (int64_t extent : shape) {
    if (extent != 1) domain.extents[domain.rank++] = extent;
  }
  return domain;
}

int64_t Domain::size() const { return size_from(0); }

int64_t Domain::size_from(int from) const {
  int64_t n = 1;
  for (int i = from; i < rank; ++i) n = mul_saturated(n, extents[i]);
  return n;
}

bool Domain::has(Role role) const {
  return std::find(roles.begin(), roles.begin() + rank, role) != roles.begin() + rank;
}

bool Domain::is_folded(int axis) const { return etch::is_folded(roles[axis]) || roles[axis] == Role::block; }

int Domain::folded_axis() const {
  for (int i = rank - 1; i >= 0; --i) {
    if (is_folded(i)) return i;
  }
  return -1;
}

bool Domain::can_split(int axis, int64_t inner) const {
  if (roles[axis] == Role::batch) return true;
  if (!has(Role::row) || roles[axis] == Role::vector) return false;
  return axis < rank - 1 || inner >= kShortestPiece;
}

int64_t Domain::block_size(const BlockSizes& blocks) const {
  return size_from(folded_axis() + 1) == 1 ? blocks.row : blocks.column;
}

int64_t Domain::num_blocks(const BlockSizes& blocks) const {
  return ceil_div(extents[folded_axis()], block_size(blocks));
}

void Affine::add(const Affine& other, int64_t factor) {
  offset += factor * other.offset;
  for (int i = 0; i < kMaxDomainRank; ++i) coef[i] += factor * other.coef[i];
}

namespace {

template <class Skips>
Affine index_without(const Domain& domain, Skips skips) {
  Affine map;
  int64_t stride = 1;
  for (int i = domain.rank - 1; i >= 0; --i) {
    if (skips(i)) continue;
    map.coef[i] = domain.extents[i] == 1 ? 0 : stride;
    stride = mul_saturated(stride, domain.extents[i]);
  }
  return map;
}

}  // namespace

Affine linear_index(const Domain& domain, int skip) {
  return index_without(domain, [&](int axis) { return axis == skip; });
}

Affine row_index(const Domain& domain) {
  return index_without(domain, [&](int axis) { return domain.is_folded(axis); });
}

void insert_axis(int at, int64_t extent, Role role, Domain& domain) {
  for (int i = domain.rank++; i > at; --i) {
    domain.extents[i] = domain.extents[i - 1];
    domain.roles[i] = domain.roles[i - 1];
  }
  domain.extents[at] = extent;
  domain.roles[at] = role;
}

void insert_axis(int at, Affine& map) {
  for (int i = kMaxDomainRank - 1; i > at; --i) map.coef[i] = map.coef[i - 1];
  map.coef[at] = 0;
}

void apply(const Split& split, Domain& domain) {
  int64_t outer = domain.extents[split.axis] / split.inner;
  domain.extents[split.axis] = split.inner;
  insert_axis(split.axis, outer, domain.roles[split.axis], domain);
}

void apply(const Split& split, Affine& map) {
  insert_axis(split.axis, map);
  map.coef[split.axis] = map.coef[split.axis + 1] * split.inner;
}

Continued axis_map(const Shape& shape, int axis, const Affine& map, const Domain& domain) {
  AxisMaps axes = find_axis_maps(shape, map, domain);
  if (!axes.ok) return {std::nullopt, axes.split};
  return {axes.axes[axis], std::nullopt};
}

ContinuedAxes axis_maps(const Shape& shape, const Affine& map, const Domain& domain) {
  const AxisMaps axes = find_axis_maps(shape, map, domain);
  if (!axes.ok) return {std::nullopt, axes.split};
  return {axes.axes, std::nullopt};
}

IndexedAxis indexed_axis(const Graph& graph, const Node& node) {
  const Shape& shape = graph.type(node.operands[0]).shape;
  const int along = etch::indexed_axis(node.op);
  IndexedAxis axis;
  for (int i = 0; i < shape.rank(); ++i) (i < along ? axis.before : i == along ? axis.extent : axis.step) *= shape[i];
  return axis;
}

ContinuedIndexed indexed_maps(const Graph& graph, const Node& node, const Affine& map, const Domain& domain) {
  const IndexedAxis axis = indexed_axis(graph, node);
  const Shape rows{axis.before, graph.type(node.operands[1]).size(), axis.step};
  const AxisMaps axes = find_axis_maps(rows, map, domain);
  if (!axes.ok) return {std::nullopt, axes.split};
  IndexedElement element{axes.axes[2], axes.axes[1]};
  element.base.add(axes.axes[0], axis.extent * axis.step);
  return {element, std::nullopt};
}

std::optional<Bordered> bordered(const Graph& graph, const Node& node) {
  absl::InlinedVector<Type, 2> operands;
  for (Value operand : node.operands) operands.push_back(graph.type(operand));
  std::optional<Bordered> found;
  int border = -1;
  for (const Box& box : boxes_of(node.op, operands, graph.type(node.result()))) {
    const bool is_second = box.splat ? border >= 0 && border != box.operand : found.has_value();
    if (is_second) return std::nullopt;
    if (box.splat) border = box.operand;
    if (!box.splat) found = Bordered{box, -1};
  }
  if (!found || border < 0) return std::nullopt;
  found->border = border;
  return found;
}

std::optional<PaddedElement> padded_element(const Graph& graph, const Node& node, const Affine& map, const Domain& domain) {
  const std::optional<Bordered> value = bordered(graph, node);
  if (!value) return std::nullopt;
  const Shape &shape = graph.type(node.result()).shape, &source = value->inside.shape;
  const AxisMaps axes = find_axis_maps(shape, map, domain);
  if (!axes.ok) return std::nullopt;
  const Dims strides = row_major_strides(source);
  PaddedElement padded;
  for (int i = 0; i < shape.rank(); ++i) {
    Affine index = axes.axes[i];
    index.offset -= value->inside.start[i];
    padded.element.add(index, strides[i]);
    if (source[i] < shape[i]) padded.bounds.push_back({index, source[i]});
  }
  return padded;
}

int ascending_axis(const Affine& map) {
  int found = -1;
  for (int axis = 0; axis < kMaxDomainRank; ++axis) {
    if (map.coef[axis] == 0) continue;
    if (found >= 0 || map.coef[axis] < 0) return -1;
    found = axis;
  }
  return found;
}

Continued operand_map(const Graph& graph, const Node& node, int operand, const Affine& map, const Domain& domain) {
  const Shape& shape = graph.type(node.result()).shape;
  const Shape& source = graph.type(node.operands[operand]).shape;
  if (source.product() == 0) return {Affine{}, std::nullopt};
  if (place(node.op) == Place::view) return {map, std::nullopt};
  const bool moves = place(node.op) == Place::movement;
  if (!moves && source.product() == shape.product()) return {map, std::nullopt};
  if (source.product() == 1) return {Affine{}, std::nullopt};
  const Movement movement = moves ? movement_of(node.op, source, shape) : Movement{};
  if (moves && is_identity(movement, shape)) return {map, std::nullopt};

  AxisMaps axes = find_axis_maps(shape, map, domain);
  if (!axes.ok) return {std::nullopt, axes.split};
  if (!moves) return {broadcast_map(axes, shape, source), std::nullopt};
  Affine result;
  result.offset = movement.offset;
  for (int i = 0; i < shape.rank(); ++i) {
    if (movement.strides[i] != 0) result.add(axes.axes[i], movement.strides[i]);
  }
  return {result, std::nullopt};
}

}  // namespace etch::schedule
