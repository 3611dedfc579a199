// Event files: when events reach them, and what a crash, a full disk, threads and a fork leave.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <latch>
#include <thread>

#include "etch/etch.h"
#include "etch/summary.h"
#include "tests/frontend/error_of.h"
#include "tests/summary/event_reader.h"

namespace etch {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::MatchesRegex;
using testing::SizeIs;

TEST(FileWriter, MakesFoldersAndAFileWithTensorFlowsName) {
  const std::string folder = test_folder() + "/a/b";
  const auto writer = summary::create_file_writer(folder, {.filename_suffix = ".mine"});
  EXPECT_THAT(writer.path(), MatchesRegex(folder + "/events\\.out\\.tfevents\\.[0-9]{10}\\..+\\." + std::to_string(getpid()) +
                                          "\\.[0-9]+\\.mine"));
  EXPECT_THAT(events_in(writer.path()), IsEmpty());  // but for the version, which is there at once
}

TEST(FileWriter, TwoWritersOfAFolderHaveTwoFiles) {
  const auto one = summary::create_file_writer(test_folder()), two = summary::create_file_writer(test_folder());
  EXPECT_NE(one.path(), two.path());
}

TEST(FileWriter, EventsWaitForAFlush) {
  const auto writer = summary::create_file_writer(test_folder());
  summary::scalar("x", 1, 0, {.writer = writer});
  EXPECT_THAT(tags_in(writer.path()), IsEmpty());
  writer.flush();
  EXPECT_THAT(tags_in(writer.path()), ElementsAre("x@0"));
}

TEST(FileWriter, NoMoreThanAQueueOfThemWaits) {
  const auto writer = summary::create_file_writer(test_folder(), {.max_queue = 2});
  for (int step = 0; step < 3; ++step) summary::scalar("x", 1, step, {.writer = writer});
  EXPECT_THAT(tags_in(writer.path()), SizeIs(3));
  summary::scalar("x", 1, 3, {.writer = writer});
  EXPECT_THAT(tags_in(writer.path()), SizeIs(3));
}

TEST(FileWriter, WhatWaitsIsWrittenInTime) {
  const auto writer = summary::create_file_writer(test_folder(), {.flush_every_seconds = 0.01, .max_queue = 1000});
  const int changes = inotify_init1(IN_CLOEXEC);
  ASSERT_GE(inotify_add_watch(changes, writer.path().c_str(), IN_MODIFY), 0);
  summary::scalar("x", 1, 0, {.writer = writer});
  char change[1024];
  EXPECT_GT(read(changes, change, sizeof change), 0);  // waits until the file is written
  close(changes);
  EXPECT_THAT(tags_in(writer.path()), ElementsAre("x@0"));
}

TEST(FileWriter, ItsLastHandleWritesWhatWaits) {
  std::string path;
  {
    const auto writer = summary::create_file_writer(test_folder());
    path = writer.path();
    summary::scalar("x", 1, 0, {.writer = writer});
  }
  EXPECT_THAT(tags_in(path), ElementsAre("x@0"));
}

TEST(FileWriter, AClosedOneIsAnErrorAndClosingTwiceIsNone) {
  const auto writer = summary::create_file_writer(test_folder());
  summary::scalar("x", 1, 0, {.writer = writer});
  writer.close();
  writer.close();
  EXPECT_THAT(tags_in(writer.path()), ElementsAre("x@0"));
  EXPECT_THAT(error_of([&] { summary::scalar("x", 1, 1, {.writer = writer}); }),
              AllOf(HasSubstr("writer_test.cc:"), HasSubstr("summary x: the writer of " + writer.path() + " is closed")));
  EXPECT_THAT(error_of([&] { writer.flush(); }), HasSubstr("the writer of " + writer.path() + " is closed"));
}

TEST(FileWriter, AnEmptyHandleDropsEverything) {
  const summary::FileWriter none;
  EXPECT_FALSE(none);
  EXPECT_EQ(none.path(), "");
  none.flush();
  none.close();
}

TEST(FileWriter, AFolderThatCannotBeMadeIsAnError) {
  const std::string folder = test_folder();
  std::filesystem::create_directories(folder);
  std::ofstream(folder + "/file") << "x";
  EXPECT_THAT(error_of([&] { (void)summary::create_file_writer(folder + "/file/runs"); }),
              AllOf(HasSubstr("writer_test.cc:"), HasSubstr("create_file_writer: cannot write " + folder + "/file/runs: Not a directory")));
  EXPECT_THAT(error_of([&] { (void)summary::create_file_writer(folder, {.flush_every_seconds = -1}); }),
              HasSubstr("create_file_writer: flush_every_seconds is -1.0; it is 0 or more"));
  EXPECT_THAT(error_of([&] { (void)summary::create_file_writer(folder, {.max_queue = -1}); }),
              HasSubstr("create_file_writer: max_queue is -1; it is 0 or more"));
}

/// Files of this process may have so many bytes, as if the disk were full.
class DiskOf {
 public:
  explicit DiskOf(rlim_t bytes) {
    before_ = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit_);
    const rlimit small{bytes, limit_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
  }
  ~DiskOf() {
    setrlimit(RLIMIT_FSIZE, &limit_);
    signal(SIGXFSZ, before_);
  }

 private:
  rlimit limit_{};
  void (*before_)(int) = nullptr;
};

TEST(FileWriter, AFullDiskIsAnErrorAtFlushAndNothingIsLostIfItIsEmptiedThen) {
  const auto writer = summary::create_file_writer(test_folder(), {.max_queue = 3});
  summary::scalar("before", 1, 0, {.writer = writer});
  writer.flush();
  std::string error;
  std::vector<std::string> meanwhile;
  {
    const DiskOf disk(std::filesystem::file_size(writer.path()) + 100);
    for (int step = 0; step < 8; ++step) summary::scalar("x", 1, step, {.writer = writer});  // none of them is an Error
    error = error_of([&] { writer.flush(); });
    meanwhile = tags_in(writer.path());
  }
  EXPECT_THAT(error, AllOf(HasSubstr("writer_test.cc:"), HasSubstr("cannot write " + writer.path() + ": File too large"),
                           HasSubstr("; 8 events wait for the next flush")));
  EXPECT_THAT(meanwhile, ElementsAre("before@0"));  // whole records only
  writer.flush();
  EXPECT_THAT(tags_in(writer.path()), SizeIs(9));
}

TEST(FileWriter, ADiskThatStaysFullTakesBoundedMemoryAndTheEventsThatAreLostAreCounted) {
  const auto writer = summary::create_file_writer(test_folder());
  const std::string large(100'000, 'x');
  std::string first, second;
  {
    const DiskOf disk(200);
    for (int step = 0; step < 10; ++step) summary::text("note", large, step, {.writer = writer});
    first = error_of([&] { writer.flush(); });
    second = error_of([&] { writer.flush(); });
  }
  EXPECT_THAT(first, HasSubstr("; 3 events wait for the next flush; 7 events are lost"));
  EXPECT_THAT(second, AllOf(HasSubstr("; 3 events wait for the next flush"), testing::Not(HasSubstr("lost"))));
  writer.flush();
  EXPECT_THAT(tags_in(writer.path()), ElementsAre("note@0", "note@1", "note@2"));
}

TEST(FileWriter, AClosingThatCannotWriteSaysWhatIsLost) {
  const auto writer = summary::create_file_writer(test_folder());
  summary::text("note", std::string(1000, 'x'), 0, {.writer = writer});
  const DiskOf disk(200);
  EXPECT_THAT(error_of([&] { writer.close(); }), AllOf(HasSubstr(": File too large"), HasSubstr("; 1 event is lost")));
}

/// Runs a program in a child, which it kills at its end.
template <class Program>
void run_and_kill(Program program) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    program();
    (void)!write(ready[1], "x", 1);
    while (true) pause();
  }
  char byte = 0;
  close(ready[1]);
  EXPECT_EQ(read(ready[0], &byte, 1), 1) << "the program did not reach its end";
  close(ready[0]);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

std::string only_file_in(const std::string& folder) {
  for (const auto& entry : std::filesystem::directory_iterator(folder)) return entry.path();
  return "";
}

TEST(FileWriter, AKilledProcessKeepsWhatWasFlushed) {
  const std::string folder = test_folder();
  run_and_kill([&] {
    static const auto writer = summary::create_file_writer(folder, {.max_queue = 1000});  // stands when it is killed
    for (int step = 0; step < 100; ++step) {
      summary::scalar("x", 1, step, {.writer = writer});
      if (step == 69) writer.flush();
    }
  });
  EXPECT_THAT(tags_in(only_file_in(folder)), SizeIs(70));  // and records are whole
}

TEST(FileWriter, AProcessKilledWhileItWritesLeavesWholeRecords) {
  const std::string folder = test_folder();
  run_and_kill([&] {
    static const auto writer = summary::create_file_writer(folder, {.max_queue = 0});
    static std::latch has_written(100);
    std::thread([] {
      for (int step = 0;; ++step) {
        summary::scalar("x", 1, step, {.writer = writer});
        if (step < 100) has_written.count_down();
      }
    }).detach();
    has_written.wait();
  });
  const std::vector<std::string> tags = tags_in(only_file_in(folder));
  EXPECT_GE(tags.size(), 100u);
  for (size_t i = 0; i < tags.size(); ++i) ASSERT_EQ(tags[i], "x@" + std::to_string(i));
}

TEST(FileWriter, AChildOfAForkCannotWriteAndWritesNothing) {
  auto writer = summary::create_file_writer(test_folder());
  summary::scalar("x", 1, 0, {.writer = writer});
  int says[2];
  ASSERT_EQ(pipe(says), 0);
  const pid_t child = fork();
  if (child == 0) {
    std::string error = error_of([&] { summary::scalar("y", 1, 1, {.writer = writer}); });
    writer = {};  // flushes nothing either
    (void)!write(says[1], error.data(), error.size());
    _exit(0);
  }
  close(says[1]);
  std::string error(1000, '\0');
  error.resize(static_cast<size_t>(std::max<ssize_t>(read(says[0], error.data(), error.size()), 0)));
  close(says[0]);
  waitpid(child, nullptr, 0);
  EXPECT_THAT(error, HasSubstr("was made before a fork; only the parent writes to it: make another one here"));
  writer.flush();
  EXPECT_THAT(tags_in(writer.path()), ElementsAre("x@0"));
}

TEST(FileWriter, ThreadsHaveDefaultsOfTheirOwn) {
  constexpr int kSteps = 200;
  const auto one = summary::create_file_writer(test_folder("1")), two = summary::create_file_writer(test_folder("2"));
  auto f = function([](Tensor step) {
    summary::scalar("x", step, step);
    return step + 1;
  });
  std::latch both(2);
  const auto run = [&](const summary::FileWriter& writer, int first) {
    const summary::As as(writer);
    both.arrive_and_wait();
    for (int step = first; step < first + kSteps; ++step) (void)f(Tensor(step));
  };
  std::thread other(run, std::cref(two), 1000);
  run(one, 0);
  other.join();
  one.flush();
  two.flush();
  EXPECT_EQ(f.stats().traces, 1);
  const auto check = [&](const summary::FileWriter& writer, int first) {
    const std::vector<SeenEvent> events = events_in(writer.path());
    ASSERT_THAT(events, SizeIs(kSteps));
    for (int i = 0; i < kSteps; ++i) ASSERT_EQ(events[static_cast<size_t>(i)].step, first + i);
  };
  check(one, 0);
  check(two, 1000);
}

TEST(FileWriter, ManyThreadsWriteToOneFile) {
  constexpr int kThreads = 4, kSteps = 500;
  const auto writer = summary::create_file_writer(test_folder(), {.max_queue = 7});
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int step = 0; step < kSteps; ++step) summary::scalar("x" + std::to_string(t), 1, step, {.writer = writer});
    });
  }
  for (std::thread& thread : threads) thread.join();
  writer.flush();
  std::map<std::string, int64_t> next;
  for (const SeenEvent& event : events_in(writer.path())) ASSERT_EQ(event.step, next[event.tag]++);
  EXPECT_EQ(next.size(), size_t{kThreads});
  for (const auto& [tag, steps] : next) EXPECT_EQ(steps, kSteps) << tag;
}

}  // namespace
}  // namespace etch
