// Whole training steps: perceptrons with Adam, and a transformer block forward and back. benchmarks/peers/compare
// times such in other systems (group 15).
#include <benchmark/benchmark.h>
#include <etch/etch.h>
#include <etch/layers.h>
#include <etch/losses.h>
#include <etch/optimizers.h>

#include <cstdint>
#include <vector>

namespace {

using namespace etch;

enum class Way { fused, unfused, eager };

struct Perceptron {
  layers::Dense first, second, logits;
  Tensor operator()(const Tensor& x) { return logits(second(first(x))); }
};

/// width - units - units - 10.
void perceptron(benchmark::State& state, Way way, int64_t width, int64_t units) {
  Perceptron model{{units, activations::relu}, {units, activations::relu}, {10}};
  optimizers::Adam adam{1e-3f};
  const auto body = [&](Tensor x, Tensor y) {
    GradientTape tape;
    Tensor loss = losses::sparse_categorical_crossentropy(y, model(x), {.from_logits = true});
    const auto variables = trainable_variables(model);
    adam.apply_gradients(tape.gradient(loss, variables), variables);
    return loss;
  };
  const auto step = function(body, {.fuse = way != Way::unfused, .threads = 1});
  const int64_t batch = state.range(0);
  const Tensor x = Generator(1).uniform({batch, width}), y = cast(range(batch) % 10, DType::i32);
  (void)step(x, y);
  state.counters["kernels"] = step.concrete(x, y).num_kernels();
  const ScopedFlags flags("threads=1");
  for (auto _ : state) benchmark::DoNotOptimize(way == Way::eager ? body(x, y) : step(x, y));
}

/// Many layers that are small: as one parallel loop, the updates of equal variables are worth a second thread.
struct Deep {
  std::vector<layers::Dense> hidden;
  layers::Dense logits{10};
  Tensor operator()(Tensor x) {
    for (const layers::Dense& layer : hidden) x = layer(x);
    return logits(x);
  }
};

/// 64 layers of 64 units on two threads, with and without groups of launches.
void small_layers(benchmark::State& state, const char* flags) {
  const ScopedFlags scoped(flags);
  Deep model;
  for (int i = 0; i < 64; ++i) model.hidden.push_back({64, activations::tanh});
  optimizers::Adam adam{1e-3f};
  const auto step = function(
      [&](Tensor x, Tensor y) {
        GradientTape tape;
        Tensor loss = losses::sparse_categorical_crossentropy(y, model(x), {.from_logits = true});
        const auto variables = trainable_variables(model);
        adam.apply_gradients(tape.gradient(loss, variables), variables);
        return loss;
      },
      {.threads = 2});
  const Tensor x = Generator(1).uniform({32, 64}), y = cast(range(32) % 10, DType::i32);
  (void)step(x, y);
  state.counters["kernels"] = step.concrete(x, y).num_kernels();
  for (auto _ : state) benchmark::DoNotOptimize(step(x, y));
}

/// Nine weights and a bias.
void ten_parameters(benchmark::State& state) {
  layers::Dense model{1};
  optimizers::SGD sgd{0.1f};
  const auto step = function([&](Tensor x, Tensor y) {
    GradientTape tape;
    Tensor loss = losses::mean_squared_error(y, model(x));
    const auto variables = trainable_variables(model);
    sgd.apply_gradients(tape.gradient(loss, variables), variables);
    return loss;
  });
  const Tensor x = Generator(1).uniform({4, 9}), y = Generator(2).uniform({4, 1});
  (void)step(x, y);
  for (auto _ : state) benchmark::DoNotOptimize(step(x, y));
}

/// Attention and two wide layers, each behind a normalisation and with its input added, as in GPT-2.
struct Block {
  layers::LayerNormalization before_attention, before_wide;
  layers::MultiHeadAttention attention{.num_heads = 4, .key_dim = 32};
  layers::Dense wide{512, activations::gelu}, narrow{128};
  Tensor operator()(Tensor x) {
    const Tensor normal = before_attention(x);
    x = x + attention(normal, normal, {.use_causal_mask = true});
    return x + narrow(wide(before_wide(x)));
  }
};

/// 8 samples of 64 tokens, 128 wide.
void transformer_block(benchmark::State& state, Way way) {
  Block block;
  const auto body = [&](Tensor x) {
    GradientTape tape;
    const Tensor loss = mean(square(block(x)));
    return tape.gradient(loss, trainable_variables(block));
  };
  const auto step = function(body, {.fuse = way != Way::unfused, .threads = 1});
  const Tensor x = Generator(1).normal({8, 64, 128});
  (void)step(x);
  state.counters["kernels"] = step.concrete(x).num_kernels();
  const ScopedFlags flags("threads=1");
  for (auto _ : state) benchmark::DoNotOptimize(way == Way::eager ? body(x) : step(x));
}

#define IN_THE_WAY(case, way, name, ...)                     \
  BENCHMARK_CAPTURE(case, way, Way::way __VA_OPT__(, ) __VA_ARGS__) \
      ->Name(name "/" #way)                                  \
      ->Unit(benchmark::kMicrosecond)
#define IN_EVERY_WAY(case, args, ...)       \
  IN_THE_WAY(case, fused, __VA_ARGS__) args;   \
  IN_THE_WAY(case, unfused, __VA_ARGS__) args; \
  IN_THE_WAY(case, eager, __VA_ARGS__) args

IN_EVERY_WAY(perceptron, ->Arg(32)->Arg(256), "perceptron_784_512_512_10", 784, 512);
IN_EVERY_WAY(perceptron, ->Arg(32), "perceptron_64_64_64_10", 64, 64);
IN_EVERY_WAY(transformer_block, , "transformer_block");
BENCHMARK_CAPTURE(small_layers, grouped, "")->Name("small_layers_64x64/grouped")->Unit(benchmark::kMicrosecond)->UseRealTime();
BENCHMARK_CAPTURE(small_layers, apart, "group=0")->Name("small_layers_64x64/apart")->Unit(benchmark::kMicrosecond)->UseRealTime();
BENCHMARK(ten_parameters)->Name("ten_parameters")->Unit(benchmark::kNanosecond);

}  // namespace
