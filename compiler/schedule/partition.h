// Partition: which kernel computes which nodes, before any kernel is written down.
#pragma once

#include <bit>
#include <climits>
#include <cstdint>
#include <vector>

#include "compiler/ir/graph.h"
#include "compiler/schedule/index_map.h"
#include "compiler/schedule/schedule.h"

namespace etch::schedule {

class NativeKernels;

/// What a kernel stores: `value` at `map`, into memory at `address`. The memory is the value's own, that of the concat or pad
/// whose part the value is, or that of what blocks of a reduction come to. Both maps are indices into Cluster::maps.
struct Root {
  Value value;
  int storage = 0;  // see Partition
  int map = 0;
  int address = 0;
};

/// The indices begin .. end - 1 of each axis of a domain.
struct Section {
  std::array<int64_t, kMaxDomainRank> begin{}, end{};
  bool operator==(const Section&) const = default;
};

/// Between the indices at - 1 and at of an axis: there a kernel goes over from one part of a concat or pad to the next one.
struct Seam {
  int axis = 0;
  int64_t at = 0;
  auto operator<=>(const Seam&) const = default;
};

/// A kernel to be. Maps are interned, so that a refinement of the domain reaches all of them at once.
struct Cluster {
  Domain domain;
  std::vector<Affine> maps;
  std::vector<std::optional<Section>> sections;  // per map: where alone the kernel follows it, if not everywhere
  std::vector<Root> roots;
  std::vector<Seam> seams;      // ascending: it becomes a kernel for each piece between them, see pieces.h
  std::vector<Value> cut_by;    // whose parts meet there
  std::optional<Affine> in_whole;  // of a piece: the row-major index of its elements in the whole domain
  int instrs = 0;        // upper bounds, to keep kernels small
  int code = 0;          // of the instructions, in additions
  int accesses = 0;      // values that are open, loaded or stored: while fusion goes back, those alive at one time
  // Kernels that exchange values have different levels, the producer the higher one: no cycle can arise.
  int level = 0;
  int ceiling = INT_MAX;       // the lowest level of a producer
  bool alone = false;          // computes its root only
  int dear = 0;                // dear ops per element
  int64_t widest = 1;          // bytes of the widest element that it computes or folds
  bool ordered = false;        // folds in an order that lanes must keep
  bool indexes = false;        // looks at elements at indices
  bool calls = false;          // a library function or regions; the node's first result is the root, the domain is empty
  bool single = false;         // takes in no other cluster
  bool took_in = false;        // another cluster
  bool sweeps = false;         // looks beyond the borders of a value: lanes stay on the last axis, and no axis is split or folded
  int blocks_of = -1;          // the cluster that this one folds blocks for, with all that they are made of
  int overflow = -1;           // the cluster that computes what this one had no room for
  int merged_into = -1;        // a merged cluster only forwards
  std::vector<int> forwarded;  // its maps in terms of the other's
};

/// The axis that vectors will run along: one whose elements fill them. What is shorter is unrolled (unroll_axis.h).
int vector_axis(const Cluster& cluster);

/// True if the kernel of such a domain would write out the axis in its body, beside one that is folded: what does not vary
/// along it is computed once for all its indices.
bool is_written_out(const Domain& domain, int axis);

/// True if a cluster folds rows, and lanes would find the elements at this map far apart, while another axis has them
/// beside each other: a kernel that turns the axes round loads them faster.
bool turns_rows(const Cluster& cluster, const Affine& map);

/// With so many elements, what one kernel more costs is small.
inline constexpr int64_t kManyElements = 1 << 14;

/// True if short rows of so many elements leave lanes empty: those are dear to compute with. The others fill the vectors of
/// a short row kernel.
inline bool is_ragged(int64_t n) {
  return n > kShortAxis && n <= kMostShortRow && 8 * n < 7 * static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(n)));
}

/// True if the cluster folds many such rows of the last axis.
bool folds_short_rows(const Cluster& cluster);

/// Where a value comes from, beside the clusters (not negative).
enum Home : int32_t {
  kNowhere = -1,  // nothing needs it
  kInline = -2,   // every kernel that needs it computes it
  kMemory = -3,   // its memory; kernels that fill parts of it know it as a target
};

/// Memory that holds no value of the graph: what the blocks of a reduction come to, between the two kernels that compute
/// it, what an op with regions needs for itself, or an operand of a product that is packed. A reduction's own comes before those that
/// are packed of it.
struct Partial {
  Value value;  // the reduction, or the first result
  int64_t bytes = 0;
};

/// Clusters exchange values through storages: the number of a value, or the number of values plus that of a partial.
struct Partition {
  BlockSizes blocks = {};
  std::vector<Cluster> clusters;
  std::vector<int32_t> home;         // per value: a cluster or a Home
  std::vector<Partial> partials;
  std::vector<UnfusedEdge> unfused;
  const NativeKernels* natives = nullptr;  // of its nodes with regions, or none

  /// The kernel that a node with regions is, or null.
  const ScheduledKernel* native(const Node& node) const;
  int num_values() const { return static_cast<int>(home.size()); }
  int num_storages() const { return num_values() + static_cast<int>(partials.size()); }
  bool is_partial(int storage) const { return storage >= num_values(); }
  /// What a storage holds.
  Value value_of(int storage) const { return is_partial(storage) ? partials[storage - num_values()].value : Value{storage}; }
  int64_t bytes_of(const Graph& graph, int storage) const;
  /// The storage of what the blocks of a reduction come to.
  int partial_of(Value reduction) const;
};

/// The value whose memory holds the elements: reshapes are the same memory.
Value storage_of(const Graph& graph, Value value);

/// The interned map. One that is followed in a section is another one.
int intern(Cluster& cluster, const Affine& map, const std::optional<Section>& section = std::nullopt);

/// The domain as far as a map is followed, and the map there.
struct Followed {
  Domain domain;
  Affine map;
};
Followed followed(const Cluster& cluster, int map);
/// An index map that was found there, on the domain of the cluster.
Affine from_section(const Cluster& cluster, int map, Affine found);

/// True if no seam, and no part of an axis, is in the way of a split that was found where a map is followed.
bool can_refine(const Cluster& cluster, const Split& split);

/// Refines the domain; interned maps keep their indices.
void refine(Cluster& cluster, const Split& split);
void insert_axis(Cluster& cluster, int at, int64_t extent, Role role);

/// operand_map in a cluster: refines its domain if that helps.
std::optional<Affine> continue_map(const Graph& graph, Cluster& cluster, const Node& node, int operand, int map);
std::optional<IndexedElement> continue_indexed(const Graph& graph, Cluster& cluster, const Node& node, int map);
std::optional<Affine> continue_axis_map(Cluster& cluster, const Shape& shape, int axis, int map);

/// Outer, reduced and inner extents of a reduce.
struct Geometry {
  int64_t outer = 1, n = 1, inner = 1;
  bool operator==(const Geometry&) const = default;
};
Geometry geometry_of(const Graph& graph, const Node& reduce);

/// Few long rows: a reduction alone would keep one thread busy only.
bool runs_in_blocks(const Geometry& geometry, ReduceKind kind, const BlockSizes& blocks);

/// How a reduce would join a cluster, or dot would: the axes to add.
struct Hosting {
  bool ok = false;
  bool reduces_already = false;
  bool insert = false;     // the reduced axis is new
  int axis = -1;
  Role role = Role::reduce;  // of the axis; results: it is folded in blocks
  std::optional<Split> split;  // done first
};
/// Whether a reduce can be computed in the cluster whose use of it is `map`: legality only.
Hosting host_reduce(const Graph& graph, const Node& node, const Cluster& cluster, int map, const BlockSizes& blocks);
void adopt_reduce(const Graph& graph, const Node& node, Cluster& cluster, const Hosting& hosting);

/// True if one side of a product is a single row or column.
bool is_of_vector(const Graph& graph, const Node& dot);

/// Whether the cluster can become the epilogue of a dot that it uses at `map`; then makes it so.
bool can_host_dot(const Graph& graph, const Node& node, const Cluster& cluster, int map);
void adopt_dot(const Graph& graph, const Node& node, Cluster& cluster);

/// The element of operand 0 or 1 that a dot's cluster reads.
Affine dot_operand_map(const Graph& graph, const Node& node, int operand, const Domain& domain);

/// A part of a concat or pad, which one kernel fills.
struct Part {
  Value value;   // what it is filled with
  Shape shape;
  Dims start;    // of the part in the result
  bool splat = false;  // the rank-0 value everywhere
};
std::vector<Part> parts_of(const Graph& graph, Value target);

/// Ops that want their operands in memory and write their results there: functions of a library or of the host, and those
/// with regions.
inline bool is_called(Op op) {
  return place(op) == Place::call || place(op) == Place::region || place(op) == Place::host;
}

/// The cluster of a node that calls a library function or has regions.
Cluster call_cluster(const Node& node);

/// The cluster that fills a part; its root reads map 0 of the value.
Cluster part_cluster(const Graph& graph, Value target, const Part& part);

/// The end of every partition: a cluster that folds an axis in blocks becomes two. One folds each block, in an iteration of
/// its own, the other what the blocks came to, so that several threads share few long rows.
void cut_blocks(const Graph& graph, Partition& partition);

/// One kernel per node: the eager way. Movement ops copy, reshapes and constants do not.
Partition partition_unfused(const Graph& graph, const BlockSizes& blocks = {});

/// How far fusion may go with a node; what is undone where memory would be short.
enum class Care : uint8_t {
  none,
  single,  // its kernel is not joined with others that read the same value, and it is not computed again
  alone,   // it has a kernel of its own, as without fusion
};

/// Kernels of many nodes. `care` holds one entry per value. The partition points to `natives`.
Partition partition_fused(const Graph& graph, const std::vector<Care>& care, const BlockSizes& blocks = {},
                          const NativeKernels* natives = nullptr);

}  // namespace etch::schedule
