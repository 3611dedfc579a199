// Runs a function eagerly and captured on random inputs, and compares to the bit.
#pragma once

#include <etch/etch.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

namespace etch {

inline bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return false;
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
inline auto one(std::mt19937& random) { return std::tuple(random_scalar(random)); }
inline auto two(std::mt19937& random) { return std::tuple(random_scalar(random), random_scalar(random)); }
inline auto row(std::mt19937& random) { return std::tuple(random_vector(random)); }
/// A count, and a number.
inline auto counted(std::mt19937& random) { return std::tuple(random_int(random, 0, 9), random_scalar(random)); }

inline int occurrences(const std::string& text, const std::string& part) {
  int found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

struct Outcome {
  std::string graph;   // as traced
  FunctionStats stats;

  int64_t runs() const { return stats.runs; }
  /// How often an op stands in it.
  int count(const std::string& op) const { return occurrences(graph, op + "("); }
};

/// Compares calls on inputs that `make` gives, and returns what the capture cost.
template <class F, class Make>
Outcome compare(F f, Make make, int calls = 200, FunctionOptions options = {}) {
  Outcome outcome;
  options.name = "demo";
  auto captured = function(f, options);
  std::mt19937 random(7);
  for (int i = 0; i < calls; ++i) {
    const auto inputs = make(random);
    const std::vector<Tensor> plain = list_of(std::apply(f, inputs));
    const std::vector<Tensor> compiled = list_of(std::apply([&](const auto&... input) { return captured(input...); }, inputs));
    bool same = plain.size() == compiled.size();
    for (size_t k = 0; same && k < plain.size(); ++k) same = same_bits(plain[k], compiled[k]);
    if (i == 0 || !same) {
      outcome.graph = std::apply([&](const auto&... input) { return captured.concrete(input...).text("trace"); }, inputs);
    }
    EXPECT_TRUE(same) << "call " << i << ": eagerly " << values_text(plain) << ", captured " << values_text(compiled) << "\n"
                      << outcome.graph;
    if (!same) break;
  }
  outcome.stats = captured.stats();
  return outcome;
}

/// The Error of the first call, and that a second one ends as well.
template <class F, class... Inputs>
std::string error_of(F f, const Inputs&... inputs) {
  auto captured = function(f, {.name = "demo"});
  for (int call = 0; call < 2; ++call) {
    try {
      (void)captured(inputs...);
    } catch (const Error& error) {
      if (call == 1) return error.what();
      continue;
    }
    return "no error";
  }
  return "";
}

/// Lines as LINE, so that texts do not depend on the place of a test.
inline std::string without_lines(std::string text) {
  for (size_t at = text.find(".cc:"); at != text.npos; at = text.find(".cc:", at + 4)) {
    size_t end = at + 4;
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
    text.replace(at + 4, end - at - 4, "LINE");
  }
  return text;
}

}  // namespace etch
