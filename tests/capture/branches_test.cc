// Branches, logic and types: eagerly and captured.
#include "tests/capture/programs.h"

namespace etch {
namespace {

TEST(Branches, if_else) {
  const Outcome outcome = compare([](Tensor x) {
    Tensor y;
    if (x > 0) {
      y = x * 2;
    } else {
      y = -x;
    }
    return y + 1;
  }, one);
  EXPECT_EQ(outcome.runs(), 4);
}

TEST(Branches, if_is_cond) {
  const auto plain = function([](Tensor x) { return x > 0 ? x * 2 : -x; });
  const auto form = function([](Tensor x) { return cond(x > 0, [&] { return x * 2; }, [&] { return -x; }); });
  EXPECT_EQ(without_lines(plain.concrete(Tensor(1.f)).text("trace")), without_lines(form.concrete(Tensor(1.f)).text("trace")));
}

TEST(Branches, if_no_else) {
  const Outcome outcome = compare([](Tensor x) {
    if (x > 0) x = x * 2;
    return x + 1;
  }, one);
  EXPECT_EQ(outcome.runs(), 4);
  EXPECT_EQ(outcome.count("add"), 1);
}

TEST(Branches, else_chain_10) {
  const Outcome outcome = compare([](Tensor x) {
    Tensor y = x;
    for (int i = 0; i < 10; ++i) {
      if (x < -2.f + 0.4f * static_cast<float>(i)) {
        y = x * static_cast<float>(i + 2);
        break;
      }
    }
    return sqrt(abs(y)) + 1;
  }, one);
  EXPECT_EQ(outcome.count("sqrt"), 1);
}

TEST(Branches, nested_if) {
  const Outcome outcome = compare([](Tensor x, Tensor y) {
    if (x > 0) {
      if (y > 0) {
        x = x + y;
      } else {
        x = x - y;
      }
      x = x * 3;
    } else {
      y = y * x;
    }
    return x * y;
  }, two);
  EXPECT_EQ(outcome.count("cond"), 2);
}

Tensor seq_if(Tensor x, int count) {
  for (int i = 0; i < count; ++i) {
    const float by = 0.3f + 0.01f * static_cast<float>(i);
    if (x > by) {
      x = x * 0.5f - by;
    } else {
      x = x + by;
    }
  }
  return x;
}

TEST(Branches, seq_if_12) {
  const Outcome outcome = compare([](Tensor x) { return seq_if(x, 12); }, one);
  EXPECT_EQ(outcome.stats.paths, 4096);
  EXPECT_EQ(outcome.count("cond"), 12);
}

TEST(Branches, seq_if_64) {
  const Outcome outcome = compare([](Tensor x) { return seq_if(x, 64); }, one);
  EXPECT_LT(outcome.runs(), 1000);
  EXPECT_EQ(outcome.count("cond"), 64);
}

TEST(Branches, early_return) {
  const Outcome outcome = compare([](Tensor x) {
    if (x > 0) return x * 2;
    x = exp(x);
    return x + 1;
  }, one);
  EXPECT_EQ(outcome.count("cond"), 1);
}

TEST(Branches, both_return) {
  compare([](Tensor x) {
    if (x > 0) {
      return x * 2;
    } else {
      return x - 1;
    }
  }, one);
}

TEST(Branches, early_returns_8) {
  compare([](Tensor x) {
    for (int i = 0; i < 8; ++i) {
      x = x * 1.1f;
      if (x > static_cast<float>(i) * 0.3f) return x * static_cast<float>(i);
    }
    return -x;
  }, one);
}

TEST(Branches, early_returns_100) {
  compare([](Tensor x) {
    for (int i = 0; i < 100; ++i) {
      x = x * 1.01f;
      if (x > 2.f - static_cast<float>(i) * 0.03f) return x * static_cast<float>(i);
    }
    return -x;
  }, one, 100);
}

TEST(Branches, ternary) {
  compare([](Tensor x) { return (x > 0 ? x * 2 : x) + 1; }, one);
}

TEST(Branches, identical_arms) {
  const Outcome outcome = compare([](Tensor x) {
    const auto twice = [](Tensor y) { return y * 2; };
    return x > 0 ? twice(x) : twice(x);
  }, one);
  EXPECT_EQ(outcome.count("cond"), 0);
}

TEST(Branches, dead_arm) {
  const Outcome outcome = compare([](Tensor x) {
    Tensor unused = x;
    if (x > 0) unused = exp(x);
    return x + 1;
  }, one);
  EXPECT_EQ(outcome.count("cond"), 0);
  EXPECT_EQ(outcome.count("exp"), 0);
}

TEST(Branches, arms_differ_by_constant) {
  const Outcome outcome = compare([](Tensor x) { return x * (x > 0 ? 2.f : 3.f); }, one);
  EXPECT_EQ(outcome.count_after_passes("cond"), 0);
  EXPECT_EQ(outcome.count_after_passes("where"), 1);
}

TEST(Branches, swap_two_results) {
  const Outcome outcome = compare([](Tensor x, Tensor y) {
    if (x > y) std::swap(x, y);
    return std::tuple(x * 2, y);
  }, two);
  EXPECT_EQ(outcome.count("cond"), 1);
}

TEST(Branches, vectors_and_f32_conditions) {
  compare([](Tensor x) {
    if (any(x > 1.f)) x = x - 1;
    if (sum(x)) x = x * 2;            // f32: other than 0
    if (x[{Slice(0, 1)}] > 0) x = -x;   // bool[1]
    return x;
  }, row);
}

TEST(Branches, are_explained) {
  auto f = function([](Tensor x) { return x > 0 ? x * 2 : -x; }, {.name = "demo"});
  const std::string text = without_lines(f.explain(Tensor(1.f)));
  EXPECT_NE(text.find("Control flow\n  the callable ran 4 times, 2 of them to confirm, with "), text.npos) << text;
  EXPECT_NE(text.find("  1 states; proved: all 2 paths were run\n"
                      "  cond at branches_test.cc:LINE: from bool[]; unchanged: args[0] f32[]\n"), text.npos) << text;
}

// ---- Logic

TEST(Logic, and_short_circuit) {
  const Outcome outcome = compare([](Tensor x, Tensor y) { return x > 0 && y > 0 ? x * y : x + y; }, two);
  EXPECT_EQ(outcome.count("logical_and"), 1);
  EXPECT_EQ(outcome.count("cond"), 1);
}

TEST(Logic, or_chain) {
  const Outcome outcome = compare([](Tensor x, Tensor y) { return x > 1 || y > 1 || x + y > 1 ? x : y; }, two);
  EXPECT_EQ(outcome.count("logical_or"), 2);
  EXPECT_EQ(outcome.count("cond"), 1);
}

TEST(Logic, not_and) {
  compare([](Tensor x, Tensor y) {
    if (!(x > 0 && y > 0)) x = x - 5;
    return x;
  }, two);
}

TEST(Logic, dear_right_of_and) {
  const Outcome outcome = compare([](Tensor x, Tensor y) { return x > 0 && sum(matmul(y, y)) > 0 ? x * 2 : x; },
                                  [](std::mt19937& random) {
                                    return std::tuple(random_scalar(random), reshape(random_vector(random, 4), {2, 2}));
                                  });
  EXPECT_EQ(outcome.count("logical_and"), 0) << "the product is only computed where it is asked for";
}

TEST(Logic, cpp_bool_and_tensor) {
  const bool yes = true;
  compare([yes](Tensor x) { return yes && x > 0 ? x * 2 : x; }, one);
}

TEST(Logic, effect_right_of_and) {
  Variable v(0.f);
  compare([v](Tensor x) {
    const auto count = [&](const Tensor& y) {
      v.assign_add(1.f);
      return y > 1;
    };
    Tensor r = x;
    v.assign(0.f);
    if (x > 0 && count(x)) r = x * 2;
    return r + v;
  }, one);
}

TEST(Logic, stored_condition_twice) {
  const Outcome outcome = compare([](Tensor x) {
    const Tensor positive = x > 0;
    if (positive) x = x * 2;
    x = x + 1;
    if (positive) x = x * 3;
    return x;
  }, one);
  EXPECT_EQ(outcome.count("greater"), 1);
}

TEST(Logic, same_flag_no_tensor) {
  compare([](Tensor x) {
    const Tensor positive = x > 0;
    Tensor y;
    if (positive) y = x * 2;
    x = x + 1;
    if (positive) x = x + y;
    return x;
  }, one);
}

// ---- Types

TEST(Types, f32_or_i32) {
  compare([](Tensor x) {
    Tensor y = x > 0 ? cast(x * 3, DType::i32) : x * 3;
    return cast(y * 2, DType::f32);
  }, one);
}

TEST(Types, returns_differ) {
  EXPECT_EQ(without_lines(error_of([](Tensor x) {
    if (any(x > 0)) return x;
    return x[{Slice(0, 3)}];
  }, Tensor({1.f, 2.f, 3.f, 4.f}))),
            "function demo returns f32[3] on the path [branches_test.cc:LINE false] and f32[4] on [branches_test.cc:LINE "
            "true]; all paths must return the same types");
}

TEST(Types, no_tensor_before_branch) {
  EXPECT_EQ(without_lines(error_of([](Tensor x) {
    Tensor y;
    if (x > 0) y = x;
    return x + y;
  }, Tensor(1.f))),
            "branches_test.cc:LINE: add: operand 2 of 2 holds nothing on the path [branches_test.cc:LINE false]; assign it "
            "before the branch");
}

TEST(Types, no_tensor_before_loop) {
  EXPECT_EQ(without_lines(error_of([](Tensor x) {
    Tensor y;
    while (x > 0) {
      x = x - 1;
      y = x;
    }
    return y + 1;
  }, Tensor(1.f))),
            "branches_test.cc:LINE: add: operand 1 of 2 holds nothing on the path [branches_test.cc:LINE false]; assign it "
            "before the branch");
}

TEST(Types, truth_of_many) {
  EXPECT_EQ(without_lines(error_of([](Tensor x) {
    if (x > 0) x = x * 2;
    return x;
  }, Tensor({1.f, 2.f}))),
            "branches_test.cc:LINE: truth of a traced bool[2]: an if or a loop tests one element; reduce it with any() or "
            "all(), use where(), or & and | for elements");
}

TEST(Types, control_flow_off) {
  auto f = function([](Tensor x) { return x > 0 ? x : -x; }, {.name = "demo", .control_flow = false});
  EXPECT_THROW(f(Tensor(1.f)), Error);
}

// ---- Unwinding

struct Balance {
  explicit Balance(int& depth) : depth(depth) { ++depth; }
  ~Balance() { --depth; }
  int& depth;
};

TEST(Unwinding, guard_balanced) {
  static int depth = 0;
  compare([](Tensor x) {
    const Balance balance(depth);
    for (int i = 0; i < 5; ++i) {
      const Balance inner(depth);
      if (x > 1) return x * static_cast<float>(depth);
      x = x * 1.5f;
    }
    return x;
  }, one);
  EXPECT_EQ(depth, 0);
}

TEST(Unwinding, noexcept_loop) {
  compare([](Tensor x) noexcept {
    while (x < 10 && x > 0) x = x * 2;
    return x;
  }, one);
}

TEST(Unwinding, catch_all) {
  compare([](Tensor x) {
    try {
      if (x > 0) x = x * 2;
    } catch (...) {
      x = x * 1000;
    }
    return x;
  }, one);
}

TEST(Unwinding, throw_caught) {
  compare([](Tensor x) {
    try {
      if (x > 0) throw 1;
      x = x - 1;
    } catch (int) {
      x = x * 7;
    }
    return x;
  }, one);
}

TEST(Unwinding, destructor_records) {
  struct Record {
    explicit Record(Tensor& x) : x(x) {}
    ~Record() { x = x * 3; }
    Tensor& x;
  };
  compare([](Tensor x) {
    {
      const Record record(x);
      if (x > 0) x = x + 1;
    }
    return x;
  }, one);
}

TEST(Unwinding, throw_in_arm) {
  EXPECT_EQ(without_lines(error_of([](Tensor x) {
    if (x > 0) throw std::runtime_error("no");
    return x;
  }, Tensor(1.f))),
            "branches_test.cc:LINE: std::runtime_error (\"no\") on the path [branches_test.cc:LINE true]; all paths are run, "
            "also those that no data takes");
}

TEST(Unwinding, index_on_path) {
  EXPECT_EQ(without_lines(error_of([](Tensor x) {
    std::vector<Tensor> list = {x};
    if (x > 0) return list.at(1);
    return x;
  }, Tensor(1.f))).substr(0, 60),
            "branches_test.cc:LINE: std::out_of_range (\"vector::_M_range_");
}

}  // namespace
}  // namespace etch
