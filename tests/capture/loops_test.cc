// Loops: eagerly and captured.
#include "tests/capture/programs.h"

namespace etch {
namespace {

auto start(std::mt19937& random) { return std::tuple(random_int(random, 1, 40)); }

Tensor collatz(Tensor n) {
  Tensor steps(0);
  while (n != 1) {
    if (n % 2 == 0) {
      n = floor_div(n, 2);
    } else {
      n = n * 3 + 1;
    }
    steps = steps + 1;
  }
  return steps;
}

TEST(Loops, collatz) {
  const Outcome outcome = compare(collatz, start);
  EXPECT_EQ(outcome.count("while_loop"), 1);
  EXPECT_EQ(outcome.count("cond"), 1);
  EXPECT_EQ(outcome.stats.turns, 1025);
}

TEST(Loops, collatz_is_while_loop) {
  const auto plain = function(collatz, {.trust_loops = true});
  const auto form = function([](Tensor n) {
    const auto turn = [](const Tensor& n, const Tensor& steps) {
      const Tensor next = cond(n % 2 == 0, [&] { return floor_div(n, 2); }, [&] { return n * 3 + 1; });
      return std::tuple(next, steps + 1);
    };
    return std::get<1>(
        while_loop([](const Tensor& n, const Tensor&) { return n != 1; }, turn, std::tuple(n, Tensor(0))));
  });
  EXPECT_EQ(without_lines(plain.concrete(Tensor(1)).text("trace")), without_lines(form.concrete(Tensor(1)).text("trace")));
}

TEST(Loops, zero_trip) {
  compare([](Tensor n, Tensor x) {
    Tensor i(0);
    while (i < n) {
      x = x * 1.5f;
      i = i + 1;
    }
    return x;
  }, [](std::mt19937& random) { return std::tuple(random_int(random, -2, 2), random_scalar(random)); });
}

TEST(Loops, do_while) {
  const Outcome outcome = compare([](Tensor n, Tensor x) {
    do {
      x = x * 1.5f;
      n = n - 1;
    } while (n > 0);
    return x;
  }, counted);
  EXPECT_EQ(outcome.count("mul"), 1);
}

TEST(Loops, break_mid) {
  compare([](Tensor n, Tensor x) {
    Tensor i(0);
    while (i < n) {
      x = x * 1.5f;
      if (x > 4) break;
      x = x + 0.1f;
      i = i + 1;
    }
    return std::tuple(x, i);
  }, counted);
}

TEST(Loops, and_in_its_test) {
  const Outcome outcome = compare([](Tensor n, Tensor x) {
    while (n > 0 && x < 4) {
      x = x * 1.5f + 0.25f;
      n = n - 1;
    }
    return x;
  }, counted);
  EXPECT_EQ(outcome.count("while_loop"), 1);
  EXPECT_EQ(outcome.count("logical_and"), 1);
  EXPECT_EQ(outcome.count("cond"), 0);
}

TEST(Loops, break_continue) {
  compare([](Tensor n, Tensor x) {
    Tensor i(0);
    while (true) {
      i = i + 1;
      if (i > n) break;
      if (i % 3 == 0) continue;
      x = x * 1.25f;
      if (x < -5) break;
      x = x - 0.5f;
    }
    return std::tuple(x, i);
  }, counted);
}

TEST(Loops, return_nested) {
  compare([](Tensor n, Tensor x) {
    for (Tensor i(0); i < n; ++i) {
      for (Tensor j(0); j < i; ++j) {
        x = x * 1.5f + 0.1f;
        if (x > 3) return x * 100;
      }
      x = x - 1;
    }
    return x;
  }, counted);
}

TEST(Loops, goto_back) {
  compare([](Tensor n, Tensor x) {
  again:
    x = x * 1.5f;
    n = n - 1;
    if (n > 0) goto again;
    return x;
  }, counted);
}

TEST(Loops, goto_into_loop) {
  compare([](Tensor n, Tensor x) {
    if (x > 0) goto inside;
    x = x - 1;
    while (n > 0) {
      x = x * 1.5f;
    inside:
      n = n - 1;
      if (x > 5) x = x - 5;
    }
    return x;
  }, counted);
}

TEST(Loops, nested_3) {
  const Outcome outcome = compare([](Tensor n, Tensor x) {
    for (Tensor i(0); i < n; ++i) {
      for (Tensor j(0); j < i; ++j) {
        for (Tensor k(0); k < j; ++k) x = x * 1.01f;
        x = x + 0.1f;
      }
      x = -x;
    }
    return x;
  }, counted, 60);
  EXPECT_EQ(outcome.count("while_loop"), 3);
}

TEST(Loops, loop_after_loop) {
  const Outcome outcome = compare([](Tensor n, Tensor x) {
    Tensor m = n;
    while (n > 0) {
      x = x * 1.5f;
      --n;
    }
    while (m > 0) {
      x = x - 0.25f;
      m = m - 2;
    }
    return x;
  }, counted);
  EXPECT_EQ(outcome.count("while_loop"), 2);
}

TEST(Loops, loop_in_arms) {
  compare([](Tensor n, Tensor x) {
    if (x > 0) {
      while (n > 0) {
        x = x * 1.5f;
        --n;
      }
    } else {
      while (n > 3) {
        x = x - 1;
        --n;
      }
    }
    return x * 2;
  }, counted);
}

Tensor power(Tensor x, Tensor n) {
  Tensor result(1.f);
  while (n > 0) {
    result = result * x;
    n = n - 1;
  }
  return result;
}

TEST(Loops, helper_twice) {
  const Outcome outcome = compare([](Tensor n, Tensor x) { return power(x, n) + power(x * 0.5f, n + 1); }, counted);
  EXPECT_EQ(outcome.count("while_loop"), 2);
}

TEST(Loops, fibonacci) {
  compare([](Tensor n, Tensor) {
    Tensor a(0), b(1);
    for (Tensor i(0); i < n; ++i) {
      Tensor next = a + b;
      a = b;
      b = next;
    }
    return a;
  }, counted);
}

TEST(Loops, rotate_4) {
  compare([](Tensor n, Tensor x) {
    std::vector<Tensor> list = {x, x + 1, x + 2, x + 3};
    for (Tensor i(0); i < n; ++i) std::rotate(list.begin(), list.begin() + 1, list.end());
    return list;
  }, counted);
}

TEST(Loops, delay_5) {
  compare([](Tensor n, Tensor x) {
    std::vector<Tensor> d(5, x);
    for (Tensor i(0); i < n; ++i) {
      x = x * 1.5f + d[4];
      d.insert(d.begin(), x);
      d.pop_back();
    }
    return d;
  }, counted);
}

TEST(Loops, invariant) {
  const Outcome outcome = compare([](Tensor n, Tensor x) {
    const Tensor y = x;
    for (Tensor i(0); i < n; ++i) x = x + exp(y);
    return x;
  }, counted);
  EXPECT_EQ(outcome.count("exp"), 1);
  const size_t loop = outcome.graph.find(" while_loop("), exp = outcome.graph.find(" exp(");
  EXPECT_LT(exp, loop) << outcome.graph;
}

TEST(Loops, used_only_after) {
  compare([](Tensor n, Tensor x) {
    Tensor last = x, before = x;
    for (Tensor i(0); i < n; ++i) {
      before = last;
      last = last * 2 + cast(i, DType::f32);
    }
    return before;
  }, counted);
}

TEST(Loops, condition_after) {
  compare([](Tensor n, Tensor x) {
    Tensor i(0), c = i < n;
    while (c) {
      x = x * 1.5f;
      i = i + 1;
      c = i < n;
    }
    return c ? x : x + 1;
  }, counted);
}

TEST(Loops, flag_in_loop) {
  compare([](Tensor n, Tensor x) {
    bool first = true;
    for (Tensor i(0); i < n; ++i) {
      if (first) x = x + 10;
      first = false;
      x = x * 0.5f;
    }
    return first ? x : x * 3;
  }, counted);
}

TEST(Loops, unused_loop) {
  const Outcome outcome = compare([](Tensor n, Tensor x) {
    Tensor y = x;
    for (Tensor i(0); i < n; ++i) y = y * 2;
    return x + 1;
  }, counted);
  EXPECT_EQ(outcome.count_after_passes("while_loop"), 0);
}

TEST(Loops, bisect) {
  compare([](Tensor x) {
    const Tensor target = abs(x) + 1;
    Tensor low(0.f), high = target;
    while (high - low > 1e-4f) {
      const Tensor middle = (low + high) * 0.5f;
      if (middle * middle > target) {
        high = middle;
      } else {
        low = middle;
      }
    }
    return low;
  }, one);
}

TEST(Loops, bubble_sort_5) {
  compare([](Tensor x) {
    std::vector<Tensor> list;
    for (int i = 0; i < 5; ++i) list.push_back(x[i]);
    bool swapped = true;
    while (swapped) {
      swapped = false;
      for (int i = 0; i < 4; ++i) {
        if (list[i] > list[i + 1]) {
          std::swap(list[i], list[i + 1]);
          swapped = true;
        }
      }
    }
    return list;
  }, [](std::mt19937& random) { return std::tuple(random_vector(random, 5)); }, 60);
}

TEST(Loops, max_element) {
  compare([](Tensor x) {
    std::vector<Tensor> list;
    for (int i = 0; i < 6; ++i) list.push_back(x[i]);
    Tensor best = list[0];
    for (const Tensor& one : list) {
      if (one > best) best = one;
    }
    return best;
  }, [](std::mt19937& random) { return std::tuple(random_vector(random, 6)); });
}

Tensor tail(Tensor n, Tensor x) { return n > 0 ? tail(n - 1, x * 1.5f) : x; }

TEST(Loops, tail_recursion) {
  const Outcome outcome = compare([](Tensor n, Tensor x) { return tail(n, x); }, counted);
  EXPECT_EQ(outcome.count("while_loop"), 1);
}

Tensor deep(Tensor n, Tensor x) { return n > 0 ? deep(n - 1, x * 1.5f) * x + 1 : x; }

TEST(Loops, recursion) {
  const std::string text = without_lines(error_of([](Tensor n, Tensor x) { return deep(n, x); }, Tensor(3), Tensor(1.f)));
  EXPECT_EQ(text, "function demo: what follows the loop or recursion at loops_test.cc:LINE is longer after every turn: after "
                  "turns 57 and 58 it differs at loops_test.cc:LINE (nothing, mul f32[]); a C++ value that grows without end "
                  "cannot be captured, and of recursion only tail calls and depths known to C++");
}

TEST(Loops, infinite) {
  EXPECT_EQ(without_lines(error_of([](Tensor x) {
    while (true) {
      if (x > 0) x = x - 1;
    }
    return x;
  }, Tensor(1.f))),
            "function demo: no decisions end the loop at loops_test.cc:LINE");
}

// ---- Host loops

TEST(HostLoops, for_10_plain) {
  const Outcome outcome = compare([](Tensor x) {
    for (int i = 0; i < 10; ++i) x = x * 1.1f;
    return x;
  }, one);
  EXPECT_EQ(outcome.runs(), 1);
}

TEST(HostLoops, for_20_if) {
  compare([](Tensor x) {
    for (int i = 0; i < 20; ++i) {
      if (x > 0) x = x - 0.3f * static_cast<float>(i);
      x = x * 1.1f + 0.1f;
    }
    return x;
  }, one);
}

TEST(HostLoops, for_30_break) {
  compare([](Tensor x) {
    for (int i = 0; i < 30; ++i) {
      x = x * 1.1f;
      if (x > 3) break;
    }
    return x;
  }, one);
}

TEST(HostLoops, for_1000_break) {
  EXPECT_EQ(without_lines(error_of([](Tensor x) {
    for (int i = 0; i < 1000; ++i) {
      x = x * 1.1f;
      if (x > 3) break;
    }
    return x;
  }, Tensor(1.f))),
            "function demo: the loop at loops_test.cc:LINE ends after 1000 turns by a C++ bound; write for (Tensor i : "
            "etch::range(1000))");
}

TEST(HostLoops, trips_equal_50) {
  compare([](Tensor n, Tensor x) {
    int count = 0;
    while (n > 0) {
      n = n - 1;
      ++count;
      x = count == 50 ? x * 7 : x + 0.5f;
    }
    return x;
  }, [](std::mt19937& random) { return std::tuple(random_int(random, 0, 120), random_scalar(random)); });
}

TEST(HostLoops, every_50th) {
  compare([](Tensor n, Tensor x) {
    int count = 0;
    while (n > 0) {
      n = n - 1;
      if (++count % 50 == 0) x = x * 0.5f;
      x = x + 0.5f;
    }
    return x;
  }, [](std::mt19937& random) { return std::tuple(random_int(random, 0, 220), random_scalar(random)); });
}

// ---- Types

TEST(LoopTypes, grows_each_turn) {
  EXPECT_EQ(without_lines(error_of([](Tensor n, Tensor x) {
    while (n > 0) {
      n = n - 1;
      x = concat({x, x[{Slice(0, 1)}]}, 0);
    }
    return sum(x);
  }, Tensor(3), Tensor({1.f, 2.f, 3.f}))),
            "function demo: the type of an operand of slice at loops_test.cc:LINE (f32[59], f32[60]) changes from turn to "
            "turn of the loop at loops_test.cc:LINE; keep one type, or use a TensorArray");
}

}  // namespace
}  // namespace etch
