// A training that TensorBoard shows: curves of two runs, histograms of weights, pictures, texts and the graph of the step.
#include <etch/etch.h>
#include <etch/layers.h>
#include <etch/losses.h>
#include <etch/metrics.h>
#include <etch/model.h>
#include <etch/optimizers.h>
#include <etch/summary.h>

#include <cstdio>
#include <string>

using namespace etch;

namespace {

/// Every kind of summary, with numbers that scripts/check_summaries knows.
void write_every_kind(const std::string& folder) {
  const summary::FileWriter writer = summary::create_file_writer(folder);
  const summary::As as = writer.as_default();
  auto f = function([](Tensor step, Tensor x) {
    summary::scalar("squares/of the step", step * step, step, {.description = "step x step"});
    summary::record_if(step % 2 == 0, [&] { summary::histogram("spread", x * cast(step, DType::f32), step, {.buckets = 4}); });
    return x;
  });
  for (int step = 0; step < 5; ++step) (void)f(Tensor(step), Tensor({1.0f, 2.0f, 3.0f, 5.0f}));
  const Tensor ramp = reshape(range(2 * 3 * 4 * 3), {2, 3, 4, 3});
  summary::image("ramp", cast(ramp * 3, DType::u8), 1);
  summary::image("grey", reshape(linspace(0, 1, 16), {1, 4, 4, 1}), 2);
  summary::text("note", "what **etch** wrote", 3);
  summary::text("rows", std::vector<std::string>{"one", "two"}, 4);
  Variable w(ones({4}), {.name = "w"});
  auto g = function([&](Tensor x) {
    w += 1.0f;
    return cond(sum(x) > 0.0f, [&] { return softmax(x * w); }, [&] { return tanh(x); });
  });
  summary::graph(g.concrete(TensorSpec{DType::f32, {4}}));
}

struct Mlp {
  layers::Dense hidden{64, activations::relu};
  layers::Dropout drop{0.2};
  layers::Dense logits{10};

  Tensor operator()(const Tensor& x, bool training) const { return logits(drop(hidden(x), training)); }
};

}  // namespace

int main(int argc, char** argv) {
  const std::string logs = argc > 1 ? argv[1] : "logs", digits = argc > 2 ? argv[2] : "examples/digits";
  write_every_kind(logs + "/kinds");

  const Tensor images = cast(load_npy(digits + "/train_images.npy"), DType::f32) / 16;
  const Tensor labels = cast(load_npy(digits + "/train_labels.npy"), DType::i32);
  random::set_seed(1);
  Model model(Mlp{});
  model.compile(optimizers::Adam(2e-3), {losses::sparse_categorical_crossentropy, {.from_logits = true}},
                {.metrics = {metrics::SparseCategoricalAccuracy()}});
  const History history = model.fit(images, labels, {.epochs = 15,
                                                     .callbacks = {callbacks::TensorBoard{
                                                         .log_dir = logs + "/digits", .histogram_freq = 1, .update_freq = 10}},
                                                     .validation_split = 0.2,
                                                     .seed = 1});

  // What the hidden units look for, beside the digits that they are shown.
  const summary::FileWriter writer = summary::create_file_writer(logs + "/digits/train");
  const summary::As as = writer.as_default(history.epoch.back());
  const Tensor kernel = transpose(model.get<Mlp>()->hidden.kernel);
  summary::image("hidden units", reshape(kernel, {64, 8, 8, 1}) + 0.5f, {}, {.max_outputs = 8});
  summary::image("digits", reshape(images, {-1, 8, 8, 1}), {}, {.max_outputs = 8});
  summary::text("about", "A perceptron with **64 hidden units** learns to read digits of 8 x 8 pixels.");

  const double accuracy = history["val_sparse_categorical_accuracy"].back();
  std::printf("%.1f %% of the digits beside the training are right; tensorboard --logdir %s shows it\n", 100 * accuracy, logs.c_str());
  return accuracy >= 0.9 ? 0 : 1;
}
