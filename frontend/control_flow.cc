// cond, while_loop and what is built on them: run at once in eager mode, recorded as ops with regions in a trace.
#include "etch/control_flow.h"

#include <algorithm>
#include <optional>

#include "compiler/ir/any_op.h"
#include "compiler/ir/cat.h"
#include "compiler/ir/ops/all.h"
#include "frontend/dispatch.h"
#include "frontend/region_program.h"
#include "frontend/trace.h"

namespace etch {
namespace detail {
namespace {

std::vector<Type> types_of(std::span<const Tensor> tensors, Location where) {
  std::vector<Type> types;
  for (const Tensor& tensor : tensors) types.push_back(impl_of(tensor, where).type());
  return types;
}

/// A predicate as the bool scalar that the graph takes.
Tensor as_question(const Tensor& predicate, std::string_view op, Location where) {
  const Type type = impl_of(predicate, where).type();
  if (type.size() != 1) {
    fail(where, cat(op, ": the predicate is ", to_string(type), ", not one element; reduce it with any() or all(), or use"
                    " where() for elements"));
  }
  const Tensor truth = type.dtype == DType::boolean ? predicate : predicate != Operand(0, where);
  return type.shape.empty() ? truth : reshape(Operand(truth, where), Shape{});
}

using Recorded = RecordedRegion;

/// Runs a callable on values of these types, as a region of the trace or of none.
Recorded record(std::string_view op, Trace* outer, std::span<const Type> arguments, const Turn& callable, Location where) {
  return RegionProgram(op, outer, arguments, callable, where).record();
}

/// The values that a region gives, then those of assigned variables, which are its ports from `first` on where it does not
/// assign them.
std::vector<RegionOutput> outputs_of(const Recorded& recorded, const RegionUses& uses, int first) {
  std::vector<RegionOutput> outputs;
  for (Value value : recorded.values) outputs.push_back({.value = value});
  for (const Ref<VariableCell>& cell : uses.assigned()) {
    const Value assigned = recorded.trace->assigned(*cell);
    outputs.push_back(assigned.id >= 0 ? RegionOutput{.value = assigned} : RegionOutput{.port = first});
    ++first;
  }
  return outputs;
}

std::vector<RegionPort> ports_of(std::span<const Type> arguments, const RegionUses& uses) {
  std::vector<RegionPort> ports;
  for (const Type& type : arguments) ports.push_back({.argument = static_cast<int>(ports.size()), .type = type});
  for (const Ref<VariableCell>& cell : uses.assigned()) ports.push_back({.cell = cell.get(), .type = cell->type()});
  for (const RegionPort& port : uses.invariants()) ports.push_back(port);
  return ports;
}

/// The operands that stand for the ports behind the arguments.
void add_operands(Trace& outer, const RegionUses& uses, std::vector<Value>& operands, Location where) {
  const auto add = [&](const Tensor& tensor) { operands.push_back(outer.value_of(impl_of(tensor, where), where)); };
  for (const Ref<VariableCell>& cell : uses.assigned()) add(outer.read(*cell, where));
  for (const Tensor& tensor : uses.tensors()) add(tensor);
  for (const Ref<VariableCell>& cell : uses.read()) add(outer.read(*cell, where));
}

/// Emits the op; what it gives for variables is assigned to them.
std::vector<Tensor> emit(Trace& outer, const AnyOp& op, std::span<const Value> operands, const RegionUses& uses,
                         Location where) {
  Tensors results = outer.emit(op, operands, {}, where);
  const size_t num_tensors = results.size() - uses.assigned().size();
  for (size_t i = 0; i < uses.assigned().size(); ++i) {
    outer.assign(*uses.assigned()[i], results[num_tensors + i], where);
  }
  return {std::make_move_iterator(results.begin()), std::make_move_iterator(results.begin() + num_tensors)};
}

void check_arms(const Recorded& then, const Recorded& otherwise, Location where) {
  const std::vector<Type> a = types_of(then.flat.tensors, where), b = types_of(otherwise.flat.tensors, where);
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (a[i] == b[i]) continue;
    fail(where, cat("cond: ", a.size() == 1 ? "" : cat("tensor ", i, " of "), "the result is ", to_string(a[i]), " where the predicate is true and ",
                    to_string(b[i]), " where it is false; both must be the same"));
  }
  if (a.size() == b.size() && then.flat.structure == otherwise.flat.structure) return;
  fail(where, cat("cond: the result has ", a.size(), a.size() == 1 ? " tensor" : " tensors", " where the predicate is true and ",
                  b.size(), " where it is false, or other values beside them differ; both must be the same"));
}

void check_state(std::string_view op, const Flat& before, const Flat& after, Location where) {
  const std::vector<Type> a = types_of(before.tensors, where), b = types_of(after.tensors, where);
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (a[i] == b[i]) continue;
    fail(where, cat(op, ": tensor ", i, " of the state is ", to_string(a[i]), " before a turn and ", to_string(b[i]),
                    " after it; keep one type, or use a TensorArray"));
  }
  if (a.size() == b.size() && before.structure == after.structure) return;
  fail(where, cat(op, ": the state has ", a.size(), a.size() == 1 ? " tensor" : " tensors", " before a turn and ", b.size(),
                  " after it, or other values beside them change; only tensors can change"));
}

std::vector<Tensor> run_eagerly(std::string_view op, Flat state, const Test& test, const Turn& body, WhileOptions options,
                                Location where) {
  for (int64_t turn = 0; options.max_iterations < 0 || turn < options.max_iterations; ++turn) {
    if (!truth_of(test(state.tensors), op, where)) break;
    Flat next = body(state.tensors);
    check_state(op, state, next, where);
    state = std::move(next);
  }
  return std::move(state.tensors);
}

std::vector<Tensor> record_while(Trace& outer, std::string_view op, const Flat& state, const Test& test, const Turn& body,
                                 WhileOptions options, Location where) {
  const std::vector<Type> types = types_of(state.tensors, where);
  const Turn question = [&](std::span<const Tensor> now) { return Flat{{as_question(test(now), op, where)}, {}}; };
  const Recorded asks = record(op, &outer, types, question, where);
  const Recorded turns = record(op, &outer, types, body, where);
  check_state(op, state, turns.flat, where);
  RegionUses uses;
  uses.add(*asks.trace);
  uses.add(*turns.trace);

  const std::vector<RegionPort> ports = ports_of(types, uses);
  const auto num_state = static_cast<int>(types.size());
  std::vector<RegionOutput> handed = outputs_of(asks, uses, num_state);
  std::vector<RegionOutput> as_it_came;
  for (int i = 0; i < num_state; ++i) as_it_came.push_back({.port = i});
  handed.insert(handed.begin() + 1, as_it_came.begin(), as_it_came.end());
  const AnyOp loop = op::WhileLoop{asks.trace->region(ports, handed), turns.trace->region(ports, outputs_of(turns, uses, num_state)),
                                   options.checkpoint};
  std::vector<Value> operands;
  for (const Tensor& tensor : state.tensors) operands.push_back(outer.value_of(impl_of(tensor, where), where));
  add_operands(outer, uses, operands, where);
  return emit(outer, loop, operands, uses, where);
}

}  // namespace

std::string structure_key(const ArgReader& reader) {
  return {reinterpret_cast<const char*>(reader.key().data()), reader.key().size()};
}

bool is_recording() { return Trace::current() != nullptr; }

bool truth_of(const Tensor& predicate, std::string_view op, Location where) {
  return as_question(predicate, op, where).item<bool>(where);
}

std::vector<Tensor> record_cond(const Tensor& predicate, const Arm& then, const Arm& otherwise, Location where) {
  Trace& outer = *Trace::current();
  const Tensor question = as_question(predicate, "cond", where);
  const Recorded yes = record("cond", &outer, {}, [&](std::span<const Tensor>) { return then(); }, where);
  const Recorded no = record("cond", &outer, {}, [&](std::span<const Tensor>) { return otherwise(); }, where);
  check_arms(yes, no, where);
  RegionUses uses;
  uses.add(*yes.trace);
  uses.add(*no.trace);
  if (yes.values.empty() && uses.assigned().empty()) return {};  // nothing comes of it

  const std::vector<RegionPort> ports = ports_of({}, uses);
  const AnyOp op = op::Cond{yes.trace->region(ports, outputs_of(yes, uses, 0)), no.trace->region(ports, outputs_of(no, uses, 0))};
  std::vector<Value> operands = {outer.value_of(impl_of(question, where), where)};
  add_operands(outer, uses, operands, where);
  return emit(outer, op, operands, uses, where);
}

std::vector<Tensor> run_while(std::string_view op, Flat state, const Test& test, const Turn& body, WhileOptions options,
                              Location where) {
  Trace* const outer = Trace::current();
  if (options.checkpoint < 0) fail(where, cat(op, ": checkpoint is ", options.checkpoint, "; it is a number of turns, or 0"));
  if (outer == nullptr) return run_eagerly(op, std::move(state), test, body, options, where);
  if (options.max_iterations < 0) return record_while(*outer, op, state, test, body, options, where);
  // A counter is carried behind the state.
  const auto without_counter = [](std::span<const Tensor> all) { return all.first(all.size() - 1); };
  state.tensors.push_back(full(Shape{}, int64_t{0}, where));
  std::vector<Tensor> result = record_while(
      *outer, op, state,
      [&](std::span<const Tensor> all) {
        return (all.back() < Operand(options.max_iterations, where)) & as_question(test(without_counter(all)), op, where);
      },
      [&](std::span<const Tensor> all) {
        Flat next = body(without_counter(all));
        next.tensors.push_back(all.back() + 1);
        return next;
      },
      options, where);
  result.pop_back();
  return result;
}

int64_t num_rows(std::span<const Tensor> tensors, std::string_view op, Location where) {
  if (tensors.empty()) fail(where, cat(op, ": there is no tensor to go along"));
  std::optional<int64_t> rows;
  for (const Tensor& tensor : tensors) {
    const Shape& shape = tensor.shape(where);
    if (shape.empty()) fail(where, cat(op, ": a tensor of rank 0 has no rows"));
    if (rows && shape[0] != *rows) fail(where, cat(op, ": one tensor has ", *rows, " rows and another one ", shape[0]));
    rows = shape[0];
  }
  return *rows;
}

std::vector<Tensor> rows_at(std::span<const Tensor> tensors, const Tensor& i) {
  std::vector<Tensor> rows;
  for (const Tensor& tensor : tensors) rows.push_back(gather(tensor, i));
  return rows;
}

std::vector<Tensor> rows_like(std::span<const Tensor> tensors) {
  std::vector<Tensor> rows;
  for (const Tensor& tensor : tensors) {
    Shape shape = tensor.shape();
    shape.erase(0);
    rows.push_back(zeros(shape, tensor.dtype()));
  }
  return rows;
}

std::vector<Tensor> with_rows(std::span<const Tensor> tensors, std::span<const Tensor> rows, const Tensor& i) {
  std::vector<Tensor> changed;
  for (size_t t = 0; t < tensors.size(); ++t) changed.push_back(update_slice(tensors[t], expand_dims(rows[t], 0), i));
  return changed;
}

std::vector<Tensor> stacks_like(int64_t n, const std::function<std::vector<Tensor>()>& record, Location where) {
  const Turn callable = [&](std::span<const Tensor>) { return Flat{record(), {}}; };
  const Recorded apart = detail::record("scan", Trace::current(), {}, callable, where);
  const std::vector<Type> types = types_of(apart.flat.tensors, where);
  std::vector<Tensor> stacks;
  for (const Type& type : types) {
    Shape shape = type.shape;
    shape.insert(0, n);
    stacks.push_back(zeros(shape, type.dtype));
  }
  return stacks;
}

std::vector<Tensor> where_live(const Tensor& live, std::span<const Tensor> values, std::span<const Tensor> others) {
  std::vector<Tensor> chosen;
  for (size_t i = 0; i < values.size(); ++i) {
    Shape shape = live.shape();
    while (shape.rank() < values[i].rank()) shape.push_back(1);
    chosen.push_back(where(reshape(live, shape), values[i], others[i]));
  }
  return chosen;
}

std::vector<Tensor> where_live(const Tensor& live, std::span<const Tensor> values) {
  std::vector<Tensor> others;
  for (const Tensor& value : values) others.push_back(zeros_like(value));
  return where_live(live, values, others);
}

std::vector<Tensor> with_batch_first(std::span<const Tensor> tensors) {
  std::vector<Tensor> turned;
  for (const Tensor& tensor : tensors) turned.push_back(swapaxes(tensor, 0, 1));
  return turned;
}

Tensor with_time_first(const Tensor& x, Location where) {
  if (x.rank(where) < 2) {
    fail(where, cat("dynamic_rnn: the sequences are ", to_string(impl_of(x, where).type()), ", not [batch, time, ...]"));
  }
  return swapaxes(Operand(x, where), 0, 1);
}

Tensor is_live(const Tensor& lengths, const Tensor& t, int64_t batch, Location where) {
  const Type type = impl_of(lengths, where).type();
  if (!is_integer(type.dtype) || type.shape != Shape{batch}) {
    fail(where, cat("dynamic_rnn: the lengths are ", to_string(type), ", not integers of shape [", batch, "]"));
  }
  return t < cast(Operand(lengths, where), DType::i64);
}

}  // namespace detail

namespace {

/// A bound of a range, as a scalar of this dtype.
Tensor bound(const Operand& given, DType dtype, Location where) {
  if (given.tensor() == nullptr) {
    return detail::constant({dtype, {}}, detail::number_bits(given.number(), dtype, where, "range"), "range", where);
  }
  const Tensor& tensor = *given.tensor();
  return tensor.shape(where).empty() ? tensor : reshape(Operand(tensor, where), Shape{});
}

}  // namespace

Range::Range(const Operand& start, const Operand& stop, const Operand& step, Location where) : where_(where) {
  const std::pair<std::string_view, const Operand*> parts[] = {{"start", &start}, {"stop", &stop}, {"step", &step}};
  std::string_view first;
  Type type;
  for (const auto& [name, part] : parts) {
    if (part->tensor() == nullptr) continue;
    const Type given = detail::impl_of(*part->tensor(), where).type();
    const bool is_index = given.dtype == DType::i32 || given.dtype == DType::i64;
    if (!is_index || given.size() != 1) {
      detail::fail(where, cat("range: ", name, " is ", to_string(given), ", not one element of i32 or i64"));
    }
    if (!first.empty() && given.dtype != type.dtype) {
      detail::fail(where, cat("range: ", first, " is ", to_string(type), " and ", name, " ", to_string(given), "; cast one of them"));
    }
    if (first.empty()) first = name;
    type = given;
  }
  if (step.tensor() == nullptr) {
    const Number& number = step.number();
    const bool is_integer = number.kind() == Number::Kind::integer;
    if (is_integer && number.integer() == 0) detail::fail(where, "range: the step is 0");
    direction_ = is_integer && number.integer() < 0 ? -1 : 1;
    stride_ = number.integer();
  }
  start_ = bound(start, type.dtype, where);
  stop_ = bound(stop, type.dtype, where);
  step_ = bound(step, type.dtype, where);
}

Tensor Range::after(const Tensor& i) const {
  return add(Operand(i, where_), direction_ == 0 ? Operand(step_, where_) : Operand(stride_, where_));
}

bool Range::has_ended(const Tensor& i) const {
  const Operand index(i, where_), stop(stop_, where_), step(step_, where_), none(0, where_);
  if (direction_ > 0) return !bool(less(index, stop));
  if (direction_ < 0) return !bool(greater(index, stop));
  const Tensor grows = greater(step, none), falls = less(step, none);
  const Tensor is_below = less(index, stop), is_above = greater(index, stop);
  const Tensor up = logical_and(Operand(grows, where_), Operand(is_below, where_));
  const Tensor down = logical_and(Operand(falls, where_), Operand(is_above, where_));
  return !bool(logical_or(Operand(up, where_), Operand(down, where_)));
}

TensorArray TensorArray::of(Integer n, DType dtype, const Shape& row, Location where) {
  Shape shape = row;
  shape.insert(0, n);
  return {zeros(shape, dtype, where)};
}

Tensor TensorArray::read(const Operand& i) const {
  const Tensor row = dynamic_slice(Operand(elements, i.where()), i, 1);
  Shape shape = elements.shape(i.where());
  shape.erase(0);
  return reshape(Operand(row, i.where()), shape);
}

void TensorArray::write(const Operand& i, const Operand& row) {
  const Tensor value = row.tensor() ? *row.tensor() : full(Shape{}, row.number(), row.where());
  elements = update_slice(Operand(elements, row.where()), expand_dims(Operand(value, row.where()), 0), i);
}

}  // namespace etch
