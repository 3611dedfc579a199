// What fusion thinks pays: limits, costs, and the reasons that a schedule prints.
#pragma once

#include <cstddef>
#include <vector>

#include "compiler/schedule/sites.h"

namespace etch::schedule {

/// Why an edge of the graph was not fused.
namespace reason {
inline constexpr char kFull[] = "the kernel would become too large";
inline constexpr char kRepeated[] = "it would be computed again for each element it is broadcast to";
inline constexpr char kDotOperand[] = "an operand of dot is read many times, so it is computed once";
inline constexpr char kOtherOrder[] = "its elements cannot be told from the consumer's by one stride per axis";
inline constexpr char kSeveral[] = "several kernels need it, and computing it again costs more than storing it";
inline constexpr char kOtherAxis[] = "the consumer does not run along the same reduced axis";
inline constexpr char kLongRows[] =
    "few long rows: their reduction runs in blocks on several threads, before the consumer";
inline constexpr char kDotConsumer[] = "its consumer does not take it element by element, or has a product of its own";
inline constexpr char kSeveralPlaces[] =
    "the kernel needs it at several places, and computing it again costs more than storing it";
inline constexpr char kOutputElsewhere[] =
    "it is an output too, whose elements the consumer does not visit once and in order";
inline constexpr char kUndone[] = "undone, because the arena would take more memory than it may";
inline constexpr char kLibrary[] = "a library function reads it in memory, in order";
inline constexpr char kRegion[] = "a loop or branch reads it in memory, in order";
inline constexpr char kHost[] = "a function of the host reads it in memory";
inline constexpr char kLibraryResult[] = "a library function writes it to memory";
inline constexpr char kHostResult[] = "a function of the host writes it to memory";
inline constexpr char kRegionResult[] = "a region writes it to memory";
inline constexpr char kTable[] = "indices lead into it, so it stands in memory";
inline constexpr char kIndexedInProduct[] = "a kernel of products does not look for elements at indices";
inline constexpr char kScattered[] =
    "the kernel would fetch what it is computed from one by one, and there is more to fetch than the value itself";
inline constexpr char kShortRows[] =
    "such short rows do not fill vectors: without it the kernel runs over all of them as one";
inline constexpr char kPerShortRow[] =
    "it needs a value for each of many short rows: without it the kernel runs over all of them as one";
inline constexpr char kTurned[] =
    "the kernel's rows run across those of its memory: a kernel of its own turns them round faster";
inline constexpr char kBytesApart[] =
    "beside it the kernel would take vectors of bytes apart: a kernel of its own moves them first";
inline constexpr char kTurnedOnce[] =
    "several kernels would fetch its elements one by one: a kernel of its own does so once";
inline constexpr char kHidesSums[] = "it hides sums of a product by their position: the product's kernel leaves those out";
inline constexpr char kParts[] = "kernels write the parts of it in place";
}  // namespace reason

// How many values siblings store; more where what they read is fetched one by one, and where one full kernel reads all of
// them: those are alive together in any case.
inline constexpr size_t kMaxSiblingRoots = 4;
inline constexpr size_t kMaxScatteredRoots = 6;
inline constexpr size_t kMaxOverflowRoots = 8;

/// Instructions of an element at an index, beside the index's own.
inline constexpr int kIndexedInstrs = 3;

/// Whether fusing pays. Where it is not legal it does not pay either: legality is asked here too, of partition.h.
class FusionPolicy {
 public:
  FusionPolicy(const Graph& graph, const std::vector<Care>& care, const BlockSizes& blocks, Sites& sites)
      : graph_(graph), care_(care), blocks_(blocks), sites_(sites), uses_(graph.num_values()) {
    for (const Node& node : graph.nodes()) {
      for (Value operand : node.operands) ++uses_[operand.id];
    }
    for (Value output : graph.outputs()) ++uses_[output.id];
  }

  bool is_undone(Value value) const { return care_[value.id] == Care::alone; }
  bool is_fused_freely(Value value) const { return care_[value.id] == Care::none; }

  /// Why a node cannot, or should not, be computed at a site; nullptr if it can. By its place: elementwise, reduction,
  /// product, indexed.
  const char* cannot_join(Value value, const Site& site) const;
  const char* cannot_reduce(Value value, const Site& site) const;
  const char* cannot_multiply(Value value, const Site& site) const;
  const char* cannot_index(Value value, const Site& site) const;

  /// True if a cluster has no room for another instruction.
  bool is_full(const Cluster& cluster) const;

  /// True if a cluster has room to store one more of its values.
  bool has_room_to_store(const Cluster& cluster) const;

  /// True if two clusters are small enough to be one.
  bool fit_together(const Cluster& a, const Cluster& b, size_t max_roots) const;

  /// How many values clusters may store together that read the same value at this site.
  size_t max_sibling_roots(const Site& site) const;

  /// True if the site's cluster would compute elements of the value several times.
  bool repeats(Value value, const Site& site) const;

  /// True if one kernel needs parts of a value that make up the value at most: slices of it, one for each place.
  bool computed_once(Value value, const Sites::List& sites) const;

  /// True if a movement op is better a kernel of its own: with it the site's cluster would read at `map`, its rows across
  /// those of memory. Where all that it folds may be folded in any order, and no element is stored, its lanes may lie
  /// along another axis.
  bool turns_rows(const Site& site, const Affine& map) const;

  /// True if the site's kernel multiplies patches with what it reads at `map`, and would turn its columns round for each of
  /// many blocks of rows.
  bool packs_again(const Site& site, const Affine& map) const;

  /// True if with a movement op, by which it reads at `map`, the site's kernel strides along its lanes, and would not
  /// without it; and if they also lie along rows that it folds.
  bool strides(const Site& site, const Affine& map) const;
  bool strides_along_row(const Site& site, const Affine& map) const;

  /// True if with a movement op, by which it reads at `map`, the site's kernel fetches the elements for its lanes, or small
  /// groups of them, one by one, and would not without it.
  bool scatters(const Site& site, const Affine& map) const;

  /// True if a loop that fetches small groups of this value also reads bytes in order: those it would take apart, too.
  bool takes_bytes_apart(Value value, const Site& site) const;

  /// True if the kernel of a product should compute an elementwise value for the site, which cannot take in the product: it is
  /// made of nothing but the product, numbers and indices.
  bool hides_sums(Value value, const Site& site) const;

  /// Computing a value in every kernel that needs it beats storing it: little work, and no more to read.
  bool repeating_pays(Value value, const Sites::List& sites) const;

 private:
  bool has_room(const Cluster& cluster, int instrs, int code) const;
  bool has_room_for_accesses(const Cluster& cluster, int more) const;
  bool is_of_indices(Value value, int most_ops, bool& has_index) const;
  bool is_splat(Value value) const { return etch::place(graph_.node(value).op) == Place::splat; }
  int64_t computations(const Site& site) const;
  bool goes_one_by_one(const Site& site, const Affine& map) const;
  bool is_per_short_row(const Cluster& cluster, const Affine& map) const;
  bool is_scattered(const Site& site) const { return is_scattered(site, sites_.cluster(site).maps[site.map]); }
  bool is_scattered(const Site& site, const Affine& map) const;
  bool fetches_more(Value value) const;
  bool becomes_row_value(Value value, const Site& site) const;

  const Graph& graph_;
  const std::vector<Care>& care_;
  const BlockSizes& blocks_;
  Sites& sites_;
  std::vector<int> uses_;  // of each value
};

}  // namespace etch::schedule
