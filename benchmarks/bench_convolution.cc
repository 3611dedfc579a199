// Convolutions, their two gradients and a training step, on one thread and two; groups 12 and 15 of benchmarks/peers/rows.py are
// such beside other systems.
#include <benchmark/benchmark.h>
#include <etch/etch.h>
#include <etch/layers.h>
#include <etch/losses.h>
#include <etch/optimizers.h>

#include <string>

namespace {

using namespace etch;

struct Case {
  const char* name;
  Shape x, kernel;
  ConvOptions options;
};

enum class Part { forward, input, filter };

Tensor draw(const Shape& shape, uint64_t seed) { return random::normal(Tensor(seed), shape); }

void convolution(benchmark::State& state, const Case& of, Part part, int threads) {
  const Tensor x = draw(of.x, 1), kernel = draw(of.kernel, 2), y = conv2d(x, kernel, of.options), g = draw(y.shape(), 3);
  auto f = function(
      [&](Tensor x, Tensor kernel, Tensor g) {
        if (part == Part::forward) return conv2d(x, kernel, of.options);
        GradientTape tape;
        const Tensor source = part == Part::input ? x : kernel;
        tape.watch(source);
        return tape.gradient(conv2d(x, kernel, of.options), source, g);
      },
      {.threads = threads});
  Tensor result = f(x, kernel, g);
  for (auto _ : state) {
    f.call_into(result, x, kernel, g);
    benchmark::DoNotOptimize(result);
  }
}

struct Cnn {
  layers::Conv2D edges{32, 3, activations::relu}, shapes{64, 3, activations::relu};
  layers::MaxPooling2D pool;
  layers::Flatten flatten;
  layers::Dense logits{10};
  Tensor operator()(Tensor x) { return logits(flatten(pool(shapes(edges(x))))); }
};

void step(benchmark::State& state, int threads) {
  Cnn model;
  optimizers::Adam adam{1e-3f};
  auto train = function(
      [&](Tensor x, Tensor y) {
        GradientTape tape;
        Tensor loss = losses::sparse_categorical_crossentropy(y, model(x), {.from_logits = true});
        auto variables = trainable_variables(model);
        adam.apply_gradients(tape.gradient(loss, variables), variables);
        return loss;
      },
      {.threads = threads});
  const Tensor images = draw({64, 28, 28, 1}, 1), labels = random::uniform_int(Tensor(uint64_t{2}), {64}, 0, 10);
  (void)train(images, labels);
  for (auto _ : state) benchmark::DoNotOptimize(train(images, labels));
}

const Case kCases[] = {
    {"conv_28x28x1_to_32", {64, 28, 28, 1}, {3, 3, 1, 32}, {}},
    {"conv_26x26x32_to_64", {64, 26, 26, 32}, {3, 3, 32, 64}, {}},
    {"conv_8x8x32_to_64", {32, 8, 8, 32}, {3, 3, 32, 64}, {.padding = Padding::same}},
    {"conv_stride_28x28x32_to_64", {64, 28, 28, 32}, {3, 3, 32, 64}, {.strides = 2, .padding = Padding::same}},
    {"conv_28x28x128_to_128", {8, 28, 28, 128}, {3, 3, 128, 128}, {.padding = Padding::same}},
};

[[maybe_unused]] const bool kRegistered = [] {
  for (int threads : {1, 2}) {
    const std::string variant = "/threads_" + std::to_string(threads);
    for (const Case& of : kCases) {
      for (auto [name, part] : {std::pair("/forward", Part::forward), {"/input", Part::input}, {"/filter", Part::filter}}) {
        benchmark::RegisterBenchmark((of.name + std::string(name) + variant).c_str(), convolution, of, part, threads)
            ->Unit(benchmark::kMicrosecond)
            ->UseRealTime();
      }
    }
    benchmark::RegisterBenchmark(("cnn_step_batch_64" + variant).c_str(), step, threads)
        ->Unit(benchmark::kMicrosecond)
        ->UseRealTime();
  }
  return true;
}();

}  // namespace
