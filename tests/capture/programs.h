// Runs a function eagerly and captured on random inputs, and compares to the bit.
#pragma once

#include <etch/etch.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "compiler/ir/interpreter.h"
#include "compiler/ir/text.h"

namespace etch {

inline bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  return dispatch(a.dtype(), [&]<class T> {
    const auto x = a.data<T>(), y = b.data<T>();
    return x.empty() || std::memcmp(x.data(), y.data(), x.size_bytes()) == 0;
  });
}

inline std::string values_text(const std::vector<Tensor>& tensors) {
  std::string text;
  for (const Tensor& tensor : tensors) text += (text.empty() ? "" : ", ") + to_string(tensor);
  return text;
}

/// A list of tensors from what a callable returns.
inline std::vector<Tensor> list_of(const Tensor& tensor) { return {tensor}; }
template <class... T>
std::vector<Tensor> list_of(const std::tuple<T...>& tensors) {
  return std::apply([](const auto&... one) { return std::vector<Tensor>{one...}; }, tensors);
}
inline std::vector<Tensor> list_of(const std::vector<Tensor>& tensors) { return tensors; }

using Maker = std::function<Tensor(std::mt19937&)>;

/// f32 scalars around 0.
inline Tensor random_scalar(std::mt19937& random) { return Tensor(std::uniform_real_distribution<float>(-2, 2)(random)); }
inline Tensor random_vector(std::mt19937& random, int size = 4) {
  std::vector<float> values(static_cast<size_t>(size));
  for (float& value : values) value = std::uniform_real_distribution<float>(-2, 2)(random);
  return Tensor(values);
}
inline Tensor random_int(std::mt19937& random, int low, int high) {
  return Tensor(std::uniform_int_distribution<int>(low, high)(random));
}

struct Outcome {
  int64_t runs = 0;
  std::string graph;   // as traced
  FunctionStats stats;
};

/// Compares calls on inputs that `make` gives, and returns what the capture cost.
template <class F, class Make>
Outcome compare(F f, Make make, int count = 200, FunctionOptions options = {}) {
  Outcome outcome;
  options.name = "demo";
  auto captured = function(f, options);
  std::mt19937 random(7);
  for (int i = 0; i < count; ++i) {
    const auto inputs = make(random);
    const std::vector<Tensor> plain = list_of(std::apply(f, inputs));
    const std::vector<Tensor> compiled = list_of(std::apply(captured, inputs));
    bool same = plain.size() == compiled.size();
    for (size_t k = 0; same && k < plain.size(); ++k) same = same_bits(plain[k], compiled[k]);
    EXPECT_TRUE(same) << "call " << i << ": eagerly " << values_text(plain) << ", captured " << values_text(compiled);
    if (i == 0 || !same) {
      const auto text = std::apply([&](const auto&... input) { return captured.concrete(input...).text("trace"); }, inputs);
      outcome.graph = text;
      if (!same) EXPECT_TRUE(same) << text;
    }
    if (!same) break;
  }
  outcome.stats = captured.stats();
  outcome.runs = outcome.stats.runs;
  return outcome;
}

}  // namespace etch
