// Regularisers: what the weights of a model add to its loss.
#pragma once

#include "etch/module.h"
#include "etch/ops.h"

namespace [[gnu::visibility("default")]] etch {

// Names, formulas and defaults are Keras'. A variable has its regulariser from its making (VariableOptions), a layer gives its
// own to its variables; regularization_loss finds them there.
namespace regularizers {

/// factor * sum(|w|). Error for a factor below 0 or not finite.
[[nodiscard]] Regularizer l1(double factor = 0.01, Location where = Location::current());
/// factor * sum(w^2).
[[nodiscard]] Regularizer l2(double factor = 0.01, Location where = Location::current());
/// Both.
[[nodiscard]] Regularizer l1_l2(double l1 = 0.01, double l2 = 0.01, Location where = Location::current());

}  // namespace regularizers

namespace detail {
/// Holds nothing if there is no regulariser.
Tensor regularization_loss(const std::vector<Variable>& variables, Location where);
}

/// What the regularisers of a module's trainable variables give, summed up: f32[], 0 of none. Inside of a tape it is a part of
/// the loss like any other:
///
///   Tensor loss = losses::mean_squared_error(y, model(x)) + regularization_loss(model);
template <class M>
[[nodiscard]] Tensor regularization_loss(const M& module, Location where = Location::current()) {
  const Tensor loss = detail::regularization_loss(trainable_variables(module), where);
  return loss.defined() ? loss : zeros({});
}

}  // namespace etch
