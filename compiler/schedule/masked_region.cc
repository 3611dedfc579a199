// Control flow for each element by itself as one kernel, whose lanes take part or not.
#include "compiler/schedule/masked_region.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <type_traits>
#include <utility>

#include "compiler/ir/cat.h"
#include "compiler/ir/checked.h"
#include "compiler/ir/oracle.h"
#include "compiler/ir/walk.h"
#include "compiler/schedule/native_region.h"
#include "compiler/schedule/partition.h"
#include "compiler/schedule/scalar_draft.h"

namespace etch::schedule {
namespace {

int size(std::span<const Value> values) { return static_cast<int>(values.size()); }

/// The number of a graph's input that a value is, or -1.
int input_index(const Graph& graph, Value value) {
  const Node& node = graph.node(value);
  return place(node.op) == Place::input ? node.first_result : -1;
}

/// The integer that a value is everywhere.
std::optional<int64_t> integer(const Graph& graph, Value value) {
  const std::optional<uint64_t> bits = splat_bits(graph.node(value).op);
  const DType dtype = graph.type(value).dtype;
  if (!bits || !is_integer(dtype)) return std::nullopt;
  return dispatch(dtype, [&]<class T>() -> std::optional<int64_t> {
    if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
      if (std::in_range<int64_t>(from_bits<T>(*bits))) return static_cast<int64_t>(from_bits<T>(*bits));
    }
    return std::nullopt;
  });
}

/// A loop and what its regions take.
struct Loop {
  Loop(const Graph& graph, const Node& node)
      : graph(graph), node(node), regions(regions_of(node.op)), test(regions[0].region.graph()), body(regions[1].region.graph()),
        num_operands(static_cast<int>(node.operands.size())), num_carried(size(body.outputs())), num_handed(size(test.outputs()) - 1) {}

  /// The operand that an input of the body is, or -1 where the test computes it.
  int operand_of_input(int input) const {
    return input < num_handed ? input_index(test, test.outputs()[1 + input]) : num_carried + input - num_handed;
  }
  bool is_carried(int operand) const { return operand >= 0 && operand < num_carried; }
  const Type& type(int operand) const { return graph.type(node.operands[operand]); }

  const Graph& graph;
  const Node& node;
  const std::vector<NamedRegion> regions;
  const Graph& test;
  const Graph& body;
  const int num_operands, num_carried, num_handed;
};

/// Elements of an operand in the row of a lane, or of what each lane has one of: those that lie from `first` on, `stride`
/// elements from lane to lane; numbers and indices are known. Nothing where an index is not one along the lanes or a row.
std::optional<Elements> lane_elements(const Graph& graph, Value operand, int64_t stride, ScalarDraft& draft) {
  const Value source = storage_of(graph, operand);
  const Node& node = graph.node(source);
  const DType dtype = graph.type(operand).dtype;
  Elements elements;
  if (place(node.op) == Place::splat) return Elements(stride, draft.number(*splat_bits(node.op), dtype));
  if (place(node.op) == Place::index) {
    const Type& type = graph.type(source);
    const bool is_along = index_axis(node.op) == 0 && type.shape[0] * stride == type.size();
    if (!is_along) return std::nullopt;
    return Elements(stride, draft.lane(dtype));
  }
  for (int64_t i = 0; i < stride; ++i) elements.push_back(draft.load(source.id, i, dtype, stride));
  return elements;
}

// ---- Row after row

/// A loop that counts rows, and writes each one.
class RowLoop {
 public:
  RowLoop(const Loop& loop, const std::vector<bool>& is_used) : loop_(loop), is_used_(is_used) {}

  /// True if the loop counts, and writes a row in each turn: then why_not says what else is in the way.
  bool is_candidate() {
    if (!find_counter()) return false;
    rows_.assign(loop_.num_carried, Value{});
    bool writes = false;
    for (int k = 0; k < loop_.num_carried; ++k) {
      const Node& node = loop_.body.node(loop_.body.outputs()[k]);
      const bool is_row = writes_a_row(node) && operand_of(node.operands[0]) == k && is_turn(node.operands[2]);
      if (is_row) rows_[k] = node.operands[1];
      writes |= is_row;
    }
    return writes;
  }

  std::string why_not(ScalarDraft& draft) {
    if (is_guarded(loop_.node.op)) return "its turns are counted until the capture is confirmed (trust_loops)";
    for (int k = 0; k < loop_.num_carried; ++k) {
      if (k == counter_) continue;
      if (rows_[k].id < 0) return "it carries a value from row to row";
      if (loop_.type(k).shape[0] != num_turns_) return cat("it writes ", num_turns_, " rows of ", loop_.type(k).shape[0]);
    }
    std::vector<Value> wanted;
    for (Value row : rows_) {
      if (row.id >= 0) wanted.push_back(row);
    }
    std::vector<Elements> known = known_elements(draft);
    std::vector<bool> is_known(known.size());
    for (size_t v = 0; v < known.size(); ++v) is_known[v] = !known[v].empty();
    if (std::string obstacle = obstacle_to(loop_.body, wanted, is_known); !obstacle.empty()) return obstacle;
    const std::vector<Elements> made = elements_of(loop_.body, wanted, std::move(known), draft);
    return store(wanted, made, draft);
  }

  int64_t num_lanes() const { return num_turns_; }

 private:
  /// i = 0; i < n; i + 1.
  bool find_counter() {
    const Node& asks = loop_.test.node(loop_.test.outputs()[0]);
    if (asks.op != Op::less || asks.operands.size() != 2) return false;
    counter_ = input_index(loop_.test, asks.operands[0]);
    if (!loop_.is_carried(counter_)) return false;
    std::optional<int64_t> bound = integer(loop_.test, asks.operands[1]);
    const int of_bound = input_index(loop_.test, asks.operands[1]);
    if (of_bound >= loop_.num_carried) bound = integer(loop_.graph, loop_.node.operands[of_bound]);
    if (!bound || *bound < 1 || integer(loop_.graph, loop_.node.operands[counter_]) != 0) return false;
    num_turns_ = *bound;
    const Node& adds = loop_.body.node(loop_.body.outputs()[counter_]);
    if (adds.op != Op::add || adds.operands.size() != 2) return false;
    for (int i = 0; i < 2; ++i) {
      if (operand_of(adds.operands[i]) == counter_ && integer(loop_.body, adds.operands[1 - i]) == 1) return true;
    }
    return false;
  }

  /// True if an op puts one row, its second operand, into its first one at the index that is its third.
  bool writes_a_row(const Node& node) const {
    if (place(node.op) != Place::call) return false;
    std::vector<Type> types;
    for (Value operand : node.operands) types.push_back(loop_.body.type(operand));
    const LibraryCall call = call_of(node.op, types);
    const bool is_first_axis = call.sizes[0] == 1 && call.sizes[1] == types[0].shape[0];
    return call.function == Library::update_slice && is_first_axis && call.sizes[2] == 1;
  }

  /// The operand of the loop that a value of the body is, or -1.
  int operand_of(Value value) const {
    const int input = input_index(loop_.body, value);
    return input < 0 ? -1 : loop_.operand_of_input(input);
  }

  /// True if a value of the body, an index, is the number of the turn.
  bool is_turn(Value value) const {
    if (loop_.body.type(value).size() != 1) return false;
    const Node& node = loop_.body.node(value);
    switch (place(node.op)) {
      case Place::input: return operand_of(value) == counter_;
      case Place::view:
      case Place::movement: return is_turn(node.operands[0]);
      case Place::elementwise: return is_limited_turn(node);
      default: return false;
    }
  }

  bool holds_turns(DType dtype) const { return is_integer(dtype) && (num_turns_ - 1) >> std::min(info(dtype).digits, 63) == 0; }

  /// It may be cast, and limited to what it is in any case.
  bool is_limited_turn(const Node& node) const {
    if (node.op == kConversion) return holds_turns(loop_.body.type(node.result()).dtype) && is_turn(node.operands[0]);
    if (node.op != Op::max && node.op != Op::min) return false;
    for (int i = 0; i < 2; ++i) {
      const std::optional<int64_t> limit = integer(loop_.body, node.operands[1 - i]);
      if (limit && (node.op == Op::max ? *limit <= 0 : *limit >= num_turns_ - 1)) return is_turn(node.operands[i]);
    }
    return false;
  }

  /// What the kernel has before the body: rows, the number of the turn, and what does not change.
  std::vector<Elements> known_elements(ScalarDraft& draft) {
    const Graph& body = loop_.body;
    std::vector<Elements> known(body.num_values());
    for (int i = 0; i < size(body.inputs()); ++i) {
      const Value input = body.inputs()[i];
      const int operand = loop_.operand_of_input(i);
      if (operand == counter_) known[input.id] = {draft.lane(body.type(input).dtype)};
      const bool is_small = operand >= loop_.num_carried && body.type(input).size() <= kMostNativeElements;
      if (is_small) known[input.id] = operand_elements(loop_.graph, loop_.node.operands[operand], draft);
    }
    for (const Node& node : body.nodes()) {
      const bool is_row = place(node.op) == Place::indexed && indexed_axis(node.op) == 0 && is_turn(node.operands[1]);
      if (!is_row) continue;
      const int operand = operand_of(node.operands[0]);
      const Type& type = body.type(node.operands[0]);
      const int64_t row = body.type(node.result()).size();
      // A row that the loop writes is what it was before, when its turn comes.
      const bool is_changing = loop_.is_carried(operand) && rows_[operand].id < 0;
      if (is_changing || type.shape[0] < num_turns_ || row > kMostNativeElements) continue;
      const bool is_outside = operand >= 0;
      if (!is_outside && place(body.node(node.operands[0]).op) != Place::splat) continue;
      const std::optional<Elements> elements =
          is_outside ? lane_elements(loop_.graph, loop_.node.operands[operand], row, draft)
                     : Elements(row, draft.number(*splat_bits(body.node(node.operands[0]).op), type.dtype));
      if (elements) known[node.first_result] = *elements;
    }
    return known;
  }

  /// Stores the rows of results that are used.
  std::string store(const std::vector<Value>& wanted, const std::vector<Elements>& made, ScalarDraft& draft) {
    for (Value result : results(loop_.node)) {
      if (!is_used_[result.id]) continue;
      const Value handed = loop_.test.outputs()[1 + result.id - loop_.node.first_result];
      const int operand = input_index(loop_.test, handed);
      if (!loop_.is_carried(operand) || operand == counter_) return "a result is none of the tensors whose rows it writes";
      const auto at = std::ranges::find(wanted, rows_[operand]) - wanted.begin();
      const auto row = static_cast<int64_t>(made[at].size());
      for (int64_t i = 0; i < row; ++i) draft.store(result.id, i, loop_.type(operand).dtype, made[at][i], row);
    }
    return {};
  }

  const Loop& loop_;
  const std::vector<bool>& is_used_;
  int counter_ = -1;  // its operand
  int64_t num_turns_ = 0;
  std::vector<Value> rows_;  // per carried value: what the body writes, or none
};

// ---- While any lane is on

/// Scalars that stand for each element of tensors, in a graph; what is known of some simplifies the others.
class ScalarGraph {
 public:
  /// What a scalar depends on.
  struct Traits {
    bool is_shared = true;    // it is the same for all elements
    bool is_carried = false;  // it depends on what is the same for all elements, and the loop changes
    bool asks = false;        // it depends on whether any element is on
  };

  Value input(DType dtype, Traits traits) {
    const Value value = checked(builder_.input({dtype, {}}));
    traits_[value.id] = traits;
    return value;
  }
  Value number(uint64_t bits, DType dtype) { return checked(builder_.constant(bits, {dtype, {}})); }

  /// From now on this value is that number wherever it is used.
  void assume(Value value, bool truth) {
    if (!bits(value)) facts_[value.id] = truth;
  }
  void forget() { facts_.clear(); }
  Value known(Value value) {
    const auto fact = facts_.find(value.id);
    return fact == facts_.end() ? value : number(fact->second, DType::boolean);
  }

  Value emit(const AnyOp& op, absl::InlinedVector<Value, 3> operands, DType dtype) {
    for (Value& operand : operands) operand = known(operand);
    const Value made = simplified(op, operands, dtype);
    if (const auto [traits, is_new] = traits_.try_emplace(made.id); is_new) {
      for (Value operand : operands) {
        const Traits of = traits_[operand.id];
        traits->second.is_shared = traits->second.is_shared && of.is_shared;
        traits->second.is_carried = traits->second.is_carried || of.is_carried;
        traits->second.asks = traits->second.asks || of.asks;
      }
    }
    return known(made);
  }

  Traits traits(Value value) { return traits_[value.id]; }
  std::optional<uint64_t> bits(Value value) const { return splat_bits(builder_.node(value).op); }
  DType dtype(Value value) const { return builder_.type(value).dtype; }

  /// The parts of a conjunction.
  void add_parts(Value value, std::vector<Value>& parts) const {
    std::vector<Value> left = {value};
    while (!left.empty()) {
      const Value part = left.back();
      left.pop_back();
      const Node& node = builder_.node(part);
      if (node.op == Op::logical_and) {
        left.insert(left.end(), {node.operands[1], node.operands[0]});
      } else {
        parts.push_back(part);
      }
    }
  }

  Graph finish(std::span<const Value> outputs) { return std::move(builder_).finish(outputs); }

 private:
  Value simplified(const AnyOp& op, std::span<const Value> operands, DType dtype) {
    const bool folds = !is_floating(dtype) && std::ranges::all_of(operands, [&](Value value) {
      return bits(value).has_value() && !is_floating(this->dtype(value));
    });
    if (folds) return folded(op, operands, dtype);
    const auto is = [&](Value value, uint64_t number) { return bits(value) == number; };
    if (op == Op::where) {
      if (const std::optional<uint64_t> asked = bits(operands[0])) return *asked ? operands[1] : operands[2];
      if (operands[1] == operands[2]) return operands[1];
      const bool is_both = dtype == DType::boolean && is(operands[2], 0);
      if (is_both) return emit(Op::logical_and, {operands[0], operands[1]}, dtype);
    }
    for (int i = 0; i < 2 && operands.size() == 2; ++i) {
      const Value other = operands[1 - i];
      if (op == Op::logical_and && bits(operands[i])) return is(operands[i], 0) ? operands[i] : other;
      if (op == Op::logical_or && bits(operands[i])) return is(operands[i], 1) ? operands[i] : other;
      if (op == Op::logical_xor && is(operands[i], 0)) return other;
      if (is_floating(dtype) || !is_numeric(dtype)) continue;  // -0.0 + 0.0 is another number
      if (op == Op::add && is(operands[i], 0)) return other;
      if (op == Op::mul && is(operands[i], 1)) return other;
      if (op == Op::sub && i == 1 && is(operands[i], 0)) return other;
    }
    return checked(builder_.emit_all(op, operands, needs_type(op) ? std::vector<Type>{{dtype, {}}} : std::vector<Type>{}))[0];
  }

  Value folded(const AnyOp& op, std::span<const Value> operands, DType dtype) {
    std::vector<Literal> literals;
    for (Value operand : operands) {
      const Type type{this->dtype(operand), {}};
      const uint64_t number = *bits(operand);
      std::vector<std::byte> bytes(type.bytes());
      std::memcpy(bytes.data(), &number, bytes.size());
      literals.push_back({type, std::move(bytes)});
    }
    std::vector<const Literal*> pointers;
    for (const Literal& literal : literals) pointers.push_back(&literal);
    const Type type{dtype, {}};
    const Literal result = evaluate(op, pointers, {&type, 1})[0];
    uint64_t number = 0;
    std::memcpy(&number, result.bytes.data(), result.bytes.size());
    return this->number(number, dtype);
  }

  GraphBuilder builder_;
  std::map<int32_t, Traits> traits_;
  std::map<int32_t, bool> facts_;
};

/// How many elements the mask has that a test asks any() of; 0 if there is none.
int64_t lanes_asked_for(const Graph& test) {
  for (const Node& node : test.nodes()) {
    const bool is_any = place(node.op) == Place::reduction && reduction_of(node.op).kind == ReduceKind::any;
    if (is_any) return test.type(node.operands[0]).size();
    for (const NamedRegion& region : regions_of(node.op)) {
      if (const int64_t lanes = lanes_asked_for(region.region.graph()); lanes > 0) return lanes;
    }
  }
  return 0;
}

/// A loop that goes on while any element of a mask is true. Each element becomes a loop of its own, that goes on while its
/// own element of the mask is.
class ActiveLoop {
 public:
  ActiveLoop(const Loop& loop, const std::vector<bool>& is_used) : loop_(loop), is_used_(is_used) {}

  /// True if the test asks for any element: then why_not says what else is in the way.
  bool is_candidate() {
    num_lanes_ = lanes_asked_for(loop_.test);
    return num_lanes_ > 1;
  }

  std::string why_not(ScalarDraft& draft) {
    for (int k = 0; k < loop_.num_operands; ++k) {
      const Type& type = loop_.type(k);
      if (type.size() != num_lanes_ && type.size() != 1) {
        return cat("it takes ", to_string(type), ", which is neither one element nor ", num_lanes_, " of them");
      }
      const bool is_shared = type.size() == 1;
      inputs_.push_back(scalars_.input(type.dtype, {.is_shared = is_shared, .is_carried = is_shared && loop_.is_carried(k)}));
    }
    any_ = scalars_.input(DType::boolean, {.asks = true});
    handed_ = inlined(loop_.test, inputs_);
    if (!obstacle_.empty()) return obstacle_;
    const Value goes_on = handed_[0];
    handed_.erase(handed_.begin());
    if (std::string why = find_conditions(goes_on); !why.empty()) return why;
    if (std::string why = prove_rest(); !why.empty()) return why;

    std::vector<Value> outputs{active_};
    for (Value asked : shared_conditions_) outputs[0] = scalars_.emit(Op::logical_and, {outputs[0], asked}, DType::boolean);
    std::vector<Value> stored;
    for (Value result : results(loop_.node)) {
      if (!is_used_[result.id]) continue;
      if (loop_.graph.type(result).size() != num_lanes_) return "one of its results is not one for each element";
      const Value handed = handed_[result.id - loop_.node.first_result];
      if (scalars_.traits(handed).is_carried) return "one of its results depends on a value that is carried for all elements";
      stored.push_back(result);
      outputs.push_back(handed);
    }
    for (Value condition : lane_conditions_) scalars_.assume(condition, true);
    const std::vector<Value> next = next_of_going_on();
    scalars_.forget();
    outputs.insert(outputs.end(), next.begin(), next.end());
    const Graph graph = scalars_.finish(outputs);
    const bool asks = nodes_behind(graph, graph.outputs())[graph.index_of(graph.inputs()[loop_.num_operands])];
    if (asks) return "a value depends on whether any element goes on";
    return lower(graph, stored, draft);
  }

  int64_t num_lanes() const { return num_lanes_; }

 private:
  // ---- Scalars in the place of tensors

  /// The outputs of a graph for one element; `any_` where it asks for any.
  std::vector<Value> inlined(const Graph& graph, std::span<const Value> inputs) {
    std::vector<Value> values(graph.num_values());
    const std::vector<bool> needed = nodes_behind(graph, graph.outputs());
    for (size_t n = 0; n < graph.nodes().size() && obstacle_.empty(); ++n) {
      const Node& node = graph.nodes()[n];
      if (place(node.op) == Place::input) {
        values[node.first_result] = scalars_.known(inputs[input_index(graph, node.result())]);
        continue;
      }
      if (!needed[n]) continue;
      const std::vector<Value> made = scalars_of(graph, node, values);
      for (size_t r = 0; r < made.size(); ++r) values[node.first_result + r] = made[r];
    }
    std::vector<Value> outputs;
    for (Value output : graph.outputs()) outputs.push_back(values[output.id]);
    return outputs;
  }

  std::vector<Value> refuse(const Graph& graph, const Node& node) {
    obstacle_ = cat(name(node.op), " of ", to_string(graph.type(node.result())), " does not work element by element");
    return {};
  }

  std::vector<Value> scalars_of(const Graph& graph, const Node& node, const std::vector<Value>& values) {
    const Type& type = graph.type(node.result());
    const auto is_shared = [&](Value operand) { return scalars_.traits(values[operand.id]).is_shared; };
    if (place(node.op) == Place::reduction) return asked(graph, node, values);
    if (place(node.op) == Place::region) return chosen(graph, node, values);
    if (type.size() != num_lanes_ && type.size() != 1) return refuse(graph, node);
    switch (place(node.op)) {
      case Place::splat: return {scalars_.number(*splat_bits(node.op), type.dtype)};
      case Place::view: return {values[node.operands[0].id]};
      case Place::movement:
        if (!is_shared(node.operands[0])) return refuse(graph, node);
        return {values[node.operands[0].id]};
      case Place::elementwise: break;
      default: return refuse(graph, node);
    }
    absl::InlinedVector<Value, 3> operands;
    for (Value operand : node.operands) {
      const bool is_spread = graph.type(operand).size() != type.size() && !is_shared(operand);
      if (is_spread) return refuse(graph, node);
      operands.push_back(values[operand.id]);
    }
    return {scalars_.emit(node.op, std::move(operands), type.dtype)};
  }

  /// any() of the test, in one step or several. What the body asks is another question, be it of the same mask.
  std::vector<Value> asked(const Graph& graph, const Node& node, const std::vector<Value>& values) {
    if (is_in_body_) return refuse(graph, node);
    if (is_answered_) return {scalars_.known(any_)};
    const bool is_any = reduction_of(node.op).kind == ReduceKind::any;
    const Value mask = values[node.operands[0].id];
    if (!is_any || scalars_.traits(mask).is_shared) return refuse(graph, node);
    if (graph.type(node.result()).size() != 1) return {mask};
    if (mask_.id >= 0 && mask_ != mask) return refuse(graph, node);
    mask_ = mask;
    return {scalars_.known(any_)};
  }

  /// Both arms of a choice that all elements share.
  std::vector<Value> chosen(const Graph& graph, const Node& node, const std::vector<Value>& values) {
    if (is_loop(node)) return refuse(graph, node);
    const std::vector<Channel> channels = channels_of(node.op, static_cast<int>(node.operands.size()));
    const std::vector<NamedRegion> arms = regions_of(node.op);
    std::vector<std::vector<Value>> given;
    for (const NamedRegion& arm : arms) given.emplace_back(arm.region.graph().inputs().size());
    Value predicate;
    for (const Channel& channel : channels) {
      if (channel.operand < 0) continue;
      const Value brought = values[node.operands[channel.operand].id];
      if (channel.decides) predicate = brought;
      for (const Port& port : channel.inputs) given[port.region][port.index] = brought;
    }
    std::vector<std::vector<Value>> outputs;
    for (size_t arm = 0; arm < arms.size() && obstacle_.empty(); ++arm) {
      outputs.push_back(inlined(arms[arm].region.graph(), given[arm]));
    }
    if (!obstacle_.empty()) return {};
    std::vector<Value> made(node.num_results);
    for (const Channel& channel : channels) {
      if (channel.result < 0) continue;
      Value of_arm[2];
      for (const Port& port : channel.outputs) of_arm[port.region] = outputs[port.region][port.index];
      made[channel.result] = scalars_.emit(Op::where, {predicate, of_arm[0], of_arm[1]}, scalars_.dtype(of_arm[0]));
    }
    return made;
  }

  // ---- Rest

  /// What the test asks: whether any element is on, and what all share; and what makes one be on.
  std::string find_conditions(Value goes_on) {
    std::vector<Value> asked, of_mask;
    scalars_.add_parts(goes_on, asked);
    if (mask_.id < 0 || std::ranges::count(asked, any_) != 1) return "its test does not end it where no element is on";
    scalars_.add_parts(mask_, of_mask);
    asked.erase(std::ranges::find(asked, any_));
    asked.insert(asked.end(), of_mask.begin(), of_mask.end());
    for (Value part : asked) {
      const ScalarGraph::Traits traits = scalars_.traits(part);
      if (traits.asks) return "its test asks for any element more than once";
      if (!traits.is_shared && traits.is_carried) {
        return "whether an element is on depends on a value that is carried for all of them";
      }
      (traits.is_shared ? shared_conditions_ : lane_conditions_).push_back(part);
    }
    if (lane_conditions_.empty()) return "what it asks is the same for all elements";
    active_ = lane_conditions_[0];
    for (size_t i = 1; i < lane_conditions_.size(); ++i) {
      active_ = scalars_.emit(Op::logical_and, {active_, lane_conditions_[i]}, DType::boolean);
    }
    return scalars_.bits(active_) ? "what it asks is the same for all elements" : "";
  }

  /// What the body carries into the next turn, where there is one.
  std::vector<Value> next_of_going_on() {
    is_answered_ = true;
    scalars_.assume(any_, true);
    for (Value condition : shared_conditions_) scalars_.assume(condition, true);
    // The test once more, now that its answer is known.
    std::vector<Value> given = inlined(loop_.test, inputs_);
    given.erase(given.begin());
    given.insert(given.end(), inputs_.begin() + loop_.num_carried, inputs_.end());
    is_in_body_ = true;
    std::vector<Value> next = inlined(loop_.body, given);
    is_in_body_ = false;
    return next;
  }

  /// With false in the place of the mask each value for each element has to stay what it is, and with these the mask. Values
  /// that are one for all elements can only come from others that are.
  std::string prove_rest() {
    scalars_.assume(active_, false);
    const std::vector<Value> next = next_of_going_on();
    if (!obstacle_.empty()) return obstacle_;
    for (int k = 0; k < loop_.num_carried; ++k) {
      const bool rests = loop_.type(k).size() == 1 || next[k] == scalars_.known(inputs_[k]);
      if (rests) continue;
      return cat("carried value ", k, ", ", to_string(loop_.type(k)), ", may change where the mask is false");
    }
    scalars_.forget();
    return {};
  }

  // ---- The kernel

  /// `graph` gives whether to go on, what is stored, and what is carried into the next turn.
  std::string lower(const Graph& graph, const std::vector<Value>& stored, ScalarDraft& draft) {
    std::vector<Elements> known(graph.num_values());
    absl::InlinedVector<int32_t, 3> initial;
    std::vector<Type> carried_types;
    for (int k = 0; k < loop_.num_operands; ++k) {
      const bool is_lane = loop_.type(k).size() == num_lanes_;
      const Value operand = loop_.node.operands[k];
      const std::optional<Elements> elements = is_lane ? lane_elements(loop_.graph, operand, 1, draft)
                                                       : operand_elements(loop_.graph, operand, draft);
      if (!elements) return cat(to_string(loop_.type(k)), " holds indices along an axis");
      known[graph.inputs()[k].id] = *elements;
      if (!loop_.is_carried(k)) continue;
      append(initial, *elements);
      carried_types.push_back({loop_.type(k).dtype, {}});
    }
    const std::vector<Elements> carried =
        draft.handed(draft.control(InstrKind::loop, std::move(initial), is_guarded(loop_.node.op)), carried_types);
    for (int k = 0; k < loop_.num_carried; ++k) known[graph.inputs()[k].id] = carried[k];
    const std::span<const Value> outputs = graph.outputs();
    const size_t num_leaving = 1 + stored.size();
    absl::InlinedVector<int32_t, 3> leaving, next;
    for (const Elements& value : elements_of(graph, outputs.first(num_leaving), known, draft)) append(leaving, value);
    draft.control(InstrKind::leave, std::move(leaving));
    for (const Elements& value : elements_of(graph, outputs.subspan(num_leaving), known, draft)) append(next, value);
    std::vector<Type> types;
    for (Value result : stored) types.push_back({loop_.graph.type(result).dtype, {}});
    const std::vector<Elements> made = draft.handed(draft.control(InstrKind::next, std::move(next)), types);
    for (size_t i = 0; i < stored.size(); ++i) draft.store(stored[i].id, 0, types[i].dtype, made[i][0], 1);
    return {};
  }

  const Loop& loop_;
  const std::vector<bool>& is_used_;
  int64_t num_lanes_ = 0;
  ScalarGraph scalars_;
  std::vector<Value> inputs_;  // per operand
  std::vector<Value> handed_;  // by the test
  Value any_;                  // stands for any(mask)
  bool is_answered_ = false;   // it is known
  bool is_in_body_ = false;
  Value mask_;
  Value active_;               // what of the mask is of each element
  std::vector<Value> lane_conditions_, shared_conditions_;
  std::string obstacle_;
};

template <class Form>
std::optional<ScheduledKernel> kernel_of(Form& form, const Node& node, std::string* why_not) {
  ScalarDraft draft(node, form.num_lanes());
  std::string why = form.why_not(draft);
  if (why.empty() && draft.is_too_long()) why = cat("there are more than ", kMostScalarInstrs, " instructions");
  if (why.empty()) {
    ScheduledKernel kernel = draft.finish();
    const size_t accesses = kernel.program.accesses.size();
    if (accesses > 0 && accesses <= kMostNativeAccesses) return kernel;
    why = cat("it reads and writes ", accesses, " tensors' elements for each lane");
  }
  if (why_not) *why_not = std::move(why);
  return std::nullopt;
}

}  // namespace

std::optional<ScheduledKernel> masked_kernel(const Graph& graph, const Node& node, const std::vector<bool>& is_used,
                                             std::string* why_not) {
  if (!is_loop(node)) return std::nullopt;
  const Loop loop(graph, node);
  if (RowLoop rows(loop, is_used); rows.is_candidate()) return kernel_of(rows, node, why_not);
  if (ActiveLoop active(loop, is_used); active.is_candidate()) return kernel_of(active, node, why_not);
  return std::nullopt;
}

}  // namespace etch::schedule
