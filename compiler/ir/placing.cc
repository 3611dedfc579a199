// What the schedule asks of an op, answered by the struct that has the place.
#include "compiler/ir/placing.h"

#include <cstdio>
#include <cstdlib>

#include "compiler/ir/any_op.h"

namespace etch {
namespace {

template <class T>
inline constexpr Place kPlaceOf = T::kTraits.place;
template <>
inline constexpr Place kPlaceOf<Row> = Place::elementwise;

/// What `f` says of the op's struct, which must have this place.
template <Place kPlace, class Answer, class F>
Answer ask(const AnyOp& op, F f) {
  return op.visit([&]<class T>(const T& fields) -> Answer {
    if constexpr (kPlaceOf<T> == kPlace) {
      return f(fields);
    } else {
      std::fprintf(stderr, "etch: internal error: the place of %s is another\n", std::string(name(op)).c_str());
      std::abort();
    }
  });
}

}  // namespace

std::optional<uint64_t> splat_bits(const AnyOp& op) {
  if (place(op) != Place::splat) return std::nullopt;
  return ask<Place::splat, uint64_t>(op, [](const auto& fields) { return fields.bits(); });
}

int index_axis(const AnyOp& op) {
  return ask<Place::index, int>(op, [](const auto& fields) { return fields.index_axis(); });
}

Movement movement_of(const AnyOp& op, const Shape& operand, const Shape& result) {
  return ask<Place::movement, Movement>(op, [&](const auto& fields) { return fields.movement(operand, result); });
}

std::vector<Box> boxes_of(const AnyOp& op, std::span<const Type> operands, const Type& result) {
  std::vector<Box> boxes = ask<Place::boxes, std::vector<Box>>(
      op, [&](const auto& fields) { return fields.boxes(operands, result); });
  std::erase_if(boxes, [](const Box& box) { return box.shape.product() == 0; });
  return boxes;
}

int indexed_axis(const AnyOp& op) {
  return ask<Place::indexed, int>(op, [](const auto& fields) { return fields.indexed_axis(); });
}

Reduction reduction_of(const AnyOp& op) {
  return ask<Place::reduction, Reduction>(op, [](const auto& fields) { return fields.reduction(); });
}

std::vector<Channel> channels_of(const AnyOp& op, int num_operands) {
  return ask<Place::region, std::vector<Channel>>(op, [&](const auto& fields) { return fields.channels(num_operands); });
}

const Host& host_of(const AnyOp& op) {
  return *ask<Place::host, const Host*>(op, [](const auto& fields) { return &fields.function; });
}

int num_leading(const AnyOp& op) {
  return ask<Place::region, int>(op, [](const auto& fields) { return fields.num_leading(); });
}

std::optional<Taken> taken_region(const AnyOp& op, std::span<const std::optional<uint64_t>> constants) {
  return ask<Place::region, std::optional<Taken>>(op, [&](const auto& fields) { return fields.taken(constants); });
}

LibraryCall call_of(const AnyOp& op, std::span<const Type> operands) {
  return ask<Place::call, LibraryCall>(op, [&](const auto& fields) { return fields.call(operands); });
}

}  // namespace etch
