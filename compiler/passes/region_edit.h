// Ops with regions made anew, with fewer or other channels (placing.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "compiler/passes/pass.h"

namespace etch {

/// What becomes of a channel.
struct Fate {
  enum class Kind : uint8_t {
    stays,
    number,   // goes: it carries a constant
    outside,  // goes: it carries a value of the graph around
    same,     // goes: it carries what another channel, which stays, does
  };
  Kind kind = Kind::stays;
  uint64_t bits = 0;  // number
  Value outside{};    // outside, in the builder
  int channel = -1;   // same
  bool operator==(const Fate&) const = default;
};

/// A value of a region, and the value of the graph around that stands for it.
struct Moved {
  Value inside;
  Value outside;
};

/// A channel that only brings a value in.
bool is_invariant(const Channel& channel);

/// Per region and input: its channel.
std::vector<std::vector<int>> channels_of_inputs(std::span<const NamedRegion> regions, std::span<const Channel> channels);

/// How to make an op anew: one fate per channel, and what was moved out of each region (or nothing at all).
struct RegionEdit {
  std::vector<Channel> channels;
  std::vector<Fate> fates;
  std::vector<std::vector<Moved>> moved{};

  explicit RegionEdit(const Node& node)
      : channels(channels_of(node.op, static_cast<int>(node.operands.size()))), fates(channels.size()) {}
};

/// Makes a node of a graph on operands of the builder anew. `improve` is run on its new regions. Where no result is left
/// there is no op either.
absl::StatusOr<Replacement> edit_regions(GraphBuilder& builder, const Graph& graph, const Node& node,
                                         std::span<const Value> operands, const RegionEdit& edit,
                                         const std::function<absl::StatusOr<Graph>(Graph)>& improve);

}  // namespace etch
