// Learns to read handwritten digits with a perceptron: 1297 pictures to learn from, 500 others to prove it.
#include <etch/batches.h>
#include <etch/etch.h>
#include <etch/layers.h>
#include <etch/losses.h>
#include <etch/optimizers.h>

#include <cstdio>
#include <string>

using namespace etch;

struct Mlp {
  layers::Dense hidden{128, activations::relu};
  layers::Dropout drop{0.2};
  layers::Dense logits{10};
  Tensor operator()(Tensor x, bool training) { return logits(drop(hidden(x), training)); }
};

int main(int argc, char** argv) {
  const std::string folder = argc == 2 ? argv[1] : "examples/digits";
  const Tensor images = cast(load_npy(folder + "/train_images.npy"), DType::f32) / 16;
  const Tensor labels = cast(load_npy(folder + "/train_labels.npy"), DType::i32);
  const Tensor held_out = load_npy(folder + "/images.npy"), wanted = load_npy(folder + "/labels.npy");

  random::set_seed(1);
  Mlp model;
  optimizers::Adam adam{2e-3f};
  auto step = function([&](Tensor x, Tensor y) {
    GradientTape tape;
    Tensor loss = losses::sparse_categorical_crossentropy(y, model(x, true), {.from_logits = true});
    auto variables = trainable_variables(model);
    adam.apply_gradients(tape.gradient(loss, variables), variables);
    return loss;
  });
  auto accuracy = function([&](Tensor x, Tensor y) {
    return mean(cast(cast(argmax(model(x, false), -1), DType::i32) == y, DType::f32));
  });

  Batches shuffled = batches(images, labels, 32, /*seed=*/1);
  for (int epoch = 1; epoch <= 30; ++epoch) {
    Tensor loss;
    for (auto [x, y] : shuffled) loss = step(x, y);
    if (epoch % 5 > 0) continue;
    std::printf("epoch %2d: loss %.3f, %.1f %% of the held-out digits are right\n", epoch, loss.item<float>(),
                100 * accuracy(held_out, wanted).item<float>());
  }
  return accuracy(held_out, wanted).item<float>() >= 0.96f ? 0 : 1;
}
