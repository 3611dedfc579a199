// Compares a layer over time, or a cell, with a case that Keras computed: output, states and gradients, eager and traced.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "etch/function.h"
#include "etch/gradient_tape.h"
#include "etch/layers/recurrent.h"
#include "etch/module.h"
#include "tests/keras_file.h"

namespace etch {

using layers::WithState;

/// Those of the keys `state0`, `state1` ... that a case has.
inline std::vector<Tensor> numbered(const KerasCase& expected, const std::string& key) {
  std::vector<Tensor> all;
  for (int i = 0; expected.contains(key + std::to_string(i)); ++i) all.push_back(expected.at(key + std::to_string(i)));
  return all;
}

struct Results {
  WithState value;
  Tensor d_x;
  std::vector<Tensor> d_initial, d_weights;
};

/// What a call gives, and the gradients of its results weighted as in the case.
template <class L, class Call>
Results run(const L& layer, const KerasCase& expected, const Call& call, Tensor x, std::vector<Tensor> initial) {
  GradientTape tape;
  tape.watch(std::pair(x, initial));
  Results results{call(layer, x, initial), {}, {}, {}};
  const std::vector<Tensor> g_states = numbered(expected, "g_state");
  Tensor loss = sum(results.value.output * expected.at("g"));
  for (size_t i = 0; i < g_states.size(); ++i) loss = loss + sum(results.value.states[i] * g_states[i]);
  std::tie(results.d_x, results.d_initial, results.d_weights) =
      tape.gradient(loss, std::tuple(x, initial, trainable_variables(layer)));
  return results;
}

inline void compare(const Results& results, const KerasCase& expected, const std::vector<NamedVariable>& variables) {
  expect_near(results.value.output, expected.at("y"), 4e-6);
  const std::vector<Tensor> states = numbered(expected, "state"), d_initial = numbered(expected, "d_initial");
  ASSERT_EQ(results.value.states.size(), states.size());
  for (size_t i = 0; i < states.size(); ++i) expect_near(results.value.states[i], states[i], 4e-6);
  expect_near(results.d_x, expected.at("d_x"), 2e-5);
  for (size_t i = 0; i < d_initial.size(); ++i) expect_near(results.d_initial[i], d_initial[i], 2e-5);
  for (size_t i = 0; i < variables.size(); ++i) {
    SCOPED_TRACE(variables[i].name);
    expect_near(results.d_weights[i], expected.at("d_" + variables[i].name), 2e-5);
  }
}

/// Runs a layer eagerly and traced with the weights of a case; `call` calls it.
template <class L, class Call>
void expect_as_keras(const L& layer, const KerasCase& expected, const Call& call) {
  const Tensor x = expected.at("x");
  const std::vector<Tensor> initial = numbered(expected, "initial");
  (void)call(layer, x, initial);
  const std::vector<NamedVariable> variables = named_variables(layer);
  for (const NamedVariable& variable : variables) variable.variable.assign(expected.at(variable.name));
  const Results eager = run(layer, expected, call, x, initial);
  compare(eager, expected, variables);
  const Results traced = function([&](Tensor x, std::vector<Tensor> initial) {
    return run(layer, expected, call, x, initial);
  })(x, initial);
  compare(traced, expected, variables);
  EXPECT_TRUE(array_equal(traced.value.output, eager.value.output).item<bool>());
  for (size_t i = 0; i < variables.size(); ++i) {
    EXPECT_TRUE(array_equal(traced.d_weights[i], eager.d_weights[i]).item<bool>()) << variables[i].name;
  }
}

}  // namespace etch
