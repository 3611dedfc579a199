// for over etch::range and over the rows of tensors: one loop, whatever the number of turns, and the bits of the eager run.
#include <gmock/gmock.h>

#include "tests/capture/programs.h"
#include "tests/messages.h"

namespace etch {
namespace {

using testing::HasSubstr;

/// The graph as it is compiled, without places and without guards.
template <class F, class... Inputs>
std::string graph_of(F f, const Inputs&... inputs) {
  std::string text = function(f, {.name = "demo", .trust_loops = true}).concrete(inputs...).text("graph");
  for (size_t at = text.find("  // "); at != text.npos; at = text.find("  // ", at)) text.erase(at, text.find('\n', at) - at);
  return text;
}

auto scaled(std::mt19937& random) { return std::tuple(random_int(random, 0, 9), random_scalar(random)); }
auto bounds(std::mt19937& random) {
  return std::tuple(random_int(random, -5, 5), random_int(random, -5, 5), random_scalar(random));
}
auto steps(std::mt19937& random) {
  return std::tuple(random_int(random, -5, 5), random_int(random, -5, 5), random_int(random, -2, 2), random_scalar(random));
}
/// More rows than a loop may have turns to be written out by a pass.
auto tall_matrix(std::mt19937& random) { return std::tuple(reshape(random_vector(random, 60), {20, 3})); }
auto matrix(std::mt19937& random) { return std::tuple(reshape(random_vector(random, 12), {4, 3})); }

TEST(Ranges, range_for) {
  const auto plain = [](Tensor n, Tensor x) {
    for (Tensor i : range(n)) x = x * 0.5f + cast(i, DType::f32);
    return x;
  };
  const auto form = [](Tensor n, Tensor x) {
    return for_range(n, [](Tensor i, Tensor x) { return x * 0.5f + cast(i, DType::f32); }, x);
  };
  const Outcome outcome = compare(plain, scaled);
  EXPECT_EQ(outcome.count("while_loop"), 1) << outcome.graph;
  EXPECT_EQ(graph_of(plain, Tensor(3), Tensor(1.0f)), graph_of(form, Tensor(3), Tensor(1.0f)));
}

TEST(Ranges, OfACppNumberIsForRange) {
  const auto plain = [](Tensor x) {
    for (Tensor i : range(1000, DType::i64)) x = x * 0.5f + cast(i, DType::f32);
    return x;
  };
  const auto form = [](Tensor x) {
    return for_range(1000, [](Tensor i, Tensor x) { return x * 0.5f + cast(i, DType::f32); }, x);
  };
  const Outcome outcome = compare(plain, one, 20);
  EXPECT_EQ(outcome.count("while_loop"), 1) << outcome.graph;
  EXPECT_LT(outcome.runs(), 320);
  EXPECT_EQ(graph_of(plain, Tensor(1.0f)), graph_of(form, Tensor(1.0f)));
}

TEST(Ranges, range_0) {
  const auto f = [](Tensor x) {
    for (Tensor i : range(0)) x = x + cast(i, DType::f32);
    return x;
  };
  const Outcome outcome = compare(f, one, 5);
  EXPECT_EQ(outcome.count("while_loop"), 0) << outcome.graph;
  const auto traced = [](Tensor n, Tensor x) {
    for (Tensor i : range(n)) x = x + cast(i, DType::f32) + 1.0f;
    return x;
  };
  EXPECT_EQ(function(traced)(Tensor(0), Tensor(2.5f)).item<float>(), 2.5f);
  EXPECT_EQ(function(traced)(Tensor(-3), Tensor(2.5f)).item<float>(), 2.5f);
}

TEST(Ranges, CountBetweenBounds) {
  const auto between = [](Tensor a, Tensor b, Tensor x) {
    for (Tensor i : range(a, b)) x = x * 0.5f + cast(i, DType::f32);
    return x;
  };
  EXPECT_EQ(compare(between, bounds).count("while_loop"), 1);
  const auto to_number = [](Tensor a, Tensor, Tensor x) {
    for (Tensor i : range(a, 4)) x = x * 0.5f + cast(i, DType::f32);
    return x;
  };
  EXPECT_EQ(compare(to_number, bounds).count("while_loop"), 1);
}

TEST(Ranges, CountBySteps) {
  const auto by = [](Tensor a, Tensor b, Tensor step, Tensor x) {
    for (Tensor i : range(a, b, step)) x = x * 0.5f + cast(i, DType::f32);
    return x;
  };
  EXPECT_EQ(compare(by, steps).count("while_loop"), 1);
  const auto down = [](Tensor a, Tensor b, Tensor x) {
    for (Tensor i : range(a, b, -2)) x = x * 0.5f + cast(i, DType::f32);
    return x;
  };
  EXPECT_EQ(compare(down, bounds).count("while_loop"), 1);
  const auto numbers = [](Tensor x) {
    for (Tensor i : range(20, 2, -3)) x = x * 0.5f + cast(i, DType::f32);
    return x;
  };
  EXPECT_EQ(compare(numbers, one).count("while_loop"), 1);
  EXPECT_EQ(function(numbers)(Tensor(0.0f)).item<float>(), 5 + 0.5f * (8 + 0.5f * (11 + 0.5f * (14 + 0.5f * (17 + 0.5f * 20)))));
}

TEST(Ranges, BreakAndContinue) {
  const auto f = [](Tensor n, Tensor x) {
    for (Tensor i : range(n)) {
      if (i % 3 == 1) continue;
      x = x + cast(i, DType::f32);
      if (x > 6.0f) break;
    }
    return x;
  };
  EXPECT_EQ(compare(f, scaled).count("while_loop"), 1);
}

TEST(Ranges, Nest) {
  const auto f = [](Tensor n, Tensor x) {
    for (Tensor i : range(n)) {
      for (Tensor j : range(i)) x = x * 0.5f + cast(i - j, DType::f32);
    }
    return x;
  };
  EXPECT_EQ(compare(f, scaled).count("while_loop"), 2);
}

TEST(Ranges, ForRowIsForRange) {
  const auto plain = [](Tensor x) {
    Tensor h = zeros({3});
    for (Tensor row : x) h = tanh(h * 0.5f + row);
    return h;
  };
  const auto form = [](Tensor x) {
    return for_range(20, [&](Tensor i, Tensor h) { return tanh(h * 0.5f + gather(x, i)); }, zeros({3}));
  };
  const Outcome outcome = compare(plain, tall_matrix);
  EXPECT_EQ(outcome.count("while_loop"), 1) << outcome.graph;
  EXPECT_LT(outcome.runs(), 320);
  const Tensor x = ones({20, 3});
  EXPECT_EQ(graph_of(plain, x), graph_of(form, x));
}

TEST(Ranges, for_row) {
  const auto plain = [](Tensor x) {
    Tensor h = zeros({3}), i(int64_t{0});
    TensorArray ys = TensorArray::of(4, DType::f32, {3});
    for (Tensor row : x) {
      h = tanh(h * 0.5f + row);
      ys.write(i, h + 1.0f);
      ++i;
    }
    return std::tuple(h, ys.stack());
  };
  const auto form = [](Tensor x) {
    const auto step = [](Tensor h, Tensor row) {
      h = tanh(h * 0.5f + row);
      return std::pair(h, h + 1.0f);
    };
    auto [h, ys] = scan(step, zeros({3}), x);
    return std::tuple(h, ys);
  };
  const Outcome outcome = compare(plain, matrix);
  EXPECT_EQ(outcome.count("while_loop"), 1) << outcome.graph;
  const Tensor x = std::get<0>([] { std::mt19937 random(3); return matrix(random); }());
  const auto [h, ys] = function(plain)(x);
  const auto [h2, ys2] = function(form)(x);
  EXPECT_TRUE(same_bits(h, h2) && same_bits(ys, ys2));
}

TEST(Ranges, RowsWithBreak) {
  const auto f = [](Tensor x) {
    Tensor found(-1.0f);
    for (Tensor row : x) {
      if (sum(row) > 1.0f) {
        found = row[0];
        break;
      }
    }
    return found;
  };
  EXPECT_EQ(compare(f, matrix).count("while_loop"), 1);
}

TEST(Ranges, ElementsOfACapturedTensorAreOneLoop) {
  std::vector<float> many(300);
  for (size_t i = 0; i < many.size(); ++i) many[i] = 0.01f * static_cast<float>(i);
  const Tensor table(many);
  const auto f = [table](Tensor x) {
    for (Tensor one : table) x = x * 0.5f + one;
    return x;
  };
  const Outcome outcome = compare(f, one, 10);
  EXPECT_EQ(outcome.count("while_loop"), 1);
  EXPECT_LT(outcome.runs(), 320);
}

TEST(Ranges, RowsWhereATapeIsOpenAreWrittenOut) {
  const auto f = [](Tensor x) {
    GradientTape tape;
    tape.watch(x);
    Tensor h(1.0f);
    for (Tensor one : x) h = h * one + 0.5f;
    return tape.gradient(h, x);
  };
  const auto many = [](std::mt19937& random) { return std::tuple(random_vector(random, 60)); };
  EXPECT_EQ(compare(f, many, 5).count("while_loop"), 0);
}

TEST(Ranges, AForOverAVectorIsWrittenOut) {
  const auto f = [](Tensor x) {
    const std::vector<Tensor> parts{x, x + 1.0f, x * 2.0f};
    for (Tensor part : parts) x = x + part;
    return x;
  };
  const Outcome outcome = compare(f, one, 10);
  EXPECT_EQ(outcome.count("while_loop"), 0);
  EXPECT_LE(outcome.runs(), 1);
}

TEST(Ranges, ErrorsNameBothSides) {
  EXPECT_THAT(error_of([] { (void)range(Tensor(2.0f)); }), HasSubstr("range: stop is f32[], not one element of i32 or i64"));
  EXPECT_THAT(error_of([] { (void)range(Tensor({1, 2})); }), HasSubstr("range: stop is i32[2], not one element of i32 or i64"));
  EXPECT_THAT(error_of([] { (void)range(Tensor(1), Tensor(int64_t{2})); }),
              HasSubstr("range: start is i32[] and stop i64[]; cast one of them"));
  EXPECT_THAT(error_of([] { (void)range(0, Tensor(1), 0); }), HasSubstr("range: the step is 0"));
  EXPECT_THAT(error_of([] { (void)range(0.5, Tensor(1)); }), HasSubstr("range: the number 0.5 cannot become i32"));
}

}  // namespace
}  // namespace etch
