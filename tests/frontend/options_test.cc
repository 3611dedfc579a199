// The text of ETCH_FLAGS and ScopedFlags, whom it reaches, and warnings.
#include "etch/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "etch/error.h"
#include "etch/etch.h"
#include "frontend/flags.h"

namespace etch {
namespace {

using detail::current_flags;
using detail::Flags;
using testing::HasSubstr;

Flags flags_of(std::string_view text) {
  ScopedFlags scoped(text);
  return current_flags();
}

TEST(Options, EachFlagSetsItsValue) {
  EXPECT_EQ(flags_of("dump=/tmp/a b").dump, "/tmp/a b");
  EXPECT_EQ(flags_of("print_after=fold").print_after, "fold");
  EXPECT_EQ(flags_of("print_after=all").print_after, "all");
  EXPECT_TRUE(flags_of("time").time);
  EXPECT_TRUE(flags_of("verify=1").verify);
  EXPECT_TRUE(flags_of("trace_twice").trace_twice);
  EXPECT_TRUE(flags_of("eager").eager);
  EXPECT_FALSE(flags_of("fuse=0").fuse);
  EXPECT_FALSE(flags_of("group=0").group);
  EXPECT_FALSE(flags_of("simplify=0").simplify);
  EXPECT_TRUE(flags_of("fast_math").fast_math);
  EXPECT_EQ(*flags_of("target=host").target, host_target());
  EXPECT_EQ(flags_of("target=avx2").target, find_target("avx2"));
  EXPECT_EQ(flags_of("threads=1").threads, 1);
}

TEST(Options, TheTableHoldsTheInitialValues) {
  std::string text;
  for (const FlagInfo& flag : flag_table()) {
    if (!flag.initial.empty()) text += std::string(flag.name) + "=" + std::string(flag.initial) + ",";
  }
  EXPECT_EQ(flags_of("time,verify,trace_twice,eager,fuse=0,group=0,simplify=0,fast_math,target=avx2,threads=3," + text), Flags());
}

TEST(Options, SeveralFlagsWithSpacesAndEmptyItems) {
  const Flags flags = flags_of(" time , threads=2,, fuse=0 ,");
  EXPECT_TRUE(flags.time);
  EXPECT_EQ(flags.threads, 2);
  EXPECT_FALSE(flags.fuse);
  EXPECT_EQ(flags_of(" "), flags_of(""));
}

TEST(Options, TheLastValueOfAFlagCounts) { EXPECT_EQ(flags_of("threads=2,threads=5").threads, 5); }

TEST(Options, EveryErrorListsEveryFlag) {
  for (const char* wrong : {"fuze=1", "fuse=yes", "=", "fuse=", "threads", "threads=1.5", "threads=2000", "time=0=1"}) {
    try {
      ScopedFlags scoped(wrong);
      FAIL() << wrong;
    } catch (const Error& error) {
      for (const FlagInfo& flag : flag_table()) EXPECT_THAT(error.what(), HasSubstr(flag.name)) << wrong;
    }
  }
}

TEST(Options, AWrongScopeChangesNothing) {
  const Flags before = current_flags();
  EXPECT_THROW(ScopedFlags("threads=3,nonsense"), Error);
  EXPECT_EQ(current_flags(), before);
}

TEST(Options, ScopesNestAndRestore) {
  const Flags before = current_flags();
  {
    ScopedFlags outer("threads=2,fuse=0");
    {
      ScopedFlags inner("threads=3");
      EXPECT_EQ(current_flags().threads, 3);
      EXPECT_FALSE(current_flags().fuse);
    }
    EXPECT_EQ(current_flags().threads, 2);
  }
  EXPECT_EQ(current_flags(), before);
}

TEST(Options, ScopesReachTheirThreadOnly) {
  const int outside = current_flags().threads;
  ScopedFlags scoped("threads=7");
  int seen = -1;
  std::thread([&] { seen = current_flags().threads; }).join();
  EXPECT_EQ(seen, outside);
}

/// Reads the flags of ETCH_FLAGS in a process that has not used them yet; its exit code is `threads`, or 99 after two
/// equal errors, which go to stderr.
[[noreturn]] void exit_with_threads_of(const char* text) {
  setenv("ETCH_FLAGS", text, 1);
  std::string first;
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      std::exit(current_flags().threads);
    } catch (const Error& error) {
      if (attempt == 0) first = error.what();
      if (attempt == 1 && first == error.what()) std::fprintf(stderr, "%s\n", error.what());
    }
  }
  std::exit(99);
}

TEST(OptionsDeathTest, TheEnvironmentIsReadAtTheFirstUse) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(exit_with_threads_of("time,threads=5"), testing::ExitedWithCode(5), "");
  EXPECT_EXIT(exit_with_threads_of(""), testing::ExitedWithCode(0), "");
}

TEST(OptionsDeathTest, AWrongEnvironmentIsAnErrorAtEveryUse) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(exit_with_threads_of("thread=5"), testing::ExitedWithCode(99),
              "ETCH_FLAGS: there is no flag 'thread'; flags are dump=DIR");
}

TEST(Options, ManyThreadsReadTheSameFlags) {
  std::vector<const Flags*> seen(8);
  std::vector<std::thread> threads;
  for (const Flags*& flags : seen) threads.emplace_back([&flags] { flags = &current_flags(); });
  for (std::thread& thread : threads) thread.join();
  for (const Flags* flags : seen) EXPECT_EQ(flags, seen[0]);
}

TEST(TrimKernels, LeavesAFunctionsOwnAndFreesWhatNothingUses) {
  const auto body = [](Tensor x) { return x * 3.0f + sqrt(abs(x) + 0.125f) * tanh(x); };
  const auto compiled_by = [&](const Function<Tensor(Tensor)>& f) {
    (void)f(ones({8}));
    return f.stats().kernels_compiled;
  };
  trim_kernels();
  {
    const Function<Tensor(Tensor)> user = function(body);
    EXPECT_EQ(compiled_by(user), 1);
    trim_kernels();
    EXPECT_EQ(compiled_by(function(body)), 0) << "the first function has it";
  }
  EXPECT_EQ(compiled_by(function(body)), 0) << "it is kept";
  trim_kernels();
  EXPECT_EQ(compiled_by(function(body)), 1);
}

std::string last_warning;

TEST(WarningHandler, GoToTheHandler) {
  const WarningHandler before = set_warning_handler([](const std::string& message) { last_warning = message; });
  detail::warn("mind the gap");
  set_warning_handler(before);
  EXPECT_EQ(last_warning, "mind the gap");
}

TEST(WarningHandler, GoToStderrWithoutAHandler) {
  const WarningHandler before = set_warning_handler(nullptr);
  testing::internal::CaptureStderr();
  detail::warn("mind the gap");
  const std::string printed = testing::internal::GetCapturedStderr();
  set_warning_handler(before);
  EXPECT_EQ(printed, "etch: warning: mind the gap\n");
}

}  // namespace
}  // namespace etch
