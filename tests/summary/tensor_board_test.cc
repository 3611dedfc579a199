// callbacks::TensorBoard: which runs, tags and steps a training leaves (Keras 3's).
#include <gmock/gmock.h>

#include <set>

#include "etch/etch.h"
#include "etch/losses.h"
#include "etch/metrics.h"
#include "etch/model.h"
#include "etch/optimizers.h"
#include "etch/summary.h"
#include "tests/frontend/error_of.h"
#include "tests/summary/event_reader.h"

namespace etch {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

/// y = w x, with a summary of its own.
struct Line {
  Variable w{Tensor({{1.0f}, {2.0f}}), {.name = "w"}};

  Tensor operator()(const Tensor& x) const {
    const Tensor y = matmul(x, w);
    summary::scalar("prediction", mean(y));
    return y;
  }
};

Model compiled_model() {
  Model model(Line{});
  model.compile(optimizers::SGD(0.25), losses::mean_squared_error, {.metrics = {metrics::MeanAbsoluteError()}});
  return model;
}

const std::vector<float> kX{1, 0, 0, 1, 1, 1, 2, 1, 0, 2, 1, 2};
Tensor x() { return reshape(Tensor(kX), {6, 2}); }
Tensor y() { return reshape(Tensor({1.0f, 2.0f, 4.0f, 4.0f, 5.0f, 5.0f}), {6, 1}); }

History fit(Model& model, const callbacks::TensorBoard& board, FitOptions options = {}) {
  options.batch_size = 2;
  options.verbose = Verbose::silent;
  options.callbacks = {board};
  options.shuffle = false;
  return model.fit(x(), y(), options);
}

/// The events of a run, whose folder holds one file.
std::vector<SeenEvent> run(const std::string& folder) {
  std::string path;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_EQ(path, "") << "a second file";
    path = entry.path();
  }
  return events_in(path);
}

std::vector<std::string> tags(const std::vector<SeenEvent>& events) {
  std::vector<std::string> tags;
  for (const SeenEvent& event : events) tags.push_back(event.graph.empty() ? event.tag + "@" + std::to_string(event.step) : "graph");
  return tags;
}

std::vector<float> values(const std::vector<SeenEvent>& events, std::string_view tag) {
  std::vector<float> values;
  for (const SeenEvent& event : events) {
    if (event.tag == tag) values.push_back(event.scalar());
  }
  return values;
}

std::vector<float> narrow(const std::vector<double>& values) { return {values.begin(), values.end()}; }

TEST(TensorBoard, WritesEpochsOfTrainingAndValidation) {
  const std::string folder = test_folder();
  Model model = compiled_model();
  const History history = fit(model, {.log_dir = folder}, {.epochs = 2, .validation_split = 0.5});
  const std::vector<SeenEvent> train = run(folder + "/train"), validation = run(folder + "/validation");
  EXPECT_THAT(tags(train), ElementsAre("graph", "epoch_loss@0", "epoch_mean_absolute_error@0", "epoch_learning_rate@0",
                                       "epoch_loss@1", "epoch_mean_absolute_error@1", "epoch_learning_rate@1"));
  EXPECT_THAT(tags(validation),
              ElementsAre("evaluation_loss_vs_iterations@2", "evaluation_mean_absolute_error_vs_iterations@2", "epoch_loss@0",
                          "epoch_mean_absolute_error@0", "evaluation_loss_vs_iterations@4",
                          "evaluation_mean_absolute_error_vs_iterations@4", "epoch_loss@1", "epoch_mean_absolute_error@1"));
  EXPECT_EQ(values(train, "epoch_loss"), narrow(history["loss"]));
  EXPECT_EQ(values(train, "epoch_mean_absolute_error"), narrow(history["mean_absolute_error"]));
  EXPECT_EQ(values(validation, "epoch_loss"), narrow(history["val_loss"]));
  EXPECT_THAT(values(train, "epoch_learning_rate"), ElementsAre(0.25f, 0.25f));
}

TEST(TensorBoard, WritesBatchesAndTheModelsOwnSummariesByTheirNumber) {
  const std::string folder = test_folder();
  Model model = compiled_model();
  fit(model, {.log_dir = folder, .write_graph = false, .update_freq = 2}, {.epochs = 2});
  std::vector<std::string> found;
  for (const std::string& tag : tags(run(folder + "/train"))) {
    if (!tag.starts_with("epoch_")) found.push_back(tag);
  }
  EXPECT_THAT(found, ElementsAre("prediction@0", "batch_loss@0", "batch_mean_absolute_error@0",  //
                                 "prediction@2", "batch_loss@2", "batch_mean_absolute_error@2",  //
                                 "prediction@4", "batch_loss@4", "batch_mean_absolute_error@4"));
  EXPECT_FALSE(summary::has_default_writer());
  EXPECT_FALSE(std::filesystem::exists(folder + "/validation"));
}

TEST(TensorBoard, WritesHistogramsOfTheWeights) {
  const std::string folder = test_folder();
  Model model = compiled_model();
  fit(model, {.log_dir = folder, .histogram_freq = 2, .write_graph = false}, {.epochs = 3});
  std::vector<std::string> found;
  for (const SeenEvent& event : run(folder + "/train")) {
    if (event.plugin == "histograms") found.push_back(event.tag + "@" + std::to_string(event.step));
  }
  EXPECT_THAT(found, ElementsAre("w/histogram@0", "w/histogram@2"));
}

TEST(TensorBoard, TheGraphOfTheStepIsThereForAModelThatWasTrainedBefore) {
  Model model = compiled_model();
  for (const char* part : {"first", "second"}) {
    const std::string folder = test_folder(part);
    fit(model, {.log_dir = folder});
    EXPECT_THAT(tags(run(folder + "/train")), Contains("graph"));
    EXPECT_THAT(run(folder + "/train").at(0).graph, HasSubstr("variables/w"));
  }
}

TEST(TensorBoard, StepsPerSecondAreThoseOfEpochsAndBatches) {
  const std::string folder = test_folder();
  Model model = compiled_model();
  fit(model, {.log_dir = folder, .write_graph = false, .update_freq = 3, .write_steps_per_second = true});
  const std::vector<SeenEvent> train = run(folder + "/train");
  EXPECT_THAT(tags(train), testing::IsSupersetOf({"batch_steps_per_second@0", "epoch_steps_per_second@0"}));
  EXPECT_GT(values(train, "epoch_steps_per_second").at(0), 0);
}

TEST(TensorBoard, AResumedTrainingGoesOnCountingBatches) {
  const std::string folder = test_folder();
  Model model = compiled_model();
  const Callback first(callbacks::TensorBoard{.log_dir = folder, .write_graph = false});
  model.fit(x(), y(), {.batch_size = 2, .verbose = Verbose::silent, .callbacks = {first}});
  callbacks::TensorBoard second{.log_dir = test_folder("resumed"), .write_graph = false, .update_freq = 1};
  second.restore_state(first.get<callbacks::TensorBoard>()->save_state());
  fit(model, second);
  EXPECT_THAT(tags(run(second.log_dir + "/train")), testing::IsSupersetOf({"batch_loss@3", "batch_loss@4", "batch_loss@5"}));
}

TEST(TensorBoard, ATrainingThatThrowsLeavesNoDefaultWriter) {
  Model model = compiled_model();
  const Tensor wrong = zeros({6, 3});
  std::string error;
  {
    FitOptions options{.batch_size = 2, .verbose = Verbose::silent,
                       .callbacks = {callbacks::TensorBoard{.log_dir = test_folder(), .update_freq = 1}}};
    error = error_of([&] { model.fit(wrong, y(), options); });
  }
  EXPECT_THAT(error, Not(HasSubstr("no error")));
  EXPECT_FALSE(summary::has_default_writer());
}

TEST(TensorBoard, MisuseIsAnErrorWithThePlaceOfTheTraining) {
  Model model = compiled_model();
  EXPECT_THAT(error_of([&] { fit(model, {.log_dir = test_folder(), .update_freq = -1}); }),
              testing::AllOf(HasSubstr("tensor_board_test.cc:"), HasSubstr("TensorBoard: update_freq is -1; it is 0 or more")));
  std::filesystem::create_directories(test_folder());
  std::ofstream(test_folder("other") + "file");
  EXPECT_THAT(error_of([&] { fit(model, {.log_dir = test_folder("other") + "file"}); }),
              testing::AllOf(HasSubstr("tensor_board_test.cc:"), HasSubstr("create_file_writer: cannot write")));
}

}  // namespace
}  // namespace etch
