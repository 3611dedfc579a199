// Data sets and training loops
//
// A data set is a value that says how elements are made; they are made while they are consumed. The loop over it may stand outside of
// the compiled step, or in the compiled function itself.
#include <etch/data.h>
#include <etch/etch.h>
#include <etch/layers.h>
#include <etch/losses.h>
#include <etch/optimizers.h>

#include <cstdio>

using namespace etch;

namespace {

struct Training {
  layers::Dense hidden{16, activations::tanh}, out{1};
  optimizers::Adam adam{5e-3};

  Tensor step(const Tensor& x, const Tensor& y) const {
    GradientTape tape;
    const Tensor loss = losses::mean_squared_error(y, out(hidden(x)));
    const auto variables = trainable_variables(std::tuple(hidden, out));
    adam.apply_gradients(tape.gradient(loss, variables), variables);
    return loss;
  }
};

}  // namespace

int main() {
  const Generator generator(4);
  const Tensor x = generator.uniform({1000, 2}, {.low = -1, .high = 1}), y = sum(x * x, {1}, true);
  const auto dataset = data::from_tensor_slices(std::pair(x, y))
                           .shuffle(1000, {.seed = 1})
                           .map([](Tensor x, Tensor y) { return std::pair(x, y + 0.5f); },
                                {.parallel = 2, .spec = {{{{DType::f32, {2}}, {DType::f32, {1}}}}}})
                           .batch(32)
                           .prefetch(2);
  std::printf("%s: %d batches\n", dataset.path().c_str(), static_cast<int>(dataset.cardinality()));

  // The loop outside: one compiled step per batch.
  random::set_seed(1);
  const Training outside;
  auto step = function([&](Tensor x, Tensor y) { return outside.step(x, y); });
  Tensor last;
  for (uint64_t epoch = 0; epoch < 3; ++epoch) {
    for (auto [x, y] : dataset.epoch(epoch)) last = step(x, y);
  }

  // The loop inside: one compiled call for all epochs. No batch is read while it is traced.
  random::set_seed(1);
  const Training inside;
  auto train = function([&](Tensor epochs) {
    Tensor last(0.0f);
    for (Tensor epoch : range(epochs)) {
      for (auto [x, y] : dataset.epoch(epoch)) last = inside.step(x, y);
    }
    return last;
  });
  for (auto [x, y] : dataset.take(1)) inside.out(inside.hidden(x));  // makes the variables
  const Tensor compiled = train(Tensor(3));

  const bool is_same = array_equal(last, compiled).item<bool>();
  std::printf("last loss %.4f; the loop inside gives the same bits: %s\n", last.item<float>(), is_same ? "yes" : "no");
  return is_same ? 0 : 1;
}
