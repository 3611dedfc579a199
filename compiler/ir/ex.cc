// Expressions that make nodes.
#include "compiler/ir/ex.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "compiler/ir/cat.h"
#include "compiler/ir/checked.h"
#include "compiler/ir/events.h"

namespace etch {
namespace {

Ex make_node(ExMaker& maker, const AnyOp& op, std::span<const Value> operands, const Type* type = nullptr) {
  return {maker, maker.make(op, operands, type)};
}

Ex make_unary(const Ex& x, const AnyOp& op, const Type* type = nullptr) {
  const Value value = x.value();
  return make_node(x.maker(), op, {&value, 1}, type);
}

/// The bits of the number in a dtype that holds it.
std::optional<uint64_t> exact_bits(long double number, DType dtype) {
  return dispatch(dtype, [&]<class T>() -> std::optional<uint64_t> {
    if constexpr (is_floating(dtype_of<T>)) {
      const auto value = static_cast<T>(static_cast<double>(number));
      if (static_cast<double>(value) != number) return std::nullopt;
      return to_bits(value);
    } else {
      using Limits = std::numeric_limits<T>;
      if (!(number >= Limits::min() && number <= Limits::max()) || number != std::floor(number)) return std::nullopt;
      return to_bits(static_cast<T>(number));
    }
  });
}

}  // namespace

Value Emitter::make(const AnyOp& op, std::span<const Value> operands, const Type* type) {
  return checked(type ? builder_.emit(op, operands, *type, origin()) : builder_.emit(op, operands, origin()));
}

Results Emitter::make_all(const AnyOp& op, std::span<const Value> operands) {
  return checked(builder_.emit_all(op, operands, {}, origin()));
}

Recorder::Recorder(Events& events, Origin origin) : ExMaker(events, origin), events_(events) {}

Value Recorder::make(const AnyOp& op, std::span<const Value> operands, const Type* type) {
  const std::span<const Type> types = type ? std::span(type, 1) : std::span<const Type>();
  return checked(events_.record(op, operands, types, origin()))[0];
}

Results Recorder::make_all(const AnyOp& op, std::span<const Value> operands) {
  return checked(events_.record(op, operands, {}, origin()));
}

uint64_t bits_of(double number, DType dtype) {
  return dispatch(dtype, [&]<class T>() {
    if constexpr (is_floating(dtype_of<T>)) {
      return to_bits(static_cast<T>(number));
    } else {
      return to_bits(static_cast<T>(static_cast<int64_t>(number)));
    }
  });
}

Ex ExOperand::in(ExMaker& maker, DType dtype) const {
  if (!is_number()) return ex_;
  const bool rounds = kind_ == Kind::floating && is_floating(dtype);
  const std::optional<uint64_t> bits =
      rounds ? bits_of(static_cast<double>(number_), dtype) : exact_bits(number_, dtype);
  ETCH_CHECK(bits, cat("an expression has the number ", std::to_string(number_), ", which is no ", name(dtype)));
  return constant(maker, *bits, {dtype, {}});
}

Ex Ex::make(Op op, std::initializer_list<ExOperand> operands) {
  return make(op, std::span(operands.begin(), operands.size()));
}

Ex Ex::make(Op op, std::span<const ExOperand> operands) {
  const size_t num_conditions = info(op).rule == TypeRule::select ? 1 : 0;
  ExMaker* maker = nullptr;
  std::optional<DType> dtype;
  for (size_t i = 0; i < operands.size(); ++i) {
    if (!operands[i].is_number()) maker = &operands[i].ex().maker();
    if (i < num_conditions) continue;
    if (!operands[i].is_number()) dtype = operands[i].ex().dtype();
    if (operands[i].is_truth() && !dtype) dtype = DType::boolean;
  }
  ETCH_CHECK(maker && dtype, cat(etch::name(op), " of numbers alone"));
  absl::InlinedVector<Value, 3> values;
  for (size_t i = 0; i < operands.size(); ++i) {
    values.push_back(operands[i].in(*maker, i < num_conditions ? DType::boolean : *dtype).value());
  }
  return make_node(*maker, op, values);
}

Ex number(ExMaker& maker, DType dtype, const ExOperand& value) { return value.in(maker, dtype); }

Ex constant(ExMaker& maker, uint64_t bits, const Type& type) { return make_node(maker, splat_op(bits), {}, &type); }

Ex iota(ExMaker& maker, int64_t axis, const Type& type) { return make_node(maker, op::Iota{axis}, {}, &type); }

Ex cast(const Ex& x, DType dtype) {
  const Type type{dtype, x.shape()};
  return make_unary(x, op::Cast{}, &type);
}

Ex bitcast(const Ex& x, DType dtype) {
  const Type type{dtype, x.shape()};
  return make_unary(x, op::Bitcast{}, &type);
}

Ex reshape(const Ex& x, const Shape& shape) {
  const Type type{x.dtype(), shape};
  return make_unary(x, op::Reshape{}, &type);
}

Ex transpose(const Ex& x, const Dims& perm) { return make_unary(x, op::Transpose{perm}); }

Ex broadcast(const Ex& x, const Shape& shape) {
  const Type type{x.dtype(), shape};
  return make_unary(x, op::Broadcast{}, &type);
}

Ex slice(const Ex& x, const Dims& start, const Dims& step, const Shape& shape) {
  const Type type{x.dtype(), shape};
  return make_unary(x, op::Slice{start, step}, &type);
}

Ex pad(const Ex& x, const Ex& value, const Dims& low, const Dims& high) {
  const Value operands[] = {x.value(), value.value()};
  return make_node(x.maker(), op::Pad{low, high}, operands);
}

Ex concat(std::span<const Ex> parts, int64_t axis) {
  absl::InlinedVector<Value, 3> operands;
  for (const Ex& part : parts) operands.push_back(part.value());
  return make_node(parts[0].maker(), op::Concat{axis}, operands);
}

Ex reduce(const Ex& x, ReduceKind kind, const Dims& axes) { return make_unary(x, op::Reduce{kind, axes}); }

Ex sum(const Ex& x, const Dims& axes) { return reduce(x, ReduceKind::sum, axes); }

Ex sum_to(const Ex& x, const Shape shape) {
  const Shape from = x.shape();
  if (from == shape) return x;
  const int lead = from.rank() - shape.rank();
  Dims axes;
  for (int axis = 0; axis < from.rank(); ++axis) {
    // A sum of one element would turn -0 into +0.
    if (from[axis] != 1 && (axis < lead || shape[axis - lead] == 1)) axes.push_back(axis);
  }
  return reshape(axes.empty() ? x : sum(x, axes), shape);
}

Ex dot(const Ex& a, const Ex& b) {
  const Value operands[] = {a.value(), b.value()};
  return make_node(a.maker(), op::Dot{}, operands);
}

Ex gather(const Ex& x, const Ex& indices, int64_t axis) {
  const Value operands[] = {x.value(), indices.value()};
  return make_node(x.maker(), op::Gather{axis}, operands);
}

Ex scatter_add(const Ex& x, const Ex& indices, const Ex& updates, int64_t axis, int64_t extent) {
  const Value operands[] = {x.value(), indices.value(), updates.value()};
  return make_node(x.maker(), op::ScatterAdd{axis, extent}, operands);
}

Ex update_slice(const Ex& x, const Ex& update, const Ex& index, int64_t axis) {
  const Value operands[] = {x.value(), update.value(), index.value()};
  return make_node(x.maker(), op::UpdateSlice{axis}, operands);
}

Ex spread(const Ex& x, int axis, int64_t start, int64_t step, int64_t extent) {
  Shape shape = x.shape();
  const int64_t count = shape[axis];
  int64_t before = 1, after = 1;
  for (int i = 0; i < shape.rank(); ++i) (i < axis ? before : after) *= i == axis ? 1 : shape[i];
  const Ex zero = number(x.maker(), x.dtype(), 0);
  // With zeros behind each element it takes `step` places; behind the last one there may be room for fewer.
  Ex y = reshape(x, {before, count, 1, after});
  if (step > 1) y = pad(y, zero, {0, 0, 0, 0}, {0, 0, step - 1, 0});
  const int64_t used = std::min(count * step, extent - start);
  y = reshape(y, {before, count * step, after});
  if (used < count * step) y = slice(y, {0, 0, 0}, {1, 1, 1}, {before, used, after});
  if (used < extent) y = pad(y, zero, {0, start, 0}, {0, extent - start - used, 0});
  shape[axis] = extent;
  return reshape(y, shape);
}

}  // namespace etch
