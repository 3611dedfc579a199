// Gradients through explicit control flow: the same bits eager and traced, and values of plain mathematics.
#include <gmock/gmock.h>

#include <cmath>

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

TEST(WhileGradient, SaysThatItIsNotThereYet) {
  auto f = etch::function([](Tensor x) {
    return grad([](const Tensor& y) {
      return while_loop([](const Tensor& z) { return z < 100; }, [](const Tensor& z) { return z * z; }, y);
    })(x);
  });
  try {
    (void)f(Tensor(3.f));
    FAIL() << "no Error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("while_loop"));
    EXPECT_THAT(error.what(), testing::HasSubstr("is control flow, which gradients do not pass yet"));
  }
}

}  // namespace
}  // namespace etch
