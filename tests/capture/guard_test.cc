// Guard and audit: loops are confirmed as far as they run, and the first calls are compared with plain runs.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "tests/capture/programs.h"

namespace etch {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

/// The Error of one call.
template <class F, class... Inputs>
std::string error_in(const F& f, const Inputs&... inputs) {
  try {
    (void)f(inputs...);
  } catch (const Error& error) {
    return without_lines(error.what());
  }
  return "no error";
}

/// Counts to n.
Tensor count_to(Tensor n) {
  Tensor i(0);
  while (i < n) i = i + 1;
  return i;
}

/// The same in vectors that no register holds, so that each turn is steps of the run.
Tensor count_in_vectors(Tensor n) {
  Tensor i = zeros({64}, DType::i32);
  while (max(i) < n) i = i + 1;
  return sum(i);
}

TEST(Guard, LoopsAreRunFurtherWhereACallWantsMoreTurns) {
  auto f = function(count_to);
  EXPECT_EQ(f(Tensor(1000)).item<int>(), 1000);
  EXPECT_EQ(f.stats().turns, 1025);
  EXPECT_EQ(f(Tensor(1025)).item<int>(), 1025);
  EXPECT_EQ(f.stats().turns, 1025);
  EXPECT_EQ(f(Tensor(1026)).item<int>(), 1026);
  EXPECT_EQ(f.stats().turns, 2050);
  EXPECT_EQ(f(Tensor(20000)).item<int>(), 20000);
  EXPECT_EQ(f.stats().turns, 32800);
  EXPECT_EQ(f.stats().traces, 1);
}

TEST(Guard, CountsTheTurnsOfLoopsInMemoryToo) {
  auto f = function(count_in_vectors);
  EXPECT_EQ(f(Tensor(1025)).item<int>(), 64 * 1025);
  EXPECT_EQ(f.stats().turns, 1025);
  EXPECT_EQ(f(Tensor(3000)).item<int>(), 64 * 3000);
  EXPECT_EQ(f.stats().turns, 4100);
}

TEST(Guard, InnerLoopsBeginTheirTurnsAnew) {
  const auto nested = [](Tensor n) {
    Tensor sum(0), i(0);
    while (i < n) {
      Tensor j(0);
      while (j < n) {
        sum = sum + 1;
        j = j + 1;
      }
      i = i + 1;
    }
    return sum;
  };
  for (const char* flags : {"native_regions=1", "native_regions=0"}) {
    const ScopedFlags scoped(flags);
    auto f = function(nested);
    EXPECT_EQ(f(Tensor(300)).item<int>(), 90000) << flags;
    EXPECT_EQ(f.stats().turns, 1025) << flags;
    EXPECT_EQ(f(Tensor(1030)).item<int>(), 1030 * 1030) << flags;
    EXPECT_EQ(f.stats().turns, 2050) << flags;
  }
}

TEST(Guard, TrustedLoopsAreNotRunFurther) {
  auto f = function(count_to, {.trust_loops = true});
  EXPECT_EQ(f(Tensor(100000)).item<int>(), 100000);
  EXPECT_EQ(f.stats().turns, 1025);
  EXPECT_THAT(f.explain(Tensor(1)), HasSubstr("are trusted beyond"));
  EXPECT_THAT(f.concrete(Tensor(1)).text("trace"), Not(HasSubstr("guarded")));
}

TEST(Guard, for_100000_break) {
  auto f = function([](Tensor x) {
    for (int i = 0; i < 100000; ++i) {
      x = x + 1;
      if (x > 1e6f) break;
    }
    return x;
  }, {.name = "demo"});
  EXPECT_EQ(f(Tensor(1e6f)).item<float>(), 1e6f + 1);
  EXPECT_EQ(f(Tensor(1e6f - 4000)).item<float>(), 1e6f + 1);
  for (int again = 0; again < 2; ++again) {
    EXPECT_EQ(error_in(f, Tensor(0.f)), "function demo: the loop at guard_test.cc:LINE ends after 100000 turns by a C++ bound;"
                                        " write for (Tensor i : etch::range(100000))");
  }
  EXPECT_EQ(f(Tensor(1e6f - 3)).item<float>(), 1e6f + 1) << "shorter calls are as good as before";
}

/// Adds 3 on each turn whose number is a multiple of this.
auto special_turns(int each) {
  return [each](Tensor n) {
    Tensor x(0);
    int turns = 0;
    while (x < n) x = x + (++turns % each == 0 ? 3 : 1);
    return x;
  };
}

TEST(Guard, every_4096th) {
  // Long stays in the loop find it before the first call runs.
  auto f = function(special_turns(4096), {.name = "demo"});
  EXPECT_THAT(error_in(f, Tensor(1000)), HasSubstr("does something else on turn 4096 than on the turns before: full 3"));
}

TEST(Guard, every_65536th) {
  auto f = function(special_turns(65536), {.name = "demo"});
  EXPECT_EQ(f(Tensor(1000)).item<int>(), 1000);
  EXPECT_EQ(f(Tensor(9000)).item<int>(), 9000);
  EXPECT_THAT(error_in(f, Tensor(70000)), HasSubstr("does something else on turn 65536 than on the turns before"));
  EXPECT_EQ(f(Tensor(9000)).item<int>(), 9000) << "shorter calls are as good as before";
}

TEST(Guard, ARunThatDiffersOnceIsAnErrorToo) {
  int runs = 0, strange = 0;
  auto f = function([&](Tensor n) {
    const bool is_strange = ++runs == strange;
    Tensor i(0);
    int turns = 0;
    while (i < n) i = i + (is_strange && ++turns == 1500 ? 2 : 1);
    return i;
  }, {.name = "demo", .audit = false});
  EXPECT_EQ(f(Tensor(10)).item<int>(), 10);
  strange = runs + 1;   // the first run that confirms more turns
  EXPECT_THAT(error_in(f, Tensor(2000)), HasSubstr("does something else on turn 1500 than on the turns before"));
}

TEST(Guard, VariablesAreAsBeforeAfterItsError) {
  Variable total(Tensor(5.f));
  auto f = function([&](Tensor n) {
    int turns = 0;
    while (total < n) {
      total.assign_add(1.f);
      if (++turns == 30000) total.assign_add(1.f);
    }
    return total.value();
  }, {.name = "demo"});
  EXPECT_THAT(error_in(f, Tensor(60000.f)), HasSubstr("does something else on turn 30000"));
  EXPECT_EQ(total.value().item<float>(), 5.f);
  EXPECT_EQ(f(Tensor(40.f)).item<float>(), 40.f);
  EXPECT_EQ(total.value().item<float>(), 40.f);
}

TEST(Guard, ACallThatIsRunAgainAssignsOnce) {
  Variable total(Tensor(0));
  auto f = function([&](Tensor n) {
    Tensor i(0);
    while (i < n) {
      total.assign_add(1);
      i = i + 1;
    }
  });
  f(Tensor(9000));
  EXPECT_EQ(total.value().item<int>(), 9000);
  EXPECT_EQ(f.stats().turns, 16400);
}

TEST(Guard, ConcreteFunctionsThatOutliveTheFunctionSayWhatTheyCannotConfirm) {
  auto f = std::make_unique<Function<Tensor(Tensor)>>(function(count_to, {.name = "demo"}));
  auto concrete = f->concrete(TensorSpec{DType::i32, {}});
  f.reset();
  EXPECT_EQ(concrete(Tensor(1000)).item<int>(), 1000);
  EXPECT_EQ(error_in(concrete, Tensor(1026)),
            "guard_test.cc:LINE: function demo: a loop takes more than 1025 turns, up to which it was run to confirm it, and"
            " the function is gone with its callable; keep the function as long as its concrete functions, or give it the"
            " option trust_loops");
}

TEST(Guard, ThreadsThatExceedAtOnceConfirmOnce) {
  auto f = function(count_to);
  (void)f(Tensor(3));
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, n = 3000 + i] { right += f(Tensor(n)).item<int>() == n; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 4);
  EXPECT_EQ(f.stats().turns, 4100);
}

TEST(Guard, GradientsOfLongLoopsAreRunFurther) {
  const auto grow = [](Tensor x, Tensor n) {
    Tensor i(0);
    while (i < n) {
      x = x * 1.0001f;
      i = i + 1;
    }
    return x;
  };
  auto f = function(grow);
  EXPECT_TRUE(same_bits(f(Tensor(1.f), Tensor(1500)), grow(Tensor(1.f), Tensor(1500))));
  EXPECT_EQ(f.stats().turns, 2050);
}

TEST(Guard, CallIntoRunsLoopsFurther) {
  auto f = function(count_to);
  Tensor out = zeros({}, DType::i32);
  f.call_into(out, Tensor(5000));
  EXPECT_EQ(out.item<int>(), 5000);
}

/// A loop whose number of turns matters at one number.
auto special_count(int count) {
  return [count](Tensor n) {
    Tensor i(0);
    int turns = 0;
    while (i < n) {
      i = i + 1;
      ++turns;
    }
    return turns == count ? i + 1000 : i;
  };
}

TEST(Audit, trips_equal_77) {
  // All short ways are run when it is captured, so this needs no audit.
  auto f = function(special_count(77));
  EXPECT_EQ(f(Tensor(77)).item<int>(), 1077);
  EXPECT_EQ(f(Tensor(78)).item<int>(), 78);
}

TEST(Audit, trips_equal_700) {
  auto f = function(special_count(700), {.name = "demo"});
  EXPECT_EQ(f(Tensor(50)).item<int>(), 50);
  for (int again = 0; again < 2; ++again) {
    EXPECT_EQ(error_in(f, Tensor(700)),
              "guard_test.cc:LINE: function demo does not do what a plain run of it does: result[0] is another one. Its control"
              " flow depends on a C++ value in a way that no run of its capture showed, such as a counter of turns that matters"
              " at one number; make such values Tensors, or use etch::while_loop and etch::cond");
  }
  EXPECT_EQ(f(Tensor(701)).item<int>(), 701);
}

TEST(Audit, TheFirstFourCallsAreCompared) {
  auto f = function(count_to);
  for (int call = 0; call < 7; ++call) (void)f(Tensor(10));
  EXPECT_EQ(f.stats().audits, 4);
  EXPECT_THAT(f.explain(Tensor(1)), HasSubstr("4 calls were compared with a plain run of the callable"));
}

TEST(Audit, OnceADifferenceIsKnownEveryCallIsCompared) {
  auto f = function(special_count(700), {.name = "demo"});
  EXPECT_THAT(error_in(f, Tensor(700)), HasSubstr("does not do what a plain run of it does"));
  for (int call = 0; call < 10; ++call) EXPECT_EQ(f(Tensor(20)).item<int>(), 20);
  EXPECT_THAT(error_in(f, Tensor(700)), HasSubstr("does not do what a plain run of it does"));
}

TEST(Audit, IsNotDoneWhereTheOptionForbidsIt) {
  const ScopedFlags all("audit=1");
  auto f = function(special_count(700), {.name = "demo", .audit = false});
  EXPECT_EQ(f(Tensor(700)).item<int>(), 700) << "wrong, and what the page on control flow says of it";
  EXPECT_EQ(f.stats().audits, 0);
}

TEST(Audit, ProvedFunctionsAreComparedByTheFlagAlone) {
  auto f = function([](Tensor x) {
    if (x > 0.f) return x;
    return -x;
  });
  (void)f(Tensor(1.f));
  EXPECT_EQ(f.stats().audits, 0);
  const ScopedFlags all("audit=1");
  for (int call = 0; call < 6; ++call) (void)f(Tensor(-1.f));
  EXPECT_EQ(f.stats().audits, 6);
}

TEST(Audit, VariablesOfThePlainRunAreItsOwn) {
  Variable w(Tensor(1.f));
  auto f = function([&](Tensor n) {
    while (w < n) w.assign(w * 2.f);
    return w.value();
  });
  EXPECT_EQ(f(Tensor(100.f)).item<float>(), 128.f);
  EXPECT_EQ(w.value().item<float>(), 128.f);
  EXPECT_EQ(f.stats().audits, 1);
}

TEST(Audit, VariablesThatDifferAreNamed) {
  Variable w(Tensor(0), {.name = "w"});
  auto f = function([&](Tensor n) {
    Tensor i(0);
    int turns = 0;
    while (i < n) {
      i = i + 1;
      ++turns;
    }
    w.assign(turns == 700 ? i + 1 : i);
  }, {.name = "demo"});
  EXPECT_THAT(error_in(f, Tensor(700)), HasSubstr("variable w i32[] gets another value"));
  EXPECT_EQ(w.value().item<int>(), 0) << "as before the call";
}

TEST(Audit, FunctionsInsideAreRunPlainlyToo) {
  Variable w(Tensor(0));
  auto inner = function([&](Tensor x) {
    w.assign_add(1);
    return x + 1;
  });
  auto f = function([&](Tensor n) {
    Tensor i(0);
    while (i < n) i = inner(i);
    return i;
  });
  EXPECT_EQ(f(Tensor(9)).item<int>(), 9);
  EXPECT_EQ(w.value().item<int>(), 9);
  EXPECT_EQ(f.stats().audits, 1);
}

TEST(Audit, FunctionsThatOpenATapeAreNotCompared) {
  const ScopedFlags all("audit=1");
  auto f = function([](Tensor x) {
    GradientTape tape;
    tape.watch(x);
    Tensor y = x * x;
    if (y > 4.f) y = y * x;
    return tape.gradient(y, x);
  });
  EXPECT_EQ(f(Tensor(3.f)).item<float>(), 27.f);
  EXPECT_EQ(f.stats().audits, 0);
}

TEST(Audit, CallsWithATapeOpenAreNotCompared) {
  auto f = function(count_to);
  const GradientTape tape;
  EXPECT_EQ(f(Tensor(9)).item<int>(), 9);
  EXPECT_EQ(f.stats().audits, 0);
}

}  // namespace
}  // namespace etch
