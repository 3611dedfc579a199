// Axes, shapes and slices as users name them.
#include "frontend/shape_args.h"

#include <algorithm>

#include "compiler/ir/cat.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch::detail {

const Tensor& tensor_of(const Operand& x, std::string_view op) {
  if (x.tensor() == nullptr) {
    const std::string number = number_text(x.number());
    fail_in_op(x.where(), cat(op, " takes a tensor, not the plain number ", number, "; write Tensor(", number, ")"));
  }
  if (!x.tensor()->defined()) fail_in_op(x.where(), cat(op, ": the tensor ", kHoldsNothing));
  return *x.tensor();
}

const Tensor& tensor_in(const Operand& x, const char* op) { return tensor_of(x, op); }

int resolve_axis(int64_t axis, int rank, std::string_view op, Location where) {
  if (-rank <= axis && axis < rank) return static_cast<int>(axis < 0 ? axis + rank : axis);
  const std::string legal = rank == 0 ? "; there is none" : cat("; it may be ", -rank, " to ", rank - 1);
  fail_in_op(where, cat(op, ": axis ", axis, " is out of range for rank ", rank, legal));
}

Dims resolve_axes(const Axes& axes, int rank, std::string_view op, Location where) {
  bool named[kMaxRank] = {};
  for (int64_t axis : axes.axes()) {
    const int i = resolve_axis(axis, rank, op, where);
    if (named[i]) fail_in_op(where, cat(op, ": axis ", i, " is named twice"));
    named[i] = true;
  }
  Dims resolved;
  for (int i = 0; i < rank; ++i) {
    if (named[i] || axes.all()) resolved.push_back(i);
  }
  return resolved;
}

Shape kept_shape(const Shape& shape, const Dims& axes) {
  Shape kept = shape;
  for (int64_t axis : axes) kept[static_cast<int>(axis)] = 1;
  return kept;
}

Shape complete_shape(const Shape& from, const Shape& wanted, Location where) {
  Shape shape = wanted;
  int open = -1;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] != -1) continue;
    if (open >= 0) fail(where, cat("reshape: ", to_string(wanted), " has more than one -1"));
    open = i;
    shape[i] = 1;
  }
  if (open < 0) return shape;
  const int64_t others = is_representable(shape, 1) ? shape.product() : 0;
  if (others <= 0 || from.product() % others != 0) {
    fail(where, cat("reshape: the -1 in ", to_string(wanted), " has no value that keeps the ", from.product(),
                    " elements of ", to_string(from)));
  }
  shape[open] = from.product() / others;
  return shape;
}

void check_paddings(std::span<const std::array<int64_t, 2>> paddings, int rank, Location where) {
  if (static_cast<int>(paddings.size()) != rank) {
    fail(where, cat("pad: ", paddings.size(), " pairs of paddings for a tensor of rank ", rank));
  }
  for (size_t axis = 0; axis < paddings.size(); ++axis) {
    for (int64_t padding : paddings[axis]) {
      if (padding < 0) fail(where, cat("pad: axis ", axis, " has a negative padding; use slice to crop"));
      if (padding > kMaxBytes) fail(where, cat("pad: the padding of axis ", axis, " is too large"));
    }
  }
}

namespace {

/// start, step and extent of start:stop:step on an axis. Nothing overflows: bounds are clipped to the axis first.
struct Range {
  int64_t start, step, extent;
};

int64_t clip_bound(int64_t bound, int64_t n, bool backwards) {
  if (bound < 0) bound = bound < -n ? -1 - n : bound;  // so that adding n stays in int64_t
  if (bound < 0) bound += n;
  return backwards ? std::clamp<int64_t>(bound, -1, n - 1) : std::clamp<int64_t>(bound, 0, n);
}

Range python_range(const Slice& slice, int64_t n) {
  const bool backwards = slice.step() < 0;
  const int64_t start = slice.start() == kOpen ? (backwards ? n - 1 : 0) : clip_bound(slice.start(), n, backwards);
  const int64_t stop = slice.stop() == kOpen ? (backwards ? -1 : n) : clip_bound(slice.stop(), n, backwards);
  const int64_t step = std::clamp<int64_t>(slice.step(), -n - 1, n + 1);  // a longer step takes the first element only
  const int64_t distance = backwards ? start - stop : stop - start;
  if (distance <= 0) return {0, 1, 0};
  const int64_t stride = backwards ? -step : step;
  return {start, step, (distance + stride - 1) / stride};
}

}  // namespace

namespace {

/// The slices with whole axes in place of an ellipsis and at the end, so that they name every axis of the shape.
std::vector<Slice> complete(const Shape& from, std::span<const Slice> slices, Location where) {
  const auto is = [](Slice::Kind kind) { return [kind](const Slice& slice) { return slice.kind() == kind; }; };
  const auto ellipses = std::count_if(slices.begin(), slices.end(), is(Slice::Kind::ellipsis));
  if (ellipses > 1) fail(where, "slice: more than one ellipsis");
  const auto new_axes = std::count_if(slices.begin(), slices.end(), is(Slice::Kind::new_axis));
  const auto named = static_cast<int64_t>(slices.size()) - ellipses - new_axes;
  if (named > 0 && from.empty()) fail(where, "slice: a tensor of rank 0 has no axis to index");
  if (named > from.rank()) {
    fail(where, cat("slice: ", named, " slices for a tensor of rank ", from.rank(), ", ", to_string(from)));
  }
  std::vector<Slice> all(slices.begin(), slices.end());
  auto gap = std::find_if(all.begin(), all.end(), is(Slice::Kind::ellipsis));
  if (ellipses > 0) gap = all.erase(gap);
  all.insert(gap, static_cast<size_t>(from.rank() - named), Slice());
  return all;
}

}  // namespace

SlicePlan plan_slices(const Shape& from, std::span<const Slice> slices, Location where) {
  SlicePlan plan;
  const std::vector<Slice> all = complete(from, slices, where);
  const auto dropped = std::count_if(all.begin(), all.end(), [](const Slice& slice) {
    return slice.kind() == Slice::Kind::index;
  });
  if (static_cast<int64_t>(all.size()) - dropped > kMaxRank) {
    fail(where, cat("slice: new axes give ", to_string(from), " more than 8 axes"));
  }
  int axis = 0;
  for (const Slice& slice : all) {
    if (slice.kind() == Slice::Kind::new_axis) {
      plan.result.push_back(1);
      continue;
    }
    const int64_t n = from[axis];
    Range range{};
    if (slice.kind() == Slice::Kind::index) {
      const int64_t index = slice.start();
      if (index < -n || index >= n) {
        fail(where, cat("index ", index, " is out of range for axis ", axis, " of ", to_string(from)));
      }
      range = {index < 0 ? index + n : index, 1, 1};
    } else {
      if (slice.step() == 0) fail(where, cat("slice: the step of axis ", axis, " is 0"));
      range = python_range(slice, n);
      plan.result.push_back(range.extent);
    }
    plan.op.start.push_back(range.start);
    plan.op.step.push_back(range.step);
    plan.shape.push_back(range.extent);
    plan.is_whole &= range.extent == n && range.step > 0;
    ++axis;
  }
  return plan;
}

}  // namespace etch::detail
