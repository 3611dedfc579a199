// Gradients through explicit control flow: the same bits eager and traced, and values of plain mathematics.
#include <cmath>
#include <tuple>
#include <vector>

#include "tests/control_flow/modes.h"

namespace etch {
namespace {

TEST(CondGradient, IsThatOfTheArmThatIsTaken) {
  const auto program = [](const Tensor& x) {
    return grad([](const Tensor& y) {
      return cond(sum(y) > 0, [&] { return sum(y * y * y); }, [&] { return sum(exp(y) * y); });
    })(x);
  };
  const Tensor positive({1.f, 2.f, -0.5f}), negative({-1.f, -2.f, 0.5f});
  EXPECT_EQ(in_all_modes(program, positive).to_vector<float>(), (std::vector<float>{3, 12, 0.75f}));
  const std::vector<float> gradient = in_all_modes(program, negative).to_vector<float>();
  for (int i = 0; i < 3; ++i) {
    const double x = negative.data<float>()[i];
    EXPECT_NEAR(gradient[i], std::exp(x) * (x + 1), 1e-6) << i;
  }
}

TEST(CondGradient, SumsWhatAnArmAddsBeforeTheRest) {
  // Uses of x inside and outside of the arm: the order of the sum shows in the bits.
  const auto program = [](const Tensor& x) {
    return grad([](const Tensor& y) {
      const Tensor before = sum(y * 0.1f);
      const Tensor inside = cond(before < 3, [&] { return sum(sin(y) * y + y / 3); }, [&] { return before; });
      return inside + sum(cos(y));
    })(x);
  };
  in_all_modes(program, sin(cast(range(37), DType::f32)));
}

TEST(CondGradient, PassesThroughCapturedVariables) {
  Variable w(3.f);
  const auto step = [&](const Tensor& x) {
    GradientTape tape;
    const Tensor loss = cond(x > 0, [&] { return w * w * x; }, [&] { return w * x; });
    return tape.gradient(loss, w);
  };
  auto traced = etch::function(step);
  for (const float x : {2.f, -2.f}) {
    EXPECT_EQ(step(Tensor(x)).item<float>(), x > 0 ? 12 : -2);
    EXPECT_EQ(traced(Tensor(x)).item<float>(), x > 0 ? 12 : -2);
  }
}

TEST(CondGradient, HasASecondDerivative) {
  const auto program = [](const Tensor& x) {
    return grad(grad([](const Tensor& y) {
      return cond(y > 0, [&] { return y * y * y; }, [&] { return y * y; });
    }))(x);
  };
  EXPECT_EQ(in_all_modes(program, Tensor(2.f)).item<float>(), 12);
  EXPECT_EQ(in_all_modes(program, Tensor(-2.f)).item<float>(), 2);
}

TEST(CondGradient, OfFunctionsThatATapeCalls) {
  auto f = etch::function([](Tensor x) { return cond(x > 0, [&] { return x * x; }, [&] { return -x; }); });
  for (const float x : {3.f, -3.f}) {
    const Tensor at(x);
    GradientTape tape;
    tape.watch(at);
    const Tensor y = f(at);
    EXPECT_EQ(tape.gradient(y, at).item<float>(), x > 0 ? 6 : -1);
  }
}

TEST(CondGradient, OfFunctionsThatTestTensorsByPlainIf) {
  auto f = etch::function([](Tensor x) {
    if (sum(x) > 0) return x * x;
    return -x;
  });
  for (const float x : {3.f, -3.f}) {
    const Tensor at({x, 1.f});
    GradientTape tape;
    tape.watch(at);
    const Tensor y = f(at);
    EXPECT_EQ(tape.gradient(y, at).to_vector<float>(), x > 0 ? (std::vector<float>{6, 2}) : (std::vector<float>{-1, -1}));
  }
}

TEST(WhileGradient, OfACountedLoop) {
  // x * 3^4, and its square: values of plain mathematics.
  const auto program = [](const Tensor& x) {
    return grad([](const Tensor& y) {
      const Tensor end = for_range(4, [](const Tensor&, const Tensor& z) { return z * 3; }, y);
      return sum(end * end);
    })(x);
  };
  EXPECT_EQ(in_all_modes(program, Tensor({1.f, -2.f})).to_vector<float>(), (std::vector<float>{2 * 6561, -4 * 6561}));
}

TEST(WhileGradient, SumsWhatDoesNotChangeTurnByTurn) {
  const auto program = [](const Tensor& x, const Tensor& w) {
    return grad([&](const Tensor& v) {
      const Tensor end = for_range(7, [&](const Tensor& i, const Tensor& h) {
        return tanh(matmul(h, v) + sin(v[0]) * cast(i, DType::f32) * 0.1f);
      }, x);
      return sum(end * 0.3f) + sum(v * v);
    })(w);
  };
  const auto wave = [](const Shape& shape, float scale) {
    return sin(cast(reshape(range(shape.product()), shape), DType::f32)) * scale;
  };
  in_all_modes(program, wave({3, 5}, 1), wave({5, 5}, 0.4f));
}

TEST(WhileGradient, OfNoTurnsIsTheIdentity) {
  const auto program = [](const Tensor& x) {
    return grad([](const Tensor& y) { return sum(for_range(0, [](const Tensor&, const Tensor& z) { return z * 3; }, y)); })(x);
  };
  EXPECT_EQ(in_all_modes(program, Tensor({1.f, -2.f})).to_vector<float>(), (std::vector<float>{1, 1}));
}

TEST(WhileGradient, HasASecondDerivative) {
  const auto program = [](const Tensor& x) {
    return grad(grad([](const Tensor& y) { return for_range(3, [&](const Tensor&, const Tensor& z) { return z * y; }, y); }))(x);
  };
  EXPECT_EQ(in_all_modes(program, Tensor(2.f)).item<float>(), 12 * 4) << "of x^4";
}

TEST(ScanGradient, IsThatOfTheUnrolledLoop) {
  const auto loss = [](const Tensor& w, const Tensor& xs) {
    const auto step = [&](const Tensor& h, const Tensor& x) {
      const Tensor next = tanh(h * w + x);
      return std::pair(next, next * next);
    };
    return sum(scan(step, zeros({4}), xs).second);
  };
  const auto program = [&](const Tensor& w, const Tensor& xs) {
    return grad([&](const std::tuple<Tensor, Tensor>& both) { return loss(std::get<0>(both), std::get<1>(both)); })(std::tuple(w, xs));
  };
  const Tensor xs = sin(cast(reshape(range(24), {6, 4}), DType::f32));
  const auto [of_w, of_xs] = in_all_modes(program, Tensor({0.5f, -0.3f, 0.8f, 1.1f}), xs);
  // The same by hand, in double.
  for (int c = 0; c < 4; ++c) {
    const double w = Tensor({0.5f, -0.3f, 0.8f, 1.1f}).data<float>()[c];
    std::vector<double> h = {0};
    for (int t = 0; t < 6; ++t) h.push_back(std::tanh(h.back() * w + xs.data<float>()[t * 4 + c]));
    double back = 0, sum_w = 0;
    for (int t = 5; t >= 0; --t) {
      const double inner = (back + 2 * h[t + 1]) * (1 - h[t + 1] * h[t + 1]);
      sum_w += inner * h[t];
      EXPECT_NEAR(of_xs.data<float>()[t * 4 + c], inner, 1e-5);
      back = inner * w;
    }
    EXPECT_NEAR(of_w.data<float>()[c], sum_w, 1e-5);
  }
}

}  // namespace
}  // namespace etch
