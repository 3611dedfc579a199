// while_loop: the oracle runs turn after turn.
#include "compiler/ir/ops/while_loop.h"

#include "compiler/ir/graph.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/walk.h"

namespace etch::op {
namespace {

int size(std::span<const Value> values) { return static_cast<int>(values.size()); }

}  // namespace

int WhileLoop::num_carried() const { return size(body.graph().outputs()); }
int WhileLoop::num_handed() const { return size(test.graph().outputs()) - 1; }

absl::StatusOr<Types> WhileLoop::infer(const Inference& in) const {
  const Graph& tests = test.graph();
  const auto given = static_cast<int>(in.operands.size());
  if (tests.outputs().empty() || tests.type(tests.outputs()[0]) != Type{DType::boolean, {}}) {
    return in.error("test must give bool[] first: whether to go on");
  }
  if (num_handed() == 0) return in.error("test hands nothing on; the loop needs at least 1 result");
  if (num_carried() > given) {
    return in.error("body gives ", num_carried(), " values to carry, but there are ", given, " operands");
  }
  if (size(tests.inputs()) != given) {
    return in.error("test takes ", tests.inputs().size(), " inputs, not ", given, ", one for each operand");
  }
  const int invariant = given - num_carried();
  if (size(body.graph().inputs()) != num_handed() + invariant) {
    return in.error("body takes ", body.graph().inputs().size(), " inputs, not ", num_handed() + invariant, ": ",
                    num_handed(), " that test hands on and ", invariant, " that the loop does not change");
  }
  return infer_channels(in, regions_of(*this), channels(given));
}

absl::StatusOr<std::vector<Literal>> WhileLoop::run(Literals operands, const RunRegion& run_region) const {
  const Literals invariants = operands.subspan(num_carried());
  std::vector<const Literal*> inputs(operands.begin(), operands.end());
  std::vector<Literal> carried;
  while (true) {
    absl::StatusOr<std::vector<Literal>> handed = run_region(test, inputs);
    if (!handed.ok()) return handed;
    const bool goes_on = load<bool>(handed->front(), 0);
    handed->erase(handed->begin());
    if (!goes_on) return handed;
    inputs.clear();
    for (const Literal& value : *handed) inputs.push_back(&value);
    inputs.insert(inputs.end(), invariants.begin(), invariants.end());
    absl::StatusOr<std::vector<Literal>> next = run_region(body, inputs);
    if (!next.ok()) return next;
    carried = *std::move(next);
    inputs.clear();
    for (const Literal& value : carried) inputs.push_back(&value);
    inputs.insert(inputs.end(), invariants.begin(), invariants.end());
  }
}

std::vector<Channel> WhileLoop::channels(int num_operands) const {
  const int carried = num_carried(), handed = num_handed();
  std::vector<Channel> channels{{.outputs = {{0, 0}}, .decides = true}};
  for (int i = 0; i < carried; ++i) channels.push_back({.operand = i, .inputs = {{0, i}}, .outputs = {{1, i}}});
  for (int i = 0; i < handed; ++i) channels.push_back({.result = i, .inputs = {{1, i}}, .outputs = {{0, 1 + i}}});
  for (int i = carried; i < num_operands; ++i) {
    channels.push_back({.operand = i, .inputs = {{0, i}, {1, handed + i - carried}}});
  }
  return channels;
}

int WhileLoop::num_leading() const { return num_carried(); }

std::optional<Taken> WhileLoop::taken(std::span<const std::optional<uint64_t>> constants) const {
  const Graph& tests = test.graph();
  const std::optional<uint64_t> goes_on = splat_bits(tests.node(tests.outputs()[0]).op);
  if (goes_on != 0) return std::nullopt;
  Taken taken{.region = 0, .first_output = 1};
  for (int i = 0; i < static_cast<int>(constants.size()); ++i) taken.operands.push_back(i);
  return taken;
}

}  // namespace etch::op
