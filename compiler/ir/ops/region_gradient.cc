// Regions that derivatives write, and what they ask of those that they read.
#include "compiler/ir/ops/region_gradient.h"

#include "compiler/ir/checked.h"
#include "compiler/ir/ops/cond.h"
#include "compiler/ir/ops/while_loop.h"

namespace etch::op {
namespace {

std::vector<Type> types_of(const ExMaker& maker, const Values& values) {
  std::vector<Type> types;
  for (Value value : values) types.push_back(maker.type(value));
  return types;
}

Graph write(std::span<const Type> own, std::span<const Type> fixed, RegionWriter writer) {
  GraphBuilder builder;
  Values inputs[2];
  for (const Type& type : own) inputs[0].push_back(checked(builder.input(type)));
  for (const Type& type : fixed) inputs[1].push_back(checked(builder.input(type)));
  Emitter emitter(builder);
  const Values outputs = writer(emitter, inputs[0], inputs[1]);
  return std::move(builder).finish(outputs);
}

Values all(const Results& results) {
  Values values;
  for (Value value : results) values.push_back(value);
  return values;
}

}  // namespace

Values joined(std::initializer_list<std::span<const Value>> lists) {
  Values all;
  for (std::span<const Value> list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

Values floats_of(const Graph& graph, std::span<const Value> values) {
  Values floats;
  for (Value value : values) {
    if (is_floating(graph.type(value).dtype)) floats.push_back(value);
  }
  return floats;
}

Values inlined(ExMaker& maker, const Graph& graph, std::span<const Value> inputs) {
  std::vector<Value> renamed(graph.num_values());
  for (int i = 0; i < size(graph.inputs()); ++i) renamed[graph.inputs()[i].id] = inputs[i];
  for (const Node& node : graph.nodes()) {
    if (place(node.op) == Place::input) continue;
    Values operands;
    for (Value operand : node.operands) operands.push_back(renamed[operand.id]);
    if (needs_type(node.op)) {
      const Type type = graph.type(node.result());
      renamed[node.first_result] = maker.make(node.op, operands, &type);
      continue;
    }
    const Results made = maker.make_all(node.op, operands);
    for (int r = 0; r < made.size(); ++r) renamed[node.first_result + r] = made[r];
  }
  Values outputs;
  for (Value output : graph.outputs()) outputs.push_back(renamed[output.id]);
  return outputs;
}

std::vector<bool> inputs_read(const Graph& graph, std::span<const Value> values) {
  std::vector<bool> needed(graph.num_values(), false);
  for (Value value : values) needed[value.id] = true;
  for (size_t i = graph.nodes().size(); i-- > 0;) {
    const Node& node = graph.nodes()[i];
    bool is_needed = false;
    for (Value result : results(node)) is_needed = is_needed || needed[result.id];
    if (!is_needed) continue;
    for (Value operand : node.operands) needed[operand.id] = true;
  }
  std::vector<bool> read;
  for (Value input : graph.inputs()) read.push_back(needed[input.id]);
  return read;
}

Values make_loop(ExMaker& maker, const Values& carried, const Values& fixed, RegionWriter test, RegionWriter body) {
  const std::vector<Type> own = types_of(maker, carried), others = types_of(maker, fixed);
  Graph tests = write(own, others, test);
  std::vector<Type> handed;
  for (Value output : tests.outputs().subspan(1)) handed.push_back(tests.type(output));
  Graph turns = write(handed, others, body);
  return all(maker.make_all(WhileLoop{Region(std::move(tests)), Region(std::move(turns))}, joined({carried, fixed})));
}

Values make_cond(ExMaker& maker, Value predicate, const Values& fixed, RegionWriter then, RegionWriter otherwise) {
  const std::vector<Type> types = types_of(maker, fixed);
  const Cond choice{Region(write({}, types, then)), Region(write({}, types, otherwise))};
  return all(maker.make_all(choice, joined({{&predicate, 1}, fixed})));
}

}  // namespace etch::op
