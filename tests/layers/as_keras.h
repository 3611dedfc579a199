// Compares a layer with a case that Keras computed: values, gradients and what a call assigns, eager and traced.
#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "etch/function.h"
#include "etch/gradient_tape.h"
#include "etch/module.h"
#include "tests/keras_file.h"

namespace etch {

/// Gives the variables of a layer the values of a case, by their names.
template <class L>
void load(const L& layer, const KerasCase& expected) {
  for (const NamedVariable& variable : named_variables(layer)) variable.variable.assign(expected.at(variable.name));
}

/// Compares the output, the gradients in the input and the weights, and the variables that a call moves, run in one way.
template <class L, class Run>
void compare_with_keras(const L& layer, const KerasCase& expected, const Run& run) {
  const Tensor x = expected.at("x");
  (void)run(layer, x);
  load(layer, expected);
  const auto [y, gradients] = run(layer, x);
  expect_near(y, expected.at("y"), 4e-6);
  expect_near(gradients.first, expected.at("d_x"), 2e-5);
  size_t next = 0;
  for (const NamedVariable& variable : named_variables(layer)) {
    if (variable.variable.trainable()) expect_near(gradients.second[next++], expected.at("d_" + variable.name), 2e-5);
  }
  for (const NamedVariable& variable : named_variables(layer)) {
    const auto after = expected.find(variable.name + "_after");
    if (after != expected.end()) expect_near(variable.variable.value(), after->second, 1e-6);
  }
}

template <class L>
void expect_as_keras(const L& layer, const KerasCase& expected, bool training = false) {
  const Tensor g = expected.at("g");
  const auto forward_and_back = [&](const L& of, const Tensor& x) {
    GradientTape tape;
    tape.watch(x);
    Tensor y;
    if constexpr (std::is_invocable_v<const L&, const Operand&, bool>) y = of(x, training);
    else y = of(x);
    const std::pair<Tensor, std::vector<Tensor>> gradients = tape.gradient(y, std::pair(x, trainable_variables(of)), g);
    return std::pair(y, gradients);
  };
  compare_with_keras(layer, expected, forward_and_back);
  compare_with_keras(clone(layer), expected, [&](const L& of, const Tensor& x) {
    return function([&](Tensor input) { return forward_and_back(of, input); })(x);
  });
}

}  // namespace etch
