// Metrics and summaries
//
// Metrics are objects that sum up; summaries go to TensorBoard's files, from eager code and from inside of compiled functions, with
// `record_if` as control flow in them. Look at what this program wrote by `tensorboard --logdir FOLDER`.
#include <etch/etch.h>
#include <etch/layers.h>
#include <etch/losses.h>
#include <etch/metrics.h>
#include <etch/optimizers.h>
#include <etch/summary.h>

#include <cstdio>
#include <filesystem>

using namespace etch;

int main(int argc, char** argv) {
  const std::string folder = argc == 2 ? argv[1] : "guide_logs";
  random::set_seed(1);
  const Generator generator(5);
  const Tensor x = generator.normal({256, 3}), y = sum(x, {1}, true) > 0;

  const layers::Dense hidden{8, activations::tanh}, out{1, activations::sigmoid};
  const optimizers::Adam adam(2e-2);
  const metrics::Mean loss;
  const metrics::BinaryAccuracy accuracy;
  const Variable step(int64_t{0}, {.name = "step", .trainable = false});

  auto train = function([&](Tensor x, Tensor y) {
    GradientTape tape;
    const Tensor p = out(hidden(x)), l = losses::binary_crossentropy(y, p);
    const auto variables = trainable_variables(std::tuple(hidden, out));
    adam.apply_gradients(tape.gradient(l, variables), variables);
    loss.update_state(l);
    accuracy.update_state(y, p);
    step += int64_t{1};
    summary::record_if(step % int64_t{20} == 0, [&] {
      summary::scalar("loss", loss.result(), step);
      summary::histogram("hidden/kernel", hidden.kernel, step);
    });
  });

  const summary::FileWriter writer = summary::create_file_writer(folder);
  const summary::As as(writer);
  for (int epoch = 0; epoch < 3; ++epoch) {
    loss.reset_state();
    accuracy.reset_state();
    for (int i = 0; i < 40; ++i) train(x, cast(y, DType::f32));
    std::printf("epoch %d: loss %.3f, accuracy %.3f\n", epoch + 1, loss.result().item<float>(), accuracy.result().item<float>());
  }
  summary::text("about", "Which side of a plane a point lies on", 0);
  writer.flush();
  std::printf("%s\n", std::filesystem::file_size(writer.path()) > 0 ? "the summaries are written" : "there are none");
  return accuracy.result().item<float>() > 0.9f ? 0 : 1;
}
