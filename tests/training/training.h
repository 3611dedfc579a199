// What tests of training share: the step, and what training came to.
#pragma once

#include <gtest/gtest.h>

#include <type_traits>
#include <vector>

#include "etch/etch.h"
#include "etch/losses.h"
#include "etch/module.h"

namespace etch {

/// One step: the loss that `compute` gives, and the update of the model's variables by its gradient.
template <class Model, class Optimizer, class Compute>
Tensor train_step(const Model& model, const Optimizer& optimizer, const Compute& compute) {
  GradientTape tape;
  const Tensor loss = compute();
  const auto variables = trainable_variables(model);
  optimizer.apply_gradients(tape.gradient(loss, variables), variables);
  return loss;
}

/// The loss of a model that gives logits, of the labels y; while training, if it takes that.
template <class Model>
Tensor loss_of_logits(Model& model, const Tensor& x, const Tensor& y) {
  const Tensor logits = [&] {
    if constexpr (std::is_invocable_v<Model&, Tensor, bool>) return model(x, true);
    else return model(x);
  }();
  return losses::sparse_categorical_crossentropy(y, logits, {.from_logits = true});
}

/// The compiled step of such a model: (x, y) -> loss.
template <class Model, class Optimizer>
auto classifier_step(Model& model, const Optimizer& optimizer, FunctionOptions options = {}) {
  return function(
      [&](Tensor x, Tensor y) { return train_step(model, optimizer, [&] { return loss_of_logits(model, x, y); }); }, options);
}

struct Trained {
  std::vector<float> losses;
  std::vector<Tensor> weights;
};

inline void expect_same(const Trained& a, const Trained& b) {
  EXPECT_EQ(a.losses, b.losses);
  ASSERT_EQ(a.weights.size(), b.weights.size());
  for (size_t i = 0; i < a.weights.size(); ++i) EXPECT_TRUE(array_equal(a.weights[i], b.weights[i]).item<bool>()) << i;
}

}  // namespace etch
