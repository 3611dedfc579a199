// Events: what a trace recorded, op by op, before equal ops become one node.
#include "compiler/ir/events.h"

#include <algorithm>

#include "compiler/ir/cat.h"

namespace etch {
namespace {

constexpr int64_t kNoArgument = -1;  // the index of leaves and stand-ins

/// True for an input of the function.
bool is_argument(const Node& node) { return place(node.op) == Place::input && !(node.op == input_op(kNoArgument)); }

}  // namespace

absl::StatusOr<Results> Events::record(const AnyOp& op, std::span<const Value> operands, std::span<const Type> types,
                                       Origin origin) {
  absl::StatusOr<TypeIndices> indices = types_of(op, operands, types);
  if (!indices.ok()) return indices.status();
  return append({op, {operands.begin(), operands.end()}, origin}, *indices);
}

absl::StatusOr<NodeMaker::TypeIndices> Events::types_of(const AnyOp& op, std::span<const Value> operands,
                                                        std::span<const Type> types) {
  if (!is_table_op(op) || !types.empty()) return infer_types(op, operands, types);
  Signature signature{op, {}};
  for (Value operand : operands) {
    if (operand.id < 0 || operand.id >= num_values()) return infer_types(op, operands, types);  // which refuses it
    signature.operands.push_back(type_index_of(operand));
  }
  if (last_type_ >= 0 && signature == last_) return TypeIndices{last_type_};
  auto known = inferred_.find(signature);
  if (known == inferred_.end()) {
    absl::StatusOr<TypeIndices> indices = infer_types(op, operands, types);
    if (!indices.ok()) return indices;
    known = inferred_.emplace(signature, indices->front()).first;
  }
  last_ = std::move(signature);
  last_type_ = known->second;
  return TypeIndices{last_type_};
}

Value Events::leaf(const Type& type, Origin origin) {
  const int32_t index = type_index(type);
  return append({input_op(kNoArgument), {}, origin}, {&index, 1})[0];
}

Results Events::stand_in(std::span<const Value> operands, std::span<const Type> types, std::span<const Value> of,
                         Origin origin) {
  ETCH_CHECK(!operands.empty(), "a stand-in depends on something");
  TypeIndices indices;
  for (const Type& type : types) indices.push_back(type_index(type));
  const Results made = append({input_op(kNoArgument), {operands.begin(), operands.end()}, origin}, indices);
  for (size_t i = 0; i < of.size(); ++i) sources_.emplace(made[static_cast<int>(i)], source(of[i]));
  return made;
}

Value Events::source(Value value) const {
  const auto stand_in = sources_.find(value);
  return stand_in == sources_.end() ? value : stand_in->second;
}

Graph Events::close(std::span<const Value> outputs, int end) const {
  GraphBuilder builder;
  builder.types_ = types_;  // so that indices hold
  builder.names_ = names_;
  builder.reserve(nodes_.size());
  std::vector<Value> renamed(num_values());
  for (Value input : inputs_) {
    const Node& event = node(input);
    const int32_t type = type_index_of(input);
    renamed[input.id] = builder.append({event.op, {}, event.origin}, {&type, 1})[0];
    builder.inputs_.push_back(renamed[input.id]);
  }
  for (const Node& event : nodes().first(static_cast<size_t>(end))) {
    if (place(event.op) == Place::input) {  // inputs stand there already
      for (Value result : results(event)) renamed[result.id] = renamed[source(result).id];
      continue;
    }
    Node node{event.op, event.operands, event.origin};
    for (Value& operand : node.operands) operand = renamed[operand.id];
    if (std::ranges::any_of(node.operands, [](Value operand) { return operand.id < 0; })) continue;
    TypeIndices types;
    for (Value result : results(event)) types.push_back(type_index_of(result));
    const Results made = builder.intern(std::move(node), types);
    for (int i = 0; i < made.size(); ++i) renamed[event.first_result + i] = made[i];
  }
  std::vector<Value> named;
  for (Value output : outputs) named.push_back(renamed[output.id]);
  return std::move(builder).finish(named);
}

Excerpt Events::excerpt(std::span<const Value> outputs, absl::FunctionRef<bool(Value)> is_given) const {
  Excerpt excerpt;
  FlatSet<Value> seen;
  std::vector<int32_t> needed;  // nodes
  const auto there = [&](Value value) { return is_given(value) ? value : source(value); };
  std::vector<Value> open(outputs.begin(), outputs.end());
  while (!open.empty()) {
    const Value value = there(open.back());
    open.pop_back();
    if (!seen.insert(value).second) continue;
    if (is_given(value)) {
      excerpt.inputs.push_back(value);
      continue;
    }
    const Node& event = node(value);
    ETCH_CHECK(place(event.op) != Place::input, cat("input %", value.id, " is not given"));
    needed.push_back(index_of(value));
    open.insert(open.end(), event.operands.begin(), event.operands.end());
  }
  std::ranges::sort(excerpt.inputs, {}, &Value::id);
  std::ranges::sort(needed);
  needed.erase(std::unique(needed.begin(), needed.end()), needed.end());

  GraphBuilder builder;
  builder.types_ = types_;  // so that indices hold
  builder.names_ = names_;
  FlatMap<Value, Value> renamed;
  for (Value input : excerpt.inputs) {
    const int32_t type = type_index_of(input);
    const auto index = static_cast<int64_t>(builder.inputs_.size());
    builder.inputs_.push_back(builder.append({input_op(index), {}, node(input).origin}, {&type, 1})[0]);
    renamed[input] = builder.inputs_.back();
  }
  for (int32_t i : needed) {
    const Node& event = nodes()[i];
    Node copy{event.op, event.operands, event.origin};
    for (Value& operand : copy.operands) operand = renamed.at(there(operand));
    TypeIndices types;
    for (Value result : results(event)) types.push_back(type_index_of(result));
    const Results made = builder.intern(std::move(copy), types);
    for (int r = 0; r < made.size(); ++r) {
      renamed.try_emplace(Value{event.first_result + r}, made[r]);  // one that is given stays
    }
  }
  std::vector<Value> named;
  for (Value output : outputs) named.push_back(renamed.at(there(output)));
  excerpt.graph = std::move(builder).finish(named);
  return excerpt;
}

Events::Repeated Events::repeat(const Events& other, int begin, int end, std::vector<Value> values) {
  Repeated repeated{std::move(values), {}};
  repeated.values.resize(other.num_values());
  std::vector<Value>& renamed = repeated.values;
  std::vector<int32_t> types(other.types_.size(), -1), names(other.names_.size(), -1);
  const auto translate = [&](int32_t& index) {
    if (index < 0) return;
    if (names[index] < 0) names[index] = name(std::string(other.names_[index]));
    index = names[index];
  };
  const auto named = [&](Value value) { return renamed[value.id].id >= 0 ? renamed[value.id] : value; };
  for (int i = begin; i < end; ++i) {
    const Node event = other.nodes()[i];  // a copy: this list may be the same one
    repeated.places.push_back(static_cast<int>(nodes_.size()));
    const bool is_leaf = place(event.op) == Place::input && event.operands.empty();
    if (is_argument(event) || (is_leaf && renamed[event.first_result].id >= 0)) continue;
    Node copy{event.op, event.operands, event.origin};
    for (Value& operand : copy.operands) operand = named(operand);
    translate(copy.origin.file);
    translate(copy.origin.scope);
    TypeIndices of_results;
    for (Value result : results(event)) {
      int32_t& type = types[other.type_index_of(result)];
      if (type < 0) type = type_index(Type(other.type(result)));
      of_results.push_back(type);
    }
    const Results made = append(std::move(copy), of_results);
    for (int r = 0; r < made.size(); ++r) {
      const Value result{event.first_result + r}, of = other.source(result);
      renamed[result.id] = made[r];
      if (of != result) sources_.insert_or_assign(made[r], source(named(of)));
    }
  }
  repeated.places.push_back(static_cast<int>(nodes_.size()));
  return repeated;
}

Events::Repeated Events::repeat(const Events& other, std::span<const Value> inputs) {
  ETCH_CHECK(inputs.size() == other.inputs_.size(),
             cat(inputs.size(), " values are given for ", other.inputs_.size(), " inputs"));
  std::vector<Value> values(other.num_values());
  for (size_t i = 0; i < inputs.size(); ++i) values[other.inputs_[i].id] = inputs[i];
  return repeat(other, 0, static_cast<int>(other.nodes().size()), std::move(values));
}

}  // namespace etch
