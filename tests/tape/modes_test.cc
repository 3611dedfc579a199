// Gradients have the same bits eager, traced, fused and unfused, on two threads, and through functions.
#include <random>

#include "tests/tape/modes.h"

namespace etch {
namespace {

Tensor random_tensor(const Shape& shape, std::mt19937_64& random, DType dtype = DType::f32) {
  std::normal_distribution<float> normal;
  std::vector<float> elements(static_cast<size_t>(shape.product()));
  for (float& element : elements) element = normal(random);
  return cast(Tensor::from(elements, shape), dtype);
}

using Binary = Tensor (*)(const Tensor&, const Tensor&);
const Binary kSteps[] = {
    [](const Tensor& a, const Tensor& b) { return a * b; },
    [](const Tensor& a, const Tensor& b) { return a + b; },
    [](const Tensor& a, const Tensor& b) { return a - 0.5f * b; },
    [](const Tensor& a, const Tensor& b) { return a / (1 + square(b)); },
    [](const Tensor& a, const Tensor& b) { return maximum(a, b); },
    [](const Tensor& a, const Tensor& b) { return where(a > b, a, tanh(b)); },
    [](const Tensor& a, const Tensor& b) { return matmul(a, transpose(b)) - matmul(b, transpose(a)); },
    [](const Tensor& a, const Tensor& b) { return softmax(a) * b; },
    [](const Tensor& a, const Tensor& b) { return log_softmax(a + b); },
    [](const Tensor& a, const Tensor& b) { return a - logsumexp(b, 1, true); },
    [](const Tensor& a, const Tensor& b) { return layer_norm(a) + b; },
    [](const Tensor& a, const Tensor& b) { return gelu(a) * sigmoid(b); },
    [](const Tensor& a, const Tensor& b) { return a * mean(b, 0) + variance(a, 1, true); },
    [](const Tensor& a, const Tensor& b) { return elu(a) + relu(b); },
    [](const Tensor& a, const Tensor& b) { return concat({a[{Slice(), Slice(2, 5)}], b[{Slice(), Slice(0, 2)}]}, 1); },
    [](const Tensor& a, const Tensor& b) { return sin(a) * cos(b) + softplus(a); },
    [](const Tensor& a, const Tensor& b) { return pow(abs(a) + 0.5f, b); },
};

/// Some steps on values that are drawn among those before; several steps share operands, so that sums have many terms.
Program random_program(uint64_t seed, int steps) {
  return [=](const TensorList& inputs) {
    std::mt19937_64 random(seed);
    TensorList values = inputs;
    const auto draw = [&] { return values[random() % values.size()]; };
    for (int i = 0; i < steps; ++i) {
      const Binary step = kSteps[random() % std::size(kSteps)];
      values.push_back(step(draw(), draw()));
    }
    return TensorList{values.back() * draw(), draw()};
  };
}

TEST(RandomPrograms, HaveGradientsOfTheSameBitsInAllModes) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    const TensorList inputs{random_tensor({5, 5}, random), random_tensor({5, 5}, random)};
    expect_same_in_all_modes(with_gradients, random_program(seed, 6), inputs, "seed " + std::to_string(seed));
  }
}

TEST(RandomPrograms, HaveSecondDerivativesOfTheSameBitsInAllModes) {
  const auto twice = [](Program f) { return with_gradients(with_gradients(std::move(f))); };
  for (uint64_t seed = 101; seed <= 112; ++seed) {
    std::mt19937_64 random(seed);
    const TensorList inputs{random_tensor({5, 5}, random), random_tensor({5, 5}, random)};
    expect_same_in_all_modes(twice, random_program(seed, 4), inputs, "seed " + std::to_string(seed));
  }
}

TEST(RandomPrograms, OfSixteenBitFloatsHaveTheSameBitsInAllModes) {
  for (uint64_t seed = 201; seed <= 206; ++seed) {
    std::mt19937_64 random(seed);
    const TensorList inputs{random_tensor({5, 5}, random, DType::bf16), random_tensor({5, 5}, random, DType::bf16)};
    expect_same_in_all_modes(with_gradients, random_program(seed, 4), inputs, "seed " + std::to_string(seed));
  }
}

TEST(CalledTwice, AFunctionIsAGroupInAllModes) {
  std::mt19937_64 random(1);
  const TensorList inputs{random_tensor({5, 5}, random), random_tensor({5, 5}, random)};
  const Program inner = traced([](const TensorList& x) {
    return TensorList{x[0] * x[1] + exp(x[0]) * x[0], sin(x[0])};
  });
  const Program f = [&](const TensorList& x) {
    const TensorList once = inner(x);
    const TensorList twice = inner({once[1], x[0]});
    return TensorList{once[0] * twice[0] + x[0] * 3, inner({x[0], x[0]})[0]};
  };
  expect_same_in_all_modes(with_gradients, f, inputs);
}

// --- A perceptron by hand ---

Tensor cross_entropy(const Tensor& logits, const Tensor& one_hot) {
  return -mean(sum(log_softmax(logits) * one_hot, 1));
}

TensorList perceptron(const TensorList& in) {
  const Tensor &x = in[0], &labels = in[1];
  const Tensor hidden = relu(matmul(x, in[2]) + in[3]);
  return {cross_entropy(matmul(hidden, in[4]) + in[5], labels)};
}

TensorList perceptron_inputs() {
  std::mt19937_64 random(7);
  std::vector<float> one_hot(33 * 10);
  for (int i = 0; i < 33; ++i) one_hot[i * 10 + i % 10] = 1;
  return {random_tensor({33, 70}, random), Tensor::from(one_hot, {33, 10}), random_tensor({70, 65}, random) * 0.1f,
          random_tensor({65}, random),     random_tensor({65, 10}, random) * 0.1f, random_tensor({10}, random)};
}

TEST(Perceptron, HasGradientsOfTheSameBitsInAllModes) {
  expect_same_in_all_modes(with_gradients, perceptron, perceptron_inputs());
}

TEST(Perceptron, LearnsToTheSameBitsEagerAndTraced) {
  const Program step = [](const TensorList& in) {
    TensorList out = with_gradients(perceptron)(in);
    TensorList next{in[0], in[1]};
    for (size_t i = 2; i < in.size(); ++i) next.push_back(in[i] - 0.5f * out[1 + i]);
    next.push_back(out[0]);
    return next;
  };
  const Program compiled = traced(step);
  TensorList eager = perceptron_inputs(), fused = eager;
  std::vector<float> losses;
  for (int i = 0; i < 20; ++i) {
    eager = step(eager);
    fused = compiled(fused);
    ASSERT_TRUE(same_bits(eager, fused)) << "step " << i;
    losses.push_back(eager.back().item<float>());
    eager.pop_back();
    fused.pop_back();
  }
  EXPECT_LT(losses.back(), 0.5f * losses.front());
}

// --- The same with variables, which each step changes ---

struct Dense {
  Variable kernel, bias;
};
struct TwoLayers {
  Dense hidden, logits;
};

TwoLayers two_layers() {
  const TensorList start = perceptron_inputs();
  const auto variable = [&](size_t i, const char* name) { return Variable(start[i], {.name = name}); };
  return {{variable(2, "hidden.kernel"), variable(3, "hidden.bias")},
          {variable(4, "logits.kernel"), variable(5, "logits.bias")}};
}

std::vector<Variable> variables_of(const TwoLayers& layers) {
  return {layers.hidden.kernel, layers.hidden.bias, layers.logits.kernel, layers.logits.bias};
}

Tensor training_step(const TwoLayers& layers, const Tensor& x, const Tensor& labels) {
  const std::vector<Variable> variables = variables_of(layers);
  GradientTape tape;
  const Tensor hidden = relu(matmul(x, layers.hidden.kernel) + layers.hidden.bias);
  const Tensor loss = cross_entropy(matmul(hidden, layers.logits.kernel) + layers.logits.bias, labels);
  const TensorList gradients = tape.gradient(loss, variables);
  for (size_t i = 0; i < variables.size(); ++i) variables[i].assign_sub(0.5f * gradients[i]);
  return loss;
}

/// The losses of 20 steps, and the weights after them.
TensorList train(const std::function<Tensor(const TwoLayers&, Tensor, Tensor)>& step) {
  const TensorList data = perceptron_inputs();
  const TwoLayers layers = two_layers();
  TensorList results;
  for (int i = 0; i < 20; ++i) results.push_back(step(layers, data[0], data[1]));
  for (const Variable& variable : variables_of(layers)) results.push_back(variable);
  return results;
}

TEST(PerceptronOfVariables, LearnsToTheSameBitsEagerAndTraced) {
  const auto compiled = [](FunctionOptions options) {
    return function<Tensor(const TwoLayers&, Tensor, Tensor)>(training_step, std::move(options));
  };
  const TensorList eager = train(training_step);
  EXPECT_LT(eager[19].item<float>(), 0.5f * eager[0].item<float>());
  EXPECT_TRUE(same_bits(train(compiled({})), eager)) << "traced";
  EXPECT_TRUE(same_bits(train(compiled({.fuse = false})), eager)) << "traced, unfused";
  const ScopedFlags split("threads=2,grain=1");
  EXPECT_TRUE(same_bits(train(training_step), eager)) << "eager, split";
  EXPECT_TRUE(same_bits(train(compiled({})), eager)) << "traced, split";
}

TEST(PerceptronOfVariables, LearnsToTheSameBitsWhereAnEagerTapeCallsTheModel) {
  const TwoLayers layers = two_layers();
  const std::vector<Variable> variables = variables_of(layers);
  auto loss_of = function([&](Tensor x, Tensor labels) {
    const Tensor hidden = relu(matmul(x, layers.hidden.kernel) + layers.hidden.bias);
    return cross_entropy(matmul(hidden, layers.logits.kernel) + layers.logits.bias, labels);
  });
  const auto step = [&](Tensor x, Tensor labels) {
    GradientTape tape;
    const Tensor loss = loss_of(x, labels);
    const TensorList gradients = tape.gradient(loss, variables);
    for (size_t i = 0; i < variables.size(); ++i) variables[i].assign_sub(0.5f * gradients[i]);
    return loss;
  };
  const TensorList data = perceptron_inputs();
  TensorList eager, traced_step;
  for (int i = 0; i < 20; ++i) eager.push_back(step(data[0], data[1]));
  for (const Variable& variable : variables) eager.push_back(variable);
  for (size_t i = 0; i < variables.size(); ++i) variables[i].assign(data[i + 2]);
  auto compiled = function<Tensor(Tensor, Tensor)>(step);
  for (int i = 0; i < 20; ++i) traced_step.push_back(compiled(data[0], data[1]));
  for (const Variable& variable : variables) traced_step.push_back(variable);
  EXPECT_TRUE(same_bits(traced_step, eager));
  EXPECT_EQ(loss_of.stats().traces, 1);
  EXPECT_EQ(compiled.stats().traces, 1);
}

TEST(PerceptronOfVariables, CopiesNoVariableInTracedSteps) {
  const TensorList data = perceptron_inputs();
  const TwoLayers layers = two_layers();
  for (const Variable& variable : variables_of(layers)) variable.assign(variable * 1.0f);  // what nobody else holds
  auto step = function([&](Tensor x, Tensor labels) { return training_step(layers, x, labels); });
  step(data[0], data[1]);
  const int64_t before = memory_stats().copied_bytes;
  for (int i = 0; i < 5; ++i) step(data[0], data[1]);
  EXPECT_EQ(memory_stats().copied_bytes, before);
}

}  // namespace
}  // namespace etch
