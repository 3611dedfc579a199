// Predicts the progression of diabetes from ten measurements: a Model that stops early, on a table of 442 patients.
#include <etch/etch.h>
#include <etch/model.h>

#include <cmath>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

namespace {

using namespace etch;

/// Brings columns to mean 0 and deviation 1, by those of the patients that the model may see.
struct Scaler {
  Tensor mean, deviation;

  explicit Scaler(const Tensor& seen) : mean(etch::mean(seen, 0, true)), deviation(stddev(seen, 0, true)) {}
  Tensor operator()(const Tensor& x) const { return (x - mean) / deviation; }
  Tensor back(const Tensor& x) const { return x * deviation + mean; }
};

void run(const std::string& folder) {
  random::set_seed(7);
  const Tensor table = load_npy(folder + "/table.npy");
  const Tensor seen = table[Slice(0, 342)], held_out = table[Slice::from(342)];
  const Slice inputs(0, 10), target(10, 11);
  const Scaler scale_x(seen(Slice(), inputs)), scale_y(seen(Slice(), target));
  const Tensor x = scale_x(seen(Slice(), inputs)), y = scale_y(seen(Slice(), target));
  const Tensor test_x = scale_x(held_out(Slice(), inputs)), test_y = scale_y(held_out(Slice(), target));

  const auto dense = [](int64_t units) {
    return layers::Dense{.units = units, .activation = activations::relu, .kernel_regularizer = regularizers::l2(3e-3)};
  };
  Model model(layers::Sequential{dense(32), layers::Dropout{0.2}, dense(16), layers::Dense{1}});
  model.compile(optimizers::Adam(3e-3), losses::mean_squared_error, {.metrics = {metrics::MeanAbsoluteError()}});

  const Callback early = callbacks::EarlyStopping{.patience = 20, .restore_best_weights = true};
  const History history = model.fit(x, y,
                                    {.batch_size = 32,
                                     .epochs = 300,
                                     .verbose = Verbose::silent,
                                     .callbacks = {early, callbacks::ReduceLROnPlateau{.factor = 0.5, .patience = 8}},
                                     .validation_split = 0.2});

  const auto& stopping = *early.get<callbacks::EarlyStopping>();
  for (size_t i = 0; i < history.epoch.size(); i += 10) {
    std::printf("epoch %3d: loss %.3f, validation %.3f, learning rate %.5f\n", static_cast<int>(i + 1), history["loss"][i],
                history["val_loss"][i], history["learning_rate"][i]);
  }
  std::printf("stopped after %zu epochs; the weights are those of epoch %d\n", history.epoch.size(),
              static_cast<int>(stopping.best_epoch + 1));

  const Logs scores = model.evaluate(test_x, test_y, {.verbose = Verbose::silent});
  const Tensor p = model.predict(test_x, {.verbose = Verbose::silent});
  const Tensor unexplained = mean(square(test_y - p)) / variance(test_y);
  const float explained = 1 - unexplained.item<float>();
  const Tensor error = mean(abs(scale_y.back(p) - held_out(Slice(), target)));
  std::printf("100 patients that it has not seen: off by %.1f on average (%.2f deviations), %.0f %% of the variance explained\n",
              error.item<float>(), scores["mean_absolute_error"], 100 * explained);
  for (int64_t i = 0; i < 5; ++i) {
    const Tensor predicted = scale_y.back(p)(i, 0), measured = held_out(i, 10);
    std::printf("  predicted %3.0f, measured %3.0f\n", predicted.item<float>(), measured.item<float>());
  }
  if (explained < 0.35f || history.epoch.size() == 300) throw std::runtime_error("the model does not do its job");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: regression FOLDER\n");
    return 2;
  }
  try {
    run(argv[1]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "regression: %s\n", error.what());
    return 2;
  }
}
