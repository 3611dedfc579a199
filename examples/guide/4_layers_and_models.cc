// Layers and models
//
// Layers make their variables when they first see a tensor. A model trains any module; its step is one compiled function.
#include <etch/etch.h>
#include <etch/layers.h>
#include <etch/model.h>

#include <cstdio>
#include <iostream>

using namespace etch;

namespace {

/// Points on two rings, and on which one each lies.
std::pair<Tensor, Tensor> rings(int64_t n, uint64_t seed) {
  const Generator generator(seed);
  const Tensor angle = generator.uniform({n}) * 6.2831853f;
  const Tensor ring = generator.uniform_int({n}, 0, 2);
  const Tensor radius = 1 + cast(ring, DType::f32) + 0.2f * generator.normal({n});
  return {stack({radius * cos(angle), radius * sin(angle)}, 1), ring};
}

}  // namespace

int main() {
  random::set_seed(1);
  Model model(layers::Sequential{layers::Dense{16, activations::relu}, layers::Dense{16, activations::relu}, layers::Dense{2}});
  model.compile(optimizers::Adam(1e-2), {losses::sparse_categorical_crossentropy, {.from_logits = true}},
                {.metrics = {metrics::SparseCategoricalAccuracy()}});
  const auto [x, y] = rings(1024, 1);
  const auto [test_x, test_y] = rings(256, 2);
  const History history = model.fit(x, y, {.epochs = 20, .verbose = Verbose::silent, .seed = 1});
  std::cout << summarize(model);

  const Logs scores = model.evaluate(test_x, test_y, {.verbose = Verbose::silent});
  std::printf("loss %.3f -> %.3f; %.1f %% of unseen points are right\n", history["loss"].front(), history["loss"].back(),
              100 * scores["sparse_categorical_accuracy"]);
  return scores["sparse_categorical_accuracy"] > 0.9 ? 0 : 1;
}
