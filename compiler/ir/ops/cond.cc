// cond: the oracle runs the region that the predicate names.
#include "compiler/ir/ops/cond.h"

#include "compiler/ir/graph.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/ops/region_gradient.h"
#include "compiler/ir/walk.h"

namespace etch::op {
namespace {

/// The gradient of a cond: what its arms are differentiated in, and what comes of it.
class Gradient {
 public:
  explicit Gradient(const Backward& at) : maker_(at.operands[0].maker()), at_(at) {
    for (size_t i = 0; i < at.results.size(); ++i) {
      if (!at.cotangents[i].is_none()) asked_.push_back(i);
    }
    for (size_t i = 1; i < at.operands.size(); ++i) {
      if (!is_floating(at.operands[i].dtype())) continue;
      sources_.push_back(i);
      so_far_.push_back(!at.so_far[i].is_none());
    }
  }

  std::vector<Ex> run(const Graph& then, const Graph& otherwise) {
    std::vector<Ex> gradients(at_.operands.size());
    const GradientGraph arms[] = {backward(then), backward(otherwise)};
    std::vector<size_t> found;  // among the sources
    for (size_t s = 0; s < sources_.size(); ++s) {
      if (arms[0].outputs[s] || arms[1].outputs[s]) found.push_back(s);
    }
    if (found.empty()) return gradients;
    Values inputs;
    for (size_t i = 1; i < at_.operands.size(); ++i) inputs.push_back(at_.operands[i].value());
    for (size_t i : asked_) inputs.push_back(at_.cotangents[i].value());
    for (size_t s = 0; s < sources_.size(); ++s) {
      if (so_far_[s]) inputs.push_back(at_.so_far[sources_[s]].value());
    }
    const auto arm = [&](const GradientGraph& back) {
      return [&](ExMaker& maker, std::span<const Value>, std::span<const Value> given) {
        const Values made = inlined(maker, back.graph, given);
        Values outputs;
        for (size_t s : found) {
          const std::optional<int> output = back.outputs[s];
          const Type type = maker.type(given[sources_[s] - 1]);
          outputs.push_back(output ? made[*output] : constant(maker, 0, type).value());
        }
        return outputs;
      };
    };
    const Values made = make_cond(maker_, at_.operands[0].value(), inputs, arm(arms[0]), arm(arms[1]));
    for (size_t f = 0; f < found.size(); ++f) gradients[sources_[found[f]]] = {maker_, made[f]};
    return gradients;
  }

 private:
  GradientGraph backward(const Graph& graph) const {
    Values targets, sources;
    for (size_t i : asked_) targets.push_back(graph.outputs()[i]);
    for (size_t i : sources_) sources.push_back(graph.inputs()[i - 1]);
    return differentiate(graph, targets, sources, {.so_far = so_far_});
  }

  ExMaker& maker_;
  const Backward& at_;
  std::vector<size_t> asked_;    // the results that have a cotangent
  std::vector<size_t> sources_;  // the operands of floats
  std::vector<bool> so_far_;     // of those, whether something was added to their cotangents
};

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

std::vector<Ex> Cond::gradients(const Backward& at) const { return Gradient(at).run(then.graph(), otherwise.graph()); }

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
