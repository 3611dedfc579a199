// The losses, as Keras 3 computes them.
#include "etch/losses.h"

#include <cmath>

#include "compiler/ir/cat.h"
#include "frontend/composites/parts.h"
#include "frontend/sample_weights.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch::losses {
namespace {

using detail::fail_in_op;
using detail::Scope;

constexpr double kEpsilon = 1e-7;  // Keras' backend epsilon

std::string type_text(const Tensor& x) { return to_string(Type{x.dtype(), x.shape()}); }

/// What should be and what was predicted. Error unless both are floats of one shape.
struct Both {
  Both(const Operand& y, const Operand& p, std::string_view loss)
      : y(detail::tensor_in(y, loss.data())), p(detail::tensor_in(p, loss.data())) {
    detail::check_floating(p, loss);
    if (this->p.rank() == 0) fail_in_op(p.where(), cat(loss, ": needs 1 axis or more, not ", type_text(this->p)));
    if (this->y.dtype() == this->p.dtype() && this->y.shape() == this->p.shape()) return;
    fail_in_op(p.where(), cat(loss, ": y is ", type_text(this->y), " and the prediction ", type_text(this->p),
                              "; they must be of one dtype and shape: cast and reshape y"));
  }
  const Tensor& y;
  const Tensor& p;
};

/// The losses of samples as a loss.
Tensor reduced(Tensor losses, const Tensor& weight, Reduction reduction, std::string_view loss, Location where) {
  if (weight.defined()) losses = losses * detail::weight_beside(losses, weight, loss, where);
  switch (reduction) {
    case Reduction::mean: return mean(losses);
    case Reduction::sum: return sum(losses);
    case Reduction::none: break;
  }
  return losses;
}

/// A loss whose samples are a formula of what should be and what was predicted.
template <class Options, class F>
Tensor loss_of(std::string_view name, const Operand& y, const Operand& p, const Options& options, F formula) {
  const Scope scope(name, p.where());
  const Both both(y, p, name);
  return reduced(formula(both.y, both.p), options.sample_weight, options.reduction, name, p.where());
}

void check_smoothing(double smoothing, std::string_view loss, Location where) {
  if (smoothing >= 0 && smoothing <= 1) return;
  fail_in_op(where, cat(loss, ": label_smoothing is ", detail::number_text(smoothing), "; it may be 0 to 1"));
}

Tensor smoothed(const Tensor& y, double smoothing, double classes) {
  return smoothing == 0 ? y : y * (1 - smoothing) + smoothing / classes;
}

/// 0 and 1 become -1 and 1 if there are no others.
Tensor signs(const Tensor& y) { return where(all((y == 0) | (y == 1)), y * 2 - 1, y); }

Tensor unit_vectors(const Tensor& x) { return x * minimum(rsqrt(sum(square(x), -1, true)), 1 / kEpsilon); }

}  // namespace

Tensor mean_squared_error(const Operand& y, const Operand& p, const LossOptions& options) {
  return loss_of("mean_squared_error", y, p, options,
                 [](const Tensor& y, const Tensor& p) { return mean(squared_difference(p, y), -1); });
}

Tensor mean_absolute_error(const Operand& y, const Operand& p, const LossOptions& options) {
  return loss_of("mean_absolute_error", y, p, options,
                 [](const Tensor& y, const Tensor& p) { return mean(abs(y - p), -1); });
}

Tensor mean_absolute_percentage_error(const Operand& y, const Operand& p, const LossOptions& options) {
  return loss_of("mean_absolute_percentage_error", y, p, options, [](const Tensor& y, const Tensor& p) {
    return mean(abs((y - p) / maximum(abs(y), kEpsilon)), -1) * 100;
  });
}

Tensor mean_squared_logarithmic_error(const Operand& y, const Operand& p, const LossOptions& options) {
  return loss_of("mean_squared_logarithmic_error", y, p, options, [](const Tensor& y, const Tensor& p) {
    return mean(squared_difference(log(maximum(p, kEpsilon) + 1), log(maximum(y, kEpsilon) + 1)), -1);
  });
}

Tensor huber(const Operand& y, const Operand& p, const HuberOptions& options) {
  return loss_of("huber", y, p, options, [&](const Tensor& y, const Tensor& p) {
    const double delta = options.delta;
    const Tensor distance = abs(p - y);
    return mean(where(distance <= delta, square(distance) * 0.5, distance * delta - 0.5 * delta * delta), -1);
  });
}

Tensor log_cosh(const Operand& y, const Operand& p, const LossOptions& options) {
  return loss_of("log_cosh", y, p, options, [](const Tensor& y, const Tensor& p) {
    constexpr double kLog2 = 0.69314718055994530941723212145818;
    const Tensor x = p - y;
    return mean(x + softplus(x * -2) - kLog2, -1);
  });
}

Tensor binary_crossentropy(const Operand& y, const Operand& p, const CrossentropyOptions& options) {
  check_smoothing(options.label_smoothing, "binary_crossentropy", p.where());
  return loss_of("binary_crossentropy", y, p, options, [&](const Tensor& y, const Tensor& p) {
    const Tensor z = smoothed(y, options.label_smoothing, 2);
    if (options.from_logits) return mean(softplus(p) - p * z, -1);
    const Tensor q = clip(p, kEpsilon, 1 - kEpsilon);
    return mean(-(z * log(q) + (1 - z) * log(1 - q)), -1);
  });
}

Tensor categorical_crossentropy(const Operand& y, const Operand& p, const CrossentropyOptions& options) {
  check_smoothing(options.label_smoothing, "categorical_crossentropy", p.where());
  return loss_of("categorical_crossentropy", y, p, options, [&](const Tensor& y, const Tensor& p) {
    const auto classes = static_cast<double>(p.shape()[p.rank() - 1]);
    const Tensor z = smoothed(y, options.label_smoothing, classes);
    if (options.from_logits) return -sum(z * log_softmax(p), -1);
    return -sum(z * log(clip(p / sum(p, -1, true), kEpsilon, 1 - kEpsilon)), -1);
  });
}

Tensor sparse_categorical_crossentropy(const Operand& y, const Operand& p, const SparseCrossentropyOptions& options) {
  constexpr std::string_view kName = "sparse_categorical_crossentropy";
  const Scope scope(kName, p.where());
  detail::check_floating(p, kName);
  const Tensor& scores = *p.tensor();
  const Tensor wide = detail::labels_of(y, p, kName);
  const int64_t classes = scores.shape()[scores.rank() - 1];
  const Tensor logs = log_softmax(options.from_logits ? scores : log(clip(scores, kEpsilon, 1 - kEpsilon)));
  const Tensor is_label = expand_dims(wide, -1) == range(classes, DType::i64);
  const Tensor losses = -sum(where(is_label, logs, zeros({}, logs.dtype())), -1);
  const Tensor is_class = (wide >= int64_t{0}) & (wide < classes);
  return reduced(where(is_class, losses, full({}, NAN, losses.dtype())), options.sample_weight, options.reduction, kName,
                 p.where());
}

Tensor kl_divergence(const Operand& y, const Operand& p, const LossOptions& options) {
  return loss_of("kl_divergence", y, p, options, [](const Tensor& y, const Tensor& p) {
    const Tensor z = clip(y, kEpsilon, 1);
    return sum(z * log(z / clip(p, kEpsilon, 1)), -1);
  });
}

Tensor poisson(const Operand& y, const Operand& p, const LossOptions& options) {
  return loss_of("poisson", y, p, options,
                 [](const Tensor& y, const Tensor& p) { return mean(p - y * log(p + kEpsilon), -1); });
}

Tensor hinge(const Operand& y, const Operand& p, const LossOptions& options) {
  return loss_of("hinge", y, p, options,
                 [](const Tensor& y, const Tensor& p) { return mean(maximum(1 - signs(y) * p, 0), -1); });
}

Tensor squared_hinge(const Operand& y, const Operand& p, const LossOptions& options) {
  return loss_of("squared_hinge", y, p, options,
                 [](const Tensor& y, const Tensor& p) { return mean(square(maximum(1 - signs(y) * p, 0)), -1); });
}

Tensor categorical_hinge(const Operand& y, const Operand& p, const LossOptions& options) {
  return loss_of("categorical_hinge", y, p, options, [](const Tensor& y, const Tensor& p) {
    return maximum(max((1 - y) * p, -1) - sum(y * p, -1) + 1, 0);
  });
}

Tensor cosine_similarity(const Operand& y, const Operand& p, const LossOptions& options) {
  return loss_of("cosine_similarity", y, p, options,
                 [](const Tensor& y, const Tensor& p) { return -sum(unit_vectors(y) * unit_vectors(p), -1); });
}

Tensor Loss::weighted(const Tensor& losses, const Tensor& sample_weight, Location where) {
  if (losses.rank() > 0 || !sample_weight.defined()) return reduced(losses, sample_weight, Reduction::mean, "loss", where);
  fail_in_op(where, "loss: a loss that gives one number for all samples cannot weigh them; let it give one for each sample");
}

}  // namespace etch::losses
