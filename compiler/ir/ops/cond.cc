// cond: the oracle runs the region that the predicate names.
#include "compiler/ir/ops/cond.h"

#include "compiler/ir/graph.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/ops/region_gradient.h"
#include "compiler/ir/walk.h"

namespace etch::op {
namespace {

/// From the inputs of a region and the cotangents of its outputs of floats to the cotangents of its inputs of floats.
Region backward(const Region& region) {
  const Graph& graph = region.graph();
  const std::vector<Value> targets = floats_of(graph, graph.outputs()), sources = floats_of(graph, graph.inputs());
  return Region(differentiate(graph, targets, sources, {.zeros = true}).graph);
}

}  // namespace

absl::StatusOr<Types> Cond::infer(const Inference& in) const {
  const std::vector<NamedRegion> regions = regions_of(*this);
  const Type& predicate = in.operands[0];
  if (predicate != Type{DType::boolean, {}}) {
    return in.error("the predicate is ", to_string(predicate), ", not bool[]; reduce it with any or all, or use where");
  }
  const size_t num_passed = in.operands.size() - 1;
  for (const auto& [name, region] : regions) {
    const size_t num_inputs = region.graph().inputs().size();
    if (num_inputs == num_passed) continue;
    return in.error(name, " takes ", num_inputs, num_inputs == 1 ? " input, but " : " inputs, but ", num_passed,
                    num_passed == 1 ? " operand follows the predicate" : " operands follow the predicate");
  }
  const size_t num_then = then.graph().outputs().size();
  const size_t num_otherwise = otherwise.graph().outputs().size();
  if (num_then != num_otherwise) {
    return in.error("then gives ", num_then, num_then == 1 ? " result" : " results", " and otherwise ", num_otherwise);
  }
  if (num_then == 0) return in.error("needs at least 1 result");
  return infer_channels(in, regions, channels(static_cast<int>(in.operands.size())));
}

absl::StatusOr<std::vector<Literal>> Cond::run(Literals operands, const RunRegion& run_region) const {
  return run_region(load<bool>(*operands[0], 0) ? then : otherwise, operands.subspan(1));
}

Ex Cond::gradient(const Backward& at, int operand) const {
  RegionBackward node(at, operand);
  std::vector<Value>& operands = node.operands;
  operands.insert(operands.end(), node.cotangents.begin(), node.cotangents.end());
  return {node.maker, node.maker.make_all(Cond{backward(then), backward(otherwise)}, operands)[node.index]};
}

std::vector<Channel> Cond::channels(int num_operands) const {
  std::vector<Channel> channels{{.operand = 0, .decides = true}};
  for (int i = 1; i < num_operands; ++i) channels.push_back({.operand = i, .inputs = {{0, i - 1}, {1, i - 1}}});
  for (int i = 0; i < static_cast<int>(then.graph().outputs().size()); ++i) {
    channels.push_back({.result = i, .outputs = {{0, i}, {1, i}}});
  }
  return channels;
}

int Cond::num_leading() const { return 1; }

std::optional<Taken> Cond::taken(std::span<const std::optional<uint64_t>> constants) const {
  const std::optional<uint64_t> predicate = constants[0];
  if (!predicate && !(then == otherwise)) return std::nullopt;
  Taken taken{.region = predicate && *predicate == 0 ? 1 : 0, .first_output = 0};
  for (int i = 1; i < static_cast<int>(constants.size()); ++i) taken.operands.push_back(i);
  return taken;
}

}  // namespace etch::op
