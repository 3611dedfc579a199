// Workloads of products: with what follows them, convolutions, attention, a perceptron's inference.
#include <limits>

#include "benchmarks/rows/case.h"

namespace rows {
namespace {

Tensor gelu_by_tanh(const Tensor& x) { return 0.5f * x * (1.0f + tanh(0.7978845608f * (x + 0.044715f * x * x * x))); }

struct ConvSizes {
  int64_t k, stride, groups;
};

/// The inputs but x are constants of a model: variables of the function, as a user has them.
struct Conv {
  ConvSizes sizes;
  std::vector<etch::Variable> constants;

  Tensor operator()(Tensor x) const {
    const Tensor w = constants[0], bias = constants[1], mean = constants[2], variance = constants[3], gamma = constants[4],
                 beta = constants[5];
    const Tensor scale = gamma / sqrt(variance + 1e-3f), shift = (bias - mean) * scale + beta;
    return relu(product(x, w) * scale + shift);
  }

  Tensor product(const Tensor& x, const Tensor& w) const {
    if (sizes.groups == 1) return conv2d(x, w, {.strides = sizes.stride, .padding = etch::Padding::same});
    return depthwise_conv2d(x, transpose(w, {0, 1, 3, 2}), {.strides = sizes.stride, .padding = etch::Padding::same});
  }
};

std::vector<etch::Variable> variables_of(const std::vector<Tensor>& inputs, size_t first) {
  std::vector<etch::Variable> variables;
  for (size_t i = first; i < inputs.size(); ++i) variables.emplace_back(inputs[i]);
  return variables;
}

std::unique_ptr<Case> conv(const Sizes& sizes, const std::vector<Tensor>& in, Way way) {
  const Conv body{{sizes.at("k"), sizes.at("stride"), sizes.at("groups")}, variables_of(in, 1)};
  return traced<1>([body](Tensor x) { return body(x); }, in, way);
}

std::unique_ptr<Case> attention(const Sizes& sizes, const std::vector<Tensor>& in, Way way) {
  const bool causal = sizes.at("causal");
  return traced<3>(
      [causal](Tensor q, Tensor k, Tensor v) { return scaled_dot_product_attention(q, k, v, {.causal = causal}); }, in, way);
}

// Weights are variables, as those of other systems are constants where these gain by it.
std::unique_ptr<Case> product_bias_gelu(const std::vector<Tensor>& in, Way way) {
  return traced<1>([w = etch::Variable(in[1]), b = etch::Variable(in[2])](Tensor x) { return gelu_by_tanh(matmul(x, w) + b); }, in, way);
}

std::unique_ptr<Case> product_bias_gelu_residual_norm(const std::vector<Tensor>& in, Way way) {
  return traced<2>(
      [w = etch::Variable(in[1]), b = etch::Variable(in[2]), gamma = etch::Variable(in[4]), beta = etch::Variable(in[5])](
          Tensor x, Tensor residual) { return layer_norm(gelu_by_tanh(matmul(x, w) + b) + residual, gamma, beta); },
      {in[0], in[3]}, way);
}

std::unique_ptr<Case> perceptron(const std::vector<Tensor>& in, Way way) {
  return traced<1>(
      [weights = variables_of(in, 1)](Tensor x) {
        for (size_t i = 0; i + 2 < weights.size(); i += 2) x = relu(matmul(x, weights[i]) + weights[i + 1]);
        return softmax(matmul(x, weights[weights.size() - 2]) + weights.back());
      },
      in, way);
}

}  // namespace

std::unique_ptr<Case> make_product(const std::string& name, const Sizes& sizes, const std::vector<Tensor>& in, Way way) {
  if (name == "matmul" || name == "batch_matmul") return traced<2>([](Tensor a, Tensor b) { return matmul(a, b); }, in, way);
  if (name == "product_bias_gelu") return product_bias_gelu(in, way);
  if (name == "product_bias_gelu_residual_norm") return product_bias_gelu_residual_norm(in, way);
  if (name == "conv") return conv(sizes, in, way);
  if (name == "attention") return attention(sizes, in, way);
  if (name == "perceptron") return perceptron(in, way);
  return nullptr;
}

}  // namespace rows
