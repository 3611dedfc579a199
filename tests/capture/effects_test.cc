// print, require and random numbers in traced functions: once each, in the order of the program.
#include <gmock/gmock.h>

#include <etch/random.h>

#include "tests/capture/programs.h"
#include "tests/messages.h"

namespace etch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// The lines of an eager run, and the check that a compiled one prints the same in every mode, and nothing while it is traced.
template <class F, class... Inputs>
std::vector<std::string> lines_in_all_modes(F f, const Inputs&... inputs) {
  const std::vector<std::string> lines = lines_of([&] { (void)f(inputs...); });
  for (const bool fuse : {true, false}) {
    for (const char* flags : {"threads=1", "threads=2,grain=3"}) {
      const ScopedFlags scoped(flags);
      auto captured = function(f, {.name = "demo", .fuse = fuse});
      EXPECT_THAT(lines_of([&] { (void)captured.concrete(inputs...); }), IsEmpty());
      for (int call = 0; call < 2; ++call) {
        EXPECT_EQ(lines_of([&] { (void)captured(inputs...); }), lines) << flags << (fuse ? ", fused" : ", unfused");
      }
    }
  }
  return lines;
}

TEST(Print, WritesWhatIsGiven) {
  EXPECT_THAT(lines_of([] { print("loss", Tensor(0.25f), 3, 2.5, true, "{}", std::string("end")); }),
              ElementsAre("loss 0.25 3 2.5 true {} end\n"));
  EXPECT_THAT(lines_of([] { print(Tensor({{1, 2}, {3, 4}})); }), ElementsAre("[[1 2]\n [3 4]]\n"));
  EXPECT_THAT(lines_of([] { print(Variable(Tensor({1.5f}))); }), ElementsAre("[1.5]\n"));
}

TEST(Print, GoesToStandardOutputAtFirst) {
  testing::internal::CaptureStdout();
  print("here");
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "here\n");
}

TEST(Print, OfATracedFunctionIsOfEachCall) {
  const auto f = [](Tensor x) {
    print("x is", x, "and its square", x * x);
    return x + 1.0f;
  };
  EXPECT_THAT(lines_in_all_modes(f, Tensor(3.0f)), ElementsAre("x is 3.0 and its square 9.0\n"));
}

TEST(Print, print_order) {
  const auto f = [](Tensor n, Tensor x) {
    print("begin", x);
    for (Tensor i : range(n)) {
      print("turn", i, x);
      if (x > 4.0f) {
        print("large", x);
        x = x * 0.5f;
      } else if (i % 2 == 0) {
        print("even");
        print("still even");
      }
      Tensor j(0);
      while (j < i) {
        print("inner", i, j);
        ++j;
      }
      x = x + 2.0f;
    }
    print("end", x);
    return x;
  };
  EXPECT_EQ(lines_in_all_modes(f, Tensor(4), Tensor(1.0f)).size(), 16u);
  EXPECT_THAT(lines_in_all_modes(f, Tensor(0), Tensor(1.0f)), ElementsAre("begin 1.0\n", "end 1.0\n"));
}

TEST(Print, InBothArmsOfAnIfOfTheSameOpsStaysInItsArm) {
  const auto f = [](Tensor x) {
    if (x > 0.0f) {
      print("positive");
      x = x + 1.0f;
    } else {
      print("not positive");
      x = x + 2.0f;
    }
    return x;
  };
  EXPECT_THAT(lines_in_all_modes(f, Tensor(1.0f)), ElementsAre("positive\n"));
  EXPECT_THAT(lines_in_all_modes(f, Tensor(-1.0f)), ElementsAre("not positive\n"));
}

TEST(Print, AloneInAnArmKeepsTheBranch) {
  const auto f = [](Tensor x) {
    if (x > 0.0f) print("positive");
    return x + 1.0f;
  };
  EXPECT_THAT(lines_in_all_modes(f, Tensor(1.0f)), ElementsAre("positive\n"));
  EXPECT_THAT(lines_in_all_modes(f, Tensor(-1.0f)), IsEmpty());
}

TEST(Print, ALoopThatOnlyPrintsRuns) {
  const auto f = [](Tensor n) {
    for (Tensor i : range(n)) print(i);
    return n;
  };
  EXPECT_THAT(lines_in_all_modes(f, Tensor(3)), ElementsAre("0\n", "1\n", "2\n"));
}

TEST(Print, EqualLinesAreNotOne) {
  const auto f = [](Tensor x) {
    print("again", x);
    print("again", x);
    return x;
  };
  EXPECT_THAT(lines_in_all_modes(f, Tensor(1)), ElementsAre("again 1\n", "again 1\n"));
}

TEST(Print, OfAnInvariantInALoopIsOfEachTurn) {
  const auto f = [](Tensor n, Tensor x) {
    for (Tensor i : range(n)) print(x * 2.0f);
    return x;
  };
  EXPECT_THAT(lines_in_all_modes(f, Tensor(2), Tensor(1.5f)), ElementsAre("3.0\n", "3.0\n"));
}

TEST(Print, IsNotRepeatedWhereALoopIsConfirmedFurther) {
  auto f = function([](Tensor n, Tensor x) {
    Tensor i(0);
    print("begin");
    while (i < n) {
      print(i);
      ++i;
    }
    return x + cast(i, DType::f32);
  });
  const std::vector<std::string> lines = lines_of([&] { (void)f(Tensor(1500), Tensor(1.0f)); });
  ASSERT_EQ(lines.size(), 1501u);
  EXPECT_EQ(lines.back(), "1499\n");
}

TEST(Print, IsNotRepeatedByAnAudit) {
  const ScopedFlags scoped("audit=1");
  auto f = function([](Tensor n) {
    Tensor i(0);
    for (; i < n; ++i) print(i);
    return i;
  });
  EXPECT_THAT(lines_of([&] { (void)f(Tensor(3)); }), ElementsAre("0\n", "1\n", "2\n"));
}

TEST(Print, InShortLoopsThatAreWrittenOut) {
  const auto f = [](Tensor x) {
    for (Tensor i : range(3)) print(i, x);
    return x;
  };
  EXPECT_THAT(lines_in_all_modes(f, Tensor(1.5f)), ElementsAre("0 1.5\n", "1 1.5\n", "2 1.5\n"));
}

TEST(Print, InExplicitForms) {
  const auto f = [](Tensor n, Tensor x) {
    return for_range(n, [&](Tensor i, Tensor s) {
      print("turn", i);
      return cond(s > 2.0f,
                  [&] {
                    print("then", s);
                    return s * 0.5f;
                  },
                  [&] { return s + 1.0f; });
    }, x);
  };
  EXPECT_THAT(lines_in_all_modes(f, Tensor(3), Tensor(1.5f)), ElementsAre("turn 0\n", "turn 1\n", "then 2.5\n", "turn 2\n"));
}

TEST(Print, InScanIsOfEachRowOnce) {
  const auto f = [](Tensor xs) {
    const auto step = [](Tensor s, Tensor x) {
      print("row", x);
      return std::pair(s + x, s);
    };
    auto [last, all] = scan(step, Tensor(0.0f), xs);
    return std::tuple(last, all);
  };
  EXPECT_THAT(lines_of([&] { (void)function(f)(Tensor({1.0f, 2.0f})); }), ElementsAre("row 1.0\n", "row 2.0\n"));
}

TEST(Print, AfterOpsThatAreSharedBetweenArms) {
  const auto f = [](Tensor x) {
    if (x > 0.0f) {
      x = x * 2.0f;
    } else {
      x = x * 3.0f;
    }
    print("both", x);
    return x;
  };
  EXPECT_THAT(lines_in_all_modes(f, Tensor(2.0f)), ElementsAre("both 4.0\n"));
}

TEST(Print, OfAFunctionInAFunction) {
  const auto inner = function([](Tensor x) {
    print("inner", x);
    return x * 2.0f;
  });
  const auto f = [inner](Tensor x) {
    print("before");
    const Tensor y = inner(x);
    print("after", y);
    return y;
  };
  EXPECT_THAT(lines_in_all_modes(f, Tensor(2.0f)), ElementsAre("before\n", "inner 2.0\n", "after 4.0\n"));
}

TEST(Print, WhereAGradientIsTakenIsOnce) {
  const auto f = [](Tensor x) {
    GradientTape tape;
    tape.watch(x);
    const Tensor y = for_range(3, [](Tensor i, Tensor y) {
      print("turn", i);
      return y * y;
    }, x);
    return tape.gradient(y, x);
  };
  EXPECT_THAT(lines_of([&] { EXPECT_EQ(function(f)(Tensor(2.0f)).item<float>(), 8 * 128.0f); }),
              ElementsAre("turn 0\n", "turn 1\n", "turn 2\n"));
}

TEST(Print, IsOnceWhereATapeWatchesACall) {
  auto f = function([](Tensor x) {
    print("x", x);
    return x * x;
  });
  Tensor x(3.0f);
  GradientTape tape;
  tape.watch(x);
  EXPECT_THAT(lines_of([&] { EXPECT_EQ(tape.gradient(f(x), x).item<float>(), 6.0f); }), ElementsAre("x 3.0\n"));
}

TEST(Print, OfAVariableIsItsValueThere) {
  Variable v(Tensor(1.0f), {.name = "v"});
  auto f = function([v](Tensor x) mutable {
    print(v);
    v.assign(x);
    print(v);
    return x;
  });
  EXPECT_THAT(lines_of([&] { (void)f(Tensor(2.0f)); }), ElementsAre("1.0\n", "2.0\n"));
  EXPECT_THAT(lines_of([&] { (void)f(Tensor(3.0f)); }), ElementsAre("2.0\n", "3.0\n"));
}

TEST(Print, IsNotDoneByReports) {
  auto f = function([](Tensor x) {
    print(x);
    return x + 1.0f;
  });
  EXPECT_THAT(lines_of([&] { (void)f.concrete(Tensor(1.0f)).text("cost"); }), IsEmpty());
}

TEST(Print, StandsInTheGraphAsText) {
  auto f = function([](Tensor x) {
    print("x is", x);
    return x + 1.0f;
  });
  EXPECT_THAT(f.concrete(Tensor(1.0f)).text("graph"), HasSubstr("host_call(%1, %0) function=print(\"x is {}\") : i64[]"));
}

TEST(Require, PassesOrThrowsAtItsPlace) {
  require(true);
  require(Tensor(true), "never");
  EXPECT_THAT(error_of([] { require(Tensor(false)); }), testing::MatchesRegex(".*effects_test.cc:[0-9]+: require: the condition is false"));
  EXPECT_THAT(error_of([] { require(Tensor(1.0f) > 2.0f, "x is {}, not {}", Tensor(1.5f), 7); }), HasSubstr("require: x is 1.5, not 7"));
}

TEST(Require, RefusesWhatItCannotTest) {
  EXPECT_THAT(error_of([] { require(Tensor({true, false})); }),
              HasSubstr("require: the condition is bool[2], not one element; reduce it with all() or any()"));
  EXPECT_THAT(error_of([] { require(Tensor(true), "{}"); }), HasSubstr("require: the format `{}` has 1 place for values, not 0"));
  EXPECT_THAT(error_of([] { require(Tensor(true), "{"); }), HasSubstr("has a single {; write {} for a value, {{ and }} for braces"));
}

TEST(Require, InALoopOfATracedFunctionLeavesVariablesAsTheyWere) {
  Variable count(Tensor(0), {.name = "count"});
  auto f = function([count](Tensor n, Tensor most) mutable {
    for (Tensor i : range(n)) {
      count.assign(count + 1);
      require(i < most, "turn {} is one too many", i);
    }
    return n;
  });
  (void)f(Tensor(3), Tensor(5));
  EXPECT_EQ(count.value().item<int>(), 3);
  for (int call = 0; call < 2; ++call) {
    EXPECT_THAT(error_of([&] { (void)f(Tensor(9), Tensor(5)); }),
                testing::MatchesRegex(".*effects_test.cc:[0-9]+: require: turn 5 is one too many"));
    EXPECT_EQ(count.value().item<int>(), 3);
  }
  (void)f(Tensor(2), Tensor(5));
  EXPECT_EQ(count.value().item<int>(), 5);
}

TEST(Require, BehindAnAssignmentOfALargeVariableLeavesItAsItWas) {
  Variable v(zeros({1000}), {.name = "v"});
  auto f = function([v](Tensor x) mutable {
    v.assign(v + x);
    require(x > 0.0f, "x is {}", x);
    return x;
  });
  (void)f(Tensor(1.0f));
  EXPECT_THAT(error_of([&] { (void)f(Tensor(-1.0f)); }), HasSubstr("require: x is -1.0"));
  EXPECT_TRUE(same_bits(v.value(), ones({1000})));
}

TEST(Require, InAnArmThatIsNotTakenIsNotTested) {
  const auto f = [](Tensor x) {
    if (x > 0.0f) require(x < 10.0f, "x is {}", x);
    return x * 2.0f;
  };
  const Outcome outcome = compare(f, one);
  EXPECT_EQ(outcome.count("host_call"), 1);
}

TEST(Require, ComesAfterWhatWasPrintedBefore) {
  auto f = function([](Tensor x) {
    print("before");
    require(x > 0.0f);
    print("after");
    return x;
  });
  EXPECT_THAT(lines_of([&] { EXPECT_NE(error_of([&] { (void)f(Tensor(-1.0f)); }), "no error"); }), ElementsAre("before\n"));
}

TEST(Effects, RandomNumbersInBranchesAndLoopsFollowTheProgram) {
  const auto program = [](Generator generator) {
    return [generator](Tensor n, Tensor x) mutable {
      for (Tensor i : range(n)) {
        if (x > 0.0f) {
          x = x - generator.uniform({});
        } else {
          x = x + generator.uniform({}) + generator.uniform({});
        }
      }
      return x;
    };
  };
  Generator eager(7), traced(7);
  auto plain = program(eager);
  auto captured = function(program(traced));
  for (int n : {5, 0, 9, 3}) {
    const Tensor a = plain(Tensor(n), Tensor(0.5f)), b = captured(Tensor(n), Tensor(0.5f));
    EXPECT_TRUE(same_bits(a, b)) << n << ": " << a << ", " << b;
  }
  EXPECT_TRUE(same_bits(eager.uniform({4}), traced.uniform({4})));
}

}  // namespace
}  // namespace etch
