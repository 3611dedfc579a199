// Layers: modules whose variables get their shapes from the first call.
#pragma once

#include <concepts>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/activations.h"
#include "etch/constraints.h"
#include "etch/initializers.h"
#include "etch/layers/attention.h"
#include "etch/layers/convolution.h"
#include "etch/layers/embedding.h"
#include "etch/layers/pooling.h"
#include "etch/layers/recurrent.h"
#include "etch/layers/rnn.h"
#include "etch/module.h"
#include "etch/ops.h"
#include "etch/random.h"
#include "etch/regularizers.h"

namespace [[gnu::visibility("default")]] etch {

// Layers are plain structs: options, as in `layers::Dense{.units = 10, .use_bias = false}` or `layers::Dense{10}`, and
// variables, which a user has no need to set. Names and defaults are Keras'. The first call builds the variables, of the dtype of
// its input, also while a function is traced, and once if several threads call at the same time. Copies of a layer share its
// variables, built or not; clone() makes others. Each call works on any leading axes. Layers take floats; an input of another
// width than the first one, and an option that makes no sense, is an Error. Variables get regularisers and constraints when their
// layer is made.
namespace layers {

/// activation(x . kernel + bias) over the last axis: f[..., n] -> f[..., units].
struct Dense {
  static constexpr bool kKeepsMask = true;
  int64_t units = 0;
  Activation activation{};
  bool use_bias = true;
  Initializer kernel_initializer = initializers::glorot_uniform();
  Initializer bias_initializer = initializers::zeros();
  Regularizer kernel_regularizer{};
  Regularizer bias_regularizer{};
  Constraint kernel_constraint{};
  Constraint bias_constraint{};

  Variable kernel = Variable::deferred(
      {.name = "kernel", .regularizer = kernel_regularizer, .constraint = kernel_constraint});  // f[n, units]
  Variable bias =
      Variable::deferred({.name = "bias", .regularizer = bias_regularizer, .constraint = bias_constraint});  // f[units]

  Tensor operator()(const Operand& x) const;
};

/// While training, 0 in a share `rate` of the elements, else x / (1 - rate) (Srivastava et al., "Dropout", 2014); else x. Each
/// layer has a generator of its own, seeded by default when it first draws.
struct Dropout {
  static constexpr bool kKeepsMask = true;
  double rate = 0.5;
  Generator generator{};

  Tensor operator()(const Operand& x, bool training = false) const;
};

/// All axes but the first as one: [n, ...] -> [n, m].
struct Flatten {
  Tensor operator()(const Operand& x) const;
};

/// All axes but the first in another shape, of which one extent may be -1.
struct Reshape {
  std::vector<int64_t> target_shape{};

  Tensor operator()(const Operand& x) const;
};

/// A function as a layer.
struct Activation {
  static constexpr bool kKeepsMask = true;
  etch::Activation function{};

  Tensor operator()(const Operand& x) const;
};

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta, with mean and variance over the axes (Ba et al., "Layer
/// Normalization", 2016).
struct LayerNormalization {
  static constexpr bool kKeepsMask = true;
  std::vector<int64_t> axes{-1};
  double epsilon = 1e-3;
  bool center = true;  // has beta
  bool scale = true;   // has gamma
  Initializer beta_initializer = initializers::zeros();
  Initializer gamma_initializer = initializers::ones();
  Regularizer beta_regularizer{};
  Regularizer gamma_regularizer{};
  Constraint beta_constraint{};
  Constraint gamma_constraint{};

  Variable gamma = Variable::deferred(
      {.name = "gamma", .regularizer = gamma_regularizer, .constraint = gamma_constraint});  // of the extents of the axes
  Variable beta = Variable::deferred({.name = "beta", .regularizer = beta_regularizer, .constraint = beta_constraint});

  Tensor operator()(const Operand& x) const;
};

/// The same with mean and variance over all axes but one (Ioffe and Szegedy, "Batch Normalization", 2015). While training those
/// of the batch, which also move the moving averages: moving * momentum + batch * (1 - momentum); else the moving averages. A
/// layer that set_trainable froze uses the moving averages in any case and leaves them as they are.
struct BatchNormalization {
  int64_t axis = -1;
  double momentum = 0.99;
  double epsilon = 1e-3;
  bool center = true;  // has beta
  bool scale = true;   // has gamma
  Initializer beta_initializer = initializers::zeros();
  Initializer gamma_initializer = initializers::ones();
  Initializer moving_mean_initializer = initializers::zeros();
  Initializer moving_variance_initializer = initializers::ones();
  Regularizer beta_regularizer{};
  Regularizer gamma_regularizer{};
  Constraint beta_constraint{};
  Constraint gamma_constraint{};

  Variable gamma = Variable::deferred(
      {.name = "gamma", .regularizer = gamma_regularizer, .constraint = gamma_constraint});  // of the extent of the axis
  Variable beta = Variable::deferred({.name = "beta", .regularizer = beta_regularizer, .constraint = beta_constraint});
  Variable moving_mean = Variable::deferred({.name = "moving_mean", .trainable = false});
  Variable moving_variance = Variable::deferred({.name = "moving_variance", .trainable = false});

  Tensor operator()(const Operand& x, bool training = false) const;
};

/// The sum of tensors, which broadcast: `add({a, b})`.
struct Add {
  Tensor operator()(const std::vector<Tensor>& tensors, Location where = Location::current()) const;
};

/// The product of tensors, which broadcast.
struct Multiply {
  Tensor operator()(const std::vector<Tensor>& tensors, Location where = Location::current()) const;
};

/// The tensors one after the other along an axis.
struct Concatenate {
  int64_t axis = -1;

  Tensor operator()(const std::vector<Tensor>& tensors, Location where = Location::current()) const;
};

/// What a layer gives, and which of its times, bool[batch, time], are there; no mask if all are.
struct Masked {
  Tensor output;
  Tensor mask{};
};

/// A layer that says itself which times of its output are there.
template <class L>
concept ComputesMask = requires(const L& layer, const Operand& x, const Tensor& mask) {
  { layer.compute_mask(x, mask) } -> std::same_as<Tensor>;
};

/// A layer over time, which takes a mask.
template <class L>
concept TakesMask = ComputesMask<L> && requires(const L& layer, const Operand& x, const SequenceOptions& options) {
  { layer(x, options) } -> std::same_as<Tensor>;
};

/// Any layer or module that maps a tensor to a tensor, shared by its copies. Called with `training` if it takes that, and with the
/// mask, if there is one, if it is a layer over time.
class Layer {
 public:
  /// None; calling it is an Error.
  Layer() = default;
  template <class L>
    requires(!std::is_same_v<L, Layer> && (std::is_invocable_r_v<Tensor, L&, const Tensor&> ||
                                           std::is_invocable_r_v<Tensor, L&, const Tensor&, bool>))
  Layer(L layer) : held_(std::make_shared<Held<L>>(std::move(layer))) {}  // NOLINT: layers convert

  Tensor operator()(const Operand& x, bool training = false) const { return masked(x, {}, training).output; }
  /// The same on an input with a mask. The output has the mask that the layer computes, that of the input if the layer works on
  /// each time alone (Dense, Dropout, Activation, LayerNormalization, or a class with `static constexpr bool kKeepsMask =
  /// true;`), else none.
  [[nodiscard]] Masked masked(const Operand& x, const Tensor& mask, bool training = false) const;
  /// The layer itself, or nullptr if it is of another class.
  template <class L>
  L* get() const {
    auto* held = dynamic_cast<Held<L>*>(held_.get());
    return held ? &held->layer : nullptr;
  }

  void etch_visit(detail::ModuleVisitor& visitor) const {
    if (held_) held_->visit(visitor);
  }
  Layer etch_clone(detail::Cloner& cloner) const;

 private:
  struct Base {
    virtual ~Base() = default;
    virtual Masked call(const Operand& x, const Tensor& mask, bool training) = 0;
    virtual void visit(detail::ModuleVisitor& visitor) const = 0;
    virtual std::shared_ptr<Base> clone(detail::Cloner& cloner) const = 0;
  };
  template <class L>
  struct Held final : Base {
    explicit Held(L l) : layer(std::move(l)) {}
    Masked call(const Operand& x, const Tensor& mask, bool training) override {
      if constexpr (requires { { layer.masked(x, mask, training) } -> std::same_as<Masked>; }) {
        return layer.masked(x, mask, training);
      } else if constexpr (TakesMask<L>) {
        return {layer(x, SequenceOptions{.mask = mask, .training = training}), layer.compute_mask(x, mask)};
      } else if constexpr (ComputesMask<L>) {
        return {output(x, training), layer.compute_mask(x, mask)};
      } else if constexpr (requires { requires L::kKeepsMask; }) {
        return {output(x, training), mask};
      } else {
        return {output(x, training)};
      }
    }
    Tensor output(const Operand& x, bool training) {
      if constexpr (std::is_invocable_r_v<Tensor, L&, const Operand&, bool>) return layer(x, training);
      else if constexpr (std::is_invocable_r_v<Tensor, L&, const Operand&>) return layer(x);
      else if constexpr (std::is_invocable_r_v<Tensor, L&, const Tensor&, bool>) return layer(tensor(x), training);
      else return layer(tensor(x));
    }
    void visit(detail::ModuleVisitor& visitor) const override { detail::visit_module(layer, visitor); }
    std::shared_ptr<Base> clone(detail::Cloner& cloner) const override {
      return std::make_shared<Held>(detail::clone_value(layer, cloner));
    }
    static const Tensor& tensor(const Operand& x) { return detail::tensor_in(x, "layer"); }
    L layer;
  };
  explicit Layer(std::shared_ptr<Base> held) : held_(std::move(held)) {}

  std::shared_ptr<Base> held_;
};

/// Layers one after the other. Holds any number of them, of any classes; copies share them. The mask of an Embedding with mask_zero
/// goes along, to recurrent layers, as long as the layers in between keep it.
///
///   layers::Sequential model{layers::Dense{64, activations::relu}, layers::Dropout{0.2}, layers::Dense{10}};
class Sequential {
 public:
  Sequential() = default;
  Sequential(std::initializer_list<Layer> layers) : layers_(layers) {}

  void add(Layer layer) { layers_.push_back(std::move(layer)); }
  Tensor operator()(const Operand& x, bool training = false) const { return masked(x, {}, training).output; }
  /// The same on an input with a mask, with that of the output.
  [[nodiscard]] Masked masked(const Operand& x, const Tensor& mask, bool training = false) const;

  size_t size() const { return layers_.size(); }
  /// A layer by its number. Error if there is none.
  const Layer& operator[](Integer index) const;
  /// The layers from one number to before another, shared; numbers below 0 count from the end, those beyond it are clipped.
  Sequential slice(Integer start, Integer stop = INT64_MAX) const;
  auto begin() const { return layers_.begin(); }
  auto end() const { return layers_.end(); }

  void etch_visit(detail::ModuleVisitor& visitor) const;
  Sequential etch_clone(detail::Cloner& cloner) const;

 private:
  std::vector<Layer> layers_;
};

}  // namespace layers
}  // namespace etch
