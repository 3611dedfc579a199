// CheckpointManager: which files are kept, found and restored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/checkpoint.h"
#include "etch/function.h"
#include "etch/ops.h"
#include "tests/checkpoint/scratch.h"

namespace etch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Counter {
  int64_t n = 0;
  Checkpoint checkpoint() { return Checkpoint(named("n", n)); }
};

TEST(CheckpointManager, KeepsTheNewest) {
  const Scratch scratch;
  Counter counter;
  CheckpointManager manager(counter.checkpoint(), scratch.file("run"), {.max_to_keep = 2});
  for (counter.n = 1; counter.n <= 4; ++counter.n) {
    EXPECT_EQ(manager.save(), scratch.file("run/ckpt-" + std::to_string(counter.n) + ".safetensors"));
  }
  EXPECT_THAT(manager.checkpoints(),
              ElementsAre(scratch.file("run/ckpt-3.safetensors"), scratch.file("run/ckpt-4.safetensors")));
  EXPECT_EQ(manager.latest(), scratch.file("run/ckpt-4.safetensors"));
  (void)manager.restore_latest();
  EXPECT_EQ(counter.n, 4);
}

TEST(CheckpointManager, KeepsAllIfToldSo) {
  const Scratch scratch;
  Counter counter;
  CheckpointManager manager(counter.checkpoint(), scratch.path(), {.max_to_keep = 0});
  for (int i = 0; i < 7; ++i) manager.save();
  EXPECT_EQ(manager.checkpoints().size(), 7u);
}

TEST(CheckpointManager, KeepsTheBestByAMetricAndTheNewest) {
  const Scratch scratch;
  Counter counter;
  CheckpointManager manager(counter.checkpoint(), scratch.path(), {.max_to_keep = 2, .best_by = "loss"});
  for (const double loss : {3., 1., 2., std::numeric_limits<double>::quiet_NaN(), 5.}) manager.save({{"loss", loss}});
  EXPECT_THAT(scratch.names(), ElementsAre("ckpt-2.safetensors", "ckpt-3.safetensors", "ckpt-5.safetensors"));
  EXPECT_EQ(manager.best(), scratch.file("ckpt-2.safetensors"));
  // Another process finds the same.
  CheckpointManager other(counter.checkpoint(), scratch.path(), {.best_by = "loss", .best_is_max = true});
  EXPECT_EQ(other.best(), scratch.file("ckpt-5.safetensors"));
}

TEST(CheckpointManager, GoesOnWithTheNumbersOfTheFolder) {
  const Scratch scratch;
  Counter counter;
  CheckpointManager(counter.checkpoint(), scratch.path()).save();
  EXPECT_EQ(CheckpointManager(counter.checkpoint(), scratch.path()).save(), scratch.file("ckpt-2.safetensors"));
}

TEST(CheckpointManager, PassesOverWhatIsNoCheckpoint) {
  const Scratch scratch;
  Counter counter{.n = 5};
  CheckpointManager manager(counter.checkpoint(), scratch.path());
  const std::string path = manager.save();
  const std::string bytes = bytes_of(path);
  write_bytes(scratch.file("ckpt-9.safetensors"), bytes.substr(0, bytes.size() / 2));
  write_bytes(scratch.file("ckpt-8.safetensors"), "");
  write_bytes(scratch.file("ckpt-7.safetensors"),
              bytes_of(ETCH_SOURCE_DIR "/tests/checkpoint/samples/python.safetensors"));
  write_bytes(scratch.file("ckpt-x.safetensors"), bytes);
  write_bytes(scratch.file("ckpt-06.safetensors"), bytes);
  write_bytes(scratch.file("ckpt-99999999999999999999.safetensors"), bytes);
  write_bytes(scratch.file("notes.txt"), "junk");
  std::filesystem::create_directory(scratch.file("ckpt-10.safetensors"));
  EXPECT_EQ(manager.latest(), path);
  counter.n = 0;
  const Warnings warnings;
  (void)manager.restore_latest();
  EXPECT_EQ(counter.n, 5);
  EXPECT_EQ(Warnings::kept().size(), 4u);  // of those that have a number
  EXPECT_EQ(manager.save(), scratch.file("ckpt-11.safetensors"));
}

TEST(CheckpointManager, WithAWarningItPassesOverAFileWhoseElementsAreDamaged) {
  const Scratch scratch;
  const Warnings warnings;
  const Variable weights(ones({100}));
  CheckpointManager manager(Checkpoint(named("weights", weights)), scratch.path());
  manager.save();
  weights.assign(2.f);
  const std::string path = manager.save();
  std::string bytes = bytes_of(path);
  bytes.back() ^= 1;
  write_bytes(path, bytes);
  (void)manager.restore_latest();
  EXPECT_EQ(to_string(weights.value()), to_string(ones({100})));
  ASSERT_EQ(Warnings::kept().size(), 1u);
  EXPECT_THAT(Warnings::kept()[0], HasSubstr("ckpt-2.safetensors: the elements of 'weights'"));
}

TEST(CheckpointManager, OfAnEmptyOrMissingFolderHasNothing) {
  const Scratch scratch;
  Counter counter;
  CheckpointManager manager(counter.checkpoint(), scratch.file("none"), {.best_by = "loss"});
  EXPECT_EQ(manager.latest(), std::nullopt);
  EXPECT_EQ(manager.best(), std::nullopt);
  EXPECT_FALSE(manager.restore_latest().has_value());
}

TEST(CheckpointManager, OfAFolderThatCannotBeReadIsAnError) {
  const Scratch scratch;
  write_bytes(scratch.file("file"), "x");
  Counter counter;
  CheckpointManager manager(counter.checkpoint(), scratch.file("file"));
  EXPECT_THAT(error_of([&] { (void)manager.latest(); }),
              HasSubstr("cannot read " + scratch.file("file") + ": Not a directory"));
  EXPECT_THAT(error_of([&] { (void)manager.restore_latest(); }), HasSubstr("Not a directory"));
}

TEST(CheckpointManager, WritesWhileTheProgramGoesOn) {
  const Scratch scratch;
  Counter counter;
  CheckpointManager manager(counter.checkpoint(), scratch.path(), {.max_to_keep = 2, .asynchronous = true});
  for (counter.n = 1; counter.n <= 3; ++counter.n) manager.save();
  manager.wait();
  EXPECT_THAT(scratch.names(), ElementsAre("ckpt-2.safetensors", "ckpt-3.safetensors"));
  counter.n = 0;
  (void)manager.restore_latest();
  EXPECT_EQ(counter.n, 3);
}

TEST(CheckpointManager, RefusesOptionsThatMakeNoSense) {
  const Scratch scratch;
  Counter counter;
  EXPECT_THAT(error_of([&] { CheckpointManager(counter.checkpoint(), "x", {.max_to_keep = -1}); }),
              HasSubstr("CheckpointManager: max_to_keep is -1; it is 0 for all, or more"));
  EXPECT_THAT(error_of([&] { CheckpointManager(counter.checkpoint(), ""); }), HasSubstr("the folder has no name"));
  CheckpointManager manager(counter.checkpoint(), scratch.path(), {.best_by = "loss"});
  EXPECT_THAT(error_of([&] { manager.save(); }),
              HasSubstr("the best is found by loss, which is not among the metrics"));
  EXPECT_THAT(error_of([&] { (void)CheckpointManager(counter.checkpoint(), "x").best(); }),
              HasSubstr("without best_by"));
}

}  // namespace
}  // namespace etch
