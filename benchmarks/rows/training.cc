// Training steps: the parameters are variables, the last inputs; a call updates them and gives the loss before.
#include <etch/losses.h>
#include <etch/nn.h>
#include <etch/optimizers.h>

#include <cmath>
#include <functional>

#include "benchmarks/rows/case.h"

namespace rows {
namespace {

using Weights = std::vector<etch::Variable>;
/// The loss of a model with these weights on the data.
using Loss = std::function<Tensor(const Weights& weights, const Tensor& x, const Tensor& labels)>;

Tensor cross_entropy(const Tensor& logits, const Tensor& labels) {
  return etch::losses::sparse_categorical_crossentropy(labels, logits, {.from_logits = true});
}

Tensor perceptron(const Weights& w, Tensor x, const Tensor& labels) {
  for (size_t i = 0; i + 2 < w.size(); i += 2) x = relu(matmul(x, w[i]) + w[i + 1]);
  return cross_entropy(matmul(x, w[w.size() - 2]) + w.back(), labels);
}

Tensor cnn(const Weights& w, Tensor x, const Tensor& labels) {
  x = relu(conv2d(x, w[0]) + w[1]);
  x = relu(conv2d(x, w[2]) + w[3]);
  x = reshape(max_pool(x, 2), {x.shape()[0], -1});
  return cross_entropy(matmul(x, w[4]) + w[5], labels);
}

Tensor transformer(const Weights& w, const Tensor& x, const Tensor&) {
  const auto &g1 = w[0], &b1 = w[1], &wqkv = w[2], &bqkv = w[3], &wo = w[4], &bo = w[5], &g2 = w[6], &b2 = w[7], &w1 = w[8],
             &c1 = w[9], &w2 = w[10], &c2 = w[11];
  constexpr int64_t kHeads = 4;
  const int64_t batch = x.shape()[0], tokens = x.shape()[1], width = x.shape()[2];
  const Tensor normal = layer_norm(x, Tensor(g1), Tensor(b1), -1, 1e-3);
  const std::vector<Tensor> qkv = split(matmul(normal, wqkv) + bqkv, 3, -1);
  const auto heads = [&](const Tensor& t) { return transpose(reshape(t, {batch, tokens, kHeads, width / kHeads}), {0, 2, 1, 3}); };
  const Tensor seen = scaled_dot_product_attention(heads(qkv[0]), heads(qkv[1]), heads(qkv[2]), {.causal = true});
  const Tensor joined = reshape(transpose(seen, {0, 2, 1, 3}), {batch, tokens, width});
  const Tensor h = x + matmul(joined, wo) + bo;
  const Tensor wide = etch::gelu(matmul(layer_norm(h, Tensor(g2), Tensor(b2), -1, 1e-3), w1) + c1);
  return mean(square(h + matmul(wide, w2) + c2));
}

Tensor lstm(const Weights& w, const Tensor& x, const Tensor&) { return mean(square(lstm_over_time(x, w[0], w[1], w[2]))); }

/// One of the two optimizers.
class Update {
 public:
  explicit Update(const std::string& name) : is_adam_(name == "adam") {}
  void operator()(etch::GradientTape& tape, const Tensor& loss, const Weights& weights) {
    auto gradients = tape.gradient(loss, weights);
    if (is_adam_) {
      adam_.apply_gradients(gradients, weights);
    } else {
      sgd_.apply_gradients(gradients, weights);
    }
  }

 private:
  bool is_adam_;
  etch::optimizers::Adam adam_{0.001f};
  etch::optimizers::SGD sgd_{0.01f};
};

std::unique_ptr<Case> step(Loss loss_of, size_t num_data, const std::string& optimizer, const std::vector<Tensor>& inputs, Way way) {
  Weights weights;
  for (size_t i = num_data; i < inputs.size(); ++i) weights.emplace_back(inputs[i]);
  const auto update = std::make_shared<Update>(optimizer);
  const auto body = [=](const Tensor& x, const Tensor& labels) {
    etch::GradientTape tape;
    const Tensor loss = loss_of(weights, x, labels);
    (*update)(tape, loss, weights);
    return loss;
  };
  if (num_data == 1) return traced<1>([body](Tensor x) { return body(x, x); }, inputs, way);
  return traced<2>([body](Tensor x, Tensor labels) { return body(x, labels); }, inputs, way);
}

}  // namespace

std::unique_ptr<Case> make_perceptron_step(const std::string& optimizer, const std::vector<Tensor>& inputs, Way way) {
  return step(perceptron, 2, optimizer, inputs, way);
}

std::unique_ptr<Case> make_training(const std::string& name, const Sizes& sizes, const std::vector<Tensor>& in, Way way) {
  if (name == "train_perceptron") return make_perceptron_step(sizes.at("optimizer"), in, way);
  if (name == "train_cnn") return step(cnn, 2, sizes.at("optimizer"), in, way);
  if (name == "train_transformer") return step(transformer, 1, sizes.at("optimizer"), in, way);
  if (name == "train_lstm") return step(lstm, 1, sizes.at("optimizer"), in, way);
  return nullptr;
}

}  // namespace rows
