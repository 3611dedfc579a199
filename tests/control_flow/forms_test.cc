// The explicit forms of control flow: eager and traced runs give the same bits, and those of plain C++.
#include <gmock/gmock.h>

#include <cmath>
#include <tuple>

#include "tests/control_flow/modes.h"
#include "tests/frontend/error_of.h"

namespace etch {
namespace {

using testing::HasSubstr;

Tensor wave(const Shape& shape) { return sin(cast(reshape(range(shape.product()), shape), DType::f32)); }

// ---- cond

TEST(Cond, TakesTheArmOfThePredicate) {
  const auto program = [](const Tensor& x) {
    return cond(any(x > 2), [&] { return x * 2; }, [&] { return -x; });
  };
  EXPECT_EQ(in_all_modes(program, Tensor({1.f, 3.f})).to_vector<float>(), (std::vector<float>{2, 6}));
  EXPECT_EQ(in_all_modes(program, Tensor({1.f, 2.f})).to_vector<float>(), (std::vector<float>{-1, -2}));
}

TEST(Cond, IsOneNodeWhoseArmsUseWhatStandsAround) {
  const Tensor captured({10.f, 20.f});
  auto f = etch::function([&](Tensor x, Tensor yes) {
    const Tensor doubled = x * 2;
    return cond(yes, [&] { return doubled + captured; }, [&] { return x - captured; });
  });
  const std::string trace = f.concrete(Tensor({1.f, 2.f}), Tensor(true)).text("trace");
  EXPECT_THAT(trace, HasSubstr("cond("));
  EXPECT_EQ(f(Tensor({1.f, 2.f}), true).to_vector<float>(), (std::vector<float>{12, 24}));
  EXPECT_EQ(f(Tensor({1.f, 2.f}), false).to_vector<float>(), (std::vector<float>{-9, -18}));
  EXPECT_EQ(f.stats().traces, 1) << "concrete() and both calls";
}

TEST(Cond, GivesStructuresOfTensors) {
  const auto program = [](const Tensor& x, const Tensor& which) {
    return cond(which, [&] { return std::tuple(x, x + 1); }, [&] { return std::tuple(x * x, x); });
  };
  in_all_modes(program, wave({7}), Tensor(true));
  in_all_modes(program, wave({7}), Tensor(false));
}

TEST(Cond, AssignsVariablesInOneArm) {
  for (const bool yes : {true, false}) {
    Variable count(1.f), other(5.f);
    auto f = etch::function([&](Tensor which) {
      cond(which, [&] { count.assign(count + other); }, [&] { other.assign(7.f); });
      return count * 100 + other;
    });
    EXPECT_EQ(f(yes).item<float>(), yes ? 605 : 107);
    EXPECT_EQ(count.value().item<float>(), yes ? 6 : 1);
    EXPECT_EQ(other.value().item<float>(), yes ? 5 : 7);
  }
}

TEST(Cond, NestsInBothArms) {
  const auto program = [](const Tensor& x) {
    const auto sign = [&] { return cond(x > 0, [&] { return x / 2; }, [&] { return x * 3; }); };
    return cond(abs(x) > 10, sign, [&] { return sign() + 1; });
  };
  const std::pair<float, float> cases[] = {{20, 10}, {-20, -60}, {4, 3}, {-4, -11}};
  for (const auto& [x, y] : cases) EXPECT_EQ(in_all_modes(program, Tensor(x)).item<float>(), y) << x;
}

TEST(Cond, RunsOnlyTheArmThatIsTaken) {
  // Indices of the other arm would be an Error.
  const auto program = [](const Tensor& x, const Tensor& i) {
    return cond(i < 3, [&] { return gather(x, i); }, [&] { return sum(x); });
  };
  EXPECT_EQ(in_all_modes(program, Tensor({1.f, 2.f, 4.f}), Tensor(1)).item<float>(), 2);
  EXPECT_EQ(in_all_modes(program, Tensor({1.f, 2.f, 4.f}), Tensor(9)).item<float>(), 7);
}

// ---- while_loop

TEST(WhileLoop, CollatzCountsAsCppDoes) {
  const auto program = [](const Tensor& start) {
    return std::get<1>(while_loop(
        [](const Tensor& n, const Tensor&) { return n != 1; },
        [](const Tensor& n, const Tensor& steps) {
          return std::tuple(where(n % 2 == 0, floor_div(n, 2), 3 * n + 1), steps + 1);
        },
        std::tuple(start, Tensor(int64_t{0}))));
  };
  for (const int64_t start : {1, 7, 27, 97}) {
    int64_t steps = 0;
    for (int64_t n = start; n != 1; n = n % 2 == 0 ? n / 2 : 3 * n + 1) ++steps;
    EXPECT_EQ(in_all_modes(program, Tensor(start)).item<int64_t>(), steps) << start;
  }
}

TEST(WhileLoop, RunsNoTurnWhereTheTestIsFalseAtFirst) {
  const auto program = [](const Tensor& x, const Tensor& n) {
    return while_loop([](const Tensor&, const Tensor& left) { return left > 0; },
                      [](const Tensor& y, const Tensor& left) { return std::tuple(y * 2, left - 1); }, std::tuple(x, n));
  };
  for (const int turns : {0, 1, 2, 5}) {
    const auto [y, left] = in_all_modes(program, wave({9}), Tensor(turns));
    EXPECT_EQ(left.item<int>(), 0);
    EXPECT_EQ(bytes_of(y), bytes_of(wave({9}) * static_cast<float>(1 << turns)));
  }
}

TEST(WhileLoop, ValuesThatChangePlacesStayApart) {
  const auto program = [](const Tensor& a, const Tensor& b, const Tensor& c, const Tensor& n) {
    return while_loop([](const auto&, const auto&, const auto&, const Tensor& left) { return left > 0; },
                      [](const Tensor& x, const Tensor& y, const Tensor& z, const Tensor& left) {
                        return std::tuple(y, z, x + y, left - 1);
                      },
                      std::tuple(a, b, c, n));
  };
  for (const int turns : {0, 1, 2, 3, 10}) {
    float x = 1, y = 2, z = 3;
    for (int i = 0; i < turns; ++i) std::tie(x, y, z) = std::tuple(y, z, x + y);
    const auto [a, b, c, left] =
        in_all_modes(program, full({33}, 1.f), full({33}, 2.f), full({33}, 3.f), Tensor(turns));
    EXPECT_EQ(a.data<float>()[32], x);
    EXPECT_EQ(b.data<float>()[0], y);
    EXPECT_EQ(c.data<float>()[7], z);
  }
}

TEST(WhileLoop, CarriesStructs) {
  struct State {
    Tensor x;
    std::vector<Tensor> rest;
  };
  const auto program = [](const Tensor& x) {
    const State end = while_loop([](const State& s) { return sum(s.x) < 100; },
                                 [](State s) {
                                   s.x = s.x + s.rest[1];
                                   s.rest[0] = s.rest[0] + 1;
                                   return s;
                                 },
                                 State{x, {Tensor(0), x * x}});
    return std::tuple(end.x, end.rest[0]);
  };
  const auto [x, turns] = in_all_modes(program, Tensor({1.f, 2.f, 3.f}));
  EXPECT_EQ(turns.item<int>(), 7);
  EXPECT_EQ(x.to_vector<float>(), (std::vector<float>{8, 30, 66}));
}

TEST(WhileLoop, NewtonEndsByTolerance) {
  const auto program = [](const Tensor& a) {
    return while_loop([&](const Tensor& x) { return abs(x * x - a) > 1e-12 * a; },
                      [&](const Tensor& x) { return 0.5 * (x + a / x); }, a);
  };
  for (const double a : {2.0, 1e6, 0.3}) EXPECT_NEAR(in_all_modes(program, Tensor(a)).item<double>(), std::sqrt(a), 1e-9 * a);
}

TEST(WhileLoop, AssignsVariablesInItsBody) {
  Variable total(1.f);
  auto f = etch::function([&](Tensor n) {
    return while_loop([&](const Tensor& i) { return i < n; },
                      [&](const Tensor& i) {
                        total.assign(total * 2);
                        return i + 1;
                      },
                      Tensor(0));
  });
  EXPECT_EQ(f(5).item<int>(), 5);
  EXPECT_EQ(total.value().item<float>(), 32);
  EXPECT_EQ(f(0).item<int>(), 0);
  EXPECT_EQ(total.value().item<float>(), 32);
}

TEST(WhileLoop, EndsAfterTheMostIterations) {
  const auto program = [](const Tensor& x) {
    return while_loop([](const Tensor&) { return Tensor(true); }, [](const Tensor& y) { return y + 1; }, x,
                      {.max_iterations = 12});
  };
  EXPECT_EQ(in_all_modes(program, Tensor(1)).item<int>(), 13);
}

TEST(WhileLoop, NestsAndStandsInArms) {
  const auto program = [](const Tensor& x, const Tensor& n) {
    return for_range(n, [&](const Tensor& i, const Tensor& y) {
      return cond(i % 2 == 0,
                  [&] { return for_range(i, [&](const Tensor&, const Tensor& z) { return z + x; }, y); },
                  [&] { return y * 0.5f; });
    }, x);
  };
  float expected = 1;
  for (int i = 0; i < 7; ++i) {
    if (i % 2 == 0) {
      for (int j = 0; j < i; ++j) expected += 1;
    } else {
      expected *= 0.5f;
    }
  }
  EXPECT_EQ(in_all_modes(program, ones({70}), Tensor(7)).data<float>()[69], expected);
}

// ---- for_range, scan, map, switch_case, TensorArray

TEST(Scan, OfAdditionsIsCumsum) {
  const auto program = [](const Tensor& xs) {
    return scan([](const Tensor& sum, const Tensor& row) { return std::pair(sum + row, sum + row); }, zeros({5}), xs);
  };
  const Tensor xs = wave({20, 5});
  const auto [last, sums] = in_all_modes(program, xs);
  EXPECT_EQ(bytes_of(sums), bytes_of(0 + cumsum(xs)));
  EXPECT_EQ(bytes_of(last), bytes_of(sums[19]));
}

TEST(Scan, OfNoRowsGivesNone) {
  const auto program = [](const Tensor& xs) {
    return scan([](const Tensor& sum, const Tensor& row) { return std::pair(sum + row, row * 2); }, zeros({5}), xs);
  };
  const auto [last, ys] = in_all_modes(program, zeros({0, 5}));
  EXPECT_EQ(ys.shape(), Shape({0, 5}));
  EXPECT_EQ(last.to_vector<float>(), std::vector<float>(5));
}

TEST(Scan, WritesItsRowsInPlace) {
  auto f = etch::function([](Tensor xs) {
    return scan([](const Tensor& sum, const Tensor& row) { return std::pair(sum + row, sum * row); }, zeros({64}), xs).second;
  });
  // Beside the result there are the sums, and no second [1000, 64].
  const std::string buffers = f.concrete(zeros({1000, 64})).text("buffers");
  const size_t at = buffers.find("scratch memory: ");
  ASSERT_NE(at, std::string::npos) << buffers;
  EXPECT_LT(std::stoll(buffers.substr(at + 16)), 1000 * 64 * 4 / 2);
}

TEST(Map, RunsOnEachRow) {
  const auto program = [](const Tensor& xs) { return map([](const Tensor& row) { return sum(row * row); }, xs); };
  const Tensor xs = wave({11, 8});
  EXPECT_EQ(bytes_of(in_all_modes(program, xs)), bytes_of(sum(xs * xs, {1})));
}

TEST(SwitchCase, TakesTheNumberedCallableOrTheLast) {
  const auto program = [](const Tensor& i, const Tensor& x) {
    return switch_case(i, [&] { return x; }, [&] { return x * 10; }, [&] { return x * 100; });
  };
  const std::pair<int, float> cases[] = {{0, 3}, {1, 30}, {2, 300}, {3, 300}, {-1, 300}};
  for (const auto& [i, y] : cases) EXPECT_EQ(in_all_modes(program, Tensor(i), Tensor(3.f)).item<float>(), y) << i;
}

TEST(TensorArrays, AreWrittenAndReadInLoops) {
  const auto program = [](const Tensor& n) {
    TensorArray squares = TensorArray::of(10, DType::i32, {2});
    squares = for_range(n, [](const Tensor& i, TensorArray array) {
      array.write(i, stack({i * i, i}));
      return array;
    }, squares);
    return std::tuple(squares.stack(), squares.read(3));
  };
  const auto [all, third] = in_all_modes(program, Tensor(5));
  EXPECT_EQ(all.to_vector<int>(), (std::vector<int>{0, 0, 1, 1, 4, 2, 9, 3, 16, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(third.to_vector<int>(), (std::vector<int>{9, 3}));
}

TEST(DynamicRnn, RunsEachSequenceForItsLength) {
  const Tensor w = wave({6, 4}) * 0.5f;
  const auto cell = [&](const Tensor& x, const Tensor& h) {
    const Tensor next = tanh(matmul(concat({x, h}, 1), w));
    return std::pair(next, next);
  };
  const auto program = [&](const Tensor& x, const Tensor& lengths) { return dynamic_rnn(cell, x, zeros({3, 4}), lengths); };
  const Tensor x = wave({3, 5, 2});
  const int lengths[] = {5, 0, 2};
  const auto [ys, last] = in_all_modes(program, x, Tensor({5, 0, 2}));
  EXPECT_EQ(ys.shape(), Shape({3, 5, 4}));
  for (int b = 0; b < 3; ++b) {
    Tensor h = zeros({3, 4});
    for (int t = 0; t < 5; ++t) {
      if (t < lengths[b]) h = cell(x(Slice(), t), h).second;
      const Tensor expected = t < lengths[b] ? h[b] : zeros({4});
      EXPECT_EQ(bytes_of(ys(b, t)), bytes_of(expected)) << b << ", " << t;
    }
    EXPECT_EQ(bytes_of(last[b]), bytes_of(h[b])) << b;
  }
}

TEST(UpdateSlice, ClampsItsIndex) {
  const auto program = [](const Tensor& x, const Tensor& i) {
    return std::tuple(update_slice(x, full({2}, -1.f), i), dynamic_slice(x, i, 2));
  };
  const Tensor x({0.f, 1.f, 2.f, 3.f});
  const std::pair<int, int> cases[] = {{-5, 0}, {0, 0}, {1, 1}, {2, 2}, {3, 2}, {100, 2}};
  for (const auto& [i, start] : cases) {
    const auto [updated, slice] = in_all_modes(program, x, Tensor(i));
    std::vector<float> expected = {0, 1, 2, 3};
    EXPECT_EQ(slice.to_vector<float>(), (std::vector<float>{expected[start], expected[start + 1]})) << i;
    expected[start] = expected[start + 1] = -1;
    EXPECT_EQ(updated.to_vector<float>(), expected) << i;
  }
}

TEST(UpdateSlice, AnUnsignedIndexBeyondAllSignedOnesIsTheLast) {
  const auto program = [](const Tensor& x, const Tensor& i) {
    return std::tuple(update_slice(x, full({2}, -1.f), i), dynamic_slice(x, i, 2));
  };
  const auto [updated, slice] = in_all_modes(program, Tensor({0.f, 1.f, 2.f, 3.f}), Tensor(uint64_t{1} << 63));
  EXPECT_EQ(updated.to_vector<float>(), (std::vector<float>{0, 1, -1, -1}));
  EXPECT_EQ(slice.to_vector<float>(), (std::vector<float>{2, 3}));
}

// ---- A run takes no memory turn by turn

TEST(WhileLoop, AllocatesNothingPerTurn) {
  auto f = etch::function([](Tensor x, Tensor n) {
    return for_range(n, [](const Tensor&, const Tensor& y) { return matmul(y, y) * 0.5f; }, x);
  });
  const Tensor x = eye(16);
  const auto allocations_of = [&](int turns) {
    const Tensor n(turns);
    (void)f(x, n);
    const int64_t before = memory_stats().allocations;
    (void)f(x, n);
    return memory_stats().allocations - before;
  };
  EXPECT_EQ(allocations_of(3), allocations_of(1000));
}

// ---- Errors

TEST(ControlFlowErrors, NameBothSides) {
  const Tensor x({1.f, 2.f, 3.f});
  EXPECT_THAT(error_of([&] {
                etch::function([](Tensor a) { return cond(sum(a) > 0, [&] { return a; }, [&] { return concat({a, a[Slice(0, 1)]}, 0); }); })(x);
              }),
              HasSubstr("cond: the result is f32[3] where the predicate is true and f32[4] where it is false"));
  EXPECT_THAT(error_of([&] {
                etch::function([](Tensor a) {
                  return while_loop([](const Tensor& y) { return y.size() < 9 ? Tensor(true) : Tensor(false); },
                                    [](const Tensor& y) { return concat({y, y}, 0); }, a);
                })(x);
              }),
              HasSubstr("while_loop: tensor 0 of the state is f32[3] before a turn and f32[6] after it"));
  EXPECT_THAT(error_of([&] {
                etch::function([](Tensor a) {
                  return cond(sum(a) > 0, [&] { return sum(a) > 1 ? a : -a; }, [&] { return a; });
                }, {.control_flow = false})(x);
              }),
              HasSubstr("truth of a traced bool[]: a callable of cond is recorded once where control_flow is off, so `if` and loops in it"
                        " cannot depend on tensors; write etch::cond or etch::while_loop there"));
  EXPECT_THAT(error_of([&] { (void)cond(x > 1, [&] { return x; }, [&] { return x; }); }),
              HasSubstr("cond: the predicate is bool[3], not one element"));
  EXPECT_THAT(error_of([&] {
                (void)scan([](const Tensor& s, const std::tuple<Tensor, Tensor>& r) { return std::pair(s, std::get<0>(r)); }, x,
                           std::tuple(zeros({3, 2}), zeros({4, 2})));
              }),
              HasSubstr("scan: one tensor has 3 rows and another one 4"));
}

}  // namespace
}  // namespace etch
