// Layers: modules whose variables get their shapes from the first call.
#pragma once

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
  etch::Activation function{};

  Tensor operator()(const Operand& x) const;
};

/// (x - mean) / sqrt(variance + epsilon) * gamma + beta, with mean and variance over the axes (Ba et al., "Layer
/// Normalization", 2016).
struct LayerNormalization {
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

/// Any layer or module that maps a tensor to a tensor, shared by its copies. Called with `training` if it takes that.
class Layer {
 public:
  /// None; calling it is an Error.
  Layer() = default;
  template <class L>
    requires(!std::is_same_v<L, Layer> && (std::is_invocable_r_v<Tensor, L&, const Tensor&> ||
                                           std::is_invocable_r_v<Tensor, L&, const Tensor&, bool>))
  Layer(L layer) : held_(std::make_shared<Held<L>>(std::move(layer))) {}  // NOLINT: layers convert

  Tensor operator()(const Operand& x, bool training = false) const;
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
    virtual Tensor call(const Operand& x, bool training) = 0;
    virtual void visit(detail::ModuleVisitor& visitor) const = 0;
    virtual std::shared_ptr<Base> clone(detail::Cloner& cloner) const = 0;
  };
  template <class L>
  struct Held final : Base {
    explicit Held(L l) : layer(std::move(l)) {}
    Tensor call(const Operand& x, bool training) override {
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

/// Layers one after the other. Holds any number of them, of any classes; copies share them.
///
///   layers::Sequential model{layers::Dense{64, activations::relu}, layers::Dropout{0.2}, layers::Dense{10}};
class Sequential {
 public:
  Sequential() = default;
  Sequential(std::initializer_list<Layer> layers) : layers_(layers) {}

  void add(Layer layer) { layers_.push_back(std::move(layer)); }
  Tensor operator()(const Operand& x, bool training = false) const;

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
