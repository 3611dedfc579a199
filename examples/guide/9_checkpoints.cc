// Checkpoints
//
// Values are saved by the names of the members that lead to them, so a checkpoint knows nothing of how a program came to its objects.
// A restore may come before variables exist: then it takes the place of their initialisers.
#include <etch/checkpoint.h>
#include <etch/etch.h>
#include <etch/layers.h>
#include <etch/losses.h>
#include <etch/optimizers.h>

#include <cstdio>
#include <filesystem>
#include <iostream>

using namespace etch;

namespace {

struct Net {
  layers::Dense hidden{4, activations::tanh}, out{1};

  Tensor operator()(const Tensor& x) const { return out(hidden(x)); }
};

/// All that a training changes.
struct Training {
  Net net{};
  optimizers::Adam adam{1e-2};
  int64_t step = 0;

  Checkpoint checkpoint() { return Checkpoint(named("model", net), named("optimizer", adam), named("step", step)); }

  Tensor train(const Tensor& x, const Tensor& y) {
    GradientTape tape;
    const Tensor loss = losses::mean_squared_error(y, net(x));
    const auto variables = trainable_variables(net);
    adam.apply_gradients(tape.gradient(loss, variables), variables);
    ++step;
    return loss;
  }
};

}  // namespace

int main(int argc, char** argv) {
  const std::string folder = argc == 2 ? argv[1] : "guide_checkpoints";
  std::filesystem::remove_all(folder);
  random::set_seed(1);
  const Generator generator(2);
  const Tensor x = generator.normal({64, 3}), y = sum(x * x, {1}, true);

  Training first;
  CheckpointManager manager(first.checkpoint(), folder, {.max_to_keep = 2});
  for (int i = 0; i < 30; ++i) {
    first.train(x, y);
    if (first.step % 10 == 0) manager.save();
  }
  std::printf("%d checkpoints are kept of 3 that were saved\n", static_cast<int>(manager.checkpoints().size()));

  // Another process would do this: its layers have no variables yet.
  Training second;
  const RestoreStatus status = second.checkpoint().restore(*manager.latest());
  const Tensor next = second.train(x, y);
  status.assert_consumed();
  const Tensor expected = first.train(x, y);
  const bool is_same = array_equal(next, expected).item<bool>();
  std::cout << to_string(status);
  std::printf("step %d has the bits that it would have had: %s\n", static_cast<int>(second.step), is_same ? "yes" : "no");
  return is_same && second.step == 31 ? 0 : 1;
}
