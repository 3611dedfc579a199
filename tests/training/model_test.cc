// Model and callbacks against Keras: histories, weights, scores; hooks, own steps, what is traced and printed.
#include "etch/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>

#include "etch/gradient_tape.h"
#include "etch/options.h"
#include "frontend/progress.h"
#include "tests/frontend/error_of.h"
#include "tests/keras_file.h"

namespace etch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const KerasCase& keras(const std::string& name) {
  static const auto cases = read_keras_file(ETCH_SOURCE_DIR "/tests/training/model_expected.txt");
  return cases.at(name);
}

const losses::Loss kLoss{losses::sparse_categorical_crossentropy, {.from_logits = true}};

struct Net {
  layers::Dense hidden{6, activations::tanh};
  layers::Dense logits{3};
  Tensor operator()(const Tensor& x) const { return logits(hidden(x)); }
};

/// A module with the weights that the file's trainings start with.
Net start_net(layers::Dense hidden = {6, activations::tanh}) {
  Net net{.hidden = std::move(hidden)};
  (void)net(ones({1, 4}));
  const KerasCase& data = keras("data");
  set_weights(net, {data.at("w0"), data.at("w1"), data.at("w2"), data.at("w3")});
  return net;
}

// ---- Trainings of Keras --------------------------------------------------------------------------------------------

/// Trains as the file's case did and compares all that it holds.
void expect_as_keras(const std::string& name, Model model, FitOptions options,
                     const optimizers::Optimizer& optimizer = optimizers::Adam(0.05)) {
  const KerasCase& expected = keras(name);
  const Tensor x = keras("data").at("x"), y = keras("data").at("y");
  const bool has_top_k = expected.contains("sparse_top_k_categorical_accuracy");
  std::vector<metrics::Metric> weighted;
  if (has_top_k) weighted = {metrics::SparseTopKCategoricalAccuracy{2}};
  model.compile(optimizer, kLoss, {.metrics = {metrics::SparseCategoricalAccuracy()}, .weighted_metrics = weighted});
  options.batch_size = 10;
  options.epochs = 4;
  options.shuffle = false;
  options.verbose = Verbose::silent;
  const History history = model.fit(x, y, options);
  const Logs scores = model.evaluate(x, y, {.batch_size = 10, .verbose = Verbose::silent});
  for (const auto& [key, values] : expected) {
    SCOPED_TRACE(key);
    if (key == "p" || key.starts_with("w")) continue;
    if (key.starts_with("eval_")) {
      EXPECT_NEAR(scores[key.substr(5)], values.item<float>(), 1e-5);
    } else {
      expect_near(Tensor::from(history[key], static_cast<int64_t>(history[key].size())), values, 1e-5);
    }
  }
  EXPECT_EQ(history.epoch, (std::vector<int64_t>{0, 1, 2, 3}));
  const std::vector<Tensor> weights = get_weights(model);
  for (size_t i = 0; i < weights.size(); ++i) expect_near(weights[i], expected.at("w" + std::to_string(i)), 2e-5);
  expect_near(model.predict(x, {.batch_size = 10, .verbose = Verbose::silent}), expected.at("p"), 3e-5);
}

TEST(Training, OfKeras) { expect_as_keras("plain", Model(start_net()), {}); }
TEST(Training, OfKerasWithAValidationSplit) { expect_as_keras("split", Model(start_net()), {.validation_split = 0.3}); }
TEST(Training, OfKerasWithRegulariserAndConstraint) {
  const Net net = start_net({.units = 6,
                             .activation = activations::tanh,
                             .kernel_regularizer = regularizers::l2(0.01),
                             .bias_constraint = constraints::non_neg()});
  expect_as_keras("regularized", Model(net), {.validation_split = 0.3});
}
TEST(Training, OfKerasWithSampleWeights) {
  expect_as_keras("weighted", Model(start_net()), {.validation_split = 0.3, .sample_weight = keras("data").at("weight")});
}
TEST(Training, OfKerasWithClassWeights) {
  expect_as_keras("class_weight", Model(start_net()), {.class_weight = {{0, 2.0}, {2, 0.5}}});
}
TEST(Training, OfKerasWithAveragesOfWeights) {
  expect_as_keras("average", Model(start_net()), {.validation_split = 0.3},
                  optimizers::SGD(0.1, {.ema = {.momentum = 0.9}}));
}
TEST(Training, OfKerasValidatedInEverySecondEpoch) {
  expect_as_keras("every_second", Model(start_net()), {.validation_split = 0.3, .validation_freq = 2});
}
TEST(Training, OfKerasByASequential) {
  const Net net = start_net();
  expect_as_keras("plain", Model(layers::Sequential{net.hidden, net.logits}), {});
}
TEST(Training, OfKerasByACallableBesideItsLayers) {
  const Net net = start_net();
  const auto call = [net](const Tensor& x) { return net.logits(net.hidden(x)); };
  expect_as_keras("plain", Model(call, std::pair(net.hidden, net.logits)), {});
}

// ---- Callbacks of Keras --------------------------------------------------------------------------------------------

Model compiled_model(double rate = 0.5) {
  Model model{layers::Dense{1}};
  model.compile(optimizers::SGD(rate), losses::mean_squared_error,
                {.metrics = {metrics::MeanAbsoluteError(), {"closeness", metrics::CategoricalAccuracy()}}});
  return model;
}

TEST(EarlyStopping, StopsAndRestoresAsKeras) {
  const std::pair<const char*, callbacks::EarlyStopping> all[] = {
      {"patience", {.patience = 2}},          {"delta", {.min_delta = 0.02, .patience = 1}},
      {"none", {}},                           {"max", {.patience = 1, .mode = callbacks::Mode::max}},
      {"baseline", {.patience = 3, .baseline = 0.87}}, {"late", {.patience = 1, .start_from_epoch = 5}},
      {"never", {.patience = 20}}};
  for (auto [name, callback] : all) {
    SCOPED_TRACE(name);
    const KerasCase& expected = keras(std::string("early_") + name);
    callback.restore_best_weights = true;
    Model model = compiled_model();
    (void)model(ones({1, 1}));
    bool is_stopped = false;
    int64_t last = 0;
    callback.on_train_begin(model);
    for (int64_t epoch = 0; epoch < expected.at("values").size() && !is_stopped; ++epoch) {
      last = epoch;
      set_weights(model, {full({1, 1}, static_cast<float>(epoch)), zeros(1)});
      callback.on_epoch_end(model, epoch, {{"val_loss", expected.at("values")[epoch].item<float>()}});
      is_stopped = callback.stopped_epoch > 0;
    }
    EXPECT_EQ(last, expected.at("last").item<int64_t>());
    EXPECT_EQ(callback.stopped_epoch, expected.at("stopped").item<int64_t>());
    callback.on_train_end(model, {});
    EXPECT_EQ(get_weights(model)[0].to_vector<float>()[0], static_cast<float>(expected.at("restored").item<int64_t>()));
  }
}

TEST(ReduceLROnPlateau, ReducesAsKeras) {
  const std::pair<const char*, callbacks::ReduceLROnPlateau> all[] = {
      {"patience", {.patience = 2}},
      {"cooldown", {.factor = 0.5, .patience = 1, .cooldown = 2}},
      {"least", {.patience = 1, .min_lr = 0.01}}};
  for (auto [name, callback] : all) {
    SCOPED_TRACE(name);
    const KerasCase& expected = keras(std::string("plateau_") + name);
    Model model = compiled_model();
    callback.on_train_begin(model);
    std::vector<float> rates;
    for (int64_t epoch = 0; epoch < expected.at("values").size(); ++epoch) {
      Logs logs{{"val_loss", expected.at("values")[epoch].item<float>()}};
      callback.on_epoch_end(model, epoch, logs);
      rates.push_back(model.optimizer().learning_rate().value().item<float>());
    }
    expect_near(Tensor::from(rates, static_cast<int64_t>(rates.size())), expected.at("rates"), 1e-6);
  }
}

TEST(EarlyStopping, KnowsWhichMetricsAreBetterHigher) {
  Model model = compiled_model();
  callbacks::EarlyStopping closeness{.monitor = "val_closeness"}, error{.monitor = "mean_absolute_error"};
  closeness.on_epoch_end(model, 0, {{"val_closeness", 0.5}});
  closeness.on_epoch_end(model, 1, {{"val_closeness", 0.6}});
  EXPECT_EQ(closeness.best, 0.6);
  error.on_epoch_end(model, 0, {{"mean_absolute_error", 0.5}});
  error.on_epoch_end(model, 1, {{"mean_absolute_error", 0.6}});
  EXPECT_EQ(error.best, 0.5);
  callbacks::EarlyStopping other{.monitor = "other"};
  EXPECT_THAT(error_of([&] { other.on_epoch_end(model, 0, {{"other", 1}}); }),
              HasSubstr("whether more or less of other is better is not known; set mode to min or max"));
}

std::string& last_warning() {
  static std::string text;
  return text;
}

TEST(EarlyStopping, WarnsOfWhatIsNotThere) {
  const WarningHandler before = set_warning_handler([](const std::string& message) { last_warning() = message; });
  Model model = compiled_model();
  callbacks::EarlyStopping().on_epoch_end(model, 0, {{"loss", 1}, {"rate", 2}});
  set_warning_handler(before);
  EXPECT_EQ(last_warning(), "EarlyStopping: there is no val_loss to monitor; there are: loss, rate");
}

// ---- Callbacks in a training ---------------------------------------------------------------------------------------

struct Samples {
  Tensor x = reshape(linspace(-1, 1, 12), {6, 2});
  Tensor y = reshape(linspace(0, 1, 6), {6, 1});
};

TEST(Callbacks, HooksAreCalledInOrder) {
  std::string calls;
  const auto note = [&](const char* name) { return [&calls, name](Model&) { calls += std::string(name) + " "; }; };
  const auto note_number = [&](const char* name) {
    return [&calls, name](Model&, int64_t n) { calls += name + std::to_string(n) + " "; };
  };
  const auto note_logs = [&](const char* name) {
    return [&calls, name](Model&, Logs& logs) { calls += name + std::string(logs.contains("loss") ? "! " : " "); };
  };
  const auto note_both = [&](const char* name) {
    return [&calls, name](Model&, int64_t n, Logs& logs) {
      calls += name + std::to_string(n) + (logs.contains("loss") ? "! " : " ");
    };
  };
  const callbacks::LambdaCallback all{.on_train_begin = note("train"),
                                      .on_train_end = note_logs("trained"),
                                      .on_epoch_begin = note_number("epoch"),
                                      .on_epoch_end = note_both("over"),
                                      .on_train_batch_begin = note_number("batch"),
                                      .on_train_batch_end = note_both("done"),
                                      .on_test_begin = note("test"),
                                      .on_test_end = note_logs("tested"),
                                      .on_test_batch_begin = note_number("tbatch"),
                                      .on_test_batch_end = note_both("tdone"),
                                      .on_predict_begin = note("predict"),
                                      .on_predict_end = note("predicted"),
                                      .on_predict_batch_begin = note_number("pbatch"),
                                      .on_predict_batch_end = note_number("pdone")};
  Model model = compiled_model(0.01);
  const Samples data;
  model.fit(data.x, data.y,
            {.batch_size = 4, .epochs = 2, .verbose = Verbose::silent, .callbacks = {all}, .validation_split = 0.2});
  EXPECT_EQ(calls,
            "train epoch0 batch0 done0! test tbatch0 tdone0! tested! over0! "
            "epoch1 batch0 done0! test tbatch0 tdone0! tested! over1! trained! ");
  calls.clear();
  (void)model.predict(data.x, {.batch_size = 4, .verbose = Verbose::silent, .callbacks = {all}});
  EXPECT_EQ(calls, "predict pbatch0 pdone0 pbatch1 pdone1 predicted ");
}

/// A callback with two hooks only, and state of its own.
struct Counter {
  int batches = 0;
  void on_train_batch_end(Model& model, int64_t, const Logs&) {
    if (++batches == 3) model.stop_training();
  }
  void on_epoch_end(Model&, int64_t, Logs& logs) { logs.set("batches", batches); }
};

TEST(Callbacks, MayStopAndReport) {
  Model model = compiled_model(0.01);
  const Samples data;
  const Callback counter = Counter();
  const History history =
      model.fit(data.x, data.y, {.batch_size = 3, .epochs = 5, .verbose = Verbose::silent, .callbacks = {counter}});
  EXPECT_EQ(counter.get<Counter>()->batches, 3);
  EXPECT_THAT(history["batches"], ElementsAre(2, 3));
  EXPECT_EQ(counter.get<callbacks::TerminateOnNaN>(), nullptr);
}

TEST(Callbacks, ALearningRateIsScheduledByEpochs) {
  Model model = compiled_model(1);
  const Samples data;
  const History history = model.fit(
      data.x, data.y,
      {.epochs = 3,
       .verbose = Verbose::silent,
       .callbacks = {callbacks::LearningRateScheduler{[](int64_t epoch, double rate) { return epoch == 0 ? rate : rate / 4; }}}});
  EXPECT_THAT(history["learning_rate"], ElementsAre(1, 0.25, 0.0625));
  EXPECT_EQ(model.train_function().stats().compiles, 1);
}

TEST(Callbacks, ACsvFileHasALineForEachEpoch) {
  const std::string path = testing::TempDir() + "etch_history.csv";
  std::filesystem::remove(path);
  Model model{layers::Dense{.units = 1, .kernel_initializer = initializers::zeros()}};
  model.compile(optimizers::SGD(0), losses::mean_squared_error);
  const FitOptions options{.epochs = 2,
                           .verbose = Verbose::silent,
                           .callbacks = {callbacks::CSVLogger{.filename = path, .append = true}}};
  model.fit(zeros({2, 1}), full({2, 1}, 0.5f), options);
  model.fit(zeros({2, 1}), full({2, 1}, 2.f), options);
  std::ifstream file(path);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  EXPECT_EQ(text, "epoch,loss,val_loss\n0,0.25,NA\n1,0.25,NA\n0,4,NA\n1,4,NA\n");
  std::filesystem::remove(path);
}

TEST(Callbacks, ALossThatIsNoNumberEndsTheTraining) {
  const Samples data;
  const Tensor y = where(data.y > 0.5f, std::numeric_limits<float>::quiet_NaN(), data.y);
  Model model = compiled_model();
  const WarningHandler before = set_warning_handler([](const std::string& message) { last_warning() = message; });
  const History history = model.fit(data.x, y,
                                    {.batch_size = 2,
                                     .epochs = 5,
                                     .verbose = Verbose::silent,
                                     .callbacks = {callbacks::TerminateOnNaN()},
                                     .shuffle = false});
  set_warning_handler(before);
  EXPECT_EQ(history.epoch.size(), 1);
  EXPECT_EQ(last_warning(), "TerminateOnNaN: the loss is nan after batch 1; the training ends");
  const std::string error = error_of([&] {
    model.fit(data.x, y, {.verbose = Verbose::silent, .callbacks = {callbacks::TerminateOnNaN{true}}});
  });
  EXPECT_THAT(error, StartsWith("model_test.cc:"));
  EXPECT_THAT(error, HasSubstr("TerminateOnNaN: the loss is nan"));
}

// ---- Steps ---------------------------------------------------------------------------------------------------------

TEST(Model, TracesAStepForEachSizeAndCompilesItOnce) {
  Model model = compiled_model(0.01);
  const Samples data;
  model.fit(data.x, data.y, {.batch_size = 4, .epochs = 3, .verbose = Verbose::silent});  // batches of 4 and of 2
  EXPECT_EQ(model.train_function().stats().entries, 2);
  EXPECT_EQ(model.train_function().concrete(data.x[Slice(0, 2)], data.y[Slice(0, 2)], {}).num_kernels_compiled(), 0);
}

TEST(Model, ShufflesByItsSeed) {
  const auto losses = [](std::optional<uint64_t> seed, bool shuffle) {
    Model model{start_net()};
    model.compile(optimizers::SGD(0.1), kLoss);
    return model.fit(keras("data").at("x"), keras("data").at("y"),
                     {.batch_size = 10, .epochs = 2, .verbose = Verbose::silent, .shuffle = shuffle, .seed = seed})["loss"];
  };
  EXPECT_EQ(losses(1, true), losses(1, true));
  EXPECT_NE(losses(1, true), losses(2, true));
  EXPECT_NE(losses(1, true), losses({}, false));
  random::set_seed(5);
  const auto first = losses({}, true);
  random::set_seed(5);
  EXPECT_EQ(losses({}, true), first);
}

TEST(Model, HasTheSameBitsRunEagerly) {
  const auto weights = [](bool eagerly) {
    Model model{start_net()};
    const Tensor y = keras("data").at("y");
    model.compile(optimizers::Adam(0.05), kLoss,
                  {.metrics = {metrics::SparseCategoricalAccuracy()}, .run_eagerly = eagerly});
    const History history = model.fit(keras("data").at("x"), y, {.epochs = 2, .verbose = Verbose::silent, .seed = 1});
    return std::pair(get_weights(model), history["loss"]);
  };
  const auto [traced, traced_losses] = weights(false);
  const auto [eager, eager_losses] = weights(true);
  EXPECT_EQ(traced_losses, eager_losses);
  for (size_t i = 0; i < traced.size(); ++i) EXPECT_TRUE(array_equal(traced[i], eager[i]).item<bool>()) << i;
}

/// Pulls a number to what it is shown, by a step of its own that reports how far it is.
struct Follower {
  Variable at = Variable(0.f);
  Tensor operator()(const Tensor& x) const { return x * 0 + at; }

  StepLogs train_step(const Trainer& trainer, const Batch& batch) const {
    GradientTape tape;
    const Tensor distance = mean(batch.x) - at;
    const Tensor loss = square(distance);
    trainer.optimizer().apply_gradients({tape.gradient(loss, at)}, {at});
    trainer.update_metrics(batch, (*this)(batch.x));
    return {{"loss", loss}, {"distance", distance}};
  }
  Tensor test_step(const Trainer&, const Batch& batch) const { return mean(abs(batch.x - at)); }
};

TEST(Model, TakesStepsOfTheModule) {
  const Follower follower;
  Model model{follower};
  model.compile(optimizers::SGD(0.25), losses::mean_squared_error, {.metrics = {metrics::MeanAbsoluteError()}});
  const Tensor x({8.f, 8.f});
  const History history = model.fit(x, x, {.epochs = 2, .verbose = Verbose::silent});
  EXPECT_THAT(history["distance"], ElementsAre(8, 4));
  EXPECT_THAT(history["loss"], ElementsAre(64, 16));
  EXPECT_EQ(follower.at.value().item<float>(), 6);
  EXPECT_EQ(model.evaluate(x, x, {.verbose = Verbose::silent})["loss"], 2);
}

TEST(Model, TrainsByALossOfTheUser) {
  Model model{start_net()};
  model.compile(optimizers::SGD(0.1),
                [](const Tensor& y, const Tensor& p) { return square(cast(y, DType::f32) - p[{ellipsis, 0}]); });
  const Tensor x = keras("data").at("x"), y = keras("data").at("y");
  const double before = model.evaluate(x, y, {.verbose = Verbose::silent})["loss"];
  model.fit(x, y, {.epochs = 3, .verbose = Verbose::silent});
  EXPECT_LT(model.evaluate(x, y, {.verbose = Verbose::silent})["loss"], before);
}

TEST(Model, OnBatchesGoesOnFromWhereMetricsStand) {
  Model model{layers::Dense{.units = 1, .kernel_initializer = initializers::zeros()}};
  model.compile(optimizers::SGD(0), losses::mean_squared_error);
  EXPECT_EQ(model.train_on_batch(ones({2, 1}), ones({2, 1}))["loss"], 1);
  EXPECT_EQ(model.train_on_batch(ones({2, 1}), full({2, 1}, 3.f))["loss"], 5);
  model.reset_metrics();
  EXPECT_EQ(model.test_on_batch(ones({2, 1}), ones({2, 1}), Tensor({0.5f, 0.f}))["loss"], 0.25);
}

TEST(Model, AFrozenLayerStaysAsItIs) {
  const Net net = start_net();
  Model model{net};
  model.compile(optimizers::SGD(0.1), kLoss);
  set_trainable(net.hidden, false);
  model.fit(keras("data").at("x"), keras("data").at("y"), {.verbose = Verbose::silent});
  EXPECT_TRUE(array_equal(net.hidden.kernel, keras("data").at("w0")).item<bool>());
  EXPECT_FALSE(array_equal(net.logits.kernel, keras("data").at("w2")).item<bool>());
}

TEST(Model, UpdatesAMetricThatGivesNoSingleNumber) {
  Model model{start_net()};
  const metrics::ConfusionMatrix confusion{3};
  model.compile(optimizers::SGD(0.1), kLoss, {.metrics = {confusion}});
  const Logs logs = model.evaluate(keras("data").at("x"), keras("data").at("y"), {.verbose = Verbose::silent});
  EXPECT_FALSE(logs.contains("confusion_matrix"));
  EXPECT_EQ(sum(confusion.result()).item<float>(), 47);
}

TEST(Model, ACloneHasWeightsOfItsOwn) {
  Model model{start_net()};
  Model copy = clone(model);
  copy.compile(optimizers::SGD(0.1), kLoss);
  copy.fit(keras("data").at("x"), keras("data").at("y"), {.verbose = Verbose::silent});
  EXPECT_TRUE(array_equal(get_weights(model)[0], keras("data").at("w0")).item<bool>());
}

// ---- What is printed -----------------------------------------------------------------------------------------------

TEST(Progress, OffATerminalIsALineForEachEpoch) {
  Model model{layers::Dense{.units = 1, .kernel_initializer = initializers::zeros()}};
  model.compile(optimizers::SGD(0), losses::mean_squared_error);
  testing::internal::CaptureStdout();
  model.fit(zeros({4, 1}), ones({4, 1}), {.batch_size = 2, .epochs = 2, .validation_split = 0.5});
  (void)model.evaluate(zeros({4, 1}), ones({4, 1}));
  const std::string text = testing::internal::GetCapturedStdout();
  EXPECT_THAT(text, testing::MatchesRegex("epoch 1/2  1/1  .*/s  .*  loss: 1.0000  val_loss: 1.0000\n"
                                          "epoch 2/2  1/1  .*/s  .*  loss: 1.0000  val_loss: 1.0000\n"
                                          "evaluate  1/1  .*/s  .*  loss: 1.0000\n"));
}

TEST(Progress, ABarShowsRateAndTimeToGo) {
  std::string text;
  double now = 0;
  detail::ProgressTarget target{
      .write = [&](std::string_view part) { text += part; }, .now = [&] { return now; }, .is_bar = true};
  detail::Progress progress(target, "epoch 1/5", 4);
  now = 0.05;
  progress.step(100, {{"loss", 0.5}});  // too soon to draw again
  EXPECT_EQ(text, "");
  now = 2;
  progress.step(100, {{"loss", 0.25}});
  EXPECT_EQ(text, "\repoch 1/5  2/4  [==========..........]  100/s  ETA 2.0 s  loss: 0.2500");
  text.clear();
  now = 4;
  progress.step(100, {{"loss", 0.0001}});
  now = 100;
  progress.step(100, {{"loss", 0.0001}});
  text.clear();
  progress.end({{"loss", 0.5}});
  EXPECT_EQ(text, "\repoch 1/5  4/4  [====================]  4/s  1:40 min  loss: 0.5000     \n");
}

TEST(Progress, WithoutANumberOfStepsThereIsNoTimeToGo) {
  std::string text;
  double now = 0;
  detail::ProgressTarget target{
      .write = [&](std::string_view part) { text += part; }, .now = [&] { return now; }, .is_bar = true};
  detail::Progress progress(target, "epoch 1/5", -1);
  now = 2;
  progress.step(100, {{"loss", 0.25}});
  EXPECT_EQ(text, "\repoch 1/5  1/?  50/s  2.0 s  loss: 0.2500");
  text.clear();
  progress.end({{"loss", 0.5}});
  EXPECT_EQ(text, "\repoch 1/5  1/1  50/s  2.0 s  loss: 0.5000\n");
}

TEST(Progress, ABarIsNoLongerThanTheTerminal) {
  std::string text;
  detail::ProgressTarget target{
      .write = [&](std::string_view part) { text += part; }, .now = [] { return 0.; }, .is_bar = true, .columns = 20};
  detail::Progress progress(target, "epoch 1/5", 1);
  progress.end({});
  EXPECT_EQ(text, "\repoch 1/5  0/1  [..\n");
}

// ---- Misuse --------------------------------------------------------------------------------------------------------

TEST(Model, MisuseIsAnErrorWithItsPlace) {
  Model model = compiled_model();
  const Samples data;
  const auto says = [](auto f, const char* text) {
    const std::string error = error_of(f);
    EXPECT_THAT(error, HasSubstr(text));
    EXPECT_THAT(error, HasSubstr("model_test.cc:"));
  };
  const auto fit = [&](const FitOptions& options) { model.fit(data.x, data.y, options); };
  says([] { Model(layers::Dense{1}).fit(ones({2, 1}), ones({2, 1})); }, "fit: the model is not compiled");
  says([&] { model.fit(data.x, ones({5, 1})); }, "fit: x has 6 samples, but y 5");
  says([&] { model.fit(ones({0, 2}), ones({0, 1})); }, "fit: there are no samples");
  says([&] { model.fit(data.x, {}); }, "the loss needs y");
  says([&] { fit({.batch_size = 0}); }, "batch_size is 0; it is 1 or more");
  says([&] { fit({.validation_split = 1}); }, "validation_split is 1.0; it is a part, above 0 and below 1");
  says([&] { fit({.validation_split = 0.9}); }, "of 6 samples leaves none for training");
  says([&] { fit({.validation_data = {ones({3, 2}), ones({2, 1})}}); }, "validation_data: x has 3 samples, but y 2");
  says([&] { fit({.class_weight = {{0, 1.0}}, .sample_weight = ones(6)}); }, "there may be one");
  says([&] { model.compile(optimizers::SGD(), losses::Loss()); }, "compile: there is no loss");
  says([&] { model.compile(optimizers::SGD(), losses::mean_squared_error, {.metrics = {metrics::AUC(), metrics::AUC()}}); },
       "compile: the name auc stands twice");
  says([&] { fit({.verbose = Verbose::silent, .callbacks = {callbacks::ReduceLROnPlateau{.factor = 2}}}); },
       "ReduceLROnPlateau: factor is 2.0; one that reduces is below 1");
  says([&] { fit({.verbose = Verbose::silent, .callbacks = {callbacks::CSVLogger{"/no/folder/log.csv"}}}); },
       "CSVLogger: /no/folder/log.csv cannot be written");
  Model scheduled{layers::Dense{1}}, frozen{layers::Dense{1}};
  scheduled.compile(optimizers::SGD(schedules::constant(1)), losses::mean_squared_error);
  says([&] {
    scheduled.fit(data.x, data.y, {.verbose = Verbose::silent, .callbacks = {callbacks::ReduceLROnPlateau()}});
  }, "the learning rate follows a schedule");
  frozen.compile(optimizers::SGD(), losses::mean_squared_error);
  set_trainable(frozen, false);
  says([&] { frozen.fit(data.x, data.y, {.verbose = Verbose::silent}); }, "no variable of the module is trainable");
  says([&] { model.evaluate(ones({2, 2}), ones({2, 2})); }, "mean_squared_error: y is f32[2,2] and the prediction f32[2,1]");
  EXPECT_THAT(error_of([] { (void)Logs{{"loss", 1}}["lose"]; }), HasSubstr("there is no lose; there are: loss"));
  EXPECT_THAT(error_of([] { (void)History()["loss"]; }), HasSubstr("there is no loss; there are: none"));
}

TEST(Model, AStepThatFailsChangesNothing) {
  Model model{start_net()};
  model.compile(optimizers::SGD(0.1), kLoss, {.metrics = {metrics::MeanSquaredError()}});
  EXPECT_THAT(error_of([&] { model.fit(keras("data").at("x"), keras("data").at("y"), {.verbose = Verbose::silent}); }),
              HasSubstr("mean_squared_error: y is"));
  EXPECT_TRUE(array_equal(get_weights(model)[0], keras("data").at("w0")).item<bool>());
  EXPECT_EQ(model.optimizer().iterations().value().item<int64_t>(), 0);
}

}  // namespace
}  // namespace etch
