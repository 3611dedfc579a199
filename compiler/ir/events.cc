// Events: what a trace recorded, op by op, before equal ops become one node.
#include "compiler/ir/events.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "compiler/ir/cat.h"

namespace etch {

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

Value Events::read(Value of, Origin origin) {
  constexpr int64_t kNoArgument = -1;
  const int32_t type = type_index_of(of);
  const Value read = append({input_op(kNoArgument), {}, origin}, {&type, 1})[0];
  reads_.emplace(read, source(of));
  return read;
}

Value Events::source(Value value) const {
  const auto read = reads_.find(value);
  return read == reads_.end() ? value : read->second;
}

Graph Events::close(std::span<const Value> outputs) const {
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
  for (const Node& event : nodes()) {
    if (place(event.op) == Place::input) {
      renamed[event.first_result] = renamed[source(event.result()).id];  // an input stands there already
      continue;
    }
    Node node{event.op, event.operands, event.origin};
    for (Value& operand : node.operands) operand = renamed[operand.id];
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
  absl::flat_hash_set<Value> seen;
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
  absl::flat_hash_map<Value, Value> renamed;
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

std::vector<Value> Events::repeat(const Events& other, std::span<const Value> inputs) {
  ETCH_CHECK(inputs.size() == other.inputs_.size(),
             cat(inputs.size(), " values are given for ", other.inputs_.size(), " inputs"));
  std::vector<Value> renamed(other.num_values());
  for (size_t i = 0; i < inputs.size(); ++i) renamed[other.inputs_[i].id] = inputs[i];
  std::vector<int32_t> types(other.types_.size(), -1), names(other.names_.size(), -1);
  const auto translate = [&](int32_t& index) {
    if (index < 0) return;
    if (names[index] < 0) names[index] = name(other.names_[index]);
    index = names[index];
  };
  for (const Node& event : other.nodes()) {
    Node copy{event.op, event.operands, event.origin};
    for (Value& operand : copy.operands) operand = renamed[operand.id];
    translate(copy.origin.file);
    translate(copy.origin.scope);
    if (place(event.op) == Place::input) {
      const Value result = event.result(), of = other.source(result);
      if (of != result) renamed[result.id] = read(renamed[of.id], copy.origin);
      continue;
    }
    TypeIndices of_results;
    for (Value result : results(event)) {
      int32_t& type = types[other.type_index_of(result)];
      if (type < 0) type = type_index(other.type(result));
      of_results.push_back(type);
    }
    const Results made = append(std::move(copy), of_results);
    for (int r = 0; r < made.size(); ++r) renamed[event.first_result + r] = made[r];
  }
  return renamed;
}

}  // namespace etch
