// Layers with weights, Dropout and those that only move elements.
#include "etch/layers.h"

#include <cmath>

#include "frontend/layers/parts.h"
#include "frontend/variable_cell.h"

namespace etch::layers {

using detail::fail_in_op;
using detail::Scope;

const Tensor& input_of(const Operand& x, std::string_view layer, int min_rank) {
  const Tensor* tensor = x.tensor();
  if (tensor == nullptr) fail_in_op(x.where(), cat(layer, ": the input is a number; pass a tensor"));
  const Type& type = detail::impl_of(*tensor, x.where()).type();
  if (!is_floating(type.dtype)) {
    fail_in_op(x.where(), cat(layer, ": takes ", list_dtypes(etch::is_floating), ", not ", to_string(type), "; cast first"));
  }
  if (type.shape.rank() < min_rank) {
    fail_in_op(x.where(), cat(layer, ": needs ", min_rank, " axes or more, not ", to_string(type)));
  }
  return *tensor;
}

const Tensor& input_of_rank(const Operand& x, std::string_view layer, int rank) {
  const Tensor& t = input_of(x, layer, 0);
  if (t.rank() == rank) return t;
  fail_in_op(x.where(), cat(layer, ": takes ", rank == 3 ? "[n, width, channels]" : "[n, height, width, channels]", ", not ",
                            to_string(Type{t.dtype(), t.shape()})));
}

void build(const Variable& variable, const Initializer& initializer, const Shape& shape, const Tensor& x,
           std::string_view layer, Location where) {
  const DType dtype = x.dtype();
  if (!variable.built()) variable.build([&] { return initializer(shape, dtype); }, where);
  const Type type{variable.dtype(), variable.shape()};
  if (type == Type{dtype, shape}) return;
  fail_in_op(where, cat(layer, ": ", variable.name(), " is ", to_string(type), ", made for the first input of the layer, but ",
                        to_string(Type{dtype, x.shape()}), " needs ", to_string(Type{dtype, shape}),
                        "; use a layer of its own for inputs of another width or dtype"));
}

int axis_of(int64_t axis, const Tensor& x, std::string_view layer, Location where) {
  const int rank = x.rank();
  if (axis < -rank || axis >= rank) {
    fail_in_op(where, cat(layer, ": axis ", axis, " is out of range for ", to_string(Type{x.dtype(), x.shape()})));
  }
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

Tensor Dense::operator()(const Operand& x) const {
  const Scope scope("dense", x.where());
  const Tensor& t = input_of(x, "dense", 1);
  if (units <= 0) fail_in_op(x.where(), cat("dense: units is ", units, ", but a layer has 1 or more"));
  build(kernel, kernel_initializer, {t.shape()[t.rank() - 1], units}, t, "dense", x.where());
  Tensor y = matmul(t, kernel);
  if (use_bias) {
    build(bias, bias_initializer, units, t, "dense", x.where());
    y = y + bias;
  }
  return activation ? activation(y) : y;
}

Tensor Dropout::operator()(const Operand& x, bool training) const {
  const Scope scope("dropout", x.where());
  const Tensor& t = input_of(x, "dropout", 0);
  if (!(rate >= 0 && rate <= 1)) {
    fail_in_op(x.where(), cat("dropout: rate is ", detail::number_text(rate), ", but it may be 0 to 1"));
  }
  if (!training || rate == 0) return t;
  if (rate == 1) return zeros_like(t);
  const Tensor u = generator.uniform(t.shape(), {}, x.where());
  return where(u >= static_cast<float>(rate), t * (1 / (1 - rate)), zeros({}, t.dtype()));
}

Tensor Flatten::operator()(const Operand& x) const {
  const Tensor& t = detail::tensor_in(x, "flatten");
  if (t.rank() == 0) fail_in_op(x.where(), "flatten: needs 1 axis or more");
  const int64_t n = t.shape()[0];
  int64_t m = 1;
  for (int i = 1; i < t.rank(); ++i) m *= t.shape()[i];
  return reshape(Operand(t, x.where()), {n, m});
}

Tensor Reshape::operator()(const Operand& x) const {
  const Tensor& t = detail::tensor_in(x, "reshape");
  if (t.rank() == 0) fail_in_op(x.where(), "reshape: the layer needs 1 axis or more");
  std::vector<int64_t> extents{t.shape()[0]};
  extents.insert(extents.end(), target_shape.begin(), target_shape.end());
  return reshape(Operand(t, x.where()), Shape(extents));
}

Tensor Activation::operator()(const Operand& x) const {
  const Tensor& t = detail::tensor_in(x, "activation");
  return function ? function(t) : t;
}

namespace {

/// The same extents on some axes and 1 on the others, so that it broadcasts.
Tensor along(const Tensor& parameter, const Shape& shape) { return reshape(parameter, shape); }

/// x * gamma + beta, as far as a layer has them; `shape` is that of a parameter beside x.
Tensor scale_and_shift(Tensor x, bool scale, bool center, const Variable& gamma, const Variable& beta, const Shape& shape) {
  if (scale) x = x * along(gamma, shape);
  if (center) x = x + along(beta, shape);
  return x;
}

void check_epsilon(double epsilon, std::string_view layer, Location where) {
  if (epsilon >= 0) return;
  fail_in_op(where, cat(layer, ": epsilon is ", detail::number_text(epsilon), "; it may not be below 0"));
}

}  // namespace

Tensor LayerNormalization::operator()(const Operand& x) const {
  const Scope scope("layer_normalization", x.where());
  const Tensor& t = input_of(x, "layer_normalization", 1);
  std::vector<int64_t> own;  // the extents of the axes
  std::vector<int64_t> beside(t.rank(), 1);
  std::vector<bool> is_reduced(t.rank());
  for (int64_t axis : axes) is_reduced[axis_of(axis, t, "layer_normalization", x.where())] = true;
  for (int i = 0; i < t.rank(); ++i) {
    if (!is_reduced[i]) continue;
    own.push_back(t.shape()[i]);
    beside[i] = t.shape()[i];
  }
  if (scale) build(gamma, gamma_initializer, Shape(own), t, "layer_normalization", x.where());
  if (center) build(beta, beta_initializer, Shape(own), t, "layer_normalization", x.where());
  return scale_and_shift(layer_norm(t, Axes(axes), epsilon), scale, center, gamma, beta, Shape(beside));
}

Tensor BatchNormalization::operator()(const Operand& x, bool training) const {
  const Scope scope("batch_normalization", x.where());
  const Location place = x.where();
  const Tensor& t = input_of(x, "batch_normalization", 1);
  check_epsilon(epsilon, "batch_normalization", place);
  const int own_axis = axis_of(axis, t, "batch_normalization", place);
  const int64_t extent = t.shape()[own_axis];
  std::vector<int64_t> beside(t.rank(), 1);
  beside[own_axis] = extent;
  if (scale) build(gamma, gamma_initializer, extent, t, "batch_normalization", place);
  if (center) build(beta, beta_initializer, extent, t, "batch_normalization", place);
  build(moving_mean, moving_mean_initializer, extent, t, "batch_normalization", place);
  build(moving_variance, moving_variance_initializer, extent, t, "batch_normalization", place);

  Tensor mean = moving_mean;
  Tensor variance = moving_variance;
  if (training && !detail::ask_frozen(*detail::VariableAccess::get(moving_mean))) {
    std::vector<int64_t> others;
    for (int i = 0; i < t.rank(); ++i) {
      if (i != own_axis) others.push_back(i);
    }
    const Axes axes{others};
    mean = etch::mean(t, axes);
    variance = etch::mean(square(t - along(mean, Shape(beside))), axes);
    moving_mean.assign(moving_mean * momentum + stop_gradient(mean) * (1 - momentum));
    moving_variance.assign(moving_variance * momentum + stop_gradient(variance) * (1 - momentum));
  }
  const Tensor centred = t - along(mean, Shape(beside));
  return scale_and_shift(centred * along(rsqrt(variance + epsilon), Shape(beside)), scale, center, gamma, beta,
                         Shape(beside));
}

namespace {

/// The tensors joined by a binary op, from the first on.
template <class Join>
Tensor joined(const std::vector<Tensor>& tensors, std::string_view layer, Location where, Join join) {
  const Scope scope(layer, where);
  if (tensors.empty()) fail_in_op(where, cat(layer, ": there is no tensor"));
  Tensor result = tensors[0];
  for (size_t i = 1; i < tensors.size(); ++i) result = join(Operand(result, where), Operand(tensors[i], where));
  return result;
}

}  // namespace

Tensor Add::operator()(const std::vector<Tensor>& tensors, Location where) const {
  return joined(tensors, "add", where, [](const Operand& a, const Operand& b) { return etch::add(a, b); });
}

Tensor Multiply::operator()(const std::vector<Tensor>& tensors, Location where) const {
  return joined(tensors, "multiply", where, [](const Operand& a, const Operand& b) { return mul(a, b); });
}

Tensor Concatenate::operator()(const std::vector<Tensor>& tensors, Location where) const {
  return concat(tensors, axis, where);
}

Masked Layer::masked(const Operand& x, const Tensor& mask, bool training) const {
  if (held_ == nullptr) fail_in_op(x.where(), "layer: it was made by default and holds none; assign one first");
  return held_->call(x, mask, training);
}

Layer Layer::etch_clone(detail::Cloner& cloner) const {
  if (held_ == nullptr) return {};
  if (const std::shared_ptr<void> known = cloner.find_shared(held_.get())) {
    return Layer(std::static_pointer_cast<Base>(known));
  }
  std::shared_ptr<Base> copy = held_->clone(cloner);
  cloner.add_shared(held_.get(), copy);
  return Layer(std::move(copy));
}

Masked Sequential::masked(const Operand& x, const Tensor& mask, bool training) const {
  Masked y{detail::tensor_in(x, "sequential"), mask};
  for (const Layer& layer : layers_) y = layer.masked(Operand(y.output, x.where()), y.mask, training);
  return y;
}

const Layer& Sequential::operator[](Integer index) const {
  const auto size = static_cast<int64_t>(layers_.size());
  const int64_t i = index < 0 ? index + size : int64_t{index};
  if (i < 0 || i >= size) throw Error(cat("Sequential: there is no layer ", int64_t{index}, " among ", size));
  return layers_[static_cast<size_t>(i)];
}

Sequential Sequential::slice(Integer start, Integer stop) const {
  const auto size = static_cast<int64_t>(layers_.size());
  const auto clipped = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + size : i, 0, size); };
  Sequential part;
  for (int64_t i = clipped(start); i < clipped(stop); ++i) part.add(layers_[static_cast<size_t>(i)]);
  return part;
}

void Sequential::etch_visit(detail::ModuleVisitor& visitor) const {
  visitor.begin_module("etch::layers::Sequential", true);
  for (size_t i = 0; i < layers_.size(); ++i) {
    visitor.enter(uint64_t{i});
    layers_[i].etch_visit(visitor);
    visitor.leave();
  }
  visitor.end_module();
}

Sequential Sequential::etch_clone(detail::Cloner& cloner) const {
  Sequential copy;
  for (const Layer& layer : layers_) copy.add(layer.etch_clone(cloner));
  return copy;
}

}  // namespace etch::layers
