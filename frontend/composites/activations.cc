// What neural networks apply to their layers: activations, softmax and normalisation.
#include <cmath>

#include "compiler/ir/cat.h"
#include "etch/ops.h"
#include "frontend/composites/parts.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"

namespace etch {

using detail::check_floating;
using detail::fail_in_op;
using detail::number_text;
using detail::rounded_once;
using detail::Scope;

Tensor softmax(const Operand& x, const Axes& axes) {
  Scope scope("softmax", x.where());
  check_floating(x, "softmax");
  return rounded_once(*x.tensor(), [&](const Tensor& t) {
    const Tensor powers = exp(t - stop_gradient(max(t, axes, true)));  // the result does not depend on the shift
    // As TensorFlow: one division a row instead of one an element.
    return powers * (1.0 / sum(powers, axes, true));
  });
}

Tensor log_softmax(const Operand& x, const Axes& axes) {
  Scope scope("log_softmax", x.where());
  check_floating(x, "log_softmax");
  return rounded_once(*x.tensor(), [&](const Tensor& t) {
    const Tensor shifted = t - stop_gradient(max(t, axes, true));
    return shifted - log(sum(exp(shifted), axes, true));
  });
}

namespace {

/// (x - mean) / sqrt(variance + epsilon), in the scope of layer_norm.
Tensor normalised(const Operand& x, const Axes& axes, double epsilon) {
  check_floating(x, "layer_norm");
  if (!(epsilon >= 0)) {
    fail_in_op(x.where(), cat("layer_norm: epsilon is ", number_text(epsilon), "; it may not be below 0"));
  }
  return rounded_once(*x.tensor(), [&](const Tensor& t) {
    const Tensor centred = t - mean(t, axes, true);
    return centred * rsqrt(mean(square(centred), axes, true) + epsilon);
  });
}

}  // namespace

Tensor layer_norm(const Operand& x, const Axes& axes, double epsilon) {
  Scope scope("layer_norm", x.where());
  return normalised(x, axes, epsilon);
}

Tensor layer_norm(const Operand& x, const Tensor& gamma, const Tensor& beta, const Axes& axes, double epsilon) {
  Scope scope("layer_norm", x.where());
  return normalised(x, axes, epsilon) * gamma + beta;
}

Tensor relu(const Operand& x) {
  Scope scope("relu", x.where());
  return maximum(0, x);  // of equal ones the first has the gradient: 0 at 0, as TensorFlow's
}

Tensor relu6(const Operand& x) {
  Scope scope("relu6", x.where());
  return minimum(6, maximum(0, x));  // no gradient at the bounds, as TensorFlow's
}

Tensor leaky_relu(const Operand& x, double alpha) {
  Scope scope("leaky_relu", x.where());
  check_floating(x, "leaky_relu");
  return where(greater(x, 0), x, mul(alpha, x));
}

// The branch that is not taken has a finite derivative, or 0 times infinity would reach the gradient.
Tensor elu(const Operand& x, double alpha) {
  Scope scope("elu", x.where());
  check_floating(x, "elu");
  return where(greater(x, 0), x, alpha * expm1(minimum(x, 0)));
}

Tensor selu(const Operand& x) {
  Scope scope("selu", x.where());
  check_floating(x, "selu");
  constexpr double kScale = 1.0507009873554804934193349852946;
  constexpr double kAlpha = 1.6732632423543772848170429916717;
  return kScale * where(greater_equal(x, 0), x, kAlpha * expm1(minimum(x, 0)));
}

Tensor gelu(const Operand& x, Gelu form) {
  Scope scope("gelu", x.where());
  check_floating(x, "gelu");
  const Tensor& t = *x.tensor();
  if (form > Gelu::tanh) fail_in_op(x.where(), cat("gelu: the value ", static_cast<int>(form), " is no Gelu form"));
  if (form == Gelu::exact) return 0.5 * t * (1 + erf(t * std::sqrt(0.5)));
  constexpr double kSqrt2OverPi = 0.79788456080286535587989211986876;
  return 0.5 * t * (1 + tanh(kSqrt2OverPi * (t + 0.044715 * (t * t * t))));
}

Tensor silu(const Operand& x) {
  Scope scope("silu", x.where());
  return mul(x, sigmoid(x));
}

Tensor swish(const Operand& x, double beta) {
  Scope scope("swish", x.where());
  return mul(x, sigmoid(mul(beta, x)));
}

Tensor hard_sigmoid(const Operand& x) {
  Scope scope("hard_sigmoid", x.where());
  check_floating(x, "hard_sigmoid");
  return relu6(add(x, 3)) / 6;
}

Tensor softsign(const Operand& x) {
  Scope scope("softsign", x.where());
  check_floating(x, "softsign");
  return div(x, abs(x) + 1);
}

}  // namespace etch
