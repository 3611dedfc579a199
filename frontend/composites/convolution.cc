// Convolutions: windows and a product.
//
// With x the input, k the kernel and y the result, three functions are linear in each of their two operands: conv(x, k) = y,
// conv_backprop_input(y, k) = x and conv_backprop_filter(x, y) = k. The gradients of each are the other two, so
// derivatives of every order are products over windows; windows are added up where channels are few. A depthwise convolution
// multiplies no matrices: its windows have an fma for each of their elements, in ascending order, unless these are many.
#include <algorithm>
#include <array>
#include <numeric>
#include <tuple>
#include <utility>

#include "compiler/ir/cat.h"
#include "etch/custom_gradient.h"
#include "etch/function.h"
#include "etch/init_scope.h"
#include "frontend/composites/parts.h"
#include "frontend/composites/windows.h"
#include "frontend/shape_args.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"
#include "runtime/check.h"

namespace etch {

using detail::fail_in_op;
using detail::Scope;
using detail::WindowAxes;
using detail::WindowAxis;

namespace {

/// All that a convolution is besides its operands.
struct Convolution {
  WindowAxes axes;
  int64_t groups = 1;
  bool depthwise = false;  // every channel by itself
  Location where;

  int num_axes() const { return static_cast<int>(axes.size()); }
};

Dims range_of(int from, int to) {
  Dims dims;
  for (int i = from; i < to; ++i) dims.push_back(i);
  return dims;
}

Dims joined(std::initializer_list<Dims> lists) {
  Dims all;
  for (const Dims& list : lists) {
    for (int64_t value : list) all.push_back(value);
  }
  return all;
}

int64_t product(const Shape& shape, int from, int to) {
  int64_t n = 1;
  for (int i = from; i < to; ++i) n *= shape[i];
  return n;
}

/// [n, axes..., c] whose windows are [n, windows..., c, sizes...], as [groups, n * windows, sizes * c / groups]; without the
/// first axis if there is one group.
Tensor patches_of(const Convolution& at, const Tensor& x) {
  const int axes = at.num_axes();
  const Tensor windows = all_windows(x, at.axes, at.where);
  const Shape& shape = windows.shape();
  const int64_t rows = product(shape, 0, axes + 1), channels = shape[axes + 1];
  const int64_t sizes = product(shape, axes + 2, shape.rank());
  if (at.groups == 1) {
    const Tensor turned = transpose(windows, joined({range_of(0, axes + 1), range_of(axes + 2, shape.rank()), axes + 1}));
    return reshape(turned, {rows, sizes * channels});
  }
  Shape split = shape;
  split[axes + 1] = at.groups;
  split.insert(axes + 2, channels / at.groups);
  const Dims order = joined({axes + 1, range_of(0, axes + 1), range_of(axes + 3, split.rank()), axes + 2});
  return reshape(transpose(reshape(windows, split), order), {at.groups, rows, sizes * (channels / at.groups)});
}

/// [sizes..., c / groups, filters] as [groups, sizes * c / groups, filters / groups], likewise.
Tensor kernel_matrix(const Convolution& at, const Tensor& kernel) {
  const int64_t filters = kernel.shape().back(), inner = product(kernel.shape(), 0, kernel.rank() - 1);
  if (at.groups == 1) return reshape(kernel, {inner, filters});
  return transpose(reshape(kernel, {inner, at.groups, filters / at.groups}), {1, 0, 2});
}

/// [n, windows..., filters] as [groups, n * windows, filters / groups], likewise.
Tensor result_matrix(const Convolution& at, const Tensor& y) {
  const int64_t filters = y.shape().back(), rows = product(y.shape(), 0, y.rank() - 1);
  if (at.groups == 1) return reshape(y, {rows, filters});
  return transpose(reshape(y, {rows, at.groups, filters / at.groups}), {1, 0, 2});
}

/// What result_matrix makes into a matrix.
Tensor from_result_matrix(const Convolution& at, const Tensor& matrix, int64_t n) {
  Shape shape = n;
  for (const WindowAxis& axis : at.axes) shape.push_back(axis.count);
  shape.push_back(at.groups * matrix.shape().back());
  return reshape(at.groups == 1 ? matrix : transpose(matrix, {1, 0, 2}), shape);
}

/// [sizes..., c, m] as [c, m, sizes...].
Tensor depthwise_kernel(const Convolution& at, const Tensor& kernel) {
  const int axes = at.num_axes();
  return transpose(kernel, joined({axes, axes + 1, range_of(0, axes)}));
}

/// Windows [n, windows..., c, 1, sizes...] of a padded x, to multiply with depthwise_kernel.
Tensor depthwise_windows(const Convolution& at, const Tensor& x) {
  return expand_dims(all_windows(x, at.axes, at.where), at.num_axes() + 2);
}

/// True if the elements of a window are so few that each may have an fma of its own.
bool has_small_windows(const Convolution& at) {
  constexpr int64_t kMostElements = 25;
  int64_t elements = 1;
  for (const WindowAxis& axis : at.axes) elements *= std::min(axis.size, kMostElements + 1);
  return elements <= kMostElements;
}

/// The depthwise product of the windows of a padded x: [n, windows..., c * m]. The order of a sum is that of a window's elements.
Tensor multiply_small_windows(const Convolution& at, const Tensor& x, const Tensor& kernel) {
  const int axes = at.num_axes();
  const int64_t channels = kernel.shape()[axes], multiplier = kernel.shape()[axes + 1];
  const int64_t elements = product(kernel.shape(), 0, axes);
  // Beyond 16 bits, so that a sum rounds once.
  const DType dtype = size_of(x.dtype()) < 4 ? DType::f32 : x.dtype();
  const auto as = [](const Tensor& t, DType dtype) { return t.dtype() == dtype ? t : cast(t, dtype); };
  const Shape filters = multiplier == 1 ? Shape{channels} : Shape{channels, multiplier};
  const Tensor weights = reshape(kernel, joined({elements, filters}));
  Tensor sum;
  for (int64_t element = 0; element < elements; ++element) {
    std::vector<Slice> seen(static_cast<size_t>(axes) + 1);
    int64_t rest = element;
    for (int i = axes - 1; i >= 0; --i) {
      const WindowAxis& axis = at.axes[i];
      const int64_t start = rest % axis.size * axis.dilation;
      seen[i + 1] = Slice(start, start + (axis.count - 1) * axis.stride + 1).by(axis.stride);
      rest /= axis.size;
    }
    const Tensor part = as(x[Slices(seen, at.where)], dtype), weight = as(weights[element], dtype);
    const Tensor values = multiplier == 1 ? part : expand_dims(part, -1);
    sum = element == 0 ? values * weight : fma(values, weight, sum);
  }
  Shape shape = x.shape()[0];
  for (const WindowAxis& axis : at.axes) shape.push_back(axis.count);
  shape.push_back(channels * multiplier);
  return reshape(as(sum, x.dtype()), shape);
}

// ---- The three functions, on operands whose borders are padded

Tensor multiply_windows(const Convolution& at, const Tensor& x, const Tensor& kernel) {
  if (!at.depthwise) {
    return from_result_matrix(at, matmul(patches_of(at, x), kernel_matrix(at, kernel)), x.shape()[0]);
  }
  if (has_small_windows(at)) return multiply_small_windows(at, x, kernel);
  const Tensor windows = depthwise_windows(at, x);
  const Tensor y = sum(windows * depthwise_kernel(at, kernel), Axes(range_of(at.num_axes() + 3, windows.rank())));
  Shape shape = y.shape();
  shape.pop_back();
  shape[shape.rank() - 1] *= y.shape().back();
  return reshape(y, shape);
}

Tensor multiply_windows_and_results(const Convolution& at, const Tensor& x, const Tensor& y) {
  const int axes = at.num_axes();
  Shape shape;
  for (const WindowAxis& axis : at.axes) shape.push_back(axis.size);
  if (at.depthwise) {
    // [n, rows of windows, sizes..., windows in a row, c, m], summed along rows first: their elements lie in order.
    const Tensor windows = all_windows(x, at.axes, at.where);
    const Tensor turned = transpose(windows, joined({range_of(0, axes), range_of(axes + 2, windows.rank()), axes, axes + 1}));
    const int64_t channels = x.shape().back();
    Shape split;
    for (int i = 0; i < axes; ++i) split.push_back(y.shape()[i]);
    for (int i = 0; i < axes; ++i) split.push_back(1);
    for (int64_t extent : {y.shape()[axes], channels, y.shape().back() / channels}) split.push_back(extent);
    return sum(sum(expand_dims(turned, -1) * reshape(y, split), 2 * axes), Axes(range_of(0, axes)));
  }
  const Tensor matrix = matmul(patches_of(at, x), result_matrix(at, y), {.transpose_a = true});
  shape.push_back(x.shape().back() / at.groups);
  shape.push_back(y.shape().back());
  return reshape(at.groups == 1 ? matrix : transpose(matrix, {1, 0, 2}), shape);
}

/// Zeros behind every element along axis i, so that they lie `step` apart.
Tensor spread(const Tensor& x, int axis, int64_t step) {
  if (step == 1) return x;
  Shape shape = x.shape();
  shape.insert(axis + 1, 1);
  std::vector<std::array<int64_t, 2>> paddings(static_cast<size_t>(shape.rank()), {0, 0});
  paddings[static_cast<size_t>(axis) + 1] = {0, step - 1};
  Shape result = x.shape();
  result[axis] *= step;
  return reshape(pad(reshape(x, shape), paddings), result);
}

/// Results laid out so that windows of the kernel's size and dilation, one for each element of x, see all that the element
/// went into.
Tensor spread_results(const Convolution& at, const Tensor& y) {
  Tensor spaced = y;
  std::vector<std::array<int64_t, 2>> paddings(static_cast<size_t>(y.rank()), {0, 0});
  std::vector<Slice> kept(static_cast<size_t>(at.num_axes()) + 1);
  bool crops = false;
  for (int i = 0; i < at.num_axes(); ++i) {
    const WindowAxis& axis = at.axes[i];
    spaced = spread(spaced, i + 1, axis.stride);
    const int64_t low = axis.span() - 1 - axis.low;
    const int64_t high = axis.extent + axis.low - axis.count * axis.stride;
    paddings[i + 1] = {std::max<int64_t>(low, 0), std::max<int64_t>(high, 0)};
    if (low >= 0 && high >= 0) continue;
    const int64_t start = std::max<int64_t>(-low, 0), length = axis.extent + axis.span() - 1;
    kept[i + 1] = Slice(start, start + length);
    crops = true;
  }
  const Tensor whole = pad(spaced, paddings);
  return crops ? whole[Slices(kept, at.where)] : whole;
}

/// The kernel for the way back: turned round, each group with its channels and filters exchanged.
Tensor kernel_of_way_back(const Convolution& at, const Tensor& kernel) {
  const int axes = at.num_axes();
  const Tensor turned = flip(kernel, Axes(range_of(0, axes)));
  if (at.depthwise) return turned;
  Shape shape = kernel.shape();
  if (at.groups == 1) return transpose(turned, joined({range_of(0, axes), axes + 1, axes}));
  const int64_t filters = shape[axes + 1] / at.groups;
  Shape split = shape;
  split[axes + 1] = at.groups;
  split.push_back(filters);
  Shape result = shape;
  result[axes] = filters;
  result[axes + 1] = shape[axes] * at.groups;
  return reshape(transpose(reshape(turned, split), joined({range_of(0, axes), axes + 2, axes + 1, axes})), result);
}

/// True if windows move by more than one element, and the elements of one lie beside each other.
bool has_phases(const Convolution& at) {
  const auto strides = [](const WindowAxis& axis) { return axis.stride > 1 && axis.count > 1; };
  const auto dilates = [](const WindowAxis& axis) { return axis.dilation > 1; };
  return !at.depthwise && std::ranges::any_of(at.axes, strides) && std::ranges::none_of(at.axes, dilates);
}

/// The way back without zeros between results. With an element of x at q * stride + r, counted from the first window on, only
/// those of the kernel at t * stride + r met it, and from result q - t: for each phase r a convolution in q with a part of the
/// kernel.
class Phases {
 public:
  Phases(const Convolution& at, const Tensor& y, const Tensor& kernel)
      : at_(at), kernel_(kernel), axes_(at.num_axes()), channels_(kernel.shape()[axes_]), shape_(y.shape()[0]) {
    std::vector<std::array<int64_t, 2>> borders(static_cast<size_t>(axes_) + 2, {0, 0});
    for (int i = 0; i < axes_; ++i) {
      const WindowAxis& axis = at.axes[i];
      counts_.push_back((axis.extent + axis.low - 1) / axis.stride + 1);
      sizes_.push_back((axis.size - 1) / axis.stride + 1);
      borders[i + 1] = {sizes_[i] - 1, counts_[i] - axis.count};
      number_ *= axis.stride;
      are_equal_ = are_equal_ && axis.size % axis.stride == 0;
    }
    y_ = pad(y, borders);
    shape_ = joined({shape_, counts_});
    for (const WindowAxis& axis : at.axes) shape_.push_back(axis.stride);
    shape_.push_back(at.groups * channels_);
  }

  Tensor run() const {
    constexpr int64_t kMostProducts = 9;
    const Tensor phases = are_equal_ || number_ > kMostProducts ? in_one_product() : in_a_product_each();
    Dims order = 0;
    Shape result = shape_[0];
    std::vector<Slice> kept(static_cast<size_t>(axes_) + 1);
    for (int i = 0; i < axes_; ++i) {
      const WindowAxis& axis = at_.axes[i];
      order = joined({order, {i + 1, axes_ + 1 + i}});
      result.push_back(counts_[i] * axis.stride);
      kept[i + 1] = Slice(axis.low, axis.low + axis.extent);
    }
    result.push_back(shape_.back());
    return reshape(transpose(phases, joined({order, 2 * axes_ + 1})), result)[Slices(kept, at_.where)];
  }

 private:
  /// Windows of these sizes, one for each q.
  Convolution of_sizes(const Dims& sizes) const {
    Convolution back = at_;
    for (int i = 0; i < axes_; ++i) back.axes[i] = {counts_[i] + sizes[i] - 1, sizes[i], 1, 1, counts_[i], 0};
    return back;
  }

  /// The phases are filters, whose kernels may end with zeros: [n, q..., r..., channels].
  Tensor in_one_product() const {
    std::vector<std::array<int64_t, 2>> longer(static_cast<size_t>(axes_) + 2, {0, 0});
    Shape split, phases = joined({shape_[0], counts_, at_.groups});
    Dims places, rests;
    for (int i = 0; i < axes_; ++i) {
      longer[i] = {0, sizes_[i] * at_.axes[i].stride - at_.axes[i].size};
      split = joined({split, {sizes_[i], at_.axes[i].stride}});
      places.push_back(2 * i);
      rests.push_back(2 * i + 1);
      phases.push_back(at_.axes[i].stride);
    }
    const int64_t filters = kernel_.shape().back() / at_.groups;
    split = joined({split, {channels_, at_.groups, filters}});
    phases.push_back(channels_);
    const Dims order = joined({places, {2 * axes_ + 2, 2 * axes_ + 1}, rests, 2 * axes_});
    const Tensor parts = transpose(flip(reshape(pad(kernel_, longer), split), Axes(places)), order);
    const Tensor wide = multiply_windows(of_sizes(sizes_), y_,
                                         reshape(parts, joined({sizes_, {filters, at_.groups * number_ * channels_}})));
    const Dims groups_last = joined({range_of(0, axes_ + 1), range_of(axes_ + 2, 2 * axes_ + 2), {axes_ + 1, 2 * axes_ + 2}});
    return reshape(transpose(reshape(wide, phases), groups_last), shape_);
  }

  /// The same, each phase with what it has of the kernel.
  Tensor in_a_product_each() const {
    std::vector<Tensor> phases;
    for (int64_t phase = 0; phase < number_; ++phase) {
      std::vector<Slice> part(static_cast<size_t>(axes_)), seen(static_cast<size_t>(axes_) + 1);
      Dims sizes = sizes_;
      int64_t rest = phase;
      for (int i = axes_ - 1; i >= 0; --i) {
        const int64_t stride = at_.axes[i].stride, r = rest % stride;
        sizes[i] = std::max<int64_t>(at_.axes[i].size - r + stride - 1, 0) / stride;
        part[i] = Slice::from(r).by(stride);
        seen[i + 1] = Slice::from(sizes_[i] - sizes[i]);
        rest /= stride;
      }
      Shape none = joined({shape_[0], counts_, shape_.back()});
      const bool meets = sizes.product() > 0;
      phases.push_back(meets ? multiply_windows(of_sizes(sizes), y_[Slices(seen, at_.where)],
                                                kernel_of_way_back(at_, kernel_[Slices(part, at_.where)]))
                             : zeros(none, y_.dtype(), at_.where));
    }
    return reshape(concat(phases, axes_ + 1, at_.where), shape_);
  }

  const Convolution& at_;
  const Tensor& kernel_;
  const int axes_;
  const int64_t channels_;  // of a group
  Dims counts_;             // numbers of q
  Dims sizes_;              // the most elements of the kernel that a phase has
  int64_t number_ = 1;
  bool are_equal_ = true;   // all phases have as many elements
  Tensor y_;
  Shape shape_;  // [n, q..., r..., channels]
};

/// True if a product with as few columns as x has channels would be slower than adding up so few windows.
bool adds_up(const Convolution& at, const Tensor& kernel) {
  constexpr int64_t kFewChannels = 4;
  return !at.depthwise && at.groups == 1 && kernel.shape()[at.num_axes()] <= kFewChannels;
}

/// The same as what each result gives to its window.
Tensor add_up_windows(const Convolution& at, const Tensor& y, const Tensor& kernel) {
  const int axes = at.num_axes();
  const int64_t channels = kernel.shape()[axes];
  Shape split = y.shape(), shape = y.shape()[0];
  split.pop_back();
  std::vector<Slice> kept(static_cast<size_t>(axes) + 1);
  for (int i = 0; i < axes; ++i) {
    const WindowAxis& axis = at.axes[i];
    split.push_back(axis.size);
    shape.push_back(axis.extent + axis.low + std::max<int64_t>(axis.high(), 0));
    kept[i + 1] = Slice(axis.low, axis.low + axis.extent);
  }
  split.push_back(channels);
  shape.push_back(channels);
  const Tensor patches = reshape(matmul(result_matrix(at, y), kernel_matrix(at, kernel), {.transpose_b = true}), split);
  const Dims order = joined({range_of(0, axes + 1), 2 * axes + 1, range_of(axes + 1, 2 * axes + 1)});
  return sum_of_windows(transpose(patches, order), shape, at.axes, at.where)[Slices(kept, at.where)];
}

Tensor multiply_windows_of_results(const Convolution& at, const Tensor& y, const Tensor& kernel) {
  if (adds_up(at, kernel)) return add_up_windows(at, y, kernel);
  if (has_phases(at)) return Phases(at, y, kernel).run();
  Convolution back = at;
  for (WindowAxis& axis : back.axes) axis = {axis.extent + axis.span() - 1, axis.size, 1, axis.dilation, axis.extent, 0};
  const Tensor spread_out = spread_results(at, y), turned = kernel_of_way_back(at, kernel);
  if (!at.depthwise || kernel.shape().back() == 1) return multiply_windows(back, spread_out, turned);
  const int axes = at.num_axes();
  const int64_t channels = kernel.shape()[axes];
  Shape split = spread_out.shape();
  split[axes + 1] = channels;
  split.push_back(kernel.shape().back());
  const Tensor windows = all_windows(reshape(spread_out, split), back.axes, at.where);
  return sum(windows * depthwise_kernel(at, turned), Axes(range_of(axes + 2, windows.rank())));
}

// ---- The same with padding, and as one kernel

enum class Product : uint8_t { forward, backprop_input, backprop_filter };

Tensor formula(Product product, const Convolution& at, const Tensor& a, const Tensor& b) {
  switch (product) {
    case Product::forward: return multiply_windows(at, padded(a, at.axes, 0, at.where), b);
    case Product::backprop_input: return multiply_windows_of_results(at, a, b);
    case Product::backprop_filter: return multiply_windows_and_results(at, padded(a, at.axes, 0, at.where), b);
  }
  ETCH_UNREACHABLE("no product");
}

/// Eager, all ops of the formula are one function: on its own `window` would store every patch.
Tensor multiply(Product product, const Convolution& at, const Tensor& a, const Tensor& b) {
  if (detail::Trace::current() != nullptr) return formula(product, at, a, b);
  static const auto& compiled = *new auto(function(
      [](Product product, const WindowAxes& axes, int64_t groups, bool depthwise, Tensor a, Tensor b) {
        return formula(product, {axes, groups, depthwise, Location::current()}, a, b);
      },
      {.name = "convolution", .on_retrace = Retrace::allow}));
  return init_scope([&] { return compiled(product, at.axes, at.groups, at.depthwise, a, b); });
}

// ---- The same with their gradients

Tensor conv(const Convolution& at, const Tensor& x, const Tensor& kernel);
Tensor conv_backprop_input(const Convolution& at, const Tensor& y, const Tensor& kernel);
Tensor conv_backprop_filter(const Convolution& at, const Tensor& x, const Tensor& y);

Tensor conv(const Convolution& at, const Tensor& x, const Tensor& kernel) {
  const auto with_gradient = custom_gradient([at](const Tensor& x, const Tensor& kernel) {
    return std::pair(multiply(Product::forward, at, x, kernel), [=](const Tensor& g) {
      return std::tuple(conv_backprop_input(at, g, kernel), conv_backprop_filter(at, x, g));
    });
  }, at.where);
  return with_gradient(x, kernel);
}

Tensor conv_backprop_input(const Convolution& at, const Tensor& y, const Tensor& kernel) {
  const Scope scope("conv_backprop_input", at.where);
  const auto with_gradient = custom_gradient([at](const Tensor& y, const Tensor& kernel) {
    return std::pair(multiply(Product::backprop_input, at, y, kernel), [=](const Tensor& g) {
      return std::tuple(conv(at, g, kernel), conv_backprop_filter(at, g, y));
    });
  }, at.where);
  return with_gradient(y, kernel);
}

Tensor conv_backprop_filter(const Convolution& at, const Tensor& x, const Tensor& y) {
  const Scope scope("conv_backprop_filter", at.where);
  const auto with_gradient = custom_gradient([at](const Tensor& x, const Tensor& y) {
    return std::pair(multiply(Product::backprop_filter, at, x, y), [=](const Tensor& g) {
      return std::tuple(conv_backprop_input(at, y, g), conv(at, x, g));
    });
  }, at.where);
  return with_gradient(x, y);
}

// ---- What users say

/// Both operands, of one dtype of floats and of this rank.
std::pair<Tensor, Tensor> operands_of(const Operand& x, const Operand& kernel, int rank, std::string_view op,
                                      std::string_view takes) {
  detail::check_floating(x, op);
  const Tensor& input = *x.tensor();
  const Tensor& weights = detail::tensor_of(kernel, op);
  const Type a{input.dtype(), input.shape()}, b{weights.dtype(), weights.shape()};
  if (a.shape.rank() != rank || b.shape.rank() != rank) {
    fail_in_op(x.where(), cat(op, " takes ", takes, ", not ", to_string(a), " and ", to_string(b)));
  }
  if (a.dtype != b.dtype) {
    fail_in_op(x.where(), cat(op, " of ", to_string(a), " and ", to_string(b), ": dtypes differ; cast one"));
  }
  for (int64_t extent : b.shape) {
    if (extent == 0) fail_in_op(x.where(), cat(op, ": the kernel ", to_string(b), " has no elements"));
  }
  return {input, weights};
}

Dims sizes_of(const Tensor& kernel) {
  Dims sizes = kernel.shape();
  sizes.pop_back();
  sizes.pop_back();
  return sizes;
}

[[noreturn]] void fail_channels(const Tensor& x, const Tensor& kernel, std::string_view op, std::string_view why,
                                Location where) {
  fail_in_op(where, cat(op, " of ", to_string(Type{x.dtype(), x.shape()}), " and ",
                        to_string(Type{kernel.dtype(), kernel.shape()}), ": ", why));
}

Tensor convolve(const Operand& x, const Operand& kernel, const ConvOptions& options, int rank, std::string_view op,
                std::string_view takes) {
  const auto [input, weights] = operands_of(x, kernel, rank, op, takes);
  const int64_t channels = input.shape().back(), per_group = weights.shape()[rank - 2], filters = weights.shape().back();
  const int64_t groups = options.groups;
  if (groups < 1) fail_in_op(x.where(), cat(op, ": groups is ", groups, ", but there is 1 or more"));
  if (channels % groups != 0 || filters % groups != 0) {
    fail_channels(input, weights, op,
                  cat(channels, " channels and ", filters, " filters are not multiples of ", groups, " groups"), x.where());
  }
  if (channels != per_group * groups) {
    fail_channels(input, weights, op, cat("the kernel is for ", per_group, " channels", groups > 1 ? " a group" : "",
                                          ", but there are ", channels / groups), x.where());
  }
  const WindowAxes axes =
      windows_of(input, {op, x.where(), sizes_of(weights), options.strides, options.dilations, options.padding, rank == 3});
  return conv({axes, groups, false, Scope::place_of(x.where())}, input, weights);
}

}  // namespace

Tensor conv1d(const Operand& x, const Operand& kernel, ConvOptions options) {
  Scope scope("conv1d", x.where());
  return convolve(x, kernel, options, 3, "conv1d", "[n, width, channels] and [size, channels / groups, filters]");
}

Tensor conv2d(const Operand& x, const Operand& kernel, ConvOptions options) {
  Scope scope("conv2d", x.where());
  return convolve(x, kernel, options, 4, "conv2d",
                  "[n, height, width, channels] and [rows, columns, channels / groups, filters]");
}

Tensor depthwise_conv2d(const Operand& x, const Operand& kernel, DepthwiseConvOptions options) {
  constexpr std::string_view kName = "depthwise_conv2d";
  Scope scope(kName, x.where());
  const auto [input, weights] = operands_of(x, kernel, 4, kName,
                                            "[n, height, width, channels] and [rows, columns, channels, multiplier]");
  if (input.shape()[3] != weights.shape()[2]) {
    fail_channels(input, weights, kName,
                  cat("the kernel is for ", weights.shape()[2], " channels, but there are ", input.shape()[3]), x.where());
  }
  const WindowAxes axes =
      windows_of(input, {kName, x.where(), sizes_of(weights), options.strides, options.dilations, options.padding});
  return conv({axes, 1, true, Scope::place_of(x.where())}, input, weights);
}

Tensor conv2d_transpose(const Operand& x, const Operand& kernel, ConvTransposeOptions options) {
  constexpr std::string_view kName = "conv2d_transpose";
  Scope scope(kName, x.where());
  const auto [input, weights] =
      operands_of(x, kernel, 4, kName, "[n, height, width, channels] and [rows, columns, filters, channels]");
  if (input.shape()[3] != weights.shape()[3]) {
    fail_channels(input, weights, kName,
                  cat("the kernel is for ", weights.shape()[3], " channels, but there are ", input.shape()[3]), x.where());
  }
  const WindowAxes axes = detail::windows_of_transpose(input, sizes_of(weights), options, kName, x.where());
  const Shape result{std::max<int64_t>(input.shape()[0], 1), axes[0].extent, axes[1].extent, weights.shape()[2]};
  detail::check_type({input.dtype(), result}, kName, x.where());
  return conv_backprop_input({axes, 1, false, Scope::place_of(x.where())}, input, weights);
}

}  // namespace etch
