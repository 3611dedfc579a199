// Events: what a trace recorded, op by op, before equal ops become one node.
#include "compiler/ir/events.h"

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

}  // namespace etch
