// The core of capture on simulated programs: states, registers, checks and regions against runs on numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <random>

#include "etch/error.h"
#include "tests/capture/simulated.h"

namespace etch::capture {
namespace {

struct Case {
  Captured captured;
  Structured structured;
  std::string text;
};

/// Captures a program and compares its regions with plain runs.
Case capture_and_compare(const Lambda& lambda, int inputs = 60) {
  SimProgram program(lambda);
  Case result{capture_program(program), {}, {}};
  result.structured = structure(result.captured.automaton, sim_types());
  result.text = to_text(result.structured);
  for (int seed = 0; seed < inputs; ++seed) {
    const Given given = given_by(static_cast<uint64_t>(seed));
    Evaluator plain(given);
    SimProgram(lambda).run(plain);
    RegionRunner runner(result.structured, given);
    const std::vector<uint64_t> outputs = runner.run();
    EXPECT_FALSE(runner.used_unset) << result.text;
    SimResult now;
    const auto num_results = static_cast<size_t>(result.captured.automaton.num_results);
    now.results.assign(outputs.begin(), outputs.begin() + static_cast<int64_t>(num_results));
    for (size_t i = 0; i < result.captured.automaton.slots.size(); ++i) {
      const int slot = result.captured.automaton.slots[i];
      if (outputs[num_results + i] != given(-2 - (100 + slot))) now.slots[slot] = outputs[num_results + i];
    }
    EXPECT_EQ(now, plain.result) << "seed " << seed << "\n" << result.text;
    if (!(now == plain.result)) break;
  }
  return result;
}

std::string error_of(const Lambda& lambda) {
  SimProgram program(lambda);
  try {
    (void)capture_program(program);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(Core, Straight) {
  const Case c = capture_and_compare([](Sim& s) { return std::vector{s.op(1, {s.given(0)})}; });
  EXPECT_TRUE(c.captured.evidence.is_proved);
}

TEST(Core, IfElse) {
  const Case c = capture_and_compare([](Sim& s) {
    Ref x = s.given(0);
    if (s.test(1, {x})) {
      x = s.op(2, {x});
    } else {
      x = s.op(3, {x});
    }
    return std::vector{s.op(4, {x})};
  });
  EXPECT_TRUE(c.captured.evidence.is_proved);
  EXPECT_EQ(c.captured.counts.runs, 4);
  EXPECT_EQ(count(c.text, "choice"), 1) << c.text;
  EXPECT_EQ(count(c.text, "op 4"), 1) << c.text;
}

TEST(Core, IdenticalArms) {
  const Case c = capture_and_compare([](Sim& s) {
    Ref x = s.given(0);
    (void)s.test(1, {x});
    return std::vector{s.op(2, {x})};
  });
  EXPECT_EQ(count(c.text, "choice"), 0) << c.text;
}

TEST(Core, While) {
  const Case c = capture_and_compare([](Sim& s) {
    Ref x = s.given(0), n = s.given(1);
    while (s.test(1, {x, n})) x = s.op(2, {x});
    return std::vector{s.op(3, {x})};
  });
  EXPECT_EQ(count(c.text, "loop"), 1) << c.text;
  EXPECT_EQ(count(c.text, "op 1"), 1) << c.text;
  EXPECT_EQ(count(c.text, "op 3"), 1) << c.text;
}

TEST(Core, Sequence64) {
  const Case c = capture_and_compare([](Sim& s) {
    Ref x = s.given(0);
    for (int i = 0; i < 64; ++i) {
      if (s.test(1 + 3 * i, {x})) {
        x = s.op(2 + 3 * i, {x, s.given(1)});
      } else {
        x = s.op(3 + 3 * i, {x});
      }
    }
    return std::vector{x};
  }, 10);
  EXPECT_LT(c.captured.counts.runs, 1000);
  EXPECT_EQ(count(c.text, "choice"), 64);
}

TEST(Core, AndShortCircuit) {
  const Case c = capture_and_compare([](Sim& s) {
    Ref x = s.given(0);
    if (s.test(1, {x}) && s.test(2, {x})) {
      x = s.op(3, {x});
    } else {
      x = s.op(4, {x});
    }
    return std::vector{s.op(5, {x})};
  });
  EXPECT_EQ(count(c.text, "op 4"), 1) << c.text;
  EXPECT_EQ(count(c.text, "op 5"), 1) << c.text;
}

/// `first op second` of questions, the second of this kind: those from 20 to 29 are cheap, those from 30 to 39 are not.
template <class Holds>
Lambda joined(Holds holds, Kind second) {
  return [=](Sim& s) {
    Ref x = s.given(0), y = s.given(1);
    if (holds([&] { return s.test(1, {x}); }, [&] { return s.test(second, {y}); })) {
      x = s.op(31, {x});
    } else {
      y = s.op(41, {y});
    }
    return std::vector{s.op(51, {x, y})};
  };
}

TEST(Core, QuestionsAreOneWhereTheSecondIsCheap) {
  const auto check = [](auto holds, const std::string& op) {
    const Case cheap = capture_and_compare(joined(holds, 20));
    EXPECT_EQ(count(cheap.text, "choice"), 1) << cheap.text;
    EXPECT_EQ(count(cheap.text, " = " + op), 1) << cheap.text;
    const Case dear = capture_and_compare(joined(holds, 30));
    EXPECT_EQ(count(dear.text, " = " + op), 0) << dear.text;
  };
  check([](auto a, auto b) { return a() && b(); }, "and");
  check([](auto a, auto b) { return a() || b(); }, "or");
  check([](auto a, auto b) { return a() && !b(); }, "and");
  check([](auto a, auto b) { return a() || !b(); }, "or");
  check([](auto a, auto b) { return !a() && b(); }, "or");
  check([](auto a, auto b) { return !a() || b(); }, "and");
}

TEST(Core, QuestionsStayTwoWhereTheirOtherAnswersDoNotMeet) {
  const Case c = capture_and_compare([](Sim& s) {
    Ref x = s.given(0);
    if (s.test(1, {x})) {
      if (s.test(20, {x})) {
        x = s.op(31, {x});
      } else {
        x = s.op(41, {x});
      }
    } else {
      x = s.op(51, {x});
    }
    return std::vector{s.op(61, {x})};
  });
  EXPECT_EQ(count(c.text, "choice"), 2) << c.text;
}

TEST(Core, ALoopThatTestsTwiceIsOne) {
  const Case c = capture_and_compare([](Sim& s) {
    Ref x = s.given(0);
    while (s.test(1, {x}) && s.test(20, {x})) x = s.op(31, {x});
    return std::vector{x};
  }, 300);
  EXPECT_EQ(count(c.text, "choice"), 0) << c.text;
  EXPECT_EQ(count(c.text, "loop"), 1) << c.text;
}

TEST(Core, BreakContinueReturn) {
  capture_and_compare([](Sim& s) {
    Ref x = s.given(0), y = s.given(1);
    while (s.test(1, {x})) {
      x = s.op(2, {x, y});
      if (s.test(3, {x})) continue;
      y = s.op(4, {y});
      if (!s.test(5, {y})) break;
      if (!s.test(6, {x, y})) return std::vector{s.op(7, {x})};
    }
    return std::vector{s.op(8, {x, y})};
  }, 200);
}

TEST(Core, Nested3) {
  capture_and_compare([](Sim& s) {
    Ref x = s.given(0), y = s.given(1), z = s.given(2);
    while (s.test(1, {x})) {
      x = s.op(2, {x});
      while (s.test(3, {y, x})) {
        y = s.op(4, {y, z});
        while (s.test(5, {z})) z = s.op(6, {z, y});
        z = s.op(7, {z});
      }
    }
    return std::vector{x, y, z};
  }, 200);
}

TEST(Core, Delay5AndRotate) {
  capture_and_compare([](Sim& s) {
    Ref x = s.given(0);
    std::array<Ref, 6> d{};
    d.fill(x);
    while (s.test(1, {x})) {
      for (int i = 5; i > 0; --i) d[i] = d[i - 1];
      x = d[0] = s.op(2, {x, d[5]});
    }
    return std::vector{d[4], d[5], x};
  }, 300);
  capture_and_compare([](Sim& s) {
    Ref x = s.given(0);
    std::array<Ref, 4> d = {s.given(1), s.given(2), s.given(3), s.given(4)};
    while (s.test(1, {x})) {
      std::rotate(d.begin(), d.begin() + 1, d.end());
      x = s.op(2, {x});
    }
    return std::vector{d[0], d[1]};
  }, 300);
}

TEST(Core, HostState) {
  capture_and_compare([](Sim& s) {   // mod 7
    Ref x = s.given(0);
    int k = 0;
    while (s.test(1, {x})) {
      x = k == 3 ? s.op(2, {x}) : s.op(3, {x});
      k = (k + 1) % 7;
    }
    return std::vector{x};
  }, 300);
  capture_and_compare([](Sim& s) {   // warm up
    Ref x = s.given(0);
    int k = 0;
    while (s.test(1, {x})) {
      x = k < 37 ? s.op(2, {x}) : s.op(3, {x});
      ++k;
    }
    return std::vector{x};
  }, 300);
  capture_and_compare([](Sim& s) {   // vector, last 3
    Ref x = s.given(0);
    std::deque<Ref> last;
    while (s.test(1, {x})) {
      x = s.op(2, {x});
      last.push_back(x);
      if (last.size() > 3) last.pop_front();
    }
    std::vector<Ref> all(last.begin(), last.end());
    return std::vector{s.op(3, all)};
  }, 300);
  capture_and_compare([](Sim& s) {
    Ref x = s.given(0);
    for (int i = 0; i < 30; ++i) {
      x = s.op(2, {x});
      if (!s.test(1, {x})) break;
    }
    return std::vector{x};
  }, 300);
}

TEST(Core, GotoIntoLoop) {
  const Case c = capture_and_compare([](Sim& s) {
    Ref x = s.given(0), y = s.given(1);
    if (s.test(1, {x})) goto inside;
    x = s.op(9, {x});
    while (s.test(2, {x})) {
      x = s.op(3, {x});
      if (!s.test(10, {x})) y = s.op(11, {x});
    inside:
      y = s.op(4, {y, x});
      if (s.test(5, {y})) x = s.op(6, {x, y});
    }
    return std::vector{x, y};
  }, 300);
}

TEST(Core, Slots) {
  capture_and_compare([](Sim& s) {
    if (s.test(1, {s.given(0)})) s.assign(2, s.op(2, {s.read(2)}));
    while (s.test(3, {s.read(1), s.read(2)})) s.assign(1, s.op(4, {s.read(1)}));
    return std::vector{s.read(2)};
  }, 300);
}

TEST(Core, Errors) {
  EXPECT_EQ(error_of([](Sim& s) {
    Ref x = s.given(0);
    while (s.test(1, {x})) {
    }
    return std::vector{x};
  }), "no error");
  EXPECT_EQ(error_of([](Sim& s) {
    Ref x = s.given(0);
    while (true) {
      x = s.op(2, {x});
      (void)s.test(1, {x});
    }
    return std::vector{x};
  }), "function sim: no decisions end the loop at sim.cc:1");
  EXPECT_EQ(error_of([](Sim& s) {
    Ref x = s.given(0);
    for (int i = 0; s.test(1, {x}); ++i) x = s.op(1000 + i, {x});
    return std::vector{x};
  }), "function sim: the loop at sim.cc:1 is new on every turn: turns 57 and 58 differ at sim.cc:1056 (op 1056, op 1057); a C++ "
      "value that changes without end cannot be captured; make it a Tensor: for (Tensor i : etch::range(n))");
  EXPECT_EQ(error_of([](Sim& s) {
    Ref x = s.given(0);
    for (int i = 0; i < 1000; ++i) {
      x = s.op(2, {x});
      if (s.test(1, {x})) break;
    }
    return std::vector{x};
  }), "function sim: the loop at sim.cc:1 ends after 1000 turns by a C++ bound; write for (Tensor i : etch::range(1000))");
  int calls = 0;
  EXPECT_THAT(error_of([&](Sim& s) {
    Ref x = s.given(0);
    if (s.test(1, {x})) x = s.op(100 + ++calls, {x});
    return std::vector{x};
  }), testing::HasSubstr("function sim behaved differently under the same decisions: the first time it recorded op 10"));
  EXPECT_EQ(error_of([](Sim& s) {
    Ref x = s.given(0);
    if (s.test(1, {x})) return std::vector{x, x};
    return std::vector{x};
  }), "function sim returns 1 results on the path [sim.cc:1 false] and 2 results on [sim.cc:1 true]; all paths must return the "
      "same types");
  // What one path assigns another does not use, once it is known that a condition does not change.
  EXPECT_EQ(error_of([](Sim& s) {
    const Ref c = s.op(kTests + 1, {s.given(0)});
    Ref x = 0;
    if (s.ask(c, kTests + 1)) x = s.op(2, {});
    if (s.ask(c, kTests + 1)) {
      if (x == 0) throw SimFailure{"sim.cc:9: nothing", true};
      x = s.op(3, {x});
    }
    return std::vector{c};
  }), "no error");
  EXPECT_EQ(error_of([](Sim& s) {
    if (s.test(1, {s.given(0)})) throw SimFailure{"sim.cc:9: y holds nothing", true};
    return std::vector{s.given(0)};
  }), "sim.cc:9: y holds nothing on the path [sim.cc:1 true]; assign it before the branch");
}

}  // namespace
}  // namespace etch::capture
