// window: overlapping parts as a stride for each place and each element.
#include "compiler/ir/ops/window.h"

#include <algorithm>
#include <utility>

#include "compiler/ir/gradient.h"
#include "compiler/ir/inference.h"
#include "compiler/ir/walk.h"

namespace etch::op {

absl::StatusOr<Type> Window::infer(const Inference& in) const {
  Type type = in.operands[0];
  const int rank = type.shape.rank();
  for (const auto& [what, list] : {std::pair("size", &size), {"step", &step}, {"dilation", &dilation}}) {
    if (list->rank() != axes.rank()) {
      return in.error(what, " has ", list->rank(), " entries, but axes has ", axes.rank());
    }
    for (int64_t value : *list) {
      if (value < 1) return in.error(what, " ", value, " is not positive");
    }
  }
  if (rank + axes.rank() > kMaxRank) {
    return in.error("the result would have rank ", rank + axes.rank(), "; 8 is the most");
  }
  for (int i = 0; i < axes.rank(); ++i) {
    if (absl::Status status = in.check_axis(axes[i], rank); !status.ok()) return status;
    for (int j = 0; j < i; ++j) {
      if (axes[j] == axes[i]) return in.error("axis ", axes[i], " is named twice");
    }
    int64_t& extent = type.shape[static_cast<int>(axes[i])];
    // By a division, so that nothing overflows.
    if (extent == 0 || size[i] - 1 > (extent - 1) / dilation[i]) {
      return in.error("a window of ", size[i], " elements, ", dilation[i], " apart, does not fit into axis ", axes[i],
                      " of extent ", extent, "; pad first");
    }
    extent = (extent - 1 - (size[i] - 1) * dilation[i]) / step[i] + 1;
  }
  for (int64_t extent : size) type.shape.push_back(extent);
  return type;
}

Literal Window::evaluate(Literals operands, const Type& type) const {
  const Literal& x = *operands[0];
  const Dims strides = row_major_strides(x.type.shape);
  const int rank = strides.rank();
  Literal result = make_literal(type);
  Dims index = Dims::filled(type.shape.rank(), 0);
  for (int64_t target = 0; target < type.size(); ++target) {
    int64_t source = 0;
    for (int axis = 0; axis < rank; ++axis) {
      int64_t at = index[axis];
      for (int i = 0; i < axes.rank(); ++i) {
        if (axes[i] == axis) at = at * step[i] + index[rank + i] * dilation[i];
      }
      source += at * strides[axis];
    }
    copy_element(x, source, result, target);
    for (int axis = index.rank() - 1; axis >= 0 && ++index[axis] == type.shape[axis]; --axis) index[axis] = 0;
  }
  return result;
}

Movement Window::movement(const Shape& operand, const Shape& result) const {
  Movement movement{row_major_strides(operand)};
  for (int i = 0; i < axes.rank(); ++i) {
    const int axis = static_cast<int>(axes[i]);
    movement.strides.push_back(movement.strides[axis] * dilation[i]);
    if (result[axis] > 1) movement.strides[axis] *= step[i];  // of one place the step may be any number
  }
  return movement;
}

void Window::make_canonical(const Type&) {
  for (int i = 0; i < axes.rank(); ++i) {
    if (size[i] == 1) dilation[i] = 1;
  }
}

namespace {

/// The gradient of a window along one axis, where the last axis of g counts the window's elements. `extent` is that of
/// the operand along the axis.
Ex close_window(const Ex& g, int axis, int64_t step, int64_t dilation, int64_t extent) {
  Shape shape = g.shape();
  const int64_t places = shape[axis], size = shape.back();
  int64_t before = 1, after = 1;
  for (int i = 0; i < shape.rank() - 1; ++i) (i < axis ? before : after) *= i == axis ? 1 : shape[i];
  const Ex parts = reshape(g, {before, places, after, size});
  const int64_t span = (size - 1) * dilation + 1;
  Ex sum_of_parts;
  if (places == 1 || step >= span) {
    // No two windows overlap: one behind the other, each as long as a step, they are the operand.
    const int64_t block = places == 1 ? span : step;
    const int64_t used = std::min(places * block, extent);
    Ex blocks = spread(transpose(parts, {0, 1, 3, 2}), 2, 0, dilation, block);
    blocks = reshape(blocks, {before, places * block, after});
    const Ex covered = slice(blocks, {0, 0, 0}, {1, 1, 1}, {before, used, after});
    sum_of_parts = pad(covered, number(g.maker(), g.dtype(), 0), {0, 0, 0}, {0, extent - used, 0});
  } else {
    // A row of the operand's length for each element of the window, each begun `dilation` later than the one before:
    // that is what longer rows become when they are read at the shorter length. Elsewhere they are 0.
    const int64_t length = extent + dilation;
    const Ex rows = spread(transpose(parts, {0, 3, 1, 2}), 2, 0, step, length);
    const Ex flat = reshape(rows, {before, size * length, after});
    const Ex skewed = slice(flat, {0, 0, 0}, {1, 1, 1}, {before, size * extent, after});
    sum_of_parts = sum(reshape(skewed, {before, size, extent, after}), {1});
  }
  shape[axis] = extent;
  shape.pop_back();
  return reshape(sum_of_parts, shape);
}

}  // namespace

Ex Window::gradient(const Backward& at, int) const {
  const Shape shape = at.operands[0].shape();
  Ex g = at.cotangents[0];
  for (int i = axes.rank() - 1; i >= 0; --i) {
    const int axis = static_cast<int>(axes[i]);
    g = close_window(g, axis, step[i], dilation[i], shape[axis]);
  }
  return g;
}

}  // namespace etch::op
