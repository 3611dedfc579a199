// Region: a closed graph that a node owns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace etch {

class Graph;

/// A graph as a field of an op: what `cond` and `while` run. Immutable; copies share it. Equal regions are those with
/// equal graphs, wherever they were made.
class Region {
 public:
  /// A graph without inputs and outputs.
  Region();
  explicit Region(Graph graph);

  const Graph& graph() const;

  /// How deep regions nest, this one included, and how many nodes there are with those of the regions inside, each
  /// counted as often as it stands there; at most INT64_MAX.
  int depth() const;
  int64_t num_nodes() const;

  friend bool operator==(const Region& a, const Region& b);
  template <class H>
  friend H AbslHashValue(H h, const Region& region) {
    return H::combine(std::move(h), region.hash());
  }

 private:
  struct Content;
  size_t hash() const;

  std::shared_ptr<const Content> content_;
};

/// Its signature, as in `(f32[8], i32[]) -> (f32[8])`.
std::string to_string(const Region& region);

// What an op may own: passes and tools walk through all regions, so their number is bounded.
inline constexpr int kMaxRegionDepth = 64;
inline constexpr int64_t kMaxRegionNodes = int64_t{1} << 24;

}  // namespace etch
