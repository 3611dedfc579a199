// Axes, shapes and slices as users name them, turned into the plain form of the graph.
#pragma once

#include <span>
#include <string_view>

#include "compiler/ir/any_op.h"
#include "etch/ops.h"

namespace etch::detail {

/// The tensor of an operand; Error if it is a number or holds nothing (tensor_in of etch/ops.h).
const Tensor& tensor_of(const Operand& x, std::string_view op);

/// An axis in 0..rank-1; Error if there is none.
int resolve_axis(int64_t axis, int rank, std::string_view op, Location where);
/// Ascending and distinct; Error for an axis out of range or named twice.
Dims resolve_axes(const Axes& axes, int rank, std::string_view op, Location where);

/// The shape with extent 1 on the axes.
Shape kept_shape(const Shape& shape, const Dims& axes);

/// A shape whose one -1 is what remains; Error if that is no whole number or there are several.
Shape complete_shape(const Shape& from, const Shape& wanted, Location where);

/// Error unless there is one pair for each axis and no number is negative or beyond what a tensor can have.
void check_paddings(std::span<const std::array<int64_t, 2>> paddings, int rank, Location where);

struct SlicePlan {
  op::Slice op;
  Shape shape;           // with extent 1 where an index was taken
  Shape result;          // without those, and with the new axes
  bool is_whole = true;  // nothing is left out or turned round
};
/// What slices of a shape take, by Python's rules.
SlicePlan plan_slices(const Shape& from, std::span<const Slice> slices, Location where);

}  // namespace etch::detail
