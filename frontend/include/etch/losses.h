// Losses: how far predictions are from what they should be.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

#include "etch/ops.h"

namespace [[gnu::visibility("default")]] etch {

// Names, formulas and defaults are Keras'. The first operand is what should be, the second one what was predicted, of the same
// shape and dtype, floats, but for sparse labels. The loss of a sample is over the last axis. With Reduction::mean weights
// do not change what the sum is divided by. Error for shapes that differ.
namespace losses {

/// What becomes of the losses of a batch's samples.
enum class Reduction : uint8_t {
  mean,  // their sum by their number (Keras' sum_over_batch_size)
  sum,
  none,  // one number each
};

struct LossOptions {
  Tensor sample_weight{};  // times each loss; of the losses' shape, or of their first axes
  Reduction reduction = Reduction::mean;
};

struct HuberOptions {
  double delta = 1;  // where the square becomes a line
  Tensor sample_weight{};
  Reduction reduction = Reduction::mean;
};

struct CrossentropyOptions {
  bool from_logits = false;    // predictions are logits, not probabilities
  double label_smoothing = 0;  // how much of a label is spread over all classes, 0 to 1
  Tensor sample_weight{};
  Reduction reduction = Reduction::mean;
};

struct SparseCrossentropyOptions {
  bool from_logits = false;
  Tensor sample_weight{};
  Reduction reduction = Reduction::mean;
};

/// mean((y - p)^2).
[[nodiscard]] Tensor mean_squared_error(const Operand& y, const Operand& p, const LossOptions& options = {});
/// mean(|y - p|).
[[nodiscard]] Tensor mean_absolute_error(const Operand& y, const Operand& p, const LossOptions& options = {});
/// 100 mean(|y - p| / max(|y|, 1e-7)).
[[nodiscard]] Tensor mean_absolute_percentage_error(const Operand& y, const Operand& p, const LossOptions& options = {});
/// mean((log(1 + y) - log(1 + p))^2), with both at least 1e-7.
[[nodiscard]] Tensor mean_squared_logarithmic_error(const Operand& y, const Operand& p, const LossOptions& options = {});
/// mean of (y - p)^2 / 2 up to a distance of delta and of delta |y - p| - delta^2 / 2 beyond.
[[nodiscard]] Tensor huber(const Operand& y, const Operand& p, const HuberOptions& options = {});
/// mean(log(cosh(p - y))).
[[nodiscard]] Tensor log_cosh(const Operand& y, const Operand& p, const LossOptions& options = {});

/// mean(-y log(p) - (1 - y) log(1 - p)), with probabilities within 1e-7..1 - 1e-7; smoothing moves y towards 1/2.
[[nodiscard]] Tensor binary_crossentropy(const Operand& y, const Operand& p, const CrossentropyOptions& options = {});
/// sum(-y log(p)) of distributions y; probabilities are divided by their sum and kept within 1e-7..1 - 1e-7; smoothing moves y
/// towards 1 / classes.
[[nodiscard]] Tensor categorical_crossentropy(const Operand& y, const Operand& p, const CrossentropyOptions& options = {});
/// The same of labels y, integers of p's shape without its last axis, or with 1 there. A label that is no class gives NaN, as on
/// TensorFlow's GPUs.
[[nodiscard]] Tensor sparse_categorical_crossentropy(const Operand& y, const Operand& p,
                                                     const SparseCrossentropyOptions& options = {});
/// sum(y log(y / p)), with both within 1e-7..1.
[[nodiscard]] Tensor kl_divergence(const Operand& y, const Operand& p, const LossOptions& options = {});
/// mean(p - y log(p + 1e-7)).
[[nodiscard]] Tensor poisson(const Operand& y, const Operand& p, const LossOptions& options = {});

/// mean(max(1 - y p, 0)) of labels -1 and 1; labels that all are 0 or 1 count as those.
[[nodiscard]] Tensor hinge(const Operand& y, const Operand& p, const LossOptions& options = {});
/// mean(max(1 - y p, 0)^2), with labels as for hinge.
[[nodiscard]] Tensor squared_hinge(const Operand& y, const Operand& p, const LossOptions& options = {});
/// max(max((1 - y) p) - sum(y p) + 1, 0) of distributions y.
[[nodiscard]] Tensor categorical_hinge(const Operand& y, const Operand& p, const LossOptions& options = {});
/// -sum(y p) of vectors scaled to length 1.
[[nodiscard]] Tensor cosine_similarity(const Operand& y, const Operand& p, const LossOptions& options = {});

/// A loss with its options, as Model::compile takes it:
///
///   losses::mean_squared_error
///   {losses::sparse_categorical_crossentropy, {.from_logits = true}}
///   [](Tensor y, Tensor p) { return mean(abs(y - p), -1); }   // the losses of samples, or all of them as one number
class Loss {
 public:
  /// None.
  Loss() = default;
  template <class Options>
  Loss(Tensor (*loss)(const Operand&, const Operand&, const Options&), const std::type_identity_t<Options>& options = {})
      : call_([loss, options](const Tensor& y, const Tensor& p, const Tensor& sample_weight, Location where) {
          Options own = options;
          if (sample_weight.defined()) own.sample_weight = sample_weight;
          return loss(Operand(y, where), Operand(p, where), own);
        }) {}
  template <class F>
    requires(!std::same_as<F, Loss> && std::is_invocable_r_v<Tensor, const F&, const Tensor&, const Tensor&>)
  Loss(F loss)  // NOLINT: callables convert
      : call_([loss = std::move(loss)](const Tensor& y, const Tensor& p, const Tensor& sample_weight, Location where) {
          return weighted(loss(y, p), sample_weight, where);
        }) {}

  explicit operator bool() const { return static_cast<bool>(call_); }
  /// The loss of a batch; a weight takes the place of one that the options have. Error for a callable of one's own that gives one
  /// number, if there are weights.
  [[nodiscard]] Tensor operator()(const Tensor& y, const Tensor& p, const Tensor& sample_weight = {},
                                  Location where = Location::current()) const {
    return call_(y, p, sample_weight, where);
  }

 private:
  /// The mean of losses times weights.
  static Tensor weighted(const Tensor& losses, const Tensor& sample_weight, Location where);

  std::function<Tensor(const Tensor&, const Tensor&, const Tensor&, Location)> call_;
};

}  // namespace losses
}  // namespace etch
