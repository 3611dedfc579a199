// The ways to compute a gradient, which must give the same bits.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "etch/etch.h"

namespace etch {

using TensorList = std::vector<Tensor>;
using Program = std::function<TensorList(const TensorList&)>;

/// The same types and bits; two NaNs count as equal.
inline ::testing::AssertionResult same_bits(const TensorList& a, const TensorList& b) {
  if (a.size() != b.size()) return ::testing::AssertionFailure() << a.size() << " against " << b.size() << " tensors";
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].dtype() != b[i].dtype() || !(a[i].shape() == b[i].shape())) {
      return ::testing::AssertionFailure() << "tensor " << i << " has another type";
    }
    const std::vector<float> x = cast(a[i], DType::f32).to_vector<float>();
    const std::vector<float> y = cast(b[i], DType::f32).to_vector<float>();
    for (size_t j = 0; j < x.size(); ++j) {
      if (std::memcmp(&x[j], &y[j], sizeof x[j]) == 0 || (x[j] != x[j] && y[j] != y[j])) continue;
      return ::testing::AssertionFailure()
             << "element " << j << " of tensor " << i << " is " << x[j] << " against " << y[j];
    }
  }
  return ::testing::AssertionSuccess();
}

/// f, and the gradients of the sum of its results in all inputs.
inline Program with_gradients(Program f) {
  return [f = std::move(f)](const TensorList& inputs) {
    GradientTape tape;
    tape.watch(inputs);
    TensorList results = f(inputs);
    for (Tensor& gradient : tape.gradient(results, inputs, {.unconnected = Unconnected::zeros})) {
      results.push_back(std::move(gradient));
    }
    return results;
  };
}

inline Program traced(Program f, FunctionOptions options = {}) {
  return function<TensorList(const TensorList&)>(std::move(f), std::move(options));
}

struct EagerFunctions {
  EagerFunctions() { run_functions_eagerly(true); }
  ~EagerFunctions() { run_functions_eagerly(false); }
};

/// Expects `outer(f)` to give the same bits eager, traced fused and unfused, and on two threads that split.
inline void expect_same_bits_of(const std::function<Program(Program)>& outer, const Program& f, const TensorList& inputs,
                                const std::string& what) {
  const TensorList eager = outer(f)(inputs);
  EXPECT_TRUE(same_bits(traced(outer(f))(inputs), eager)) << what << " traced";
  EXPECT_TRUE(same_bits(traced(outer(f), {.fuse = false})(inputs), eager)) << what << " traced, unfused";
  {
    const EagerFunctions eagerly;
    EXPECT_TRUE(same_bits(traced(outer(f))(inputs), eager)) << what << " functions run eagerly";
  }
  const ScopedFlags split("threads=2,grain=1");
  EXPECT_TRUE(same_bits(outer(f)(inputs), eager)) << what << " eager, split";
  EXPECT_TRUE(same_bits(traced(outer(f))(inputs), eager)) << what << " traced, split";
}

/// The same, and once more where f is a function of its own. That is a group of events, so that sums have another
/// order.
inline void expect_same_in_all_modes(const std::function<Program(Program)>& outer, const Program& f,
                                     const TensorList& inputs, const std::string& what = "") {
  expect_same_bits_of(outer, f, inputs, what);
  expect_same_bits_of(outer, traced(f), inputs, what + " through a function");
}

}  // namespace etch
