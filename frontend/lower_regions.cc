// From captured regions to the events of a trace.
#include "frontend/lower_regions.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>

#include "compiler/ir/cat.h"
#include "compiler/ir/checked.h"
#include "compiler/ir/region.h"
#include "frontend/capture/structure.h"
#include "frontend/effects.h"
#include "frontend/data/element_loop.h"
#include "runtime/check.h"

namespace etch::detail {
namespace {

using capture::BlockOp;
using capture::Id;
using capture::OpenRegion;
using capture::RegionNode;
using capture::Structured;

const Type kTruth{DType::boolean, {}};
const Type kCode{DType::i32, {}};

/// The values that regions use and that are defined around them, in the order of their first use.
class Free {
 public:
  static std::vector<Id> of(const std::vector<OpenRegion>& regions) {
    Free free;
    for (const OpenRegion& region : regions) free.visit(region);
    return std::move(free.used_);
  }

 private:
  void use(const std::vector<Id>& ids) {
    for (Id id : ids) {
      if (!defined_.contains(id) && known_.insert(id).second) used_.push_back(id);
    }
  }
  void define(const std::vector<Id>& ids) { defined_.insert(ids.begin(), ids.end()); }

  void visit(const OpenRegion& region) {
    define(region.parameters);
    for (const RegionNode& node : region.nodes) {
      use(node.op.operands);
      for (const OpenRegion& inner : node.regions) visit(inner);
      define(node.op.results);
    }
    use(region.outputs);
  }

  FlatSet<Id> defined_, known_;
  std::vector<Id> used_;
};

/// The variables of floats that are read in regions, in the order of their first reads.
class ReadSlots {
 public:
  static std::vector<int32_t> of(const std::vector<OpenRegion>& regions, const Vocabulary& vocabulary) {
    ReadSlots slots(vocabulary);
    for (const OpenRegion& region : regions) slots.visit(region);
    return std::move(slots.slots_);
  }

 private:
  explicit ReadSlots(const Vocabulary& vocabulary) : vocabulary_(vocabulary) {}

  void visit(const OpenRegion& region) {
    for (const RegionNode& node : region.nodes) {
      for (const OpenRegion& inner : node.regions) visit(inner);
      if (node.what != RegionNode::What::op || node.op.what != BlockOp::What::step) continue;
      const EventKind& kind = vocabulary_.kind(node.op.kind);
      if (kind.what != EventKind::What::read || !is_floating(vocabulary_.type(kind.results[0]).dtype)) continue;
      if (std::ranges::find(slots_, kind.slot) == slots_.end()) slots_.push_back(kind.slot);
    }
  }

  const Vocabulary& vocabulary_;
  std::vector<int32_t> slots_;
};

/// True of the condition of a loop over a data set, which is trusted: its elements are not to be had twice.
bool ends_with_data_set(const Region& condition) {
  const Graph& graph = condition.graph();
  return std::ranges::any_of(graph.nodes(), [](const Node& node) { return takes_element(node.op); });
}

/// Ops of one list of events or one graph in the making.
template <class Maker>
class Lowering {
 public:
  /// @param guards loops are guarded.
  Lowering(const Structured& program, const Vocabulary& vocabulary, Maker& maker, bool guards)
      : program_(program), vocabulary_(vocabulary), maker_(maker), guards_(guards) {}

  void set(Id id, Value value) { values_[id] = value; }
  Value get(Id id) const { return values_.at(id); }
  std::vector<Value> get(const std::vector<Id>& ids) const {
    std::vector<Value> values;
    for (Id id : ids) values.push_back(get(id));
    return values;
  }

  void lower(const OpenRegion& region) {
    for (const RegionNode& node : region.nodes) {
      switch (node.what) {
        case RegionNode::What::op: lower_op(node.op); break;
        case RegionNode::What::choice: lower_choice(node); break;
        case RegionNode::What::loop: lower_loop(node); break;
      }
    }
  }

  /// A read of a variable in the place where derivatives in it are known: else it is the value that it reads.
  std::function<Value(int32_t slot, Value of, Origin origin)> read;
  /// Of a variable that is read in regions: the number that changes no other one, on which all its reads depend. It is
  /// added to what they read, through which no derivative passes, and goes away when derivatives are taken.
  std::map<int32_t, Value> neutral;

 private:
  Origin origin(const Origin& place) {
    Origin origin;
    if (place.file >= 0) origin.file = maker_.name(vocabulary_.name_of(place.file));
    if (place.scope >= 0) origin.scope = maker_.name(vocabulary_.name_of(place.scope));
    origin.line = place.line;
    return origin;
  }
  Origin origin_of(capture::Kind kind) { return kind < 0 ? Origin() : origin(vocabulary_.kind(kind).place); }

  etch::Results emit(const AnyOp& op, std::span<const Value> operands, std::span<const Type> types, Origin origin) {
    if constexpr (std::is_same_v<Maker, Events>) {
      return checked(maker_.record(op, operands, types, origin));
    } else {
      return checked(maker_.emit_all(op, operands, types, origin));
    }
  }

  Type type_of(capture::TypeId type) const {
    if (type == capture::kBool) return kTruth;
    return type == capture::kCode ? kCode : vocabulary_.type(type);
  }

  void lower_op(const BlockOp& op) {
    const std::vector<Value> operands = get(op.operands);
    switch (op.what) {
      case BlockOp::What::step: return lower_step(op, operands);
      case BlockOp::What::code:
      case BlockOp::What::dummy: {
        const Type type = type_of(program_.types[op.results[0]]);
        const uint64_t bits = op.what == BlockOp::What::code ? to_bits<int32_t>(op.number) : 0;
        return set(op.results[0], emit(splat_op(bits), {}, {&type, 1}, {})[0]);
      }
      case BlockOp::What::is_code: {
        const Value number = emit(splat_op(to_bits<int32_t>(op.number)), {}, {&kCode, 1}, {})[0];
        const Value both[] = {operands[0], number};
        return set(op.results[0], emit(Op::equal, both, {}, {})[0]);
      }
      case BlockOp::What::negate: return set(op.results[0], emit(Op::logical_not, operands, {}, {})[0]);
      case BlockOp::What::both: return set(op.results[0], emit(Op::logical_and, operands, {}, origin_of(op.kind))[0]);
      case BlockOp::What::either: return set(op.results[0], emit(Op::logical_or, operands, {}, origin_of(op.kind))[0]);
    }
  }

  void lower_step(const BlockOp& op, std::span<const Value> operands) {
    const EventKind& kind = vocabulary_.kind(op.kind);
    if (kind.what == EventKind::What::read) {
      if (const auto added = neutral.find(kind.slot); added != neutral.end()) {
        const Value stopped = emit(Op::stop_gradient, operands, {}, origin(kind.place))[0];
        const Value both[] = {stopped, added->second};
        return set(op.results[0], emit(Op::add, both, {}, origin(kind.place))[0]);
      }
      return set(op.results[0], read ? read(kind.slot, operands[0], origin(kind.place)) : operands[0]);
    }
    Types types;
    for (int32_t type : kind.results) types.push_back(vocabulary_.type(type));
    const etch::Results made = emit(kind.op, operands, types, origin(kind.place));
    for (size_t i = 0; i < op.results.size(); ++i) set(op.results[i], made[static_cast<int>(i)]);
  }

  /// What regions use from around: values, and variables that they read.
  struct Around {
    std::vector<Id> free;
    std::vector<int32_t> slots;
  };
  Around around(const RegionNode& node) const {
    return {Free::of(node.regions), ReadSlots::of(node.regions, vocabulary_)};
  }
  void add_operands(const Around& around, std::vector<Value>& operands) const {
    for (Id id : around.free) operands.push_back(get(id));
    for (int32_t slot : around.slots) operands.push_back(neutral.at(slot));
  }

  /// A region whose inputs are its parameters, of these types, and then what it uses from around.
  Region close(const OpenRegion& region, const std::vector<Id>& parameters, const Around& around) {
    GraphBuilder builder;
    Lowering<GraphBuilder> inner(program_, vocabulary_, builder, guards_);
    for (const std::vector<Id>* inputs : {&parameters, &around.free}) {
      for (Id id : *inputs) inner.set(id, checked(builder.input(type_of_value(id))));
    }
    for (int32_t slot : around.slots) inner.neutral[slot] = checked(builder.input(vocabulary_.slot_at(slot).cell->type()));
    inner.lower(region);
    const std::vector<Value> outputs = inner.get(region.outputs);
    return Region(std::move(builder).finish(outputs));
  }

  Type type_of_value(Id id) const { return type_of(program_.types[id]); }

  void lower_choice(const RegionNode& node) {
    const Around used = around(node);
    const op::Cond cond{close(node.regions[0], {}, used), close(node.regions[1], {}, used)};
    std::vector<Value> operands = {get(node.op.operands[0])};
    add_operands(used, operands);
    set_results(node, emit(cond, operands, {}, origin_of(node.place)));
  }

  void lower_loop(const RegionNode& node) {
    const Around used = around(node);
    const OpenRegion& test = node.regions[0];
    const OpenRegion& body = node.regions[1];
    const Region condition = close(test, test.parameters, used);
    const bool is_guarded = guards_ && !ends_with_data_set(condition);
    const op::WhileLoop loop{condition, close(body, body.parameters, used), 0, {is_guarded}};
    std::vector<Value> operands = get(node.op.operands);
    add_operands(used, operands);
    set_results(node, emit(loop, operands, {}, origin_of(node.place)));
  }

  void set_results(const RegionNode& node, const etch::Results& made) {
    for (size_t i = 0; i < node.op.results.size(); ++i) set(node.op.results[i], made[static_cast<int>(i)]);
  }

  const Structured& program_;
  const Vocabulary& vocabulary_;
  Maker& maker_;
  const bool guards_;
  FlatMap<Id, Value> values_;
};

/// The inputs of the graph: all tensors of the call, then what the program uses of captures and variables.
class Inputs {
 public:
  Inputs(const Vocabulary& vocabulary, const Call& call, TraceResult& result)
      : vocabulary_(vocabulary), result_(result) {
    const size_t num_members = call.reader.object_tensors().size();
    const size_t num_tensors = call.reader.tensors().size();
    num_arguments_ = num_tensors - num_members;
    for (const TensorImpl* impl : call.reader.tensors()) values_.push_back(checked(result.events.input(impl->type())));
  }

  Value value(capture::Ref ref) {
    const GivenValue& given = vocabulary_.given(ref);
    switch (given.what) {
      case GivenValue::What::argument: return values_[given.index];
      case GivenValue::What::member: return values_[num_arguments_ + given.index];
      case GivenValue::What::capture: {
        const TensorImpl& impl = vocabulary_.captured(given.index);
        result_.captures.emplace_back(impl, static_cast<int32_t>(result_.events.inputs().size()));
        break;
      }
      case GivenValue::What::variable: {
        if (vocabulary_.slot_at(given.index).cell.get() == &token_cell()) {
          return checked(result_.events.record(splat_op(0), {}, {&vocabulary_.type(given.type), 1}, {}))[0];
        }
        variables_[given.index] = static_cast<int32_t>(result_.events.inputs().size());
        break;
      }
    }
    return checked(result_.events.input(vocabulary_.type(given.type)));
  }

  /// Of the first value of a variable: the number of the input, or -1.
  int32_t of_variable(int32_t slot) const {
    const auto known = variables_.find(slot);
    return known == variables_.end() ? -1 : known->second;
  }

 private:
  const Vocabulary& vocabulary_;
  TraceResult& result_;
  size_t num_arguments_ = 0;
  std::vector<Value> values_;
  std::map<int32_t, int32_t> variables_;
};

/// What an op of few elements costs where it is computed in any case; nothing if it must not be.
std::optional<int> cost_in_any_case(const Vocabulary& vocabulary, capture::Kind kind) {
  constexpr int64_t kMostElements = 16;
  const EventKind& event = vocabulary.kind(kind);
  if (event.what == EventKind::What::read) return 0;
  const Place kind_of = place(event.op);
  const bool is_plain = kind_of == Place::splat || kind_of == Place::elementwise || is_movement(event.op);
  if (!is_plain || vocabulary.type(event.results[0]).size() > kMostElements) return std::nullopt;
  return cost_of(event.op);
}

int64_t whole(double value) {
  constexpr double kMost = 9e18;
  return value < kMost ? static_cast<int64_t>(value) : std::numeric_limits<int64_t>::max();
}

std::shared_ptr<CaptureReport> report_of(const capture::Captured& captured) {
  auto report = std::make_shared<CaptureReport>();
  report->runs = captured.counts.runs;
  report->checks = captured.counts.checks;
  report->ops = captured.counts.events;
  report->states = static_cast<int64_t>(captured.automaton.states.size());
  report->is_proved = captured.evidence.is_proved;
  report->paths = whole(captured.evidence.paths);
  report->turns = captured.evidence.turns;
  report->remembers = captured.remembers;
  return report;
}

Structured structure_of(const capture::Captured& captured, const Vocabulary& vocabulary) {
  const capture::TypeTable types{
      [&](capture::Kind kind, int result) { return vocabulary.kind(kind).results[result]; },
      [&](capture::Ref given) { return vocabulary.type_of_given(given); },
      [&](capture::Kind kind) { return cost_in_any_case(vocabulary, kind); },
      [&](capture::TypeId type) { return type == capture::kBool || (type >= 0 && vocabulary.type(type) == kTruth); }};
  return capture::structure(captured.automaton, types);
}

/// What a given value is in the trace of a region.
Value value_in(RegionTrace& into, const Vocabulary& vocabulary, const GivenValue& given) {
  switch (given.what) {
    case GivenValue::What::argument: return into.argument_at(given.index);
    case GivenValue::What::capture: return into.value_of(vocabulary.captured(given.index), {});
    case GivenValue::What::variable: {
      const Vocabulary::Slot& slot = vocabulary.slot_at(given.index);
      return TensorAccess::get(into.value_of(*slot.cell, slot.where))->value;
    }
    case GivenValue::What::member: break;
  }
  ETCH_UNREACHABLE("a callable of a form has no object");
}

}  // namespace

std::vector<Value> lower_captured_region(const capture::Captured& captured, const Vocabulary& vocabulary, RegionTrace& into) {
  const Structured program = structure_of(captured, vocabulary);
  Lowering<Events> lowering(program, vocabulary, into.events(), false);  // nothing is kept to confirm more of it
  for (size_t i = 0; i < program.given.size(); ++i) {
    lowering.set(static_cast<Id>(i), value_in(into, vocabulary, vocabulary.given(program.given[i])));
  }
  lowering.lower(program.program);
  std::vector<Value> outputs = lowering.get(program.program.outputs);
  const auto num_results = static_cast<size_t>(captured.automaton.num_results);
  for (size_t i = num_results; i < outputs.size(); ++i) {
    const Vocabulary::Slot& slot = vocabulary.slot_at(captured.automaton.slots[i - num_results]);
    into.assign(*slot.cell, into.tensor(outputs[i]), slot.where);
  }
  outputs.resize(num_results);
  return outputs;
}

TraceResult lower_captured(const capture::Captured& captured, const Vocabulary& vocabulary, const Call& call,
                           bool guards) {
  const Structured program = structure_of(captured, vocabulary);

  TraceResult result;
  Inputs inputs(vocabulary, call, result);
  Lowering<Events> lowering(program, vocabulary, result.events, guards);
  for (size_t i = 0; i < program.given.size(); ++i) lowering.set(static_cast<Id>(i), inputs.value(program.given[i]));
  std::map<int32_t, Value> leaves;
  lowering.read = [&](int32_t slot, Value of, Origin origin) {
    const Type& type = vocabulary.slot_at(slot).cell->type();
    const auto [leaf, is_new] = leaves.try_emplace(slot);
    if (is_new) leaf->second = result.events.leaf(type);
    return result.events.stand_in({&leaf->second, 1}, {&type, 1}, {&of, 1}, origin)[0];
  };
  for (const RegionNode& node : program.program.nodes) {
    for (int32_t slot : ReadSlots::of(node.regions, vocabulary)) {
      if (lowering.neutral.contains(slot)) continue;
      const Type& type = vocabulary.slot_at(slot).cell->type();
      const Value zero = checked(result.events.record(splat_op(bits_of(-0.0, type.dtype)), {}, {&type, 1}))[0];
      lowering.neutral[slot] = lowering.read(slot, zero, {});
    }
  }
  lowering.lower(program.program);

  const std::vector<Value> outputs = lowering.get(program.program.outputs);
  result.num_results = static_cast<size_t>(captured.automaton.num_results);
  result.outputs.assign(outputs.begin(), outputs.begin() + captured.automaton.num_results);
  std::vector<std::pair<int64_t, int32_t>> slots;   // in the order of their locks
  for (int32_t slot = 0; slot < vocabulary.num_slots(); ++slot) slots.emplace_back(vocabulary.slot_at(slot).cell->number(), slot);
  std::ranges::sort(slots);
  Value token;
  for (const auto& [number, slot] : slots) {
    const Vocabulary::Slot& known = vocabulary.slot_at(slot);
    const auto assigned = std::ranges::find(captured.automaton.slots, slot);
    const bool is_assigned = assigned != captured.automaton.slots.end();
    const Value last =
        is_assigned ? outputs[captured.automaton.num_results + (assigned - captured.automaton.slots.begin())] : Value();
    if (known.cell.get() == &token_cell()) {
      token = last;
      continue;
    }
    UsedVariable use{known.cell, known.where};
    use.input = inputs.of_variable(slot);
    if (const auto leaf = leaves.find(slot); leaf != leaves.end()) use.leaf = leaf->second;
    if (is_assigned) {
      const bool is_first = use.input >= 0 && result.events.source(last) == result.events.inputs()[use.input];
      if (!is_first) {
        use.output = static_cast<int32_t>(result.outputs.size());
        result.outputs.push_back(last);
      }
    }
    if (use.input >= 0 || use.is_assigned()) result.variables.push_back(std::move(use));
  }
  if (token.id >= 0) add_token(result, token);
  result.num_events = static_cast<int>(result.events.nodes().size());
  finish_trace(result);
  result.capture = report_of(captured);
  return result;
}

}  // namespace etch::detail
