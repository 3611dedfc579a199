// Affine maps from the domain of a kernel to the elements of a value, and their way through movement ops.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "compiler/ir/graph.h"
#include "compiler/ir/placing.h"
#include "compiler/schedule/kernel.h"

namespace etch::schedule {

/// Room for the axes of a value, their refinements and a reduced axis.
inline constexpr int kMaxDomainRank = 12;

/// A vector along an axis of so few elements wastes most of its lanes, and rows of them most of their time.
inline constexpr int64_t kShortAxis = 4;

/// A product puts its steps together from pieces that lie apart, if they have so many elements at least.
inline constexpr int64_t kShortestPiece = 3;

/// The iteration space of a kernel, outermost axis first. Axes of extent 1 are left out unless a kernel kind wants them.
struct Domain {
  std::array<int64_t, kMaxDomainRank> extents{};
  // Batch axes may be split, joined and left out; also split may be those of a product that is not its lanes: rows and steps,
  // which then are several axes each.
  std::array<Role, kMaxDomainRank> roles{};
  int rank = 0;

  /// The axes of a shape whose extent is not 1.
  static Domain of(const Shape& shape);

  int64_t size() const;
  /// The product of the extents of the axes from..rank.
  int64_t size_from(int from) const;
  bool has(Role role) const;
  bool is_folded(int axis) const;
  /// The axis that is folded, or -1. Where a cluster folds it in blocks, no axis of blocks exists yet: it is that itself.
  int folded_axis() const;
  /// True if the axis may be seen as two, the inner one of this extent, which divides its own.
  bool can_split(int axis, int64_t inner) const;
  /// Where the folded axis is cut into blocks: how long they are, which depends on whether lanes lie along it; how many.
  int64_t block_size(const BlockSizes& blocks) const;
  int64_t num_blocks(const BlockSizes& blocks) const;
  bool operator==(const Domain&) const = default;
};

/// offset + sum of coef[i] * (index along domain axis i).
struct Affine {
  int64_t offset = 0;
  std::array<int64_t, kMaxDomainRank> coef{};

  bool operator==(const Affine&) const = default;
  /// this += factor * other.
  void add(const Affine& other, int64_t factor);
};

/// A domain axis that must be seen as two, the inner one of extent `inner`, before a map can be expressed.
struct Split {
  int axis = 0;
  int64_t inner = 0;
};

/// The row-major index of the domain's elements; axis `skip` (if not -1) does not count.
Affine linear_index(const Domain& domain, int skip = -1);
/// The same of its rows: no folded axis counts.
Affine row_index(const Domain& domain);

/// Replaces an axis by two; the same for a map on it.
void apply(const Split& split, Domain& domain);
void apply(const Split& split, Affine& map);

/// Adds an axis at a position; maps do not depend on it.
void insert_axis(int at, int64_t extent, Role role, Domain& domain);
void insert_axis(int at, Affine& map);

/// How a map from the domain to a value continues to an operand.
///
/// A map is the row-major index into the value as one affine function, so a reshape is the identity; the index along
/// each axis is recovered where an op needs it, which is exact and unique when it is affine.
struct Continued {
  std::optional<Affine> map;   // the operand's element
  std::optional<Split> split;  // without a map: it exists once the domain is split so
};

/// For node = movement op, or elementwise op, whose operand broadcasts as NumPy says. `map` leads to the node.
Continued operand_map(const Graph& graph, const Node& node, int operand, const Affine& map, const Domain& domain);

/// Where an element of a node with Place::indexed comes from.
struct IndexedElement {
  Affine base;   // the element of operand 0, were its index 0
  Affine index;  // the element of operand 1, which holds the index
};
struct ContinuedIndexed {
  std::optional<IndexedElement> element;
  std::optional<Split> split;  // as in Continued
};
ContinuedIndexed indexed_maps(const Graph& graph, const Node& node, const Affine& map, const Domain& domain);

/// The extent of the axis that a node with Place::indexed looks along, and the elements from one index to the next.
struct IndexedAxis {
  int64_t before = 1, extent = 1, step = 1;
};
IndexedAxis indexed_axis(const Graph& graph, const Node& node);

/// A value that holds one operand and, around it, a number.
struct Bordered {
  Box inside;
  int border = -1;  // the operand with the number
};
std::optional<Bordered> bordered(const Graph& graph, const Node& node);

/// Where an element of a bordered value comes from. It is the border's number where an index lies beyond its bounds.
struct PaddedElement {
  struct Bound {
    Affine index;  // along an axis of what lies inside
    int64_t extent = 0;
    bool operator==(const Bound&) const = default;
  };
  Affine element;  // of what lies inside
  absl::InlinedVector<Bound, 2> bounds;
};
/// None where the value is not bordered, or the map of one stride per axis does not exist.
std::optional<PaddedElement> padded_element(const Graph& graph, const Node& node, const Affine& map, const Domain& domain);

/// The one axis along which a map changes, if it ascends there; else -1.
int ascending_axis(const Affine& map);

/// The index along one axis of a value of this shape, the same way.
Continued axis_map(const Shape& shape, int axis, const Affine& map, const Domain& domain);

/// The indices along all of its axes; an axis of extent 1 has index 0.
struct ContinuedAxes {
  std::optional<std::array<Affine, kMaxRank>> axes;
  std::optional<Split> split;  // as in Continued
};
ContinuedAxes axis_maps(const Shape& shape, const Affine& map, const Domain& domain);

}  // namespace etch::schedule
