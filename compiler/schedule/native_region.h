// Control flow on small values as one kernel, whose loops carry them in registers.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "compiler/schedule/scalar_draft.h"
#include "compiler/schedule/schedule.h"
#include "runtime/flat_map.h"

namespace etch::schedule {

/// Values of such a kernel have at most so many elements; each of them is a scalar of its own.
inline constexpr int64_t kMostNativeElements = 16;

/// An op that is dear is written out for so many elements at the most: its code is long, and vectors need it once.
inline constexpr int64_t kMostDearElements = 4;

/// The most elements that it loads or stores.
inline constexpr size_t kMostNativeAccesses = 256;

/// The kernel of a node with regions, if all its values, those of nested regions too, are small and it holds only ops that
/// work element by element, or on few of them; ScheduledKernel::buffers holds storages. Else nothing, and `why_not` says
/// why, if it is given. Operands that are the same everywhere, or indices, are part of the kernel and not read from memory.
std::optional<ScheduledKernel> native_kernel(const Graph& graph, const Node& node, std::string* why_not = nullptr);

/// True if such a kernel knows the elements of an operand, so that it does not load them.
bool is_known(const Graph& graph, Value operand);

// What such kernels share with those of lanes (masked_region.h). A graph is written down from values whose elements are known,
// inputs or others in whose place something else stands, as far as the wanted values need it.

/// True if a node with regions runs them again and again.
bool is_loop(const Node& node);

/// Per node: whether it is needed.
std::vector<bool> nodes_behind(const Graph& graph, std::span<const Value> wanted, const std::vector<bool>& is_known = {});

/// What keeps wanted values from being written down, or empty. Of inputs it is that they are not known.
std::string obstacle_to(const Graph& graph, std::span<const Value> wanted, const std::vector<bool>& is_known);

/// The elements of wanted values, where nothing is in the way. `known` holds those of the known ones, and nothing for others.
std::vector<Elements> elements_of(const Graph& graph, std::span<const Value> wanted, std::vector<Elements> known,
                                  ScalarDraft& draft);

/// The elements of an operand, all of them for each lane: numbers that the kernel knows, or loads.
Elements operand_elements(const Graph& graph, Value operand, ScalarDraft& draft);

/// Which control flow becomes kernels.
struct NativeOptions {
  bool small_values = true;  // native_kernel
  bool lanes = true;         // masked_kernel
};

/// What of a graph's nodes with regions such kernels are.
class NativeKernels {
 public:
  /// None.
  NativeKernels() = default;
  /// All that there can be.
  NativeKernels(const Graph& graph, NativeOptions options);

  /// The kernel of a node of the graph, or null.
  const ScheduledKernel* kernel(const Node& node) const;
  /// Why a node has none; empty if nobody asked for one.
  std::string_view why_not(const Node& node) const;

 private:
  struct Entry {
    std::optional<ScheduledKernel> kernel;
    std::string why_not;
  };
  FlatMap<int32_t, Entry> entries_;  // by the first result
};

}  // namespace etch::schedule
