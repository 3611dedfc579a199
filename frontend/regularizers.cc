// Regularisers and constraints, as Keras 3 computes them.
#include "etch/regularizers.h"

#include <cmath>

#include "compiler/ir/cat.h"
#include "etch/constraints.h"
#include "frontend/tensor_impl.h"
#include "frontend/trace.h"
#include "frontend/variable_cell.h"

namespace etch {
namespace regularizers {
namespace {

double checked(double factor, Location where) {
  if (std::isfinite(factor) && factor >= 0) return factor;
  detail::fail(where, cat("regularizer: a factor is ", detail::number_text(factor), "; it is finite and not below 0"));
}

}  // namespace

Regularizer l1(double factor, Location where) {
  checked(factor, where);
  return [=](const Tensor& w) { return sum(abs(w)) * factor; };
}

Regularizer l2(double factor, Location where) {
  checked(factor, where);
  return [=](const Tensor& w) { return sum(square(w)) * factor; };
}

Regularizer l1_l2(double l1, double l2, Location where) {
  checked(l1, where);
  checked(l2, where);
  return [=](const Tensor& w) { return sum(abs(w)) * l1 + sum(square(w)) * l2; };
}

}  // namespace regularizers

namespace constraints {
namespace {

constexpr double kEpsilon = 1e-7;  // Keras' backend epsilon

Tensor norms_of(const Tensor& w, const Axes& axes) { return sqrt(sum(square(w), axes, true)); }

}  // namespace

Constraint max_norm(double max_value, const Axes& axes) {
  return [=](const Tensor& w) {
    const Tensor norms = norms_of(w, axes);
    return w * (clip(norms, 0.0, max_value) / (norms + kEpsilon));
  };
}

Constraint non_neg() {
  return [](const Tensor& w) { return maximum(w, 0); };
}

Constraint unit_norm(const Axes& axes) {
  return [=](const Tensor& w) { return w / (norms_of(w, axes) + kEpsilon); };
}

Constraint min_max_norm(double min_value, double max_value, double rate, const Axes& axes) {
  return [=](const Tensor& w) {
    const Tensor norms = norms_of(w, axes);
    const Tensor desired = clip(norms, min_value, max_value) * rate + norms * (1 - rate);
    return w * (desired / (norms + kEpsilon));
  };
}

}  // namespace constraints

Tensor detail::regularization_loss(const std::vector<Variable>& variables, Location where) {
  const Scope scope("regularization_loss", where);
  Tensor total;
  for (const Variable& variable : variables) {
    const Regularizer& regularizer = VariableAccess::get(variable)->options().regularizer;
    if (!regularizer) continue;
    const Tensor loss = cast(sum(regularizer(variable.value(where))), DType::f32);
    total = total.defined() ? total + loss : loss;
  }
  return total;
}

}  // namespace etch
