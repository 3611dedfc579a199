// callbacks::ModelCheckpoint: when it writes, under which names, and what stands in the files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/checkpoint.h"
#include "etch/model.h"
#include "etch/random.h"
#include "frontend/checkpoint/file_name.h"
#include "tests/checkpoint/scratch.h"

namespace etch {
namespace {

using callbacks::ModelCheckpoint;
using testing::ElementsAre;
using testing::HasSubstr;

Model new_model() {
  Model model(layers::Dense{2});
  model.compile(optimizers::Adam(0.05), losses::mean_squared_error);
  return model;
}

/// Sets a value of the logs to these, epoch by epoch.
struct Scores {
  std::vector<double> values;
  void on_epoch_end(Model&, int64_t epoch, Logs& logs) { logs.set("score", values[static_cast<size_t>(epoch)]); }
};

std::vector<std::string> names_after(const ModelCheckpoint& checkpoint, const std::vector<double>& scores,
                                     const Scratch& scratch) {
  ModelCheckpoint own = checkpoint;
  own.filepath = scratch.file(checkpoint.filepath);
  (void)new_model().fit(ones({6, 3}), ones({6, 2}),
                        {.batch_size = 2,
                         .epochs = static_cast<int64_t>(scores.size()),
                         .verbose = Verbose::silent,
                         .callbacks = {Scores{scores}, own}});
  return scratch.names();
}

TEST(ModelCheckpoint, WritesAtTheEndOfEachEpoch) {
  const Scratch scratch;
  EXPECT_THAT(names_after({.filepath = "{epoch:02d}-{score:.2f}"}, {0.5, 0.25}, scratch),
              ElementsAre("01-0.50", "02-0.25"));
}

TEST(ModelCheckpoint, ReplacesAFileOfTheSameName) {
  const Scratch scratch;
  EXPECT_THAT(names_after({.filepath = "x"}, {1, 2, 3}, scratch), ElementsAre("x"));
}

TEST(ModelCheckpoint, WritesTheBestOnly) {
  const Scratch a, b, c;
  EXPECT_THAT(
      names_after({.filepath = "{epoch}", .monitor = "score", .save_best_only = true, .mode = callbacks::Mode::min},
                  {3, 4, 2, 2}, a),
      ElementsAre("1", "3"));
  EXPECT_THAT(
      names_after({.filepath = "{epoch}", .monitor = "score", .save_best_only = true, .mode = callbacks::Mode::max},
                  {3, 4, 2, 5}, b),
      ElementsAre("1", "2", "4"));
  EXPECT_THAT(names_after({.filepath = "{epoch}",
                           .monitor = "score",
                           .save_best_only = true,
                           .mode = callbacks::Mode::min,
                           .initial_value_threshold = 2.5},
                          {3, 2}, c),
              ElementsAre("2"));
}

TEST(ModelCheckpoint, WritesAfterSoManyBatches) {
  const Scratch scratch;
  EXPECT_THAT(names_after({.filepath = "{epoch}-{batch}", .save_freq = 2}, {0, 0}, scratch),
              ElementsAre("1-2", "2-1", "2-3"));
}

TEST(ModelCheckpoint, OfWeightsIsReadByLoadWeightsAndTheWholeByACheckpoint) {
  const Scratch scratch;
  Model model = new_model();
  (void)model.fit(ones({6, 3}), ones({6, 2}),
                  {.epochs = 2,
                   .verbose = Verbose::silent,
                   .callbacks = {ModelCheckpoint{.filepath = scratch.file("weights"), .save_weights_only = true},
                                 ModelCheckpoint{.filepath = scratch.file("whole")}}});
  Model other = new_model();
  load_weights(other, scratch.file("weights"));
  EXPECT_EQ(to_string(get_weights(other)[0]), to_string(get_weights(model)[0]));
  Model third = new_model();
  Checkpoint(named("model", third), named("optimizer", third.optimizer()))
      .restore(scratch.file("whole"))
      .assert_consumed();
  EXPECT_EQ(to_string(get_weights(third)[0]), to_string(get_weights(model)[0]));
  EXPECT_EQ(third.optimizer().iterations().value().item<int64_t>(), 2);
}

TEST(ModelCheckpoint, WhatMakesNoSenseIsAnError) {
  const Scratch scratch;
  const auto says = [&](const ModelCheckpoint& checkpoint, const char* text) {
    EXPECT_THAT(
        error_of([&] {
          (void)new_model().fit(ones({6, 3}), ones({6, 2}), {.verbose = Verbose::silent, .callbacks = {checkpoint}});
        }),
        HasSubstr(text));
  };
  says({}, "ModelCheckpoint: filepath is empty");
  says({.filepath = "x", .save_freq = -1}, "ModelCheckpoint: save_freq is -1; it is 0 for epochs, or more");
  says({.filepath = "x", .monitor = "val_other", .save_best_only = true},
       "whether more or less of val_other is better is not known");
  says({.filepath = scratch.file("{val_loss}")}, ": there is no `val_loss`; there are: epoch, loss");
  write_bytes(scratch.file("file"), "x");
  says({.filepath = scratch.file("file/x")}, "cannot write " /* the path */);
}

TEST(BackupAndRestore, WhatMakesNoSenseIsAnError) {
  const auto says = [&](const callbacks::BackupAndRestore& backup, const char* text) {
    EXPECT_THAT(
        error_of([&] {
          (void)new_model().fit(ones({6, 3}), ones({6, 2}), {.verbose = Verbose::silent, .callbacks = {backup}});
        }),
        HasSubstr(text));
  };
  says({}, "BackupAndRestore: backup_dir names no folder");
  says({.backup_dir = "x", .save_freq = -1}, "BackupAndRestore: save_freq is -1; it is 0 for epochs, or more");
}

TEST(BackupAndRestore, KeepsItsFileIfToldSo) {
  const Scratch scratch;
  (void)new_model().fit(
      ones({6, 3}), ones({6, 2}),
      {.verbose = Verbose::silent,
       .callbacks = {callbacks::BackupAndRestore{.backup_dir = scratch.file("b"), .delete_checkpoint = false}}});
  EXPECT_TRUE(std::filesystem::exists(scratch.file("b/backup.safetensors")));
}

std::string formatted(const std::string& pattern) {
  return detail::format_file_name(pattern, [](std::string_view name) -> std::optional<double> {
    if (name == "epoch") return 7;
    if (name == "loss") return -0.12345678;
    return {};
  });
}

TEST(FileName, IsFormattedAsByPython) {
  EXPECT_EQ(formatted("a/{epoch}.x"), "a/7.x");
  EXPECT_EQ(formatted("{epoch:03d}{epoch:4d}"), "007   7");
  EXPECT_EQ(formatted("{loss:.2f} {loss:f} {loss:010.3f} {loss:.3e} {loss:.4g} {loss:.3}"),
            "-0.12 -0.123457 -00000.123 -1.235e-01 -0.1235 -0.123");
  EXPECT_EQ(formatted("{{epoch}}"), "{epoch}");
}

TEST(FileName, ThatCannotBeFormattedIsAnError) {
  EXPECT_THAT(error_of([] { formatted("{other}"); }), HasSubstr("there is no `other`"));
  EXPECT_THAT(error_of([] { formatted("{epoch"); }), HasSubstr("a brace of `{epoch` has no counterpart"));
  EXPECT_THAT(error_of([] { formatted("a}"); }), HasSubstr("a brace of `}` has no counterpart"));
  EXPECT_THAT(error_of([] { formatted("{epoch:x}"); }), HasSubstr("`{epoch:x}` has a format that is none"));
  EXPECT_THAT(error_of([] { formatted("{epoch:.d}"); }), HasSubstr("has a precision without a number"));
}

}  // namespace
}  // namespace etch
