// GradientTape: what it records, what it gives for which structures, and its values.
#include "etch/gradient_tape.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>

#include "frontend/eager_events.h"
#include "tests/tape/modes.h"

namespace etch {
namespace {

using Doubles = std::vector<double>;
Doubles doubles(const Tensor& x) { return x.to_vector<double>(); }
const Tensor kX(std::vector<double>{1, 2, 3});

TEST(Tape, GivesTheDerivativeOfTheSumOfTheTargets) {
  GradientTape tape;
  tape.watch(kX);
  const Tensor y = kX * kX, z = 3.0 * kX;
  EXPECT_EQ(doubles(tape.gradient(std::pair(y, z), kX)), (Doubles{5, 7, 9}));
}

TEST(Tape, TakesIntermediateValuesForSources) {
  GradientTape tape;
  tape.watch(kX);
  const Tensor y = kX * kX;
  EXPECT_EQ(doubles(tape.gradient(y * 5.0, y)), (Doubles{5, 5, 5}));
}

TEST(Tape, TakesTheTargetForASource) {
  GradientTape tape;
  tape.watch(kX);
  EXPECT_EQ(doubles(tape.gradient(kX, kX)), (Doubles{1, 1, 1}));
}

TEST(Tape, WeighsTargetsByOutputGradients) {
  GradientTape tape;
  tape.watch(kX);
  const Tensor y = kX * kX;
  EXPECT_EQ(doubles(tape.gradient(y, kX, Tensor(Doubles{1, 10, 100}))), (Doubles{2, 40, 600}));
}

struct Layer {
  Tensor weight;
  std::vector<Tensor> more;
  int width = 7;
  Tensor count;
};

TEST(Tape, GivesTheStructureOfTheSources) {
  const Layer layer{kX, {kX + 1.0, kX + 2.0}, 9, Tensor({1, 2})};
  GradientTape tape;
  tape.watch(layer);
  const Tensor y = sum(layer.weight * layer.more[1]);
  const Layer gradient = tape.gradient(y, layer);
  EXPECT_EQ(doubles(gradient.weight), (Doubles{3, 4, 5}));
  EXPECT_FALSE(gradient.more[0].defined());
  EXPECT_EQ(doubles(gradient.more[1]), doubles(kX));
  EXPECT_EQ(gradient.width, 9);
  EXPECT_FALSE(gradient.count.defined()) << "integers have none";
}

TEST(Tape, TakesTuplesArraysMapsAndLists) {
  GradientTape tape({.persistent = true});
  tape.watch({kX});
  const Tensor y = kX * 2.0;
  EXPECT_EQ(doubles(std::get<0>(tape.gradient(y, std::tuple(kX)))), (Doubles{2, 2, 2}));
  EXPECT_EQ(doubles(tape.gradient(y, std::array<Tensor, 1>{kX})[0]), (Doubles{2, 2, 2}));
  EXPECT_EQ(doubles(tape.gradient(y, std::map<std::string, Tensor>{{"x", kX}})["x"]), (Doubles{2, 2, 2}));
  EXPECT_EQ(doubles(tape.gradient({y, y}, {kX})[0]), (Doubles{4, 4, 4}));
}

TEST(Tape, GivesZerosOnRequest) {
  GradientTape tape;
  const Tensor other = kX + 0.0;
  tape.watch({kX, other});
  const Tensor y = kX * 2.0;
  EXPECT_EQ(doubles(tape.gradient(y, other, {.unconnected = Unconnected::zeros})), (Doubles{0, 0, 0}));
}

TEST(Tape, ThatIsPersistentAnswersAgain) {
  GradientTape tape({.persistent = true});
  tape.watch(kX);
  const Tensor y = kX * kX, z = y * kX;
  EXPECT_EQ(doubles(tape.gradient(y, kX)), (Doubles{2, 4, 6}));
  EXPECT_EQ(doubles(tape.gradient(z, kX)), (Doubles{3, 12, 27}));
  EXPECT_EQ(doubles(tape.gradient(z, y)), doubles(kX));
}

TEST(Tape, ThatIsPersistentRecordsItsOwnGradients) {
  GradientTape tape({.persistent = true});
  tape.watch(kX);
  const Tensor once = tape.gradient(kX * kX * kX, kX);
  EXPECT_EQ(doubles(tape.gradient(once, kX)), (Doubles{6, 12, 18}));
}

TEST(Tape, TakesWhatItDidNotRecordForConstant) {
  GradientTape tape;
  tape.watch(kX);
  Tensor y;
  {
    const auto pause = tape.stop_recording();
    y = kX * 10.0;
  }
  EXPECT_EQ(doubles(tape.gradient(kX * y, kX)), (Doubles{10, 20, 30}));
}

TEST(Tape, TakesWhatWasMadeBeforeTheWatchForConstant) {
  GradientTape tape;
  const Tensor y = kX * kX;
  tape.watch(kX);
  EXPECT_EQ(doubles(tape.gradient(y * kX, kX)), (Doubles{1, 4, 9}));
}

TEST(Tape, TracedTakesWhatWasMadeBeforeTheWatchForConstantThoughAnEqualOpFollows) {
  auto f = function([](Tensor x) {
    const Tensor before = x * x;
    GradientTape tape;
    tape.watch(x);
    const Tensor inside = x * x;
    return tape.gradient(before + inside, x);
  });
  EXPECT_EQ(doubles(f(kX)), (Doubles{2, 4, 6}));
}

TEST(Tape, ForgetsWhatItWatchedWhenReset) {
  GradientTape tape;
  tape.watch(kX);
  Tensor y = kX * 10.0;
  tape.reset();
  tape.watch(kX);
  EXPECT_EQ(doubles(tape.gradient(y * kX, kX)), (Doubles{10, 20, 30}));
  tape.reset();
  tape.watch(kX);
  EXPECT_EQ(doubles(tape.gradient(kX * kX, kX)), (Doubles{2, 4, 6}));
}

TEST(Tapes, StandSideBySide) {
  const Tensor a(2.0), b(5.0);
  GradientTape one, two;
  one.watch(a);
  two.watch(b);
  const Tensor y = a * b;
  EXPECT_EQ(one.gradient(y, a).item<double>(), 5);
  EXPECT_EQ(two.gradient(y, b).item<double>(), 2);
}

TEST(Tapes, GiveThirdDerivatives) {
  const Tensor x(0.3);
  const auto third = [](Tensor x) {
    GradientTape outer;
    outer.watch(x);
    GradientTape middle;
    middle.watch(x);
    GradientTape inner;
    inner.watch(x);
    const Tensor y = tanh(x);
    return outer.gradient(middle.gradient(inner.gradient(y, x), x), x);
  };
  const double t = std::tanh(0.3);
  EXPECT_NEAR(third(x).item<double>(), (1 - t * t) * (6 * t * t - 2), 1e-14);
  EXPECT_EQ(function(third)(x).item<double>(), third(x).item<double>());
}

TEST(Tapes, OfATraceDoNotSeeThoseAround) {
  GradientTape tape;
  tape.watch(kX);
  auto f = function([](Tensor x) {
    GradientTape inner;
    inner.watch(x);
    return inner.gradient(x * x * x, x);
  });
  EXPECT_EQ(doubles(tape.gradient(f(kX), kX)), (Doubles{6, 12, 18}));
}

TEST(Tapes, LeaveNothingBehind) {
  {
    GradientTape tape({.persistent = true});
    tape.watch(kX);
    const Tensor y = kX * 2.0;
    EXPECT_NE(detail::recording_events(), nullptr);
    const auto pause = tape.stop_recording();
    EXPECT_EQ(detail::recording_events(), nullptr);
  }
  EXPECT_EQ(detail::eager_events(), nullptr);
}

TEST(Tapes, ThatAreUsedUpFreeWhatTheyHeld) {
  GradientTape tape;
  tape.watch(kX);
  const Tensor y = kX * 2.0;
  EXPECT_EQ(doubles(tape.gradient(y, kX)), (Doubles{2, 2, 2}));
  EXPECT_EQ(detail::eager_events(), nullptr);
}

TEST(Tapes, WriteDownOnlyWhatDependsOnAWatchedTensor) {
  GradientTape tape;
  tape.watch(kX);
  const int before = detail::eager_events()->num_events();
  const Tensor y = exp(kX + 0.0);
  const int after = detail::eager_events()->num_events();
  EXPECT_GT(after, before);
  const Tensor z(std::vector<double>{1, 2, 3});
  EXPECT_EQ(doubles(z + z), (Doubles{2, 4, 6}));
  EXPECT_EQ(detail::eager_events()->num_events(), after);
}

// --- Functions ---

TEST(Functions, CalledWithATensorTwiceAddTheirParts) {
  auto f = function([](Tensor a, Tensor b) { return a * b + a; });
  GradientTape tape;
  tape.watch(kX);
  EXPECT_EQ(doubles(tape.gradient(f(kX, kX), kX)), (Doubles{3, 5, 7}));
}

TEST(Functions, HaveGradientsInCapturedTensors) {
  const Tensor w(std::vector<double>{2, 2, 2});
  auto f = function([&](Tensor x) { return x * w; });
  GradientTape tape;
  tape.watch(w);
  EXPECT_EQ(doubles(tape.gradient(f(kX), w)), doubles(kX));
}

TEST(Functions, ReturnResultsOfAllStructures) {
  struct Result {
    Tensor y;
    std::vector<Tensor> more;
  };
  auto f = function([](Tensor x) { return Result{x * 2.0, {x, x * x}}; });
  GradientTape tape({.persistent = true});
  tape.watch(kX);
  const Result result = f(kX);
  EXPECT_EQ(doubles(tape.gradient(result.more[1], kX)), (Doubles{2, 4, 6}));
  EXPECT_EQ(doubles(tape.gradient(result, kX)), (Doubles{5, 7, 9}));
}

TEST(Functions, AreCompiledOnceForTheirGradients) {
  auto f = function([](Tensor x) { return sum(tanh(x) * exp(x)); });
  const auto gradient = [&] {
    GradientTape tape;
    tape.watch(kX);
    return tape.gradient(f(kX), kX);
  };
  EXPECT_EQ(doubles(gradient()), doubles(gradient()));
  EXPECT_EQ(f.stats().traces, 1);
}

TEST(Functions, ThatDependOnNothingWatchedAreNotWrittenDown) {
  auto f = function([](Tensor x) { return x * 2.0; });
  GradientTape tape;
  tape.watch(Tensor(1.0));
  const int before = detail::eager_events()->num_events();
  EXPECT_EQ(doubles(f(kX)), (Doubles{2, 4, 6}));
  EXPECT_EQ(detail::eager_events()->num_events(), before);
}

// --- Variables ---

TEST(Variables, ThatARecordedCallAssignsKeepTheValueThatItRead) {
  Variable w(Tensor(Doubles{2, 3, 4}));
  auto f = function([&](Tensor x) {
    const Tensor y = x * w * x;
    w.assign(w + 1.0);
    return y;
  });
  GradientTape tape;
  tape.watch(kX);
  const Tensor once = f(kX), twice = f(kX);
  EXPECT_EQ(doubles(w), (Doubles{4, 5, 6}));
  EXPECT_EQ(doubles(tape.gradient(once + twice, kX)), (Doubles{10, 28, 54}));
}

TEST(Variables, AreReadAnewEachTime) {
  const Variable w(2.0);
  const auto f = [&] {
    GradientTape tape;
    const Tensor first = w;
    tape.watch(first);
    return tape.gradient(first * 10.0 + w * first, first);
  };
  EXPECT_EQ(f().item<double>(), 12);
  EXPECT_EQ(function(f)().item<double>(), 12);
}

TEST(Variables, MadeInAnInitScopeAreNotRecorded) {
  GradientTape tape;
  tape.watch(kX);
  const int before = detail::eager_events()->num_events();
  const Tensor y = init_scope([] { return kX * 2.0; });
  EXPECT_EQ(detail::eager_events()->num_events(), before);
  EXPECT_EQ(doubles(tape.gradient(kX * y, kX)), (Doubles{2, 4, 6}));
}

// --- Functional forms ---

TEST(Grad, NestsAndTakesFurtherArguments) {
  const auto f = [](Tensor x, Tensor scale) { return scale * x * x * x; };
  EXPECT_EQ(grad(f)(Tensor(2.0), Tensor(10.0)).item<double>(), 120);
  EXPECT_EQ(grad(grad(f))(Tensor(2.0), Tensor(10.0)).item<double>(), 120);
  EXPECT_EQ(grad(grad(grad(f)))(Tensor(2.0), Tensor(10.0)).item<double>(), 60);
}

TEST(Grad, OfAFunctionMayBeTraced) {
  auto f = function([](Tensor x) { return x * x * x; });
  EXPECT_EQ(function<Tensor(Tensor)>(grad(f))(Tensor(2.0)).item<double>(), 12);
}

TEST(ValueAndGrad, GivesBoth) {
  const auto [value, gradient] = value_and_grad([](const Layer& layer) { return layer.weight * layer.more[0]; })(
      Layer{Tensor(2.0), {Tensor(3.0)}, 1, Tensor(0)});
  EXPECT_EQ(value.item<double>(), 6);
  EXPECT_EQ(gradient.weight.item<double>(), 3);
  EXPECT_EQ(gradient.more[0].item<double>(), 2);
}

TEST(Jvp, IsTheDerivativeAlongTangents) {
  const auto f = [](Tensor x) { return x * x; };
  const auto [value, change] = jvp(f, kX, Tensor(Doubles{1, 0, 10}));
  EXPECT_EQ(doubles(value), (Doubles{1, 4, 9}));
  EXPECT_EQ(doubles(change), (Doubles{2, 0, 60}));
  auto traced = function([&](Tensor x, Tensor t) { return jvp(f, x, t).second; });
  EXPECT_EQ(doubles(traced(kX, Tensor(Doubles{1, 0, 10}))), (Doubles{2, 0, 60}));
}

TEST(Jvp, OfWhatDoesNotChangeIsZero) {
  EXPECT_EQ(doubles(jvp([](Tensor x) { return floor(x); }, kX, kX).second), (Doubles{0, 0, 0}));
}

TEST(Jacobian, HasTheShapeOfTheTargetThenOfTheSource) {
  const Tensor a(Doubles{1, 2}), b(Doubles{3, 4, 5});
  const auto jacobian = [](Tensor a, Tensor b) {
    GradientTape tape({.persistent = true});
    tape.watch(b);
    return tape.jacobian(expand_dims(a, 1) * square(b), b);
  };
  const Tensor result = jacobian(a, b);
  EXPECT_EQ(result.shape(), (Shape{2, 3, 3}));
  EXPECT_EQ(doubles(result), (Doubles{6, 0, 0, 0, 8, 0, 0, 0, 10, 12, 0, 0, 0, 16, 0, 0, 0, 20}));
  EXPECT_EQ(doubles(function(jacobian)(a, b)), doubles(result));
}

TEST(StopGradient, MakesAConstant) {
  const auto f = [](Tensor x) { return stop_gradient(x) * x; };
  EXPECT_EQ(doubles(grad(f)(kX)), doubles(kX));
  EXPECT_EQ(doubles(function<Tensor(Tensor)>(grad(f))(kX)), doubles(kX));
}

TEST(StopGradient, IsGoneInCompiledCode) {
  auto f = function([](Tensor x) { return stop_gradient(x) * 2.0; });
  EXPECT_EQ(f.concrete(kX).num_ops(), 1);
}

TEST(CheckGradients, AcceptsRightOnes) {
  const Tensor a({{0.1, 0.7}, {-0.4, 0.3}});
  const auto f = [](Tensor a, Tensor b) { return std::pair(softmax(matmul(a, b)), sum(tanh(a) / b)); };
  EXPECT_LT(check_gradients(f, a, a + 2.0), 1e-7);
}

}  // namespace
}  // namespace etch
