// Models on data sets and other ranges: the same as on tensors; what is an Error.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <list>

#include "etch/batches.h"
#include "etch/data.h"
#include "etch/model.h"
#include "etch/random.h"
#include "tests/checkpoint/scratch.h"

namespace etch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const losses::Loss kLoss{losses::sparse_categorical_crossentropy, {.from_logits = true}};

struct Net {
  layers::Dense hidden{6, activations::tanh};
  layers::Dense logits{3};
  Tensor operator()(const Tensor& x) const { return logits(hidden(x)); }
};

Model new_model() {
  random::set_seed(1);
  Model model(Net{});
  model.compile(optimizers::Adam(0.05), kLoss, {.metrics = {metrics::SparseCategoricalAccuracy()}});
  return model;
}

std::pair<Tensor, Tensor> samples() {
  const Tensor x = random::normal(Tensor(uint64_t{5}), {20, 4});
  return {x, argmax(x[{ellipsis, Slice::to(3)}], -1)};
}

FitOptions options_of(FitOptions options) {
  options.verbose = Verbose::silent;
  options.shuffle = false;
  options.batch_size = 8;
  return options;
}

std::string text_of(const History& history) {
  std::string text;
  for (const auto& [name, values] : history.history) text += name + " " + to_string(Tensor(values)) + "\n";
  return text;
}

/// What training on tensors gives.
std::string expected(int64_t epochs = 2) {
  const auto [x, y] = samples();
  Model model = new_model();
  return text_of(model.fit(x, y, options_of({.epochs = epochs, .validation_data = {x, y}})));
}

struct Named {
  Tensor picture, label;
};

TEST(FitOnARange, OfADatasetIsAsOnTensors) {
  const auto [x, y] = samples();
  const auto dataset = data::from_tensor_slices(std::pair(x, y)).batch(8);
  EXPECT_EQ(text_of(new_model().fit(dataset, options_of({.epochs = 2, .validation_data = dataset}))), expected());
}

TEST(FitOnARange, OfPairsTuplesStructsAndBatchesIsAsOnTensors) {
  const auto [x, y] = samples();
  std::vector<std::pair<Tensor, Tensor>> pairs;
  std::list<std::tuple<Tensor, Tensor>> tuples;
  std::vector<Named> structs;
  std::vector<Batch> batches;
  for (int64_t i = 0; i < 20; i += 8) {
    const Tensor part_x = x[Slice(i, i + 8)], part_y = y[Slice(i, i + 8)];
    pairs.emplace_back(part_x, part_y);
    tuples.emplace_back(part_x, part_y);
    structs.push_back({part_x, part_y});
    batches.push_back({part_x, part_y});
  }
  const FitOptions options = options_of({.epochs = 2, .validation_data = pairs});
  EXPECT_EQ(text_of(new_model().fit(pairs, options)), expected());
  EXPECT_EQ(text_of(new_model().fit(tuples, options)), expected());
  EXPECT_EQ(text_of(new_model().fit(structs, options)), expected());
  EXPECT_EQ(text_of(new_model().fit(batches, options)), expected());
  EXPECT_EQ(text_of(new_model().fit(etch::batches(x, y, 8), options)), expected());
}

TEST(FitOnARange, WeightsOfSamplesComeWithIt) {
  const auto [x, y] = samples();
  const Tensor weights = random::uniform(Tensor(uint64_t{3}), {20});
  FitOptions options = options_of({.epochs = 2});
  const auto dataset = data::from_tensor_slices(std::tuple(x, y, weights)).batch(8);
  const std::string on_range = text_of(new_model().fit(dataset, options));
  options.sample_weight = weights;
  EXPECT_EQ(on_range, text_of(new_model().fit(x, y, options)));
}

TEST(FitOnARange, WeightsOfClassesCount) {
  const auto [x, y] = samples();
  const FitOptions options = options_of({.epochs = 2, .class_weight = {{0, 2.}, {1, 0.5}}});
  const auto dataset = data::from_tensor_slices(std::pair(x, y)).batch(8);
  EXPECT_EQ(text_of(new_model().fit(dataset, options)), text_of(new_model().fit(x, y, options)));
}

TEST(FitOnARange, EvaluatesAndPredictsAsOnTensors) {
  const auto [x, y] = samples();
  Model model = new_model();
  const auto dataset = data::from_tensor_slices(std::pair(x, y)).batch(8);
  (void)model.fit(dataset, options_of({}));
  const Logs on_tensors = model.evaluate(x, y, {.batch_size = 8, .verbose = Verbose::silent});
  const Logs on_range = model.evaluate(dataset, {.verbose = Verbose::silent});
  EXPECT_EQ(on_range["loss"], on_tensors["loss"]);
  EXPECT_EQ(on_range["sparse_categorical_accuracy"], on_tensors["sparse_categorical_accuracy"]);
  const Tensor p = model.predict(x, {.batch_size = 8, .verbose = Verbose::silent});
  EXPECT_EQ(to_string(model.predict(dataset, {.verbose = Verbose::silent})), to_string(p));
  const auto only_x = data::from_tensor_slices(x).batch(8);
  EXPECT_EQ(to_string(model.predict(only_x, {.verbose = Verbose::silent})), to_string(p));
  EXPECT_EQ(model.predict(dataset, {.verbose = Verbose::silent, .steps = 2}).shape()[0], 16);
}

TEST(FitOnARange, AnEpochIsAWalkWithItsNumber) {
  const auto [x, y] = samples();
  const auto dataset = data::from_tensor_slices(std::pair(x, y)).shuffle(20, {.seed = 1}).batch(20);
  std::vector<std::string> seen;
  Model model = new_model();
  for (const int64_t first : {0, 1}) {
    (void)model.fit(dataset.map([&](std::pair<Tensor, Tensor> element) {
      seen.push_back(to_string(element.second));
      return element;
    }),
                    options_of({.epochs = 2, .initial_epoch = first}));
  }
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_NE(seen[0], seen[1]);
  EXPECT_EQ(seen[1], seen[2]);
}

TEST(FitOnARange, StepsPerEpochGoOnBehindThoseOfTheEpochBefore) {
  const auto [x, y] = samples();
  std::vector<std::string> seen;
  const auto dataset = data::from_tensor_slices(std::pair(x, y)).batch(5).map([&](std::pair<Tensor, Tensor> element) {
    seen.push_back(to_string(element.second));
    return element;
  });
  const History history = new_model().fit(dataset.repeat(), options_of({.epochs = 3, .steps_per_epoch = 3}));
  EXPECT_THAT(history.epoch, ElementsAre(0, 1, 2));
  ASSERT_GE(seen.size(), 9u);
  EXPECT_EQ(seen[0], seen[4]);
  EXPECT_NE(seen[0], seen[3]);
}

TEST(FitOnARange, DataThatEndsBeforeItsEpochEndsTheTrainingWithAWarning) {
  const Warnings warnings;
  const auto [x, y] = samples();
  const auto dataset = data::from_tensor_slices(std::pair(x, y)).batch(5);
  const History history = new_model().fit(dataset, options_of({.epochs = 3, .steps_per_epoch = 3}));
  EXPECT_THAT(history.epoch, ElementsAre(0, 1));
  EXPECT_THAT(Warnings::kept(),
              ElementsAre("fit: the data ended after 1 of 3 batches of epoch 2; the training ends. A data set"
                          " that is to go on is made with repeat()"));
}

TEST(FitOnARange, ValidatesOnSoManyBatches) {
  const auto [x, y] = samples();
  const auto dataset = data::from_tensor_slices(std::pair(x, y)).batch(8);
  struct Count {
    int* n;
    void on_test_batch_end(Model&, int64_t, const Logs&) { ++*n; }
  };
  int n = 0;
  (void)new_model().fit(dataset,
                        options_of({.callbacks = {Count{&n}}, .validation_data = dataset, .validation_steps = 2}));
  EXPECT_EQ(n, 2);
}

TEST(FitOnARange, TheStepIsCompiledForTheTypesOfTheBatchesAlone) {
  const auto [x, y] = samples();
  Model model = new_model();
  (void)model.fit(data::from_tensor_slices(std::pair(x, y)).batch(8), options_of({.epochs = 5}));
  EXPECT_EQ(model.train_function().stats().traces, 2);  // 8 and 4 samples
}

TEST(FitOnARange, WhatMakesNoSenseIsAnError) {
  const auto [x, y] = samples();
  const auto dataset = data::from_tensor_slices(std::pair(x, y)).batch(8);
  Model model = new_model();
  const auto says = [&](const FitOptions& options, const char* text) {
    EXPECT_THAT(error_of([&] { (void)model.fit(dataset, options_of(options)); }), HasSubstr(text));
  };
  says({.validation_split = 0.5},
       "fit: validation_split is for tensors; of a data set take() and skip() give two parts");
  says({.sample_weight = ones({20})}, "fit: sample_weight is for tensors; a data set gives (x, y, sample_weight)");
  says({.steps_per_epoch = -1}, "fit: steps_per_epoch is -1; it is 0 or more");
  says({.validation_steps = -1}, "fit: validation_steps is -1; it is 0 or more");
  const BatchSet weighted(x, y, ones({20}));
  EXPECT_THAT(error_of([&] { (void)model.fit(weighted, options_of({.sample_weight = ones({20})})); }),
              HasSubstr("fit: weights of samples are given twice"));
  EXPECT_THAT(error_of([&] { (void)model.fit(BatchSet(), options_of({})); }), HasSubstr("fit: there is no data"));
  const std::vector<Batch> none;
  EXPECT_THAT(error_of([&] { (void)model.fit(none, options_of({})); }), HasSubstr("fit: there are no samples"));
  EXPECT_THAT(error_of([&] { (void)model.evaluate(none, {.verbose = Verbose::silent}); }),
              HasSubstr("evaluate: there are no samples"));
  EXPECT_THAT(error_of([&] { (void)model.predict(none, {.verbose = Verbose::silent}); }),
              HasSubstr("predict: there are no samples"));
  const std::vector<Batch> uneven{{ones({3, 4}), zeros({2}, DType::i64)}};
  EXPECT_THAT(error_of([&] { (void)model.fit(uneven, options_of({})); }), HasSubstr("fit: x has 3 samples, but y 2"));
}

}  // namespace
}  // namespace etch
