// What the system refuses becomes an Error that names the cause, prints nothing, and leaves the library usable.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "etch/etch.h"
#include "refusing.h"
#include "runtime/parallel.h"

namespace etch {
namespace {

using testing::HasSubstr;

/// x, changed by as many ops as the bits of `number`: each number is a structure and a kernel of its own.
Tensor changed(Tensor x, int number) {
  for (int bit = 0; bit < 12; ++bit) x = number >> bit & 1 ? x * 1.25f : x + 0.5f;
  return x;
}

/// Compiles and runs the function of this number; its Error, or nothing if the result is right.
std::string error_of(int number) {
  try {
    auto f = function([number](Tensor x) { return changed(x, number); }, {.name = "f"});
    f(ones({8}));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Refusals, ExecutablePages) {
  testing::internal::CaptureStderr();
  {
    Refuse refuse(Refuse::executable_pages, EACCES);
    EXPECT_THAT(error_of(1), HasSubstr("new code cannot be placed in memory: the system does not let new machine code be"
                                       " executed: Permission denied"));
    EXPECT_THAT(error_of(1), HasSubstr("Permission denied")) << "a second time, too";
  }
  EXPECT_EQ(error_of(1), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(Refusals, MemoryForCode) {
  testing::internal::CaptureStderr();
  std::string error;
  {
    Refuse refuse(Refuse::mappings, ENOMEM);
    for (int number = 100; number < 1000 && error.empty(); ++number) {
      // All of them stay alive, so the slabs that are there get full.
      static std::vector<Function<Tensor(Tensor)>> functions;
      try {
        functions.push_back(function([number](Tensor x) { return changed(x, number); }, {.name = "f"}));
        functions.back()(ones({8}));
      } catch (const Error& e) {
        error = e.what();
      }
    }
  }
  EXPECT_THAT(error, HasSubstr("there is no memory for machine code: Cannot allocate memory"));
  EXPECT_EQ(error_of(1001), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

// These run in a process of their own, since nothing must have used threads or files before.
class RefusalsDeathTest : public testing::Test {
 protected:
  RefusalsDeathTest() { testing::FLAGS_gtest_death_test_style = "threadsafe"; }
};

constexpr int64_t kMany = 1 << 20;

Tensor long_work(int threads) {
  return function([](Tensor x) { return sum(exp(x) * 2.0f, {0}); }, {.threads = threads})(full({64, kMany / 64}, 0.5f));
}

// Each ends its process, with 7 if all is well.

[[noreturn]] void use_refused_threads() {
  const std::vector<float> alone = long_work(1).to_vector<float>();
  bool good = true;
  {
    Refuse refuse(Refuse::threads, EAGAIN);
    for (int i = 0; i < 5; ++i) good = good && long_work(4).to_vector<float>() == alone;
    good = good && num_split_loops() > 0 && Refuse::count(Refuse::threads) > 0;
  }
  for (int i = 0; i < 5; ++i) good = good && long_work(4).to_vector<float>() == alone;
  std::_Exit(good ? 7 : 1);
}

[[noreturn]] void compile_on_a_small_stack_without_a_thread() {
  static std::string refused, afterwards;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 << 10);
  pthread_t thread;
  const auto body = [](void*) -> void* {
    {
      Refuse refuse(Refuse::threads, EAGAIN);
      refused = error_of(1);
    }
    afterwards = error_of(1);
    return nullptr;
  };
  pthread_create(&thread, &attributes, body, nullptr);
  pthread_join(thread, nullptr);
  const bool named = refused.find("compiling needs 1 MiB of stack") != refused.npos &&
                     refused.find("Resource temporarily unavailable") != refused.npos;
  if (!named || !afterwards.empty()) std::fprintf(stderr, "%s | %s\n", refused.c_str(), afterwards.c_str());
  std::_Exit(named && afterwards.empty() ? 7 : 1);
}

[[noreturn]] void use_up_files_and_descriptors() {
  const rlimit nothing{0, 0};
  setrlimit(RLIMIT_FSIZE, &nothing);
  while (open("/dev/null", O_RDONLY) >= 0) {
  }
  const bool good = error_of(1).empty() && long_work(4).to_vector<float>() == long_work(1).to_vector<float>();
  std::_Exit(good ? 7 : 1);
}

TEST_F(RefusalsDeathTest, ThreadsAreNotNeeded) {
  cpu_set_t processors;
  ASSERT_EQ(sched_getaffinity(0, sizeof processors, &processors), 0);
  if (CPU_COUNT(&processors) < 2) GTEST_SKIP() << "on one processor nothing asks for a thread";
  EXPECT_EXIT(use_refused_threads(), testing::ExitedWithCode(7), "^$");
}

TEST_F(RefusalsDeathTest, ASmallStackWithoutAThread) {
  EXPECT_EXIT(compile_on_a_small_stack_without_a_thread(), testing::ExitedWithCode(7), "^$");
}

TEST_F(RefusalsDeathTest, FilesAndDescriptorsAreNotNeeded) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "UndefinedBehaviorSanitizer asks through a pipe what it may read, and takes its own lack of one for a bug";
#endif
  EXPECT_EXIT(use_up_files_and_descriptors(), testing::ExitedWithCode(7), "^$");
}

}  // namespace
}  // namespace etch
