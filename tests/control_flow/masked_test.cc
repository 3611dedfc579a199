// Loops that each element goes through by itself, in lanes that are on or off: `map` with control flow, and
// `while (any(active))`. Every way of running gives the bits of the eager run, row by row.
#include <gmock/gmock.h>

#include <functional>
#include <random>
#include <tuple>
#include <vector>

#include "compiler/ir/cat.h"
#include "tests/control_flow/modes.h"
#include "tools/harness.h"

namespace etch {
namespace {

using testing::HasSubstr;
using testing::Not;

Tensor wave(int64_t n) { return sin(cast(range(n), DType::f32)) * 3; }

/// The results eagerly and in every way to run them: in lanes on several processors, and split over threads; as other loops.
template <class Program, class... Args>
void expect_same_everywhere(Program program, const Args&... args) {
  const auto flat = [](const auto& value) {
    std::vector<Literal> literals;
    for (const Tensor& tensor : detail::tensors_of({}, value)) literals.push_back(to_literal(tensor));
    return literals;
  };
  const std::vector<Literal> expected = flat(program(args...));
  for (const char* flags : {"threads=1,verify=1", "threads=2,grain=3", "target=sse4", "target=avx2", "masked_regions=0",
                            "masked_regions=0,native_regions=0", "simplify=0,verify=1", "fuse=0"}) {
    const ScopedFlags scoped(flags);
    auto compiled = etch::function([program](Args... a) { return program(a...); });
    EXPECT_EQ(bit_difference(expected, flat(compiled(args...))), "") << flags;
  }
}

template <class Program, class... Args>
std::string schedule_of(Program program, const Args&... args) {
  auto compiled = etch::function([program](Args... a) { return program(a...); });
  return compiled.concrete(args...).text("schedule");
}

// ---- map

Tensor collatz_steps(const Tensor& start) {
  return std::get<1>(while_loop([](const Tensor& n, const Tensor&) { return n > 1; },
                                [](const Tensor& n, const Tensor& steps) {
                                  const Tensor next = cond(n % 2 == 0, [&] { return floor_div(n, 2); }, [&] { return 3 * n + 1; });
                                  return std::tuple(next, steps + 1);
                                },
                                std::tuple(start, Tensor(0))));
}

TEST(Map, ControlFlowBecomesMaskedLanes) {
  const auto program = [](const Tensor& starts) { return map(collatz_steps, starts); };
  const Tensor starts = range(0, 100);
  EXPECT_THAT(schedule_of(program, starts), HasSubstr("masked_0_while_loop"));
  EXPECT_EQ(program(starts).data<int>()[27], 111);
  expect_same_everywhere(program, starts);
}

TEST(Map, EveryNumberOfLanes) {
  const auto program = [](const Tensor& x) {
    return map([](const Tensor& v) {
      return while_loop([](const Tensor& y) { return y < 10; }, [](const Tensor& y) { return y + abs(y) * 0.5f + 1; }, v);
    }, x);
  };
  for (const int64_t n : {17, 18, 23, 31, 32, 33, 63, 64, 65, 100}) expect_same_everywhere(program, wave(n));
}

TEST(Map, SeveralInputsAndOutputsAndWhatStandsAround) {
  const Tensor scale(1.25f), table({1.f, 2.f, 4.f, 8.f});
  const auto program = [&](const Tensor& x, const Tensor& y, const Tensor& limit) {
    return map(
        [&](const std::tuple<Tensor, Tensor>& row) {
          const auto [a, b] = row;
          const auto [end, turns] = while_loop(
              [&](const Tensor& s, const Tensor& n) { return (s < limit) & (n < 20); },
              [&](const Tensor& s, const Tensor& n) { return std::tuple(s + abs(a) * scale + sum(table), n + 1); },
              std::tuple(b, Tensor(0)));
          return std::tuple(end, turns, cond(a > b, [&] { return a - b; }, [&] { return end * scale; }));
        },
        std::tuple(x, y));
  };
  expect_same_everywhere(program, wave(70), wave(70) * 7 - 3, Tensor(50.f));
}

TEST(Map, RowsOfSeveralElements) {
  const auto program = [](const Tensor& points) {
    return map(
        [](const Tensor& point) {
          return while_loop([](const Tensor& p) { return sum(p * p) > 0.1f; }, [](const Tensor& p) { return p * 0.75f; }, point);
        },
        points);
  };
  const Tensor points = reshape(wave(120), {40, 3});
  EXPECT_THAT(schedule_of(program, points), HasSubstr("masked_0_while_loop"));
  expect_same_everywhere(program, points);
}

TEST(Map, OfWhatHasNoControlFlow) {
  const auto program = [](const Tensor& x) { return map([](const Tensor& v) { return v * v + 1; }, x); };
  EXPECT_THAT(schedule_of(program, wave(50)), HasSubstr("loop_0_while_loop"));
  expect_same_everywhere(program, wave(50));
}

TEST(Map, RowsAreWrittenWhereTheyLie) {
  const auto program = [](const Tensor& x) {
    return for_range(x.shape()[0], [](const Tensor& i, TensorArray rows) {
      const Tensor row = rows.read(i);
      rows.write(i, cond(row > 0, [&] { return row * 2; }, [&] { return row - 1; }));
      return rows;
    }, TensorArray{x}).stack();
  };
  EXPECT_THAT(schedule_of(program, wave(70)), HasSubstr("loop_0_while_loop over [70]\n  why=rows, each by itself, in lanes"));
  expect_same_everywhere(program, wave(70));
}

TEST(Map, TheNumberOfTheRowIsKnown) {
  const auto program = [](const Tensor& x) {
    return map(
        [](const std::tuple<Tensor, Tensor>& row) {
          const auto [v, i] = row;
          return for_range(i % 7, [&](const Tensor& j, const Tensor& s) { return s + v * cast(j, DType::f32); }, v);
        },
        std::tuple(x, range(x.shape()[0], DType::i64)));
  };
  expect_same_everywhere(program, wave(90));
}

TEST(Map, EveryDTypeIsCarried) {
  for (const DType dtype : {DType::f16, DType::bf16, DType::f32, DType::f64, DType::i8, DType::u8, DType::i16, DType::i32,
                            DType::i64, DType::u64}) {
    const auto program = [](const Tensor& x, const Tensor& turns) {
      return map(
          [](const std::tuple<Tensor, Tensor>& row) {
            const auto [v, n] = row;
            return while_loop([&](const Tensor&, const Tensor& i, const Tensor& odd) { return (i < n) | odd; },
                              [&](const Tensor& s, const Tensor& i, const Tensor& odd) {
                                return std::tuple(s + v, i + 1, !odd);
                              },
                              std::tuple(v, Tensor(0), Tensor(false)));
          },
          std::tuple(x, turns));
    };
    expect_same_everywhere(program, cast(wave(45) + 3, dtype), range(0, 45) % 11);
  }
}

TEST(Map, DivisionIsSafeInLanesThatAreOff) {
  const auto program = [](const Tensor& x) {
    return map(
        [](const Tensor& v) {
          return while_loop([](const Tensor& n, const Tensor&) { return n != 0; },
                            [](const Tensor& n, const Tensor& s) {
                              return std::tuple(n - 1, s + floor_div(Tensor(1000), n) + 1000 % n);
                            },
                            std::tuple(v, Tensor(0)));
        },
        x);
  };
  expect_same_everywhere(program, range(0, 60) % 13);
}

TEST(Map, LoopsNest) {
  const auto program = [](const Tensor& x) {
    return map(
        [](const Tensor& v) {
          const auto outer = [&](const Tensor& i, const Tensor& s) {
            const auto [k, t] = while_loop([&](const Tensor& k, const Tensor& t) { return (k < i) & (t < 40); },
                                           [&](const Tensor& k, const Tensor& t) { return std::tuple(k + 1, t * 1.25f + v); },
                                           std::tuple(Tensor(0), s));
            return std::tuple(i + 1, cond(t > 5, [&] { return t - 4; }, [&] { return t + cast(k, DType::f32); }));
          };
          return while_loop([&](const Tensor& i, const Tensor& s) { return (i < 12) & (s < 30); }, outer,
                            std::tuple(Tensor(0), v));
        },
        x);
  };
  expect_same_everywhere(program, wave(75));
}

TEST(Map, WhatTheTestComputesIsWhatComesOut) {
  // The test holds control flow, so a lane that has left keeps what came out.
  const auto program = [](const Tensor& x) {
    return map(
        [](const Tensor& v) {
          return while_loop([&](const Tensor& s) { return cond(s > 0, [&] { return s < 7; }, [&] { return s > -9; }); },
                            [&](const Tensor& s) { return s * 1.5f + v; }, v);
        },
        x);
  };
  expect_same_everywhere(program, wave(64) + 0.25f);
}

TEST(Map, WhatCannotBeLanesSaysWhy) {
  const auto sorts = [](const Tensor& x) {
    return map([](const Tensor& row) { return while_loop([](const Tensor& v) { return sum(v) < 9; },
                                                        [](const Tensor& v) { return v + cumsum(abs(v), 0) + 1; }, row); }, x);
  };
  EXPECT_THAT(schedule_of(sorts, reshape(wave(40), {20, 2})), HasSubstr("not one kernel, for cumsum works on memory"));
  const auto running = [](const Tensor& x) {
    return scan([](const Tensor& s, const Tensor& v) { return std::pair(s + v, s); }, Tensor(0.f), x).second;
  };
  EXPECT_THAT(schedule_of(running, wave(40)), HasSubstr("not one kernel, for it carries a value from row to row"));
  expect_same_everywhere(running, wave(40));
}

// ---- while (any(active))

TEST(WhileAny, MandelbrotGoesOnInEveryLaneUntilThatIsDone) {
  const auto program = [](const Tensor& re, const Tensor& im) {
    Tensor x = zeros_like(re), y = zeros_like(im), turns = zeros(re.shape(), DType::i32), k(0);
    Tensor active = full(re.shape(), true);
    while (any(active) && k < 30) {
      const Tensor next = x * x - y * y + re;
      y = where(active, 2 * x * y + im, y);
      x = where(active, next, x);
      turns = where(active, turns + 1, turns);
      active = active & (x * x + y * y < 4);
      k = k + 1;
    }
    return turns;
  };
  EXPECT_THAT(schedule_of(program, wave(150), wave(150)), HasSubstr("masked_0_while_loop"));
  expect_same_everywhere(program, wave(150), wave(150) * 0.5f - 0.2f);
}

/// While any element is below a limit, it grows; `step` says how.
template <class Step>
auto growing(Step step) {
  return [step](const Tensor& x) {
    return while_loop([](const Tensor& v, const Tensor& n) { return any(v < 10) & (n < 50); },
                      [step](const Tensor& v, const Tensor& n) { return std::tuple(step(v), n + 1); },
                      std::tuple(x, Tensor(0)));
  };
}

TEST(WhileAny, ElementsThatRestAreLanes) {
  const auto rests = [](const Tensor& x) {
    return std::get<0>(growing([](const Tensor& v) { return where(v < 10, v * 1.5f + 1, v); })(x));
  };
  EXPECT_THAT(schedule_of(rests, wave(100)), HasSubstr("masked_0_while_loop"));
  for (const int64_t n : {17, 64, 100}) expect_same_everywhere(rests, wave(n));
  expect_same_everywhere(rests, reshape(wave(120), {4, 30}));
}

TEST(WhileAny, ElementsThatMayChangeAreNot) {
  const auto grows = [](const Tensor& x) { return std::get<0>(growing([](const Tensor& v) { return v * 1.5f + 1; })(x)); };
  EXPECT_THAT(schedule_of(grows, wave(100)), HasSubstr("not one kernel, for carried value 0, f32[100], may change where the mask is"));
  expect_same_everywhere(grows, wave(100));
  // A negative zero would not rest, though it looks like it.
  const auto adds = [](const Tensor& x) {
    return std::get<0>(growing([](const Tensor& v) { return v + where(v < 10, v * 0.5f + 1, Tensor(0.f)); })(x));
  };
  EXPECT_THAT(schedule_of(adds, wave(100)), HasSubstr("may change where the mask is"));
  expect_same_everywhere(adds, wave(100));
}

TEST(WhileAny, GuardedLoopsPauseAndGoOn) {
  // The capture checks 1,025 turns; lanes want more, in one group and not in another.
  const auto program = [](const Tensor& x, const Tensor& limit) {
    Tensor v = x;
    while (any(v < limit)) v = where(v < limit, v + 1, v);
    return v;
  };
  const Tensor limit = cast(range(0, 90) * 20, DType::f32);
  EXPECT_THAT(schedule_of(program, wave(90), limit), HasSubstr("masked_0_while_loop"));
  expect_same_everywhere(program, wave(90), limit);
  auto f = etch::function([program](Tensor x, Tensor limit) { return program(x, limit); });
  for (const int most : {1, 50, 1500, 4000, 30}) {
    const Tensor limits = cast(floor_div(range(0, 90) * most, 89), DType::f32);
    EXPECT_EQ(bytes_of(f(wave(90), limits)), bytes_of(program(wave(90), limits))) << most;
  }
}

TEST(WhileAny, AMaskThatDependsOnTheTurnIsNot) {
  const auto program = [](const Tensor& x) {
    return std::get<0>(while_loop(
        [](const Tensor& v, const Tensor& n) { return any(v + cast(n % 3, DType::f32) < 10) & (n < 50); },
        [](const Tensor& v, const Tensor& n) {
          return std::tuple(where(v + cast(n % 3, DType::f32) < 10, v + 1, v), n + 1);
        },
        std::tuple(x, Tensor(0))));
  };
  EXPECT_THAT(schedule_of(program, wave(100)), HasSubstr("for whether an element is on depends on a value that is carried for all"));
  expect_same_everywhere(program, wave(100));
}

TEST(WhileAny, WhatElementsGainMayDependOnTheTurn) {
  const auto program = [](const Tensor& x) {
    return std::get<0>(while_loop([](const Tensor& v, const Tensor& n) { return any(v < 10) & (n < 50); },
                                  [](const Tensor& v, const Tensor& n) {
                                    return std::tuple(where(v < 10, v + cast(n % 3, DType::f32), v), n + 1);
                                  },
                                  std::tuple(x, Tensor(0))));
  };
  EXPECT_THAT(schedule_of(program, wave(100)), HasSubstr("masked_0_while_loop"));
  expect_same_everywhere(program, wave(100));
}

TEST(WhileAny, ATestOfAllElementsTogetherIsNot) {
  const auto program = [](const Tensor& x) {
    return while_loop([](const Tensor& v) { return any(v < 10) & (sum(v) < 300); },
                      [](const Tensor& v) { return where(v < 10, v + 1, v); }, x);
  };
  EXPECT_THAT(schedule_of(program, wave(100)), Not(HasSubstr("masked_0")));
  expect_same_everywhere(program, wave(100));
}

TEST(WhileAny, WhatTheBodyAsksOfAllElementsIsNot) {
  const auto loop_of = [](auto step) {
    return [step](const Tensor& x) {
      return while_loop([](const Tensor& v) { return any(v < 10); },
                        [step](const Tensor& v) { return where(v < 10, step(v), v); }, x);
    };
  };
  const Tensor x = concat({Tensor({8.0f, 8.5f}), zeros({18})}, 0);
  expect_same_everywhere(loop_of([](const Tensor& v) { return where(any(v > 9), v + 2, v + 1); }), x);
  expect_same_everywhere(loop_of([](const Tensor& v) { return where(any(v < 10), v + 2, v + 1); }), x);
  expect_same_everywhere(loop_of([](const Tensor& v) { return v + 1 + max(v) / 16; }), x);
  expect_same_everywhere(loop_of([](const Tensor& v) { return v + 1 + abs(sum(v)) / 64; }), x);
}

TEST(WhileAny, TheNumberOfTurnsIsNoneOfALane) {
  // What all elements share counts the turns of the last lane: it is no result of lanes.
  expect_same_everywhere(growing([](const Tensor& v) { return where(v < 10, v * 1.5f + 1, v); }), wave(100));
}

TEST(WhileAny, IntegersRestWhereAMaskAddsNothing) {
  const auto program = [](const Tensor& x) {
    const auto [n, steps] = while_loop([](const Tensor& n, const Tensor&) { return any(n > 1); },
                                       [](const Tensor& n, const Tensor& steps) {
                                         const Tensor active = n > 1;
                                         const Tensor next = where(n % 2 == 0, floor_div(n, 2), 3 * n + 1);
                                         return std::tuple(where(active, next, n), steps + cast(active, DType::i32));
                                       },
                                       std::tuple(x, zeros_like(x)));
    return steps;
  };
  const Tensor starts = range(0, 80);
  EXPECT_THAT(schedule_of(program, starts), HasSubstr("masked_0_while_loop"));
  expect_same_everywhere(program, starts);
}

// ---- Random functions

/// A random scalar function, as a list of steps on a few values of which each keeps its dtype.
class RandomFunction {
 public:
  explicit RandomFunction(uint64_t seed) : random_(seed) {
    for (int i = 0; i < 5; ++i) dtypes_.push_back(kDTypes[pick(std::size(kDTypes))]);
    dtypes_[0] = DType::f32;
    dtypes_[1] = DType::i32;
    steps_ = block(3);
  }

  int num_values() const { return static_cast<int>(dtypes_.size()); }
  DType dtype(int i) const { return dtypes_[i]; }

  std::vector<Tensor> operator()(std::vector<Tensor> values) const {
    run(steps_, values);
    return values;
  }

 private:
  static constexpr DType kDTypes[] = {DType::f32, DType::f64, DType::i32, DType::i64, DType::u8, DType::boolean, DType::f32};

  struct Step {
    enum Kind { assign, choose, repeat } kind = assign;
    int to = 0, a = 0, b = 0, op = 0, turns = 0;
    std::vector<Step> first = {}, second = {};
  };

  int pick(size_t n) { return static_cast<int>(random_() % n); }

  std::vector<Step> block(int depth) {
    std::vector<Step> steps;
    for (int n = 1 + pick(4); n > 0; --n) {
      Step step{.to = pick(5), .a = pick(5), .b = pick(5), .op = pick(10), .turns = pick(9)};
      const int kind = pick(5);
      if (depth > 0 && kind == 0) step.kind = Step::choose;
      if (depth > 0 && kind == 1) step.kind = Step::repeat;
      if (step.kind != Step::assign) step.first = block(depth - 1);
      if (step.kind == Step::choose) step.second = block(depth - 1);
      steps.push_back(std::move(step));
    }
    return steps;
  }

  /// A number of this dtype made of two others.
  static Tensor combined(const Step& step, const Tensor& a, const Tensor& b, DType dtype) {
    const Tensor x = cast(a, dtype), y = cast(b, dtype);
    if (dtype == DType::boolean) return step.op % 2 ? x ^ y : ~x | y;
    switch (step.op) {
      case 0: return x + y;
      case 1: return x - y;
      case 2: return x * y;
      case 3: return maximum(x, y);
      case 4: return where(x < y, y, x + x);
      case 5: return is_integer(dtype) ? floor_div(x, y) : x * y + x;
      case 6: return is_integer(dtype) ? x % y : sqrt(abs(x));
      case 7: return cast(cast(x, DType::i32) + 3, dtype);
      case 8: return cast(x > y, dtype);
      default: return is_integer(dtype) ? x & y : floor(y);
    }
  }

  static Tensor question(const Step& step, const std::vector<Tensor>& values) {
    const Tensor a = cast(values[step.a], DType::f32), b = cast(values[step.b], DType::f32);
    return step.op % 2 ? a < b : a * 2 > b + 1;
  }

  void run(const std::vector<Step>& steps, std::vector<Tensor>& values) const {
    for (const Step& step : steps) {
      if (step.kind == Step::assign) {
        values[step.to] = combined(step, values[step.a], values[step.b], dtypes_[step.to]);
      } else if (step.kind == Step::choose) {
        values = cond(question(step, values), [&] { return after(step.first, values); }, [&] { return after(step.second, values); });
      } else {
        using State = std::tuple<Tensor, std::vector<Tensor>>;
        const State end = while_loop(
            [&](const Tensor& turn, const std::vector<Tensor>& now) { return (turn < step.turns) & question(step, now); },
            [&](const Tensor& turn, const std::vector<Tensor>& now) { return State(turn + 1, after(step.first, now)); },
            State(Tensor(0), values));
        values = std::get<1>(end);
      }
    }
  }

  std::vector<Tensor> after(const std::vector<Step>& steps, std::vector<Tensor> values) const {
    run(steps, values);
    return values;
  }

  std::mt19937_64 random_;
  std::vector<DType> dtypes_;
  std::vector<Step> steps_;
};

TEST(Map, RandomFunctionsGiveTheSameBitsInEveryWay) {
  constexpr int64_t kRows = 37;
  int masked = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const RandomFunction f(seed);
    std::mt19937_64 random(seed);
    std::vector<Tensor> inputs;
    for (int i = 0; i < f.num_values(); ++i) {
      inputs.push_back(to_tensor(random_literal({f.dtype(i), {kRows}}, i % 2 ? Draw::plain : Draw::special, random)));
    }
    const auto program = [f](const std::vector<Tensor>& xs) { return map(f, xs); };
    SCOPED_TRACE(cat("seed ", seed));
    expect_same_everywhere(program, inputs);
    const std::string schedule = schedule_of(program, inputs);
    EXPECT_THAT(schedule, Not(HasSubstr("not one kernel")));
    masked += schedule.find("masked_") != std::string::npos;
  }
  EXPECT_GT(masked, 30);
}

}  // namespace
}  // namespace etch
