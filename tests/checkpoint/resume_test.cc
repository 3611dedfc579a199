// Trainings that are killed and go on: to the bit as if nothing had happened.
#include <gmock/gmock.h>

#include "frontend/checkpoint/tensor_file.h"
#include "tests/checkpoint/training_program.h"

namespace etch {
namespace {

using testing::HasSubstr;

/// Kills a training before each of these batches, counted anew in each process, and lets it come to its end then.
void expect_as_uninterrupted(Program program, const std::vector<int64_t>& kills) {
  const NamedTensors expected = results_of(program);
  const Scratch scratch;
  program.folder = scratch.file("backup");
  program.results = scratch.file("results");
  for (const int64_t batch : kills) {
    program.kill_before = batch;
    ASSERT_TRUE(is_killed_in([&] { run(program); }));
  }
  program.kill_before = -1;
  ASSERT_FALSE(is_killed_in([&] { run(program); }));
  const NamedTensors results = load_safetensors(program.results);
  EXPECT_EQ(difference(expected, results), "");
  EXPECT_LT(results.at("batches").item<int64_t>(), expected.at("batches").item<int64_t>());
  EXPECT_EQ(expected.at("epochs").size(), 4);  // early stopping
  EXPECT_FALSE(std::filesystem::exists(scratch.file("backup/backup.safetensors")));
}

TEST(Resumed, InTheMiddleOfAnEpoch) { expect_as_uninterrupted({}, {13}); }
TEST(Resumed, AtTheEndOfAnEpoch) { expect_as_uninterrupted({.save_freq = 8}, {16}); }
TEST(Resumed, AgainAndAgain) { expect_as_uninterrupted({.save_freq = 2}, {5, 4, 3, 7, 6}); }
TEST(Resumed, FromTheEndsOfEpochs) { expect_as_uninterrupted({.save_freq = 0}, {13, 9}); }
TEST(Resumed, WithRatesThatCallbacksSet) {
  expect_as_uninterrupted({.uses_plateaus = true}, {13});
  expect_as_uninterrupted({.uses_plateaus = true}, {19});
}
TEST(Resumed, OnDataWithoutPositions) { expect_as_uninterrupted({.uses_generator = true}, {13}); }
TEST(Resumed, OnTensors) { expect_as_uninterrupted({.uses_tensors = true}, {13}); }
TEST(Resumed, WithEpochsThatAreParts) { expect_as_uninterrupted({.steps_per_epoch = 5}, {13}); }
TEST(Resumed, FromTheEndOfAnEpochThatIsAPart) { expect_as_uninterrupted({.save_freq = 0, .steps_per_epoch = 5}, {13}); }
TEST(Resumed, FromBackupsThatAreWrittenMeanwhile) { expect_as_uninterrupted({.asynchronous = true}, {17}); }

TEST(Resumed, KilledBeforeEachBatch) {
  const NamedTensors expected = results_of({});
  for (int64_t batch = 0; batch < 32; batch += 3) {
    const Scratch scratch;
    Program program{scratch.file("backup"), scratch.file("results"), batch};
    ASSERT_TRUE(is_killed_in([&] { run(program); }));
    program.kill_before = -1;
    ASSERT_FALSE(is_killed_in([&] { run(program); }));
    EXPECT_EQ(difference(expected, load_safetensors(program.results)), "") << batch;
  }
}

// ---- Each part of the file is needed
// ---------------------------------------------------------------------------------------

/// What a training gives that goes on from a file in which something was changed.
std::string difference_after(const std::function<void(detail::TensorFile&)>& change) {
  static const NamedTensors expected = results_of({});
  const Scratch scratch;
  Program program{scratch.file("backup"), scratch.file("results"), 13};
  EXPECT_TRUE(is_killed_in([&] { run(program); }));
  const std::string path = scratch.file("backup/backup.safetensors");
  detail::TensorFile file = detail::read_checkpoint_file(path, {});
  change(file);
  detail::write_tensor_file(path, std::move(file), {});
  program.kill_before = -1;
  EXPECT_FALSE(is_killed_in([&] { run(program); }));
  return difference(expected, load_safetensors(program.results));
}

/// Sets all tensors whose names begin so to 0.
std::function<void(detail::TensorFile&)> without(const std::string& prefix) {
  return [prefix](detail::TensorFile& file) {
    int found = 0;
    for (auto& [name, tensor] : file.tensors) {
      if (!name.starts_with(prefix)) continue;
      tensor = zeros(tensor.shape(), tensor.dtype());
      ++found;
    }
    EXPECT_GT(found, 0) << prefix;
  };
}
/// Sets a value of the host.
std::function<void(detail::TensorFile&)> with(const std::string& name, const SavedState::Value& value) {
  return [name, value](detail::TensorFile& file) {
    EXPECT_TRUE(file.metadata.host.contains(name)) << name;
    file.metadata.host.set(name, value);
  };
}

/// Takes values of the host out.
std::function<void(detail::TensorFile&)> without_host(const std::string& gone) {
  return [gone](detail::TensorFile& file) {
    SavedState rest;
    for (const auto& [name, value] : file.metadata.host) {
      if (name != gone && !name.starts_with(gone + "/")) rest.set(name, value);
    }
    EXPECT_LT(rest.size(), file.metadata.host.size());
    file.metadata.host = std::move(rest);
  };
}

TEST(ResumedWithout, NothingItIsTheSame) {
  EXPECT_EQ(difference_after([](detail::TensorFile&) {}), "");
}
TEST(ResumedWithout, TheVariables) { EXPECT_NE(difference_after(without("model/[0].kernel")), ""); }
TEST(ResumedWithout, TheStateOfDropout) { EXPECT_NE(difference_after(without("model/[1].generator")), ""); }
TEST(ResumedWithout, TheSlots) {
  EXPECT_NE(difference_after(without("optimizer/m/")), "");
  EXPECT_NE(difference_after(without("optimizer/v/")), "");
}
TEST(ResumedWithout, TheStepOfTheSchedule) { EXPECT_NE(difference_after(without("optimizer/iterations")), ""); }
TEST(ResumedWithout, TheMetrics) {
  EXPECT_EQ(difference_after(without("metrics/")), "history/sparse_categorical_accuracy");
}
TEST(ResumedWithout, TheMeanOfTheLoss) { EXPECT_EQ(difference_after(without("reports/")), "history/loss"); }
TEST(ResumedWithout, ThePositionInTheData) {
  // The shuffle of another epoch, from its beginning.
  EXPECT_NE(difference_after([](detail::TensorFile& file) {
              without_host("fit/walk")(file);
              const Scratch scratch;
              Program program{scratch.file("backup"), scratch.file("results"), 3};
              EXPECT_TRUE(is_killed_in([&] { run(program); }));
              const detail::TensorFile other =
                  detail::read_checkpoint_file(scratch.file("backup/backup.safetensors"), {});
              for (const auto& [name, value] : other.metadata.host) {
                if (name.starts_with("fit/walk")) file.metadata.host.set(name, value);
              }
            }),
            "");
}
TEST(ResumedWithout, TheEpoch) { EXPECT_NE(difference_after(with("fit/epoch", int64_t{0})), ""); }
TEST(ResumedWithout, WhatACallbackFound) { EXPECT_EQ(difference_after(without_host("callbacks/1/best")), "epochs"); }
TEST(ResumedWithout, TheHistory) {
  EXPECT_EQ(difference_after([](detail::TensorFile& file) {
              file.metadata.host.set("fit/history/epochs", zeros({0}, DType::i64));
              file.metadata.host.set("fit/history/names", std::string());
            }),
            "epochs");
}
TEST(ResumedWithout, TheDefaultSeed) { EXPECT_EQ(difference_after(with("random/taken", uint64_t{0})), "next_seed"); }

TEST(Resumed, FromAFileThatLacksAValueIsAnError) {
  const Scratch scratch;
  Program program{scratch.file("backup"), scratch.file("results"), 13};
  EXPECT_TRUE(is_killed_in([&] { run(program); }));
  const std::string path = scratch.file("backup/backup.safetensors");
  detail::TensorFile file = detail::read_checkpoint_file(path, {});
  file.tensors.erase("metrics/[0].matches.total");
  file.metadata.checksums.erase("metrics/[0].matches.total");
  detail::write_tensor_file(path, file, {});
  program.kill_before = -1;
  const std::string error = error_of([&] { run(program); });
  EXPECT_THAT(error, HasSubstr("metrics/[0].matches.total has no counterpart"));
  EXPECT_THAT(error, HasSubstr("is of another training; remove " + program.folder + " to begin anew"));
}

TEST(Resumed, FromADamagedFileIsAnError) {
  const Scratch scratch;
  Program program{scratch.file("backup"), scratch.file("results"), 13};
  EXPECT_TRUE(is_killed_in([&] { run(program); }));
  std::string bytes = bytes_of(scratch.file("backup/backup.safetensors"));
  bytes[bytes.size() - 1] ^= 1;
  write_bytes(scratch.file("backup/backup.safetensors"), bytes);
  program.kill_before = -1;
  EXPECT_THAT(error_of([&] { run(program); }), HasSubstr("; remove " + program.folder + " to begin the training anew"));
}

TEST(Resumed, ByATrainingWithOtherCallbacksIsAnError) {
  const Scratch scratch;
  Program program{scratch.file("backup"), scratch.file("results"), 13};
  EXPECT_TRUE(is_killed_in([&] { run(program); }));
  program.kill_before = -1;
  program.more = {callbacks::TerminateOnNaN()};
  EXPECT_THAT(error_of([&] { run(program); }), HasSubstr("callbacks: there were 3 callbacks, and now there are 4"));
}

TEST(Resumed, ALogOfEpochsGoesOnWithItsFile) {
  const Scratch scratch;
  Program whole{scratch.file("backup1"), scratch.file("results")};
  whole.more = {callbacks::CSVLogger{.filename = scratch.file("whole.csv")}};
  ASSERT_FALSE(is_killed_in([&] { run(whole); }));
  Program program{scratch.file("backup2"), scratch.file("results"), 18};
  program.save_freq = 5;  // the line of the second epoch was written after the last backup
  program.more = {callbacks::CSVLogger{.filename = scratch.file("killed.csv")}};
  ASSERT_TRUE(is_killed_in([&] { run(program); }));
  program.kill_before = -1;
  ASSERT_FALSE(is_killed_in([&] { run(program); }));
  EXPECT_EQ(bytes_of(scratch.file("killed.csv")), bytes_of(scratch.file("whole.csv")));
}

}  // namespace
}  // namespace etch
