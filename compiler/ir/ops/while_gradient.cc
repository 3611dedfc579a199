// The gradient of while_loop, where the number of turns is known: the values of each turn are kept, and a loop goes back.
#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "compiler/ir/checked.h"
#include "compiler/ir/ops/region_gradient.h"
#include "compiler/ir/ops/update_slice.h"
#include "compiler/ir/ops/while_loop.h"

namespace etch::op {
namespace {

using Values = std::vector<Value>;

int size(std::span<const Value> values) { return static_cast<int>(values.size()); }

Values joined(std::initializer_list<std::span<const Value>> lists) {
  Values all;
  for (std::span<const Value> list : lists) all.insert(all.end(), list.begin(), list.end());
  return all;
}

std::span<const Value> part(std::span<const Value> values, size_t first, size_t count) { return values.subspan(first, count); }

/// The input of a graph that an output is, or that a value is; -1 for another value.
int input_index(const Graph& graph, Value value) {
  const Node& node = graph.node(value);
  return place(node.op) == Place::input ? node.first_result : -1;
}

std::optional<int64_t> integer(const AnyOp& op, DType dtype) {
  const std::optional<uint64_t> bits = splat_bits(op);
  if (!bits) return std::nullopt;
  if (dtype == DType::i64) return from_bits<int64_t>(*bits);
  if (dtype == DType::i32) return from_bits<int32_t>(*bits);
  return std::nullopt;
}

/// A loop that counts one carried value up by 1 as long as it is below a bound.
struct Counter {
  int carried = 0;                // its number
  int bound = -1;                 // the operand that is the bound, or
  std::optional<int64_t> known;   // the bound itself
};

std::optional<Counter> find_counter(const Graph& test, const Graph& body) {
  const Node& asks = test.node(test.outputs()[0]);
  if (asks.op != Op::less || asks.operands.size() != 2) return std::nullopt;
  Counter counter;
  counter.carried = input_index(test, asks.operands[0]);
  const int num_carried = size(body.outputs());
  if (counter.carried < 0 || counter.carried >= num_carried) return std::nullopt;
  const Value bound = asks.operands[1];
  counter.bound = input_index(test, bound);
  counter.known = integer(test.node(bound).op, test.type(bound).dtype);
  if (counter.bound < num_carried && !counter.known) return std::nullopt;
  const Node& adds = body.node(body.outputs()[counter.carried]);
  if (adds.op != Op::add || adds.operands.size() != 2) return std::nullopt;
  for (int i = 0; i < 2; ++i) {
    const int handed = input_index(body, adds.operands[i]);
    const bool is_handed = handed >= 0 && handed + 1 < size(test.outputs());
    const std::optional<int64_t> step = integer(body.node(adds.operands[1 - i]).op, body.type(adds.operands[1 - i]).dtype);
    if (is_handed && step == 1 && input_index(test, test.outputs()[handed + 1]) == counter.carried) return counter;
  }
  return std::nullopt;
}

/// The nodes of a graph made again on these inputs: what its outputs are.
Values inlined(GraphBuilder& builder, const Graph& graph, std::span<const Value> inputs) {
  std::vector<Value> renamed(graph.num_values());
  for (int i = 0; i < size(graph.inputs()); ++i) renamed[graph.inputs()[i].id] = inputs[i];
  for (const Node& node : graph.nodes()) {
    if (place(node.op) == Place::input) continue;
    Values operands;
    for (Value operand : node.operands) operands.push_back(renamed[operand.id]);
    const Types types = graph.result_types(node);
    const Results made = checked(builder.emit_all(node.op, operands, types, {}));
    for (int r = 0; r < made.size(); ++r) renamed[node.first_result + r] = made[r];
  }
  Values outputs;
  for (Value output : graph.outputs()) outputs.push_back(renamed[output.id]);
  return outputs;
}

/// From the inputs of a graph and the cotangents of its outputs of floats, but for the first `skipped` ones, to the
/// cotangents of its inputs of floats.
GradientGraph backward(const Graph& graph, int skipped) {
  const Values targets = floats_of(graph, graph.outputs().subspan(skipped));
  return differentiate(graph, targets, floats_of(graph, graph.inputs()));
}

/// For each input of floats what stands for its cotangent, or none.
std::vector<Ex> cotangents_of(ExMaker& maker, const GradientGraph& back, std::span<const Value> outputs) {
  std::vector<Ex> cotangents;
  for (const std::optional<int>& output : back.outputs) {
    cotangents.push_back(output ? Ex(maker, outputs[*output]) : Ex());
  }
  return cotangents;
}

Ex or_number(ExMaker& maker, const Ex& x, const Type& type, double value) {
  return x.is_none() ? broadcast(number(maker, type.dtype, value), type.shape) : x;
}

/// The graphs of a loop, and those of its gradient. All values are in this order: what is carried (or handed on), then
/// what does not change.
class Gradient {
 public:
  Gradient(const WhileLoop& loop, int64_t turns)
      : test_(loop.test.graph()), body_(loop.body.graph()), turns_(turns), back_test_(backward(test_, 1)),
        back_body_(backward(body_, 0)), num_carried_(body_.outputs().size()),
        num_fixed_(test_.inputs().size() - num_carried_) {
    for (Value input : test_.inputs()) types_.push_back(test_.type(input));
    for (Value input : floats_of(test_, test_.inputs())) float_types_.push_back(test_.type(input));
    num_float_carried_ = floats_of(test_, part(test_.inputs(), 0, num_carried_)).size();
    num_handed_ = floats_of(test_, test_.outputs().subspan(1)).size();
  }

  /// The cotangents of the operands of floats; those of the results of floats are given.
  Values run(ExMaker& maker, std::span<const Value> operands, std::span<const Value> cotangents) const {
    const Values zero = {number(maker, DType::i64, 0).value()};
    const std::span<const Value> carried = part(operands, 0, num_carried_), fixed = part(operands, num_carried_, num_fixed_);
    Values stacks;
    for (size_t i = 0; i < num_carried_; ++i) stacks.push_back(constant(maker, 0, stacked(types_[i])).value());
    const Results kept = maker.make_all(keeping(), joined({zero, carried, stacks, fixed}));
    Values last, all;
    for (size_t i = 0; i < num_carried_; ++i) last.push_back(kept[static_cast<int>(1 + i)]);
    for (size_t i = 0; i < num_carried_; ++i) all.push_back(kept[static_cast<int>(1 + num_carried_ + i)]);
    Values start;
    const std::vector<Ex> ends = at_the_end(maker, last, fixed, cotangents);
    for (size_t i = 0; i < ends.size(); ++i) start.push_back(or_number(maker, ends[i], float_types_[i], nothing(i)).value());
    const Results found = maker.make_all(going_back(), joined({zero, start, all, fixed}));
    Values gradients;
    for (size_t i = 0; i < float_types_.size(); ++i) {
      const bool is_used =
          i < num_float_carried_ || back_test_.outputs[i] || back_body_.outputs[num_handed_ + i - num_float_carried_];
      gradients.push_back(is_used ? found[static_cast<int>(1 + i)] : constant(maker, 0, float_types_[i]).value());
    }
    return gradients;
  }

 private:
  /// What nothing adds to: 0, but for a sum the number that changes no other one.
  double nothing(size_t i) const { return i < num_float_carried_ ? 0.0 : -0.0; }

  /// A row for each turn with the elements of a value.
  Type stacked(const Type& type) const { return {type.dtype, {std::max<int64_t>(turns_, 1), type.size()}}; }

  static Values add_inputs(GraphBuilder& builder, std::span<const Type> types) {
    Values inputs;
    for (const Type& type : types) inputs.push_back(checked(builder.input(type)));
    return inputs;
  }

  std::vector<Type> stack_types() const {
    std::vector<Type> types;
    for (size_t i = 0; i < num_carried_; ++i) types.push_back(stacked(types_[i]));
    return types;
  }

  /// The inputs of a region of a loop: a turn's number, values, stacks of what is carried, and what does not change.
  struct Inputs {
    Value turn;
    Values values, stacks, fixed;
  };
  Inputs inputs_of(GraphBuilder& builder, std::span<const Type> values) const {
    const Type turn[] = {{DType::i64, {}}};
    return {add_inputs(builder, turn)[0], add_inputs(builder, values), add_inputs(builder, stack_types()),
            add_inputs(builder, std::span(types_).subspan(num_carried_))};
  }

  /// The loop once more, which also puts what it carries into a stack for each value.
  WhileLoop keeping() const {
    const std::span<const Type> carried = std::span(types_).first(num_carried_);
    GraphBuilder tests;
    const Inputs t = inputs_of(tests, carried);
    const Values asked = inlined(tests, test_, joined({t.values, t.fixed}));
    const Values goes_on = {asked[0], t.turn};
    Graph test = std::move(tests).finish(joined({goes_on, t.values, t.stacks}));

    GraphBuilder turns;
    const Inputs in = inputs_of(turns, carried);
    Emitter emitter(turns);
    const Ex turn(emitter, in.turn);
    Values stacks;
    for (size_t i = 0; i < num_carried_; ++i) {
      const Ex value(emitter, in.values[i]);
      const Ex row = reshape(value, {1, value.shape().product()});
      stacks.push_back(update_slice({emitter, in.stacks[i]}, row, turn, 0).value());
    }
    const Values handed = inlined(turns, test_, joined({in.values, in.fixed}));
    const Values next = inlined(turns, body_, joined({std::span(handed).subspan(1), in.fixed}));
    const Values one_more = {(turn + 1).value()};
    return {Region(std::move(test)), Region(std::move(turns).finish(joined({one_more, next, stacks})))};
  }

  /// The cotangents of the test's inputs when it ran for the last time.
  std::vector<Ex> at_the_end(ExMaker& maker, std::span<const Value> last, std::span<const Value> fixed,
                             std::span<const Value> cotangents) const {
    const Graph& back = back_test_.graph;
    std::vector<Value> renamed(back.num_values());
    const Values given = joined({last, fixed, cotangents});
    for (int i = 0; i < size(back.inputs()); ++i) renamed[back.inputs()[i].id] = given[i];
    for (const Node& node : back.nodes()) {
      if (place(node.op) == Place::input) continue;
      Values operands;
      for (Value operand : node.operands) operands.push_back(renamed[operand.id]);
      if (needs_type(node.op)) {
        const Type type = back.type(node.result());
        renamed[node.first_result] = maker.make(node.op, operands, &type);
        continue;
      }
      const Results made = maker.make_all(node.op, operands);
      for (int r = 0; r < made.size(); ++r) renamed[node.first_result + r] = made[r];
    }
    Values outputs;
    for (Value output : back.outputs()) outputs.push_back(renamed[output.id]);
    return cotangents_of(maker, back_test_, outputs);
  }

  /// Turn after turn from the last one on: the cotangents of what was carried into it, and the sums of those of what does
  /// not change, of the body before those of the test.
  WhileLoop going_back() const {
    GraphBuilder tests;
    const Inputs t = inputs_of(tests, float_types_);
    Emitter asks(tests);
    const Values goes_on = {(Ex(asks, t.turn) < ExOperand(turns_)).value(), t.turn};
    Graph test = std::move(tests).finish(joined({goes_on, t.values}));

    // The body gets what was handed on, then the stacks and what does not change.
    GraphBuilder turns;
    const Inputs in = inputs_of(turns, float_types_);
    Emitter emitter(turns);
    const Ex turn(emitter, in.turn);
    const Ex place = number(emitter, DType::i64, turns_ - 1) - turn;
    Values carried;
    for (size_t i = 0; i < num_carried_; ++i) {
      carried.push_back(reshape(gather({emitter, in.stacks[i]}, place, 0), types_[i].shape).value());
    }
    const std::span<const Value> next = part(in.values, 0, num_float_carried_);
    const Values handed = inlined(turns, test_, joined({carried, in.fixed}));
    const std::vector<Ex> of_handed = cotangents_of(
        emitter, back_body_, inlined(turns, back_body_.graph, joined({std::span(handed).subspan(1), in.fixed, next})));
    const Values outputs = floats_of(test_, test_.outputs().subspan(1));
    Values weights;
    for (size_t i = 0; i < num_handed_; ++i) {
      weights.push_back(or_number(emitter, of_handed[i], test_.type(outputs[i]), 0).value());
    }
    const std::vector<Ex> of_carried =
        cotangents_of(emitter, back_test_, inlined(turns, back_test_.graph, joined({carried, in.fixed, weights})));
    Values results = {(turn + 1).value()};
    for (size_t i = 0; i < float_types_.size(); ++i) {
      if (i < num_float_carried_) {
        results.push_back(or_number(emitter, of_carried[i], float_types_[i], 0).value());
        continue;
      }
      Ex sum(emitter, in.values[i]);
      for (const Ex& added : {of_handed[num_handed_ + i - num_float_carried_], of_carried[i]}) {
        if (!added.is_none()) sum = sum + added;
      }
      results.push_back(sum.value());
    }
    return {Region(std::move(test)), Region(std::move(turns).finish(results))};
  }

  const Graph &test_, &body_;
  const int64_t turns_;
  const GradientGraph back_test_, back_body_;
  const size_t num_carried_, num_fixed_;
  std::vector<Type> types_;        // of the test's inputs
  std::vector<Type> float_types_;  // of those of floats
  size_t num_float_carried_ = 0;
  size_t num_handed_ = 0;          // of those, that the test hands on
};

std::optional<int64_t> num_turns(const Nodes& nodes, const Node& node, const WhileLoop& loop) {
  const std::optional<Counter> counter = find_counter(loop.test.graph(), loop.body.graph());
  if (!counter) return std::nullopt;
  const auto operand = [&](int i) {
    const Value value = node.operands[i];
    return integer(nodes.node(value).op, nodes.type(value).dtype);
  };
  const std::optional<int64_t> first = operand(counter->carried);
  const std::optional<int64_t> end = counter->known ? counter->known : operand(counter->bound);
  if (!first || !end) return std::nullopt;
  if (*end <= *first) return 0;
  const uint64_t turns = static_cast<uint64_t>(*end) - static_cast<uint64_t>(*first);
  if (turns > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return static_cast<int64_t>(turns);
}

}  // namespace

std::string_view WhileLoop::why_no_gradient(const Nodes& nodes, const Node& node) const {
  constexpr int64_t kMostBytes = int64_t{1} << 40;
  if (const std::optional<int64_t> turns = num_turns(nodes, node, *this)) {
    for (int i = 0; i < num_carried(); ++i) {
      const int64_t bytes = std::max<int64_t>(nodes.type(node.operands[i]).bytes(), 1);
      if (*turns > kMostBytes / bytes) return "would keep more than a TiB for its gradient";
    }
    return {};
  }
  return "runs for a number of turns that only data tells, which gradients do not pass yet; count with for_range or scan to a"
         " number that is known";
}

Ex WhileLoop::gradient(const Backward& at, int operand) const {
  const RegionBackward node(at, operand);
  const int64_t turns = *num_turns(node.maker.nodes(), at.results[0].node(), *this);
  return {node.maker, Gradient(*this, turns).run(node.maker, node.operands, node.cotangents)[node.index]};
}

}  // namespace etch::op
