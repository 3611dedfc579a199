// What stands in a folder when a save ends at any point: killed, without power, by an error.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <latch>
#include <memory>
#include <random>
#include <thread>

#include "etch/checkpoint.h"
#include "etch/function.h"
#include "etch/ops.h"
#include "frontend/checkpoint/file_system.h"
#include "frontend/checkpoint/tensor_file.h"
#include "tests/checkpoint/scratch.h"

namespace etch {
namespace {

using detail::FileSystem;
using testing::ElementsAre;
using testing::HasSubstr;
using Call = FileSystem::Call;

/// Calls of the system go through a function as long as it stands.
class Watched final : public FileSystem {
 public:
  using Watch = std::function<int(const Step&)>;
  explicit Watched(Watch watch) : watch_(std::move(watch)) { FileSystem::replace(this); }
  ~Watched() override { FileSystem::replace(nullptr); }

 private:
  int before(const Step& step) override { return watch_(step); }
  const Watch watch_;
};

/// A program's state: a number in several places.
struct State {
  Variable step = Variable(int64_t{0});
  Variable weights = Variable(zeros({300, 100}));
  int64_t count = 0;

  void set(int64_t value) {
    step.assign(value);
    weights.assign(full({300, 100}, static_cast<float>(value)));
    count = value;
  }
  Checkpoint checkpoint() { return Checkpoint(named("step", step), named("weights", weights), named("count", count)); }
  /// The number. Fails unless it is the same in all places.
  int64_t value() const {
    const int64_t value = step.value().item<int64_t>();
    EXPECT_EQ(count, value);
    for (const float w : weights.value().data<float>()) {
      if (w != static_cast<float>(value)) ADD_FAILURE() << "a mixture of states";
    }
    return value;
  }
};

int64_t value_in(const std::string& path) {
  State state;
  state.checkpoint().restore(path).assert_consumed();
  return state.value();
}

/// Runs f in a child of this process. True if it was killed.
bool is_killed_in(const std::function<void()>& f) {
  const pid_t child = fork();
  if (child == 0) {
    f();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) return true;
  EXPECT_EQ(WEXITSTATUS(status), 0);
  return false;
}

TEST(KilledSave, BeforeEachCallOfTheSystemLeavesTheOldFileOrTheNewOne) {
  const Scratch scratch;
  const std::string path = scratch.file("state.safetensors");
  State state;
  state.set(1);
  state.checkpoint().save(path);
  state.set(2);
  int kills = 0;
  bool is_new = false;
  for (int n = 0;; ++n) {
    const bool is_killed = is_killed_in([&] {
      int left = n;
      const Watched watched([&](const FileSystem::Step&) {
        if (left-- == 0) raise(SIGKILL);
        return 0;
      });
      state.checkpoint().save(path);
    });
    const int64_t value = value_in(path);
    EXPECT_TRUE(value == 2 || (value == 1 && !is_new)) << n;
    is_new = value == 2;
    if (!is_killed) break;
    ++kills;
  }
  EXPECT_GE(kills, 7);  // create, lock, write twice, sync, open the folder, rename, sync it
  EXPECT_TRUE(is_new);
  EXPECT_THAT(scratch.names(), ElementsAre("state.safetensors"));  // what the killed ones left was swept
}

TEST(KilledSave, OfAManagerBeforeEachCallLeavesTheNewestOrTheOneBefore) {
  for (int n = 0;; ++n) {
    const Scratch scratch;
    State state;
    state.set(1);
    CheckpointManager manager(state.checkpoint(), scratch.path(), {.max_to_keep = 1});
    manager.save();
    state.set(2);
    const bool is_killed = is_killed_in([&] {
      int left = n;
      const Watched watched([&](const FileSystem::Step&) {
        if (left-- == 0) raise(SIGKILL);
        return 0;
      });
      manager.save();
    });
    State restored;
    ASSERT_TRUE(CheckpointManager(restored.checkpoint(), scratch.path()).restore_latest().has_value()) << n;
    EXPECT_THAT(restored.value(), testing::AnyOf(1, 2));
    if (is_killed) continue;
    EXPECT_EQ(restored.value(), 2);
    EXPECT_THAT(scratch.names(), ElementsAre("ckpt-2.safetensors"));
    return;
  }
}

TEST(KilledSave, AtRandomMomentsLeavesWhatWasAcknowledgedOrLater) {
  const char* wanted = std::getenv("ETCH_KILLS");
  const int kills = wanted ? std::atoi(wanted) : 20;
  const Scratch scratch;
  const std::string path = scratch.file("state.safetensors");
  State state;
  state.set(0);
  state.checkpoint().save(path);
  std::mt19937 random(static_cast<unsigned>(kills));
  int64_t known = 0;
  for (int i = 0; i < kills; ++i) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      for (int64_t value = known + 1;; ++value) {
        state.set(value);
        state.checkpoint().save(path);
        if (write(pipe_ends[1], &value, sizeof value) != sizeof value) _exit(1);
      }
    }
    close(pipe_ends[1]);
    int64_t acknowledged = known;
    // Some saves, then a moment of the next one.
    for (int saves = static_cast<int>(random() % 3); saves > 0; --saves) {
      ASSERT_EQ(read(pipe_ends[0], &acknowledged, sizeof acknowledged), ssize_t{sizeof acknowledged});
    }
    usleep(random() % 3000);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    int64_t value = 0;
    while (read(pipe_ends[0], &value, sizeof value) == ssize_t{sizeof value}) acknowledged = value;
    close(pipe_ends[0]);
    const int64_t found = value_in(path);
    ASSERT_TRUE(found == acknowledged || found == acknowledged + 1) << found << " " << acknowledged;
    known = found;
  }
  state.checkpoint().save(path);
  EXPECT_THAT(scratch.names(), ElementsAre("state.safetensors"));
}

// ---- The power fails
// ---------------------------------------------------------------------------------------------------

/// A call that was made, with its bytes.
struct Made {
  Call call;
  std::string path, to, data;
  uint64_t offset = 0;
};

/// A folder on a disk: what was synced is there for good; of what was not, a part.
class Disk {
 public:
  struct File {
    std::string now, synced;
  };
  using Names = std::map<std::string, std::shared_ptr<File>>;

  void add(const std::string& path, const std::string& bytes) {
    names_[path] = std::make_shared<File>(File{bytes, bytes});
    synced_names_ = names_;
  }
  void make(const Made& made, const std::string& folder) {
    switch (made.call) {
      case Call::create:
        names_[made.path] = std::make_shared<File>();
        changed();
        return;
      case Call::write: {
        std::string& bytes = names_.at(made.path)->now;
        bytes.resize(std::max(bytes.size(), made.offset + made.data.size()));
        bytes.replace(made.offset, made.data.size(), made.data);
        return;
      }
      case Call::sync:
        if (made.path == folder) {
          synced_names_ = names_;
          unsynced_.clear();
        } else {
          const std::shared_ptr<File>& file = names_.at(made.path);
          file->synced = file->now;
        }
        return;
      case Call::rename:
        names_[made.to] = names_.at(made.path);
        names_.erase(made.path);
        changed();
        return;
      case Call::remove:
        names_.erase(made.path);
        changed();
        return;
      default: return;
    }
  }

  /// All that a failure of the power may leave: of the folder's changes the first ones, of the bytes those that were
  /// synced, all, or half of the others.
  void for_each_remains(const std::function<void(const std::map<std::string, std::string>&)>& check) const {
    std::vector<Names> states{synced_names_};
    states.insert(states.end(), unsynced_.begin(), unsynced_.end());
    for (const Names& names : states) {
      for (int part = 0; part < 3; ++part) {
        std::map<std::string, std::string> files;
        for (const auto& [name, file] : names) {
          const std::string half = file->now.substr(0, file->now.size() / 2);
          files[name] = part == 0                           ? file->synced
                        : part == 1                         ? file->now
                        : file->synced.size() < half.size() ? half
                                                            : file->synced;
        }
        check(files);
      }
    }
  }

 private:
  void changed() { unsynced_.push_back(names_); }
  Names names_, synced_names_;
  std::vector<Names> unsynced_;
};

/// The calls that f makes.
std::vector<Made> calls_of(const std::function<void()>& f) {
  std::vector<Made> calls;
  const Watched watched([&](const FileSystem::Step& step) {
    calls.push_back({step.call, std::string(step.path), std::string(step.to),
                     std::string(static_cast<const char*>(step.data), step.bytes), step.offset});
    return 0;
  });
  f();
  return calls;
}

TEST(PowerFailure, AfterEachCallLeavesTheNewestOrTheOneBefore) {
  const Scratch scratch;
  State state;
  state.set(1);
  CheckpointManager manager(state.checkpoint(), scratch.path(), {.max_to_keep = 1});
  const std::string first = manager.save();
  Disk disk;
  disk.add(first, bytes_of(first));
  state.set(2);
  const std::vector<Made> calls = calls_of([&] { manager.save(); });
  int remains = 0;
  for (size_t n = 0; n <= calls.size(); ++n) {
    if (n > 0) disk.make(calls[n - 1], scratch.path());
    disk.for_each_remains([&](const std::map<std::string, std::string>& files) {
      const Scratch after;
      for (const auto& [path, bytes] : files) write_bytes(after.file(path.substr(path.rfind('/') + 1)), bytes);
      State restored;
      const Warnings warnings;
      ASSERT_TRUE(CheckpointManager(restored.checkpoint(), after.path()).restore_latest().has_value()) << n;
      EXPECT_TRUE(restored.value() == 1 || restored.value() == 2);
      // Once the old one was removed, there was a new one.
      EXPECT_TRUE(restored.value() == 2 || n < calls.size());
      ++remains;
    });
  }
  EXPECT_GT(remains, 30);
  EXPECT_EQ(calls.back().call, Call::remove);
}

TEST(PowerFailure, WhileAFileIsReplacedLeavesTheOldOneOrTheNewOne) {
  const Scratch scratch;
  const std::string path = scratch.file("state.safetensors");
  State state;
  state.set(1);
  state.checkpoint().save(path);
  Disk disk;
  disk.add(path, bytes_of(path));
  state.set(2);
  const std::vector<Made> calls = calls_of([&] { state.checkpoint().save(path); });
  for (size_t n = 0; n <= calls.size(); ++n) {
    if (n > 0) disk.make(calls[n - 1], scratch.path());
    disk.for_each_remains([&](const std::map<std::string, std::string>& files) {
      const Scratch after;
      write_bytes(after.file("x"), files.at(path));
      const int64_t value = value_in(after.file("x"));
      EXPECT_TRUE(value == 2 || (value == 1 && n < calls.size()));
    });
  }
}

// ---- Calls fail
// ----------------------------------------------------------------------------------------------------------

TEST(FailedSave, AtEachCallIsAnErrorThatLeavesTheOldFileAndNothingElse) {
  for (int n = 0; n < 100; ++n) {
    const Scratch scratch;
    const std::string path = scratch.file("state.safetensors");
    State state;
    state.set(1);
    state.checkpoint().save(path);
    state.set(2);
    int left = n;
    int syncs_after = 0;
    std::optional<Call> failed;
    std::string error;
    {
      const Watched watched([&](const FileSystem::Step& step) {
        if (step.call == Call::close || step.call == Call::remove) return 0;
        if (failed) {
          syncs_after += step.call == Call::sync;
          return 0;
        }
        if (left-- > 0) return 0;
        failed = step.call;
        return EIO;
      });
      error = error_of([&] { state.checkpoint().save(path); });
    }
    EXPECT_EQ(state.value(), 2);
    if (!failed) {
      EXPECT_EQ(error, "no error");
      EXPECT_GE(n, 7);
      return;
    }
    if (*failed == Call::lock || *failed == Call::start_sync) continue;  // those are not needed
    EXPECT_THAT(error, HasSubstr("cannot write " + path + ": "));
    EXPECT_THAT(error, HasSubstr(": Input/output error"));
    EXPECT_EQ(syncs_after, 0);
    EXPECT_THAT(scratch.names(), ElementsAre("state.safetensors"));
    const int64_t value = value_in(path);
    EXPECT_TRUE(value == 1 || n >= 7) << n;  // beyond the rename the new one is there, though not for sure
  }
  FAIL() << "a save never came to its end";
}

TEST(FailedSave, OfANewNameWhoseFolderCannotBeSyncedLeavesNoFile) {
  const Scratch scratch;
  State state;
  const Watched watched(
      [&](const FileSystem::Step& step) { return step.call == Call::sync && step.path == scratch.path() ? EIO : 0; });
  EXPECT_THAT(error_of([&] { state.checkpoint().save(scratch.file("x")); }),
              HasSubstr("fsync of its folder: Input/output error"));
  EXPECT_THAT(scratch.names(), ElementsAre());
}

TEST(FailedSave, OnAFullDiskNamesTheByteAndKeepsTheOldFile) {
  const Scratch scratch;
  State state;
  state.checkpoint().save(scratch.file("x"));
  state.set(3);
  const Watched watched([&](const FileSystem::Step& step) { return step.call == Call::write ? ENOSPC : 0; });
  EXPECT_THAT(error_of([&] { state.checkpoint().save(scratch.file("x")); }), HasSubstr(": No space left on device"));
  EXPECT_THAT(error_of([&] { state.checkpoint().save(scratch.file("x")); }), HasSubstr("x: at byte "));
  EXPECT_EQ(state.value(), 3);
  EXPECT_EQ(value_in(scratch.file("x")), 0);
}

TEST(FailedSave, BeyondTheLimitOfFilesIsAnError) {
  const Scratch scratch;
  EXPECT_FALSE(is_killed_in([&] {
    State state;
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100, 100};
    setrlimit(RLIMIT_FSIZE, &limit);
    const std::string error = error_of([&] { state.checkpoint().save(scratch.file("x")); });
    if (error.find("File too large") == std::string::npos) _exit(3);
  }));
  EXPECT_THAT(scratch.names(), ElementsAre());
}

TEST(FailedSave, WhereNothingCanBeWrittenNamesPathAndReason) {
  const Scratch scratch;
  write_bytes(scratch.file("file"), "x");
  State state;
  EXPECT_THAT(error_of([&] { state.checkpoint().save(scratch.file("file/x")); }),
              HasSubstr("cannot write " + scratch.file("file/x") + ": "));
  EXPECT_THAT(error_of([&] { state.checkpoint().save(scratch.path()); }),
              HasSubstr("it is there and not a regular file"));
  EXPECT_THAT(error_of([&] { state.checkpoint().save(scratch.path() + "/"); }), HasSubstr("it names no file"));
  EXPECT_THAT(error_of([&] { state.checkpoint().save("/proc/etch/x"); }), HasSubstr("cannot write /proc/etch/x: "));
  std::filesystem::permissions(scratch.path(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  constexpr uid_t kNobody = 65534;
  const bool is_root = geteuid() == 0;
  if (is_root) setfsuid(kNobody);  // root may write anywhere
  const std::string error = error_of([&] { state.checkpoint().save(scratch.file("x")); });
  if (is_root) setfsuid(0);
  EXPECT_THAT(error, HasSubstr("Permission denied"));
}

TEST(Save, MakesMissingFoldersAndSyncsThem) {
  const Scratch scratch;
  State state;
  const std::vector<Made> calls = calls_of([&] { state.checkpoint().save(scratch.file("a/b/x")); });
  std::vector<std::string> synced;
  for (const Made& made : calls) {
    if (made.call == Call::sync && made.path.find(".etch") == std::string::npos) synced.push_back(made.path);
  }
  EXPECT_THAT(synced, ElementsAre(scratch.path(), scratch.file("a"), scratch.file("a/b")));
  EXPECT_EQ(value_in(scratch.file("a/b/x")), 0);
}

TEST(Save, SweepsWhatNobodyHasLockedAndNothingElse) {
  const Scratch scratch;
  write_bytes(scratch.file(".etch-1-1.saving"), "left");
  write_bytes(scratch.file(".etch-1-2.saving"), "being written");
  write_bytes(scratch.file(".etch-1-3.tmp"), "another's");
  write_bytes(scratch.file("x.saving"), "another's");
  const int descriptor = open(scratch.file(".etch-1-2.saving").c_str(), O_RDONLY);
  ASSERT_EQ(flock(descriptor, LOCK_EX | LOCK_NB), 0);
  State state;
  state.checkpoint().save(scratch.file("x"));
  EXPECT_THAT(scratch.names(), ElementsAre(".etch-1-2.saving", ".etch-1-3.tmp", "x", "x.saving"));
  close(descriptor);
  state.checkpoint().save(scratch.file("x"));
  EXPECT_THAT(scratch.names(), ElementsAre(".etch-1-3.tmp", "x", "x.saving"));
}

TEST(Save, SeveralAtOnceIntoOneFolderDoNotSweepEachOther) {
  const Scratch scratch;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&scratch, i] {
      State state;
      state.set(i);
      for (int j = 0; j < 10; ++j) state.checkpoint().save(scratch.file("x" + std::to_string(i)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(value_in(scratch.file("x" + std::to_string(i))), i);
  EXPECT_EQ(scratch.names().size(), 4u);
}

TEST(Read, AFileThatShrinksMeanwhileIsAnError) {
  const Scratch scratch;
  State state;
  state.checkpoint().save(scratch.file("x"));
  detail::FileReader reader(scratch.file("x"), {});
  std::filesystem::resize_file(scratch.file("x"), 5000);
  const auto read_all = [&] {
    for (const detail::StoredTensor& tensor : reader.layout().tensors) (void)reader.read_tensor(tensor);
  };
  EXPECT_THAT(error_of(read_all), HasSubstr("it ends at byte 5000 now; when it was opened it had "));
}

TEST(Read, AFileThatVanishesMeanwhileIsReadToItsEnd) {
  const Scratch scratch;
  State state;
  state.checkpoint().save(scratch.file("x"));
  detail::FileReader reader(scratch.file("x"), {});
  std::filesystem::remove(scratch.file("x"));
  for (const detail::StoredTensor& tensor : reader.layout().tensors) EXPECT_TRUE(reader.read_tensor(tensor).defined());
}

}  // namespace
}  // namespace etch
