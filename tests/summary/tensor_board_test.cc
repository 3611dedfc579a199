// callbacks::TensorBoard: which runs, tags and steps a training leaves (Keras 3's).
#include <gmock/gmock.h>

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
using testing::Not;

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
  model.compile(optimizers::SGD(0.125), losses::mean_squared_error, {.metrics = {metrics::MeanAbsoluteError()}});
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

struct Expected {
  std::string tag;
  int64_t step = 0;
  std::string value;  // or -
};

/// What Keras' callback wrote (make_keras_expected.py).
std::vector<Expected> expected_of(const std::string& wanted_case, const std::string& wanted_run) {
  std::ifstream file(std::string(ETCH_SOURCE_DIR) + "/tests/summary/keras_expected.txt");
  std::string line, name, run;
  std::getline(file, line);
  std::vector<Expected> all;
  for (Expected one; file >> name >> run >> one.tag >> one.step >> one.value;) {
    if (name == wanted_case && run == wanted_run) all.push_back(one);
  }
  return all;
}

void expect_as_keras(const std::string& name, callbacks::TensorBoard board) {
  board.log_dir = test_folder();
  board.write_graph = false;
  Model model = compiled_model();
  fit(model, board, {.epochs = 3, .validation_split = 0.5});
  for (const std::string part : {"train", "validation"}) {
    const std::vector<Expected> expected = expected_of(name, part);
    std::vector<SeenEvent> events = run(board.log_dir + "/" + part);
    std::erase_if(events, [](const SeenEvent& event) { return event.tag == "prediction"; });  // the model's own
    ASSERT_EQ(events.size(), expected.size());
    for (size_t i = 0; i < events.size(); ++i) {
      EXPECT_EQ(events[i].tag, expected[i].tag) << i;
      EXPECT_EQ(events[i].step, expected[i].step) << expected[i].tag;
      if (expected[i].value == "-") continue;
      EXPECT_NEAR(events[i].scalar(), std::stod(expected[i].value), 1e-6) << expected[i].tag;
    }
  }
}

TEST(TensorBoard, WritesOfEpochsWhatKerasWrites) { expect_as_keras("epochs", {}); }

TEST(TensorBoard, WritesOfBatchesWeightsAndRatesWhatKerasWrites) {
  expect_as_keras("batches", {.histogram_freq = 2, .update_freq = 2, .write_steps_per_second = true});
}

TEST(TensorBoard, TheModelsOwnSummariesBelongToTheBatchesThatAreWritten) {
  const std::string folder = test_folder();
  Model model = compiled_model();
  fit(model, {.log_dir = folder, .update_freq = 2}, {.epochs = 2, .validation_split = 1.0 / 3});
  const auto own = [&](const std::string& part) {
    std::vector<std::string> own = tags(run(folder + "/" + part));
    std::erase_if(own, [](const std::string& tag) { return !tag.starts_with("prediction"); });
    return own;
  };
  EXPECT_THAT(own("train"), ElementsAre("prediction@2", "prediction@4"));
  EXPECT_THAT(own("validation"), ElementsAre("prediction@2"));
  EXPECT_FALSE(summary::has_default_writer());
}

TEST(TensorBoard, WithoutAValidationThereIsNoRunOfOne) {
  const std::string folder = test_folder();
  Model model = compiled_model();
  fit(model, {.log_dir = folder});
  EXPECT_TRUE(std::filesystem::exists(folder + "/train"));
  EXPECT_FALSE(std::filesystem::exists(folder + "/validation"));
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

TEST(TensorBoard, AResumedTrainingGoesOnCountingBatches) {
  const std::string folder = test_folder();
  Model model = compiled_model();
  const Callback first(callbacks::TensorBoard{.log_dir = folder, .write_graph = false});
  model.fit(x(), y(), {.batch_size = 2, .verbose = Verbose::silent, .callbacks = {first}});
  callbacks::TensorBoard second{.log_dir = test_folder("resumed"), .write_graph = false, .update_freq = 1};
  second.restore_state(first.get<callbacks::TensorBoard>()->save_state());
  fit(model, second);
  EXPECT_THAT(tags(run(second.log_dir + "/train")), testing::IsSupersetOf({"batch_loss@4", "batch_loss@5", "batch_loss@6"}));
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
