// Gradients through loops whose turns only data tells, through plain control flow, and tapes inside of it: the same bits as
// those of the eager run, with a tape around the traced function and with one in it.
#include <gmock/gmock.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "tests/control_flow/modes.h"

namespace etch {
namespace {

using testing::HasSubstr;

/// The value of f(xs) and its gradients in them.
template <class F>
std::vector<Tensor> with_gradients(const F& f, const std::vector<Tensor>& xs) {
  GradientTape tape;
  tape.watch(xs);
  const Tensor y = f(xs);
  std::vector<Tensor> results = tape.gradient(y, xs, {.unconnected = Unconnected::zeros});
  results.push_back(y);
  return results;
}

Tensor random_tensor(std::mt19937& random, const Shape& shape, DType dtype, double low, double high) {
  std::vector<double> values(static_cast<size_t>(shape.product()));
  for (double& value : values) value = std::uniform_real_distribution<double>(low, high)(random);
  return cast(Tensor::from(values, shape), dtype);
}

/// Compares the eager run of f(vector of tensors), a tape around the traced f and, unless a loop that tensors end stands
/// in it, a tape inside of a traced function.
template <class F>
void compare(F f, const std::vector<Shape>& shapes, bool tape_inside, double low = -2, double high = 2, int calls = 20) {
  auto traced = etch::function([f](const std::vector<Tensor>& xs) { return f(xs); });
  auto inside = etch::function([f](const std::vector<Tensor>& xs) { return with_gradients(f, xs); });
  std::mt19937 random(5);
  for (int call = 0; call < calls; ++call) {
    std::vector<Tensor> xs;
    for (const Shape& shape : shapes) xs.push_back(random_tensor(random, shape, DType::f32, low, high));
    const std::vector<std::string> expected = all_bytes(with_gradients(f, xs));
    ASSERT_EQ(all_bytes(with_gradients(traced, xs)), expected) << "a tape around it, call " << call;
    if (tape_inside) {
      ASSERT_EQ(all_bytes(inside(xs)), expected) << "a tape inside, call " << call;
    }
  }
}

/// The results of a derivative of a derivative, whose sums an eager tape rounds in another order.
template <class F, class... Args>
void expect_near(F program, const Args&... args) {
  const std::vector<float> expected = program(args...).template to_vector<float>();
  auto traced = etch::function([program](Args... a) { return program(a...); });
  const std::vector<float> found = traced(args...).template to_vector<float>();
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-5 * std::abs(expected[i])) << i;
}

int64_t scratch_bytes(const std::string& report) {
  const std::string name = "scratch memory: ";
  const size_t at = report.find(name);
  EXPECT_NE(at, report.npos);
  return at == report.npos ? -1 : std::atoll(report.c_str() + at + name.size());
}

TEST(Gradient, if) {
  compare([](const std::vector<Tensor>& v) -> Tensor {
    const Tensor y = sum(v[0] * v[1]);
    if (y > 0) return sum(sin(v[0]) * v[1] + v[0] / 3) * 0.3f + y;
    return sum(exp(v[0]) * v[1]) - y + sum(v[1] * 0.7f);
  }, {{5}, {5}}, true);
}

TEST(Gradient, if_with_code_behind) {
  compare([](const std::vector<Tensor>& v) {
    Tensor h = tanh(v[0] * v[1]);
    if (sum(h) > 0.5f) {
      h = h * v[1] + 1;
    } else {
      h = h - v[0];
    }
    Tensor loss = sum(h * h) + sum(v[1] * v[1]) * 0.01f;
    if (loss > 3) loss = log(loss) * v[1][0];
    return loss;
  }, {{4}, {4}}, true);
}

TEST(Gradient, while) {
  auto root = [](const std::vector<Tensor>& v) {
    Tensor x = v[0] * 0.5f;
    while (abs(x * x - v[0]) > 1e-5f * v[0]) x = 0.5f * (x + v[0] / x);
    return x;
  };
  compare(root, {{}}, false, 0.5, 200);
  const Tensor a(9.0);
  const double slope = with_gradients(etch::function([root](const std::vector<Tensor>& v) { return root(v); }), {a})[0].item<double>();
  EXPECT_NEAR(slope, 1.0 / 6, 1e-4);
}

TEST(Gradient, while_in_any_form) {
  // The count follows from the data; a state of two tensors, one of them a matrix, and an invariant.
  const auto program = [](const Tensor& w, const Tensor& x) {
    return grad([&](const Tensor& v) {
      const auto [h, n] = while_loop([](const Tensor& h, const Tensor& n) { return logical_and(sum(h * h) < 40, n < 60); },
                                     [&](const Tensor& h, const Tensor& n) { return std::tuple(matmul(h, v) + sin(h) * 0.5f, n + 1); },
                                     std::tuple(x, Tensor(0)));
      return sum(h * 0.3f) + sum(v * v) + cast(n, DType::f32);
    })(w);
  };
  std::mt19937 random(3);
  for (int i = 0; i < 3; ++i) {
    in_all_modes(program, random_tensor(random, {4, 4}, DType::f32, -0.9, 0.9), random_tensor(random, {2, 4}, DType::f32, -1, 1));
  }
}

TEST(Gradient, no_turns) {
  const auto program = [](const Tensor& x) {
    return grad([](const Tensor& y) {
      return sum(while_loop([](const Tensor& z) { return sum(z) < 0; }, [](const Tensor& z) { return z * z; }, y) * 3);
    })(x);
  };
  EXPECT_EQ(in_all_modes(program, Tensor({1.f, 2.f})).to_vector<float>(), (std::vector<float>{3, 3}));
}

TEST(Gradient, nested) {
  compare([](const std::vector<Tensor>& v) {
    Tensor x = v[0], total = v[1] * 0.1f;
    while (sum(x) < 30) {
      Tensor y = x;
      while (sum(y) > 4) y = y * 0.5f;
      total = total + sum(y * v[1]) * v[1];
      x = x * 1.5f + abs(v[1]) + 0.3f;
    }
    return sum(total);
  }, {{3}, {3}}, false);
}

TEST(Gradient, break) {
  compare([](const std::vector<Tensor>& v) {
    Tensor x = v[0], i = Tensor(0);
    while (i < 30) {
      x = x * v[1] + 0.25f;
      if (sum(x * x) > 50) break;
      if (sum(x) > 0) x = x + v[0] * 0.1f;
      i += 1;
    }
    return sum(x * v[1]);
  }, {{3}, {3}}, false);
}

TEST(Gradient, sum_without_stack) {
  // d/dw of sum over i < n of w * x[i] * i: nothing of the sum is read.
  const auto program = [](const Tensor& w, const Tensor& x, const Tensor& n) {
    return grad([&](const Tensor& v) {
      return std::get<1>(while_loop([&](const Tensor& i, const Tensor&) { return i < n; },
                                    [&](const Tensor& i, const Tensor& s) { return std::tuple(i + 1, s + v * gather(x, i) * cast(i, DType::f32)); },
                                    std::tuple(Tensor(int64_t{0}), Tensor(0.f))));
    })(w);
  };
  const Tensor w(2.f), x({1.f, 2.f, 3.f, 4.f}), n(int64_t{4});
  EXPECT_EQ(in_all_modes(program, w, x, n).item<float>(), 2 + 6 + 12);
  auto f = etch::function([&](Tensor a, Tensor b, Tensor c) { return program(a, b, c); });
  const std::string graph = f.concrete(w, x, n).text("graph");
  EXPECT_EQ(graph.find("update_slice"), graph.npos) << graph;
}

TEST(Gradient, second_order) {
  const auto power = [](const Tensor& y) {  // y^2, ^4, ^8, .. until it is above 100
    return while_loop([](const Tensor& z) { return z < 100; }, [](const Tensor& z) { return z * z; }, y);
  };
  const auto program = [&](const Tensor& x) { return grad(grad(power))(x); };
  EXPECT_EQ(in_all_modes(program, Tensor(2.f)).item<float>(), 8 * 7 * 64) << "of x^8";
  const auto mixed = [](const Tensor& x) {
    return grad([](const Tensor& w) {
      return sum(square(grad([](const Tensor& v) {
        return sum(std::get<0>(while_loop([](const Tensor& h, const Tensor&) { return sum(h * h) < 9; },
                                          [&](const Tensor& h, const Tensor& n) { return std::tuple(h + sin(h) * v, n + 1); },
                                          std::tuple(v * 0.5f, Tensor(0)))));
      })(w)));
    })(x);
  };
  expect_near(mixed, Tensor({0.6f, 0.9f}));
}

TEST(Gradient, forward_over_reverse) {
  const auto loss = [](const Tensor& v) {
    return sum(while_loop([](const Tensor& h) { return sum(h * h) < 9; }, [&](const Tensor& h) { return h + sin(h) * v; }, v * 0.5f));
  };
  const auto program = [&](const Tensor& x, const Tensor& along) { return jvp(grad(loss), x, along).second; };
  expect_near(program, Tensor({0.6f, 0.9f}), Tensor({1.f, -0.5f}));
  const auto forward = [&](const Tensor& x, const Tensor& along) { return jvp(loss, x, along).second; };
  expect_near(forward, Tensor({0.6f, 0.9f}), Tensor({1.f, -0.5f}));
}

TEST(Gradient, checkpoint) {
  const auto program = [](int64_t checkpoint) {
    return [checkpoint](const Tensor& x, const Tensor& w) {
      return grad([&](const std::tuple<Tensor, Tensor>& both) {
        const auto& [a, b] = both;
        const Tensor end = for_range(100, [&](const Tensor& i, const Tensor& h) {
          return tanh(h * b + cast(i, DType::f32) * 0.01f);
        }, a, {.checkpoint = checkpoint});
        return sum(end);
      })(std::tuple(x, w));
    };
  };
  const Tensor x({0.1f, -0.4f, 2.f}), w({1.3f, 0.9f, -1.1f});
  const std::vector<std::string> expected = all_bytes(in_all_modes(program(0), x, w));
  for (const int64_t turns : {1, 7, 10, 100, 1000}) {
    EXPECT_EQ(all_bytes(in_all_modes(program(turns), x, w)), expected) << turns;
  }
  auto f = etch::function([&](Tensor a, Tensor b) { return program(10)(a, b); });
  const std::string graph = f.concrete(x, w).text("trace");
  EXPECT_THAT(graph, HasSubstr("checkpoint=10"));
  EXPECT_THAT(graph, HasSubstr("f32[11,3]")) << "a row for each 10 turns";
  EXPECT_THAT(graph, HasSubstr("f32[10,3]")) << "and those of 10 turns";
  EXPECT_EQ(graph.find("f32[100,3]"), graph.npos);
}

TEST(Gradient, checkpoint_of_a_count_from_data) {
  for (const int64_t turns : {0, 3, 64}) {
    const auto program = [turns](const Tensor& x, const Tensor& n) {
      return grad([&](const Tensor& v) {
        return sum(std::get<1>(while_loop([&](const Tensor& i, const Tensor&) { return i < n; },
                                          [&](const Tensor& i, const Tensor& h) { return std::tuple(i + 1, sin(h * v) + v); },
                                          std::tuple(Tensor(0), v), {.checkpoint = turns})));
      })(x);
    };
    auto traced = etch::function([program](Tensor x, Tensor n) { return program(x, n); });
    const Tensor x({0.3f, 1.2f});
    for (const int n : {0, 1, 5, 200}) EXPECT_EQ(bytes_of(traced(x, Tensor(n))), bytes_of(program(x, Tensor(n)))) << n << " turns";
  }
}

TEST(Gradient, many_stretches_of_a_large_state) {
  // 8 rows of 2 MiB are fewer than its turns: rows are thinned, and stretches are run again from their rows, which are thinned too.
  const auto program = [](const Tensor& x, const Tensor& n) {
    return grad([&](const Tensor& v) {
      return sum(std::get<1>(while_loop([&](const Tensor& i, const Tensor&) { return i < n; },
                                        [&](const Tensor& i, const Tensor& h) { return std::tuple(i + 1, h * v + h * h * 0.01f); },
                                        std::tuple(Tensor(0), v * 0.5f))));
    })(x);
  };
  const Tensor x = sin(cast(range(int64_t{1} << 19), DType::f32)) * 0.9f;
  auto f = etch::function([&](Tensor a, Tensor b) { return program(a, b); });
  for (const int n : {7, 8, 9, 70}) {
    const Tensor turns(n);
    EXPECT_TRUE(bytes_of(f(x, turns)) == bytes_of(program(x, turns))) << n << " turns";
  }
}

TEST(Gradient, million_turns_in_bounded_memory) {
  const auto program = [](const Tensor& x, const Tensor& n) {
    return grad([&](const Tensor& v) {
      return std::get<1>(while_loop([&](const Tensor& i, const Tensor&) { return i < n; },
                                    [&](const Tensor& i, const Tensor& z) { return std::tuple(i + 1, z + v * (1 - z * z)); },
                                    std::tuple(Tensor(int64_t{0}), Tensor(0.0))));
    })(x);
  };
  const int64_t turns = 1'000'000;
  const double x = 1e-6;
  auto f = etch::function([&](Tensor a, Tensor n) { return program(a, n); });
  const double found = f(Tensor(x), Tensor(turns)).item<double>();
  // The same in C++, with all states.
  std::vector<double> states = {0};
  for (int64_t i = 0; i < turns; ++i) states.push_back(states.back() + x * (1 - states.back() * states.back()));
  double of_z = 1, of_x = 0;
  for (int64_t i = turns - 1; i >= 0; --i) {
    of_x += of_z * (1 - states[i] * states[i]);
    of_z *= 1 - 2 * x * states[i];
  }
  EXPECT_NEAR(found, of_x, 1e-7 * of_x);
  EXPECT_LT(scratch_bytes(f.concrete(Tensor(x), Tensor(turns)).text("buffers")), 1'000'000) << "all states take 8 MB";
}

TEST(Gradient, jacobian_of_map) {
  const auto program = [](const Tensor& x) {
    GradientTape tape({.persistent = true});
    tape.watch(x);
    const Tensor y = map([](const Tensor& row) {
      return cond(sum(row) > 0, [&] { return row * row; }, [&] { return sin(row) * row[0]; });
    }, x);
    return tape.jacobian(y, x);
  };
  std::mt19937 random(9);
  const Tensor x = random_tensor(random, {3, 2}, DType::f32, -1, 1);
  EXPECT_EQ(in_all_modes(program, x).shape(), (Shape{3, 2, 3, 2}));
}

TEST(Gradient, jacobian_of_plain_control_flow) {
  auto f = etch::function([](Tensor x) {
    Tensor y = x * 1.5f;
    while (sum(y * y) < 10) y = y * 2 + sin(x);
    return y;
  });
  const auto jacobian = [](const auto& g, const Tensor& x) {
    GradientTape tape({.persistent = true});
    tape.watch(x);
    const Tensor y = g(x);
    return tape.jacobian(y, x);
  };
  const auto plain = [](const Tensor& x) {
    Tensor y = x * 1.5f;
    while (sum(y * y) < 10) y = y * 2 + sin(x);
    return y;
  };
  const Tensor x({0.3f, -0.2f, 0.7f});
  EXPECT_EQ(bytes_of(jacobian(f, x)), bytes_of(jacobian(plain, x)));
}

/// What a tape around f(x) gives in a variable and x, f eager and traced. The variable begins as `start`.
template <class F>
void compare_in_variable(F f, Variable& w, const Tensor& start, const Tensor& x) {
  const auto run = [&](const auto& g) {
    w.assign(start);
    GradientTape tape;
    tape.watch(x);
    const Tensor y = g(x);
    const auto [dw, dx] = tape.gradient(y, std::tuple(w, x));
    return std::vector<std::string>{bytes_of(y), bytes_of(dw), bytes_of(dx), bytes_of(w.value())};
  };
  auto traced = etch::function(f);
  EXPECT_EQ(run(traced), run(f));
}

TEST(Gradient, of_variables_that_arms_and_loops_read) {
  Variable w({0.9f, -1.2f});
  for (const float first : {0.3f, -0.4f, 2.f}) {
    compare_in_variable([&](const Tensor& x) {
      Tensor y = x * 0.5f;
      while (sum(y * y) < 10) {
        y = y * w + 0.5f;
        if (sum(y) < 0.2f) y = y - w * 0.7f;
      }
      return sum(y * w);
    }, w, Tensor({1.3f, -1.2f}), Tensor({first, 1.f}));
  }
}

TEST(Gradient, stops_at_assignments_in_loops) {
  Variable w({0.9f, -1.2f});
  compare_in_variable([&](const Tensor& x) {
    Tensor y = Tensor(0.f), n = Tensor(0);
    while (n < 4) {
      y = y + sum(w * sin(x));
      w.assign(w * 0.5f + x);
      n += 1;
    }
    return y;
  }, w, Tensor({1.3f, -1.2f}), Tensor({0.4f, 1.f}));
}

// ---- Tapes inside of plain control flow

TEST(TapeInside, training_loop_with_early_stop) {
  const auto train = [](Tensor w, Tensor xs, Tensor ys) {
    Tensor turns = Tensor(0);
    while (turns < 200) {
      GradientTape tape;
      tape.watch(w);
      const Tensor loss = mean(square(matmul(xs, w) - ys));
      if (loss < 1e-3f) break;
      w = w - 0.1f * tape.gradient(loss, w);
      turns += 1;
    }
    return std::tuple(w, turns);
  };
  std::mt19937 random(2);
  auto traced = etch::function(train);
  for (int i = 0; i < 5; ++i) {
    const Tensor w = random_tensor(random, {3, 1}, DType::f32, -1, 1), xs = random_tensor(random, {8, 3}, DType::f32, -1, 1);
    const Tensor ys = matmul(xs, Tensor::from(std::vector<float>{1, -2, 0.5f}, {3, 1}));
    EXPECT_EQ(all_bytes(traced(w, xs, ys)), all_bytes(train(w, xs, ys))) << i;
  }
  EXPECT_EQ(traced.stats().traces, 1);
}

TEST(TapeInside, training_loop_of_variables) {
  Variable w({0.5f, -0.25f}), b(0.f);
  const auto train = [&](const Tensor& xs, const Tensor& ys) {
    Tensor last = Tensor(1e9f);
    for (Tensor i = Tensor(0); i < 100; i += 1) {
      GradientTape tape;
      const Tensor loss = mean(square(sum(xs * w, {1}) + b - ys));
      const auto [dw, db] = tape.gradient(loss, std::tuple(w, b));
      if (last - loss < 1e-5f) break;
      w -= 0.2f * dw;
      b -= 0.2f * db;
      last = loss;
    }
    return last;
  };
  std::mt19937 random(4);
  const Tensor xs = random_tensor(random, {16, 2}, DType::f32, -1, 1), ys = sum(xs, {1}) * 0.5f + 0.125f;
  const auto run = [&](auto& f) {
    w.assign(Tensor({0.5f, -0.25f}));
    b.assign(Tensor(0.f));
    const Tensor last = f(xs, ys);
    return std::vector<std::string>{bytes_of(last), bytes_of(w.value()), bytes_of(b.value())};
  };
  auto traced = etch::function(train);
  EXPECT_EQ(run(traced), run(train));
}

TEST(TapeInside, in_an_arm) {
  const auto program = [](Tensor x) {
    if (sum(x) > 0) {
      GradientTape tape;
      tape.watch(x);
      const Tensor y = sum(x * x * x);
      return tape.gradient(y, x);
    }
    return x;
  };
  auto traced = etch::function(program);
  for (const float first : {1.f, -4.f}) {
    const Tensor x({first, 2.f});
    EXPECT_EQ(bytes_of(traced(x)), bytes_of(program(x)));
  }
}

TEST(TapeInside, forward_outside_of_the_arm) {
  Variable w({1.f, 2.f});
  const auto program = [&](Tensor x) {
    GradientTape tape;
    const Tensor y = sum(w * w * x);
    if (y > 3) return tape.gradient(y, w);
    return x;
  };
  auto traced = etch::function(program);
  for (const float first : {1.f, -4.f}) {
    const Tensor x({first, 2.f});
    EXPECT_EQ(bytes_of(traced(x)), bytes_of(program(x)));
  }
}

TEST(TapeInside, second_derivative) {
  const auto program = [](Tensor x) {
    const auto f = [](const Tensor& y) -> Tensor {
      if (y > 0) return y * y * y;
      return y * y;
    };
    return grad(grad(f))(x);
  };
  auto traced = etch::function(program);
  EXPECT_EQ(traced(Tensor(2.f)).item<float>(), 12);
  EXPECT_EQ(traced(Tensor(-2.f)).item<float>(), 2);
}

TEST(TapeInside, custom_gradient) {
  const auto twice = custom_gradient([](const Tensor& x) {
    return std::pair(x * 1, [](const Tensor& g) { return g * 2; });
  });
  const auto program = [twice](Tensor x) {
    GradientTape tape;
    tape.watch(x);
    Tensor y = twice(x) * x;
    if (sum(y) > 3) y = twice(y);
    return tape.gradient(sum(y), x);
  };
  auto traced = etch::function(program);
  for (const float first : {3.f, 0.5f}) {
    const Tensor x({first, 1.f});
    EXPECT_EQ(traced(x).to_vector<float>(), program(x).to_vector<float>());
  }
}

TEST(TapeInside, watches_and_pauses_as_the_eager_one) {
  const auto program = [](Tensor x) {
    GradientTape tape;
    Tensor before = x * x;  // not recorded: x is watched later
    tape.watch(x);
    Tensor y = before * x;
    if (sum(y) > 0) {
      const auto pause = tape.stop_recording();
      y = y + x * 100;
    }
    return tape.gradient(sum(y * x), x);
  };
  auto traced = etch::function(program);
  for (const float first : {3.f, -3.f}) {
    const Tensor x({first, 1.f});
    EXPECT_EQ(bytes_of(traced(x)), bytes_of(program(x)));
  }
}

TEST(TapeInside, explicit_loops) {
  const auto program = [](Tensor x) {
    if (sum(x) < 0) x = -x;
    GradientTape tape;
    tape.watch(x);
    const Tensor y = while_loop([](const Tensor& h) { return sum(h * h) < 50; }, [&](const Tensor& h) { return h * 1.5f + sin(x); }, x * 0.5f);
    return tape.gradient(sum(y), x);
  };
  auto traced = etch::function(program);
  for (const float first : {3.f, -3.f}) {
    const Tensor x({first, 1.f});
    EXPECT_EQ(bytes_of(traced(x)), bytes_of(program(x)));
  }
}

TEST(TapeInside, around_a_loop_that_tensors_end_is_an_error) {
  auto traced = etch::function([](Tensor x) {
    return grad([](Tensor y) {
      while (sum(y) < 100) y = y * y;
      return y;
    })(x);
  });
  try {
    (void)traced(Tensor({2.f}));
    FAIL() << "no Error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("more than 50 times while a GradientTape is open"));
    EXPECT_THAT(error.what(), HasSubstr("flow_gradient_test.cc:"));
    EXPECT_THAT(error.what(), HasSubstr("write it with etch::while_loop or for_range, or make the tape inside of the loop"));
  }
}

}  // namespace
}  // namespace etch
