// GradientTape: what it records, what it gives for which structures, and its values.
#include "etch/gradient_tape.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>

#include "frontend/eager_events.h"
#include "frontend/run_graph.h"
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

TEST(Variables, GiveGradientsInTheStructureOfTheSources) {
  struct Layer {
    Variable kernel;
    std::optional<Variable> bias;
    int width = 3;
  };
  const Layer layer{Variable(kX), Variable(kX * 2.0), 3};
  const std::map<std::string, Variable> by_name{{"kernel", layer.kernel}, {"bias", *layer.bias}};
  GradientTape tape({.persistent = true});
  const Tensor y = layer.kernel * *layer.bias;
  const auto [kernel, bias, width] = tape.gradient(y, layer);
  static_assert(std::is_same_v<decltype(bias), const std::optional<Tensor>>);
  EXPECT_EQ(doubles(kernel), (Doubles{2, 4, 6}));
  EXPECT_EQ(doubles(*bias), (Doubles{1, 2, 3}));
  EXPECT_EQ(width, 3);
  EXPECT_EQ(doubles(tape.gradient(y, by_name).at("bias")), (Doubles{1, 2, 3}));
  EXPECT_EQ(doubles(tape.gradient(y, std::vector{layer.kernel, *layer.bias})[1]), (Doubles{1, 2, 3}));
  EXPECT_EQ(doubles(tape.gradient(y, std::array{layer.kernel, *layer.bias})[0]), (Doubles{2, 4, 6}));
  const auto pair = tape.gradient(y, std::pair(layer.kernel, std::tuple(*layer.bias, 7)));
  EXPECT_EQ(doubles(std::get<0>(pair.second)), (Doubles{1, 2, 3}));
  EXPECT_EQ(doubles(tape.gradient(y, {*layer.bias})[0]), (Doubles{1, 2, 3}));
}

TEST(Variables, MadeWhileATapeStandsAreWatched) {
  const auto gradient_in_new = [](auto wrap) {
    Variable w;
    auto f = wrap([&w](Tensor x) {
      GradientTape tape;
      if (!w.defined()) w = Variable([] { return kX; });
      return tape.gradient(w * x * w, w);
    });
    f(kX);
    return f(kX);
  };
  EXPECT_EQ(doubles(gradient_in_new([](auto f) { return f; })), (Doubles{2, 8, 18}));
  EXPECT_EQ(doubles(gradient_in_new([](auto f) { return function(f); })), (Doubles{2, 8, 18}));
}

TEST(Variables, ThatNoTapeWatchesAreNotWrittenDown) {
  const Variable w(kX), fixed(kX, {.trainable = false});
  GradientTape tape({.watch_accessed_variables = false});
  tape.watch(kX);
  const int before = detail::eager_events()->num_events();
  EXPECT_EQ(doubles(w * fixed), (Doubles{1, 4, 9}));
  EXPECT_EQ(detail::eager_events()->num_events(), before);
}

TEST(Variables, AreDifferentiatedBySeveralTapesInTheirOwnStretches) {
  const Variable w(kX);
  GradientTape early;
  const Tensor y = w * w;
  GradientTape late;
  const Tensor z = y * w;
  EXPECT_EQ(doubles(early.gradient(z, w)), (Doubles{3, 12, 27}));
  EXPECT_EQ(doubles(late.gradient(z, w)), (Doubles{1, 4, 9}));
}

TEST(Variables, HaveGradientsThroughValueAndGrad) {
  const Variable w(kX);
  const auto [value, gradient] = value_and_grad([](const Variable& w) { return w * w; })(w);
  EXPECT_EQ(doubles(gradient), (Doubles{2, 4, 6}));
}

TEST(Variables, ThatWereReadTwiceBeforeATapeAreTwoTensors) {
  const auto f = [w = Variable(kX)] {
    const Tensor a = w, b = w;
    GradientTape tape;
    tape.watch(a);
    return tape.gradient(a * b, a);
  };
  EXPECT_EQ(doubles(f()), doubles(kX));
  EXPECT_EQ(doubles(function(f)()), doubles(kX));
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

TEST(BatchJacobian, OfEachExampleByItselfAlsoTraced) {
  const Tensor a({{1.0, 2.0}, {3.0, 4.0}, {5.0, 6.0}});
  const auto f = [](Tensor a) {
    GradientTape tape({.persistent = true});
    tape.watch(a);
    return tape.batch_jacobian(a * sum(a, 1, true), a);
  };
  EXPECT_EQ(f(a).shape(), (Shape{3, 2, 2}));
  EXPECT_EQ(doubles(f(a)), (Doubles{4, 1, 2, 5, 10, 3, 4, 11, 16, 5, 6, 17}));
  EXPECT_EQ(doubles(function(f)(a)), doubles(f(a)));
}

TEST(Jacobian, CompilesItsDerivativeOnce) {
  const Tensor b(Doubles{3, 4, 5, 6, 7});
  const auto misses = [&](int64_t n) {
    GradientTape tape({.persistent = true});
    tape.watch(b);
    const Tensor y = exp(b) * tanh(b);
    const int64_t before = detail::graph_cache_misses();
    for (int64_t i = 0; i < n; ++i) {
      (void)tape.gradient(y, b, cast(equal(range(5), i), DType::f64));
    }
    return detail::graph_cache_misses() - before;
  };
  const int64_t first = misses(1);
  EXPECT_GT(first, 0) << "the counter counts";
  EXPECT_EQ(misses(5), 0);
}

TEST(CustomGradient, WithoutATapeIsTheFunctionAlone) {
  const auto f = custom_gradient([](Tensor x) {
    return std::pair(x * 2.0, [](Tensor) -> Tensor { throw Error("nobody asked"); });
  });
  EXPECT_EQ(doubles(f(kX)), (Doubles{2, 4, 6}));
  GradientTape tape;
  EXPECT_EQ(doubles(f(kX)), (Doubles{2, 4, 6}));
}

TEST(CustomGradient, TakesStructures) {
  const auto f = custom_gradient([](const Layer& layer) {
    return std::pair(layer.weight * layer.more[0], [=](Tensor g) {
      return Layer{g * 10.0, {g * layer.weight}, 0, Tensor()};
    });
  });
  const Layer layer{kX, {kX + 1.0}, 9, Tensor({1, 2})};
  GradientTape tape;
  tape.watch(layer);
  const Layer gradient = tape.gradient(f(layer), layer);
  EXPECT_EQ(doubles(gradient.weight), (Doubles{10, 10, 10}));
  EXPECT_EQ(doubles(gradient.more[0]), doubles(kX));
}

TEST(CustomGradient, ThirdDerivativesFollowThroughACall) {
  const auto cube = custom_gradient([](Tensor x) {
    return std::pair(x * x * x, [=](Tensor g) { return g * 3.0 * x * x; });
  });
  auto f = function<Tensor(Tensor)>(cube);
  EXPECT_EQ(grad(grad(grad(cube)))(Tensor(2.0)).item<double>(), 6);
  EXPECT_EQ(grad(grad(grad(f)))(Tensor(2.0)).item<double>(), 6);
  EXPECT_EQ(function<Tensor(Tensor)>(grad(grad(grad(f))))(Tensor(2.0)).item<double>(), 6);
}

TEST(CustomGradient, WhoseBackwardFunctionCallsItselfIsRecordedOfACall) {
  // exp, whose backward function is itself: without end when it is recorded.
  struct Exp {
    Tensor operator()(const Tensor& x) const {
      return custom_gradient([self = *this](Tensor x) {
        return std::pair(exp(x), [self, x](Tensor g) { return g * self(x); });
      })(x);
    }
  };
  auto f = function<Tensor(Tensor)>(Exp());
  const double e = std::exp(0.5);
  EXPECT_NEAR(grad(f)(Tensor(0.5)).item<double>(), e, 1e-15);
  EXPECT_NEAR(grad(grad(grad(f)))(Tensor(0.5)).item<double>(), e, 1e-15);
  EXPECT_NEAR(grad(grad(grad(grad(Exp()))))(Tensor(0.5)).item<double>(), e, 1e-15);
}

TEST(Recompute, HoldsNothingOfWhatItComputed) {
  const Variable w(kX);
  const auto deep = [&](Tensor x) {
    for (int i = 0; i < 50; ++i) x = tanh(x * w);
    return x;
  };
  const auto live_after = [&](auto f) {
    GradientTape tape;
    const int64_t before = memory_stats().live_bytes;
    const Tensor y = f(ones({100, 3}, DType::f64));
    return memory_stats().live_bytes - before;
  };
  EXPECT_GT(live_after(deep), 50 * 2400);
  EXPECT_LT(live_after(recompute(deep)), 3 * 2400 + 50 * 200);
  GradientTape tape({.persistent = true});
  const Tensor x = kX * 0.1;
  tape.watch(x);
  const auto expected = tape.gradient(deep(x), {x, w}), again = tape.gradient(recompute(deep)(x), {x, w});
  EXPECT_TRUE(same_bits(again, expected));
}

TEST(Recompute, HasGradientsInWatchedVariablesThatAreNotTrainable) {
  const Variable u(kX, {.trainable = false});
  const auto gradient = [&](Tensor x) {
    GradientTape tape;
    tape.watch(u);
    return tape.gradient(recompute([&](Tensor x) { return x * u * u; })(x), u);
  };
  EXPECT_EQ(doubles(gradient(kX)), (Doubles{2, 8, 18}));
  EXPECT_EQ(doubles(function(gradient)(kX)), (Doubles{2, 8, 18}));
}

TEST(Recompute, PassesNothingWhereTheFunctionHasNoGradient) {
  GradientTape tape;
  tape.watch(kX);
  const Tensor y = recompute([](Tensor x) { return floor(x); })(kX) + kX;
  EXPECT_EQ(doubles(tape.gradient(y, kX)), (Doubles{1, 1, 1}));
}

TEST(HessianVectorProduct, IsTheGradientOfAGradient) {
  const auto f = [](Tensor x) { return sum(x * x * x) * sum(x); };
  const auto forward_over_reverse = [&](Tensor x, Tensor t) { return jvp(grad(f), x, t).second; };
  const auto reverse_over_reverse = [&](Tensor x, Tensor t) {
    GradientTape tape;
    tape.watch(x);
    return tape.gradient(grad(f)(x), x, t);
  };
  const Tensor direction(Doubles{1, 0, 2});
  const Doubles expected{102, 93, 354};
  EXPECT_EQ(doubles(reverse_over_reverse(kX, direction)), expected);
  EXPECT_EQ(doubles(forward_over_reverse(kX, direction)), expected);
  EXPECT_EQ(doubles(function<Tensor(Tensor, Tensor)>(forward_over_reverse)(kX, direction)), expected);
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

/// What the backward function computes of its cotangent alone, before anything else, is recorded as well.
TEST(CustomGradient, SecondDerivativesPassThroughItsCotangent) {
  const auto exp2x = custom_gradient([](Tensor x) {
    const Tensor e = exp(x);
    return std::pair(e * e, [=](Tensor g) { return g * 2 * e * e; });
  });
  const auto slope = grad([&](Tensor x) { return sum(square(exp2x(x))); });
  EXPECT_LT(check_gradients(slope, Tensor({0.25, 0.5})), 1e-6);
}

}  // namespace
}  // namespace etch
