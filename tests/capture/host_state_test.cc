// Host state, impure programs and variables: eagerly and captured.
#include <chrono>
#include <map>
#include <memory>

#include "tests/capture/programs.h"

namespace etch {
namespace {

TEST(HostState, int_used_far) {
  const Outcome outcome = compare([](Tensor x) {
    int k = 1;
    if (x > 0) k = 2;
    x = exp(x);
    return x * static_cast<float>(k);
  }, one);
  EXPECT_EQ(outcome.count("exp"), 2);
}

TEST(HostState, count_of_12) {
  compare([](Tensor x) {
    int k = 0;
    for (int i = 0; i < 12; ++i) {
      if (x > static_cast<float>(i) * 0.2f - 1) ++k;
    }
    return x * static_cast<float>(k);
  }, one);
}

TEST(HostState, mask_12) {
  const std::string text = error_of([](Tensor x) {
    int mask = 0;
    for (int i = 0; i < 12; ++i) {
      if (x > static_cast<float>(i) * 0.2f - 1) mask |= 1 << i;
    }
    return x * static_cast<float>(mask);
  }, Tensor(1.f));
  EXPECT_NE(text.find("function demo: its control flow has more than"), text.npos) << text;
}

TEST(HostState, pointer_alias) {
  compare([](Tensor x, Tensor y) {
    Tensor* const chosen = x > y ? &x : &y;
    *chosen = *chosen * 2;
    return x + y * 3;
  }, two);
}

template <int kCount>
Tensor secret_pattern(Tensor x) {
  int pattern = 0;
  for (int i = 0; i < kCount; ++i) {
    pattern = 2 * pattern + (x > static_cast<float>(i) * 0.4f - 1 ? 1 : 0);
    x = x * 1.1f;
  }
  return pattern == 0b10110 % (1 << kCount) ? x * 1000 : x;
}

TEST(HostState, secret_pattern_5) {
  const Outcome outcome = compare(secret_pattern<5>, one);
  EXPECT_EQ(outcome.stats.paths, 32);
}

TEST(HostState, secret_pattern_8) {
  const Outcome outcome = compare(secret_pattern<8>, one);
  EXPECT_EQ(outcome.stats.paths, 256);
}

TEST(HostState, parity) {
  compare([](Tensor n, Tensor x) {
    bool odd = false;
    while (n > 0) {
      n = n - 1;
      x = odd ? x * 0.5f : x + 1;
      odd = !odd;
    }
    return x;
  }, counted);
}

TEST(HostState, mod_7) {
  const Outcome outcome = compare([](Tensor n, Tensor x) {
    int k = 0;
    while (n > 0) {
      n = n - 1;
      x = x + static_cast<float>(k);
      k = (k + 1) % 7;
    }
    return x;
  }, [](std::mt19937& random) { return std::tuple(random_int(random, 0, 30), random_scalar(random)); });
  EXPECT_EQ(outcome.count("while_loop"), 1);
}

TEST(HostState, warm_up_37) {
  compare([](Tensor n, Tensor x) {
    int k = 0;
    while (n > 0) {
      n = n - 1;
      x = k++ < 37 ? x + 0.1f : x * 0.9f;
    }
    return x;
  }, [](std::mt19937& random) { return std::tuple(random_int(random, 0, 90), random_scalar(random)); });
}

TEST(HostState, ring_buffer_4) {
  compare([](Tensor n, Tensor x) {
    std::array<Tensor, 4> ring = {x, x, x, x};
    int at = 0;
    while (n > 0) {
      n = n - 1;
      x = x * 1.1f + ring[(at + 1) % 4];
      ring[at] = x;
      at = (at + 1) % 4;
    }
    return x;
  }, counted);
}

TEST(HostState, vector_last_3) {
  compare([](Tensor n, Tensor x) {
    std::vector<Tensor> last;
    while (n > 0) {
      n = n - 1;
      x = x * 1.5f;
      last.push_back(x);
      if (last.size() > 3) last.erase(last.begin());
    }
    Tensor total = x;
    for (const Tensor& one : last) total = total + one;
    return total;
  }, counted);
}

TEST(HostState, vector_front) {
  compare([](Tensor n, Tensor x) {
    std::vector<Tensor> all;
    do {
      n = n - 1;
      x = x * 1.5f;
      all.push_back(x);
    } while (n > 0);
    return all.front() + x;
  }, counted);
}

TEST(HostState, vector_sum) {
  const std::string text = error_of([](Tensor n, Tensor x) {
    std::vector<Tensor> all = {x};
    while (n > 0) {
      n = n - 1;
      x = x * 1.5f;
      all.push_back(x);
    }
    Tensor total = all[0];
    for (size_t i = 1; i < all.size(); ++i) total = total + all[i];
    return total;
  }, Tensor(3), Tensor(1.f));
  EXPECT_NE(text.find("is longer after every turn"), text.npos) << text;
}

TEST(HostState, map_keyed) {
  compare([](Tensor x, Tensor y) {
    std::map<std::string, Tensor> named = {{"a", x}, {"b", y}};
    const std::string key = x > y ? "a" : "b";
    named[key] = named[key] * 3;
    return named["a"] - named["b"];
  }, two);
}

struct Pair {
  Tensor first, second;
  int steps = 0;
};

TEST(HostState, struct_members) {
  compare([](Tensor x, Tensor y) {
    Pair pair{x, y};
    if (pair.first > 0) {
      pair.second = pair.second + 1;
      pair.steps = 3;
    }
    return pair.first * static_cast<float>(pair.steps) + pair.second;
  }, two);
}

TEST(HostState, shared_ptr) {
  compare([](Tensor n, Tensor x) {
    auto state = std::make_shared<Pair>(Pair{x, x});
    while (n > 0) {
      n = n - 1;
      state = std::make_shared<Pair>(Pair{state->second, state->first * 2});
    }
    return state->first - state->second;
  }, counted);
}

TEST(HostState, mutable_lambda) {
  auto f = function([k = 1](Tensor x) mutable {
    if (x > 0) k += 2;
    ++k;
    return x * static_cast<float>(k);
  }, {.name = "demo"});
  EXPECT_EQ(f(Tensor(1.f)).item<float>(), 4);
  EXPECT_EQ(f(Tensor(-1.f)).item<float>(), -2);
}

TEST(HostState, literal_in_lambda) {
  compare([](Tensor n, Tensor) {
    Tensor x = {1.f, 2.f};
    while (n > 0) {
      n = n - 1;
      x = x * Tensor({0.5f, 1.5f});
    }
    return x;
  }, counted);
}

TEST(HostState, captures_stay_apart) {
  const Tensor a = zeros({2}), b = zeros({2});
  auto f = function([a, b](Tensor x) { return x > 0 ? a + x : b - x; }, {.name = "demo"});
  EXPECT_EQ(f(Tensor(1.f)).to_vector<float>()[0], 1);
  EXPECT_EQ(f.concrete(Tensor(1.f)).num_captures(), 2);
}

TEST(HostState, first_flag) {
  compare([](Tensor x, Tensor y) {
    bool first = true;
    Tensor total = x;
    for (const Tensor& one : {x, y, x * y}) {
      if (one > 0) {
        total = first ? one : total + one;
        first = false;
      }
    }
    return first ? total - 1 : total;
  }, two);
}

struct Model {
  Tensor scale = Tensor(2.f);
  int limit = 3;

  Tensor forward(Tensor x) {
    for (int i = 0; i < limit; ++i) {
      if (x > 1) break;
      x = x * scale;
    }
    return x;
  }
};

TEST(HostState, member_function) {
  Model model;
  auto f = function(&Model::forward, &model, {.name = "demo"});
  EXPECT_EQ(f(Tensor(0.25f)).item<float>(), 2);
  model.scale = Tensor(3.f);
  EXPECT_EQ(f(Tensor(0.25f)).item<float>(), 2.25f);
  model.limit = 1;
  EXPECT_EQ(f(Tensor(0.25f)).item<float>(), 0.75f);
}

TEST(HostState, traced_twice) {
  const auto program = [](Tensor n, Tensor x) {
    while (n > 0) {
      n = n - 1;
      x = x > 0 ? x * 0.5f : x + Tensor({1.f, 2.f})[0];
    }
    return x;
  };
  compare(program, counted, 20, {.trace_twice = true, .check_captures = true});
}

// ---- Impure

TEST(Impure, static_counter) {
  static int calls = 0;
  const std::string text = error_of([](Tensor x) {
    ++calls;
    if (x > 0) x = x * static_cast<float>(calls);
    return x + static_cast<float>(calls);
  }, Tensor(1.f));
  EXPECT_NE(text.find("function demo behaved differently under the same decisions"), text.npos) << text;
}

TEST(Impure, random) {
  static std::mt19937 random(1);
  const std::string text = error_of([](Tensor x) {
    if (x > 0) x = x * static_cast<float>(random());
    return x + static_cast<float>(random());
  }, Tensor(1.f));
  EXPECT_NE(text.find("function demo behaved differently under the same decisions"), text.npos) << text;
}

TEST(Impure, clock) {
  const std::string text = error_of([](Tensor x) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    if (x > 0) x = x * static_cast<double>(now);
    return x + static_cast<float>(now % 1000003);
  }, Tensor(1.f));
  EXPECT_NE(text.find("function demo behaved differently under the same decisions"), text.npos) << text;
}

TEST(Impure, leaked_tensor) {
  static Tensor kept;
  const std::string text = error_of([](Tensor x) {
    if (x > 0) x = x * 2;
    if (kept.defined()) x = x + kept;
    kept = x;
    return x;
  }, Tensor(1.f));
  EXPECT_NE(text.find("escaped"), text.npos) << text;
  kept = Tensor();
}

TEST(Impure, memo_in_static) {
  static Tensor memo;
  const std::string text = error_of([](Tensor x) {
    if (!memo.defined()) memo = x * 2;
    return x > 0 ? x + memo : x;
  }, Tensor(1.f));
  EXPECT_NE(text.find("escaped"), text.npos) << text;
  memo = Tensor();
}

// ---- Variables

using Variables = std::vector<Variable>;

TEST(State, variable_in_arms) {
  compare_state({Tensor(1.f), Tensor(2.f)}, [](const Variables& v) {
    return [v](Tensor x) {
      if (x > 0) {
        v[0].assign_add(x);
      } else {
        v[1].assign(v[0] * x);
      }
      return v[0] + v[1];
    };
  }, one);
}

TEST(State, variable_in_loop) {
  compare_state({Tensor(1.f)}, [](const Variables& v) {
    return [v](Tensor n, Tensor x) {
      while (n > 0) {
        v[0].assign(v[0] * 0.5f + x);
        n = n - 1;
      }
      return v[0] + 0.f;
    };
  }, counted);
}

TEST(State, train_loop) {
  compare_state({Tensor(0.f)}, [](const Variables& v) {
    return [v](Tensor steps, Tensor target) {
      Tensor error(1.f), i(0);
      while (i < steps) {
        error = v[0] - target;
        if (abs(error) < 0.01f) break;
        v[0].assign_sub(error * 0.5f);
        ++i;
      }
      return std::tuple(i, error);
    };
  }, counted);
}

TEST(State, tensor_array) {
  const Outcome outcome = compare([](Tensor n, Tensor x) {
    TensorArray rows = TensorArray::of(10, DType::f32, {});
    const auto note = [&](const Tensor& i) {
      x = x * 1.5f;
      rows.write(i, x);
    };
    Tensor i(0);
    while (i < n) {
      note(i);
      if (x > 4) break;
      ++i;
    }
    return std::tuple(rows.stack(), rows.read(i));
  }, counted);
  EXPECT_EQ(outcome.count("while_loop"), 1);
}

TEST(State, dynamic_rnn) {
  compare([](Tensor lengths, Tensor x) {
    const auto cell = [](const Tensor& row, const Tensor& h) {
      const Tensor next = tanh(h * 0.5f + row);
      return std::pair(next * 2, next);
    };
    auto [ys, last] = dynamic_rnn(cell, x, zeros({3, 2}), lengths);
    if (sum(last) > 0) {
      ys = ys + 1;
    } else {
      last = last * 2;
    }
    return std::tuple(ys, last);
  }, [](std::mt19937& random) {
    const auto length = [&] { return std::uniform_int_distribution<int>(0, 5)(random); };
    return std::tuple(Tensor({length(), length(), length()}), reshape(random_vector(random, 30), {3, 5, 2}));
  });
}

TEST(State, nested_function) {
  auto inner = function([](Tensor x) { return x > 0 ? x * 2 : x - 1; }, {.name = "inner"});
  compare([inner](Tensor n, Tensor x) {
    while (n > 0) {
      n = n - 1;
      x = inner(x);
    }
    return x;
  }, counted);
}

}  // namespace
}  // namespace etch
