// Derivatives by differences: what gradients are compared with.
#include "tests/gradients/differences.h"

#include <gtest/gtest.h>

#include <cmath>

#include "compiler/ir/text.h"

namespace etch {

std::vector<double> values_of(const Literal& literal) {
  std::vector<double> values(literal.bytes.size() / sizeof(double));
  if (!values.empty()) std::memcpy(values.data(), literal.bytes.data(), literal.bytes.size());
  return values;
}

Literal literal_of(const Shape& shape, const std::vector<double>& values) {
  Literal literal{{DType::f64, shape}, std::vector<std::byte>(values.size() * sizeof(double))};
  if (!values.empty()) std::memcpy(literal.bytes.data(), values.data(), literal.bytes.size());
  return literal;
}

Literal draw(const Type& type, double low, double high, bool both_signs, std::mt19937_64& random) {
  if (type.dtype != DType::f64) return random_literal(type, Draw::plain, random);
  std::uniform_real_distribution<double> size(low, high);
  std::vector<double> values(type.size());
  for (double& value : values) value = size(random) * (both_signs && random() % 2 ? -1 : 1);
  return literal_of(type.shape, values);
}

std::vector<Literal> draw_weights(const Graph& graph, std::mt19937_64& random) {
  std::vector<Literal> weights;
  for (Value output : float_outputs(graph)) weights.push_back(draw(graph.type(output), 0.5, 2, true, random));
  return weights;
}

std::vector<Literal> outputs_of(const Graph& graph, const std::vector<Literal>& inputs) {
  absl::StatusOr<std::vector<Literal>> outputs = interpret(graph, inputs);
  if (!outputs.ok()) ADD_FAILURE() << outputs.status() << "\n" << print(graph);
  return outputs.ok() ? *outputs : std::vector<Literal>();
}

namespace {

std::vector<std::vector<double>> float_values(const Graph& graph, const std::vector<Literal>& inputs) {
  std::vector<std::vector<double>> values;
  for (const Literal& output : outputs_of(graph, inputs)) {
    if (output.type.dtype == DType::f64) values.push_back(values_of(output));
  }
  return values;
}

}  // namespace

std::vector<std::vector<double>> central_differences(const Graph& graph, const std::vector<Literal>& inputs,
                                                     const std::vector<Literal>& weights) {
  std::vector<std::vector<double>> gradients(inputs.size());
  std::vector<std::vector<double>> weight_values;
  for (const Literal& weight : weights) weight_values.push_back(values_of(weight));
  std::vector<Literal> moved = inputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].type.dtype != DType::f64) continue;
    const std::vector<double> x = values_of(inputs[i]);
    for (size_t k = 0; k < x.size(); ++k) {
      const auto values_at = [&](double value) {
        std::vector<double> near = x;
        near[k] = value;
        moved[i] = literal_of(inputs[i].type.shape, near);
        return float_values(graph, moved);
      };
      const double above = x[k] + 0x1p-20, below = x[k] - 0x1p-20;
      const auto high = values_at(above), low = values_at(below);
      long double difference = 0;
      for (size_t j = 0; j < high.size(); ++j) {
        for (size_t e = 0; e < high[j].size(); ++e) {
          difference += static_cast<long double>(weight_values[j][e]) * (high[j][e] - low[j][e]);
        }
      }
      gradients[i].push_back(static_cast<double>(difference / (above - below)));
    }
    moved[i] = inputs[i];
  }
  return gradients;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& expected, const std::string& what) {
  ASSERT_EQ(got.size(), expected.size()) << what;
  double largest = 1;
  for (double value : expected) largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], expected[i], 1e-7 * largest) << what << ", element " << i;
  }
}

void expect_all_ways_agree(const Graph& graph, const std::vector<Literal>& inputs) {
  const std::vector<Literal> oracle = outputs_of(graph, inputs);
  const auto unfused = run_compiled(graph, {.fuse = false, .verify = true}, inputs, {.threads = 1});
  ASSERT_TRUE(unfused.ok()) << unfused.status() << "\n" << print(graph);
  for (int threads : {1, 2}) {
    const auto fused = run_compiled(graph, {.verify = true}, inputs, {.threads = threads, .grain = 1});
    ASSERT_TRUE(fused.ok()) << fused.status() << "\n" << print(graph);
    EXPECT_EQ(bit_difference(*fused, *unfused), "") << threads << " threads\n" << print(graph);
  }
  for (size_t i = 0; i < oracle.size(); ++i) {
    if (oracle[i].type.dtype == DType::f64) {
      expect_near(values_of((*unfused)[i]), values_of(oracle[i]), "compiled and interpreted");
    }
  }
}

}  // namespace etch
