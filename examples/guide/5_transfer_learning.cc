// Transfer learning with a shared trunk
//
// One trunk, two heads. Each path is trained with the variables that it names; a variable belongs to no session and no graph, so
// both paths share the trunk by sharing the object.
#include <etch/etch.h>
#include <etch/layers.h>
#include <etch/losses.h>
#include <etch/model.h>
#include <etch/optimizers.h>

#include <cstdio>

using namespace etch;

namespace {

struct Trunk {
  layers::Dense first{32, activations::relu}, second{16, activations::relu};

  Tensor operator()(const Tensor& x) const { return second(first(x)); }
};

}  // namespace

int main() {
  random::set_seed(1);
  const Generator generator(3);
  const Tensor x = generator.uniform({512, 4}, {.low = -1, .high = 1});
  const Tensor first_y = sum(x * x, {1}, true), second_y = sum(x, {1}, true);

  const Trunk trunk;
  const layers::Dense first_head{1}, second_head{1};
  Model first([=](const Tensor& x) { return first_head(trunk(x)); }, std::tuple(trunk, first_head));
  Model second([=](const Tensor& x) { return second_head(trunk(x)); }, std::tuple(trunk, second_head));

  first.compile(optimizers::Adam(1e-2), losses::mean_squared_error);
  const History pretrained = first.fit(x, first_y, {.epochs = 20, .verbose = Verbose::silent, .seed = 1});
  const std::vector<Tensor> before = get_weights(trunk);

  // The trunk rests; the second head alone learns.
  set_trainable(trunk, false);
  second.compile(optimizers::Adam(1e-2), losses::mean_squared_error);
  const History tuned = second.fit(x, second_y, {.epochs = 20, .verbose = Verbose::silent, .seed = 2});

  bool is_same = true;
  const std::vector<Tensor> after = get_weights(trunk);
  for (size_t i = 0; i < before.size(); ++i) is_same &= array_equal(before[i], after[i]).item<bool>();
  std::printf("first head: loss %.4f -> %.4f\n", pretrained["loss"].front(), pretrained["loss"].back());
  std::printf("second head: loss %.4f -> %.4f; the trunk is the same to the bit: %s\n", tuned["loss"].front(),
              tuned["loss"].back(), is_same ? "yes" : "no");
  return is_same && tuned["loss"].back() < 0.5 * tuned["loss"].front() ? 0 : 1;
}
