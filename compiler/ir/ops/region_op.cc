// What the ops with regions share.
#include "compiler/ir/ops/region_op.h"

#include <algorithm>

#include "compiler/ir/graph.h"
#include "compiler/ir/inference.h"

namespace etch {
namespace {

/// Something that has a type, and what to call it.
struct Typed {
  std::string name;
  Type type;
};

Typed input_of(const NamedRegion& region, int index) {
  const Graph& graph = region.region.graph();
  return {cat("input ", index, " of ", region.name), graph.type(graph.inputs()[index])};
}

Typed output_of(const NamedRegion& region, int index) {
  const Graph& graph = region.region.graph();
  return {cat("output ", index, " of ", region.name), graph.type(graph.outputs()[index])};
}

/// What a channel joins, sources first.
std::vector<Typed> ports_of(const Inference& in, std::span<const NamedRegion> regions, const Channel& channel) {
  std::vector<Typed> ports;
  if (channel.operand >= 0) ports.push_back({cat("operand ", channel.operand), in.operands[channel.operand]});
  for (auto [region, index] : channel.outputs) ports.push_back(output_of(regions[region], index));
  for (auto [region, index] : channel.inputs) ports.push_back(input_of(regions[region], index));
  return ports;
}

}  // namespace

absl::StatusOr<Types> infer_channels(const Inference& in, std::span<const NamedRegion> regions,
                                     std::span<const Channel> channels) {
  int64_t num_nodes = 0;
  for (const NamedRegion& region : regions) {
    if (region.region.depth() > kMaxRegionDepth) return in.error("regions nest deeper than ", kMaxRegionDepth);
    if (region.region.num_nodes() > kMaxRegionNodes - num_nodes) {
      return in.error("the regions hold more than ", kMaxRegionNodes, " nodes");
    }
    num_nodes += region.region.num_nodes();
  }
  Types types;
  for (const Channel& channel : channels) {
    const std::vector<Typed> ports = ports_of(in, regions, channel);
    for (const Typed& port : ports) {
      if (port.type == ports[0].type) continue;
      return in.error(port.name, " is ", to_string(port.type), ", but ", ports[0].name, " is ",
                      to_string(ports[0].type), "; they must have one type");
    }
    if (channel.result < 0) continue;
    types.resize(std::max<size_t>(types.size(), channel.result + 1));
    types[channel.result] = ports[0].type;
  }
  return types;
}

}  // namespace etch
