// window: overlapping parts as a stride for each place and each element.
#include "compiler/ir/ops/window.h"

#include <utility>

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

}  // namespace etch::op
