// Plain if, while and for inside of callables of explicit forms: each callable is captured on parameters of its own.
#include <gmock/gmock.h>

#include "tests/control_flow/modes.h"
#include "tests/messages.h"

namespace etch {
namespace {

using testing::HasSubstr;

int occurrences(const std::string& text, const std::string& part) {
  int found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// n, n/2 or 3n + 1 again and again, until 1: how often.
Tensor collatz(Tensor n) {
  Tensor steps(0);
  while (n != 1) {
    if (n % 2 == 0) {
      n = floor_div(n, 2);
    } else {
      n = 3 * n + 1;
    }
    ++steps;
  }
  return steps;
}

TEST(PlainInForms, AnIfInTheBodyOfAWhileLoop) {
  const auto f = [](Tensor n) {
    return while_loop([](Tensor n, Tensor) { return n != 1; },
                      [](Tensor n, Tensor steps) {
                        if (n % 2 == 0) return std::tuple(floor_div(n, 2), steps + 1);
                        return std::tuple(3 * n + 1, steps + 1);
                      },
                      std::tuple(n, Tensor(0)));
  };
  EXPECT_EQ(std::get<1>(in_all_modes(f, Tensor(27))).item<int>(), 111);
  const std::string graph = function(f).concrete(Tensor(27)).text("trace");
  EXPECT_EQ(occurrences(graph, "while_loop("), 1) << graph;
  EXPECT_EQ(occurrences(graph, "cond("), 1) << graph;
}

TEST(PlainInForms, AnIfInTheTestOfAWhileLoop) {
  const auto f = [](Tensor n) {
    return while_loop([](Tensor n) -> Tensor {
      if (n > 100) return n < 1000;
      return n < 50;
    }, [](Tensor n) { return n * 3; }, n);
  };
  EXPECT_EQ(in_all_modes(f, Tensor(1)).item<int>(), 81);
  EXPECT_EQ(in_all_modes(f, Tensor(101)).item<int>(), 2727);
}

TEST(PlainInForms, AWhileInAnArmOfCond) {
  const auto f = [](Tensor n) {
    return cond(n > 10, [&] { return collatz(n); }, [&] { return n; });
  };
  EXPECT_EQ(in_all_modes(f, Tensor(27)).item<int>(), 111);
  EXPECT_EQ(in_all_modes(f, Tensor(3)).item<int>(), 3);
}

TEST(PlainInForms, AnIfInAFormInAPlainLoop) {
  const auto f = [](Tensor n) {
    Tensor sum(0);
    for (Tensor i : range(1, n)) {
      sum = sum + for_range(i, [&](Tensor j, Tensor s) {
        if ((i + j) % 2 == 0) s = s + j;
        return s;
      }, Tensor(0));
    }
    return sum;
  };
  int expected = 0;
  for (int i = 1; i < 9; ++i) {
    for (int j = 0; j < i; ++j) expected += (i + j) % 2 == 0 ? j : 0;
  }
  EXPECT_EQ(function(f)(Tensor(9)).item<int>(), expected);
}

/// Sums 0 to j.
Tensor plain_sum(Tensor j) {
  Tensor s(0);
  for (Tensor k : range(j)) s = s + k;
  return s;
}

TEST(PlainInForms, ALoopInAFormInAPlainLoop) {
  const auto f = [](Tensor n) {
    Tensor sum(0);
    for (Tensor i : range(1, n)) {
      sum = sum + for_range(i, [&](Tensor j, Tensor s) { return s + plain_sum(j); }, Tensor(0));
    }
    return sum;
  };
  EXPECT_EQ(function(f)(Tensor(9)).item<int>(), f(Tensor(9)).item<int>());
}

TEST(PlainInForms, NestsOfLoopsAndFormsEndInAnErrorInTime) {
  auto f = function([](Tensor n) {
    Tensor sum(0);
    for (Tensor i : range(1, n)) {
      sum = sum + for_range(i, [&](Tensor j, Tensor s) {
        for (Tensor k : range(j)) s = s + for_range(k, [&](Tensor l, Tensor t) { return t + plain_sum(l); }, Tensor(0));
        return s;
      }, Tensor(0));
    }
    return sum;
  }, {.name = "demo"});
  EXPECT_THAT(error_of([&] { (void)f(Tensor(9)); }),
              HasSubstr("a callable that tests tensors by `if` or loops is captured in each run of what stands around it, and"
                        " 4194304 ops did not settle it; write etch::cond and etch::while_loop there"));
}

TEST(PlainInForms, MapOfAFunctionWithALoop) {
  const Tensor counts = in_all_modes([](Tensor n) { return map(collatz, n); }, Tensor({1, 6, 27, 97}));
  EXPECT_EQ(counts.to_vector<int>(), (std::vector{0, 8, 111, 118}));
}

TEST(PlainInForms, ScanWithAnIfInItsStep) {
  const auto f = [](Tensor xs) {
    const auto step = [](Tensor s, Tensor x) {
      if (x > 0.0f) {
        s = s + x;
      } else {
        s = s * 0.5f;
      }
      return std::pair(s, s * 2.0f);
    };
    auto [last, all] = scan(step, Tensor(1.0f), xs);
    return std::tuple(last, all);
  };
  const auto [last, all] = in_all_modes(f, Tensor({1.0f, -1.0f, 2.0f}));
  EXPECT_EQ(last.item<float>(), 3.0f);
  EXPECT_EQ(all.to_vector<float>(), (std::vector{4.0f, 2.0f, 6.0f}));
}

TEST(PlainInForms, TensorsFromAroundAreInvariants) {
  const Tensor table({1.0f, 2.0f, 4.0f});
  const auto f = [table](Tensor n, Tensor limit) {
    const Tensor half = limit * 0.5f;
    return for_range(n, [&](Tensor i, Tensor s) {
      if (s > half) return s - half;
      return s + gather(table, i % 3);
    }, Tensor(0.0f));
  };
  (void)in_all_modes(f, Tensor(7), Tensor(6.0f));
}

TEST(PlainInForms, VariablesThatArmsAssignAreCarried) {
  const auto run = [](bool traced) {
    Variable best(Tensor(0.0f), {.name = "best"}), changes(Tensor(0), {.name = "changes"});
    auto f = [best, changes](Tensor xs) mutable {
      return for_range(4, [&](Tensor i, Tensor s) {
        const Tensor x = gather(xs, i);
        if (x > best) {
          best.assign(x);
          changes.assign(changes + 1);
        }
        return s + best;
      }, Tensor(0.0f));
    };
    const Tensor xs({1.0f, 3.0f, 2.0f, 5.0f});
    const Tensor sum = traced ? function(f)(xs) : f(xs);
    return std::tuple(sum.item<float>(), best.value().item<float>(), changes.value().item<int>());
  };
  EXPECT_EQ(run(true), run(false));
  EXPECT_EQ(run(true), std::tuple(12.0f, 5.0f, 3));
}

TEST(PlainInForms, PrintsInThemKeepTheirOrder) {
  const auto f = [](Tensor n) {
    return for_range(n, [](Tensor i, Tensor s) {
      if (i % 2 == 0) {
        print("even", i);
      } else {
        for (Tensor j : range(i)) print("odd", i, j);
      }
      return s + i;
    }, Tensor(0));
  };
  const std::vector<std::string> expected{"even 0\n", "odd 1 0\n", "even 2\n", "odd 3 0\n", "odd 3 1\n", "odd 3 2\n"};
  EXPECT_EQ(lines_of([&] { (void)f(Tensor(4)); }), expected);
  auto traced = function(f);
  EXPECT_EQ(lines_of([&] { (void)traced(Tensor(4)); }), expected);
}

TEST(PlainInForms, TypesThatDifferFromPathToPathAreAnError) {
  auto f = function([](Tensor x) {
    return for_range(3, [](Tensor i, Tensor s) -> Tensor {
      if (i > 1) return s;
      return cast(s, DType::f64);
    }, x);
  }, {.name = "demo"});
  for (int call = 0; call < 2; ++call) {
    const std::string message = error_of([&] { (void)f(Tensor(1.0f)); });
    EXPECT_THAT(message, HasSubstr("function demo, in a callable of while_loop returns i64[], f64[] on the path"));
    EXPECT_THAT(message, HasSubstr("all paths must return the same types"));
  }
}

TEST(PlainInForms, WhereControlFlowIsOffIsAnError) {
  auto f = function([](Tensor x) {
    return for_range(3, [](Tensor, Tensor s) {
      if (s > 1.0f) return s;
      return s + 1.0f;
    }, x);
  }, {.name = "demo", .control_flow = false});
  EXPECT_THAT(error_of([&] { (void)f(Tensor(1.0f)); }), HasSubstr("write etch::cond or etch::while_loop there"));
}

}  // namespace
}  // namespace etch
