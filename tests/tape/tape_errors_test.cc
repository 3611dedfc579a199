// What a GradientTape refuses, and why a gradient is none: the exact texts. Lines of this file stand as LINE.
#include <gtest/gtest.h>

#include <optional>
#include <regex>
#include <thread>

#include "etch/etch.h"
#include "tests/frontend/error_of.h"

namespace etch {
namespace {

const Tensor kTwo({1.f, 2.f});
const Tensor kThree({1.f, 2.f, 3.f});
const Tensor kInts({1, 2});
const std::string kFloats = "f16, bf16, f32 or f64";

std::string without_lines(const std::string& text) {
  return std::regex_replace(text, std::regex("tape_errors_test.cc:[0-9]+"), "tape_errors_test.cc:LINE");
}

template <class F>
std::string refusal(const F& f) {
  std::string text = without_lines(error_of(f));
  const std::string place = "tape_errors_test.cc:LINE: ";
  return text.starts_with(place) ? text.substr(place.size()) : "without a place: " + text;
}

TEST(TapeRefuses, ToDifferentiateWhatItWatchedNothingOf) {
  GradientTape tape;
  EXPECT_EQ(refusal([&] { return tape.gradient(kTwo * 2, kTwo); }),
            "gradient: the tape watched nothing: no trainable variable was read since it was made, and watch(x) was not"
            " called before computing with x");
}

TEST(TapeRefuses, UnknownSources) {
  GradientTape tape;
  tape.watch(kTwo);
  const Tensor y = sum(kTwo) * kThree;
  const std::string why = ", is unknown to the tape: it was neither watched nor computed from what was watched; call watch"
                          " with it before computing";
  EXPECT_EQ(refusal([&] { return tape.gradient(y, kThree); }), "gradient: the source, f32[3]" + why);
  EXPECT_EQ(refusal([&] { return tape.gradient(y, {kTwo, kThree}); }), "gradient: source 2 of 2, f32[3]" + why);
  EXPECT_EQ(tape.gradient(y, kTwo).to_vector<float>(), (std::vector<float>{6, 6})) << "the tape can be asked still";
}

TEST(TapeRefuses, UnknownVariables) {
  const Variable used(kTwo, {.name = "used"}), unused(kTwo, {.name = "unused"});
  const Variable fixed(kTwo, {.name = "fixed", .trainable = false});
  GradientTape tape({.persistent = true});
  const Tensor y = used * fixed;
  const std::string unknown = ", is unknown to the tape: ";
  EXPECT_EQ(refusal([&] { return tape.gradient(y, std::vector{used, unused}); }),
            "gradient: source 2 of 2, variable unused f32[2]" + unknown +
                "it was not read while the tape recorded; leave it out, or call watch with it");
  EXPECT_EQ(refusal([&] { return tape.gradient(y, fixed); }),
            "gradient: the source, variable fixed f32[2]" + unknown +
                "it is not trainable, so the tape does not watch it by itself; call watch with it before it is read");
  GradientTape other({.watch_accessed_variables = false});
  other.watch(kTwo);
  EXPECT_EQ(refusal([&] { return other.gradient(used * kTwo, used); }),
            "gradient: the source, variable used f32[2]" + unknown +
                "the tape watches no variables by itself; call watch with it before it is read");
  EXPECT_EQ(refusal([&] { return tape.gradient(y, Variable()); }),
            "gradient: the source holds nothing: it was made by default or moved from; assign one first");
  EXPECT_EQ(tape.why_no_gradient(y, unused),
            "the tape does not know the source: it was neither watched nor read while it recorded");
}

TEST(TapeRefuses, ToGiveNoGradientInAnyVariable) {
  const Variable v(kTwo), w(kTwo);
  const auto ask = [&] {
    GradientTape tape;
    const Tensor y = floor(v) + kTwo * w * 0;
    return tape.gradient(floor(v) + stop_gradient(w), std::vector{v, w});
  };
  const std::string text =
      "gradient: no source has one: floor (tape_errors_test.cc:LINE) is constant between jumps; ask for {.unconnected ="
      " Unconnected::zeros} where that is meant";
  EXPECT_EQ(refusal(ask), text);
  EXPECT_EQ(refusal([&] { return function(ask)(); }), text);
}

TEST(CustomGradientRefuses, GradientsThatDoNotFit) {
  const auto gradient_of = [](auto backward, Location where = Location::current()) {
    const auto f = custom_gradient([=](Tensor a, Tensor b) { return std::pair(a * sum(b), backward); }, where);
    GradientTape tape;
    tape.watch({kTwo, kThree});
    return tape.gradient(f(kTwo, kThree), {kTwo, kThree});
  };
  EXPECT_EQ(refusal([&] { return gradient_of([](Tensor g) { return g; }); }),
            "custom_gradient: the backward function gives 1 gradients, but there are 2 tensors among the arguments");
  EXPECT_EQ(refusal([&] { return gradient_of([](Tensor g) { return std::pair(g, g); }); }),
            "custom_gradient: the backward function gives f32[2] for tensor 2 of 2, which is f32[3]");
}

TEST(CustomGradientRefuses, ToGiveNoGradientAtAll) {
  const auto f = custom_gradient([](Tensor x) { return std::pair(x * 2, [](Tensor) { return Tensor(); }); });
  GradientTape tape;
  tape.watch(kTwo);
  EXPECT_EQ(refusal([&] { return tape.gradient(f(kTwo), kTwo); }),
            "gradient: there is none: the backward function of a custom_gradient gives none; ask for {.unconnected ="
            " Unconnected::zeros} where that is meant");
}

TEST(CustomGradientRefuses, VariablesThatItsBackwardFunctionDoesNotTake) {
  const Variable w(kTwo, {.name = "w"});
  const auto f = custom_gradient([&](Tensor x) { return std::pair(x * w, [](Tensor g) { return g; }); });
  const std::string text =
      "custom_gradient: the function reads variable w f32[2], in which its backward function gives no gradient; pass its"
      " value as an argument, or let the backward function take the variables as well";
  GradientTape tape;
  EXPECT_EQ(refusal([&] { return f(kTwo); }), text);
  EXPECT_EQ(refusal([&] { return function([&](Tensor x) { return f(x); })(kTwo); }), text);
}

TEST(CustomGradientRefuses, OutsideOfATraceWhatFailsOnTracedTensors) {
  auto f = function<Tensor(Tensor)>(custom_gradient([](Tensor x) {
    return std::pair(x * 2, [](Tensor g) { return g * g.to_vector<float>()[0]; });
  }));
  EXPECT_EQ(f(kTwo).to_vector<float>(), (std::vector<float>{2, 4})) << "only the derivative fails";
  GradientTape tape;
  tape.watch(kTwo);
  const std::string text = refusal([&] { return tape.gradient(f(kTwo), kTwo); });
  EXPECT_TRUE(text.starts_with("custom_gradient: the backward function cannot be used outside of the trace: ")) << text;
}

TEST(BatchJacobianRefuses, OtherNumbersOfExamples) {
  GradientTape tape({.persistent = true});
  tape.watch(kThree);
  EXPECT_EQ(refusal([&] { return tape.batch_jacobian(sum(kThree) * kTwo, kThree); }),
            "batch_jacobian: the target is f32[2] and the source f32[3]; their first axes must be as long, one example"
            " each");
}

TEST(TapeRefuses, ASecondCall) {
  GradientTape tape;
  tape.watch(kTwo);
  const Tensor y = kTwo * 2;
  EXPECT_TRUE(tape.gradient(y, kTwo).defined());
  EXPECT_EQ(refusal([&] { return tape.gradient(y, kTwo); }),
            "gradient: the tape was used up by its first call of gradient; make it with {.persistent = true}, or reset() it");
  EXPECT_EQ(refusal([&] { tape.watch(kTwo); }),
            "watch: the tape was used up by its first call of gradient; make it with {.persistent = true}, or reset() it");
}

TEST(TapeRefuses, TargetsThatAreNoFloats) {
  GradientTape tape;
  tape.watch(kTwo);
  EXPECT_EQ(refusal([&] { return tape.gradient(cast(kTwo, DType::i32), kTwo); }),
            "gradient: the target is i32[2]; only " + kFloats +
                " have gradients; cast before the ops that should be differentiated");
}

TEST(TapeRefuses, ToWatchWhatIsNoFloat) {
  GradientTape tape;
  EXPECT_EQ(refusal([&] { tape.watch(kInts); }), "watch: i32[2] has no gradient; only tensors of " + kFloats + " have");
  EXPECT_EQ(refusal([&] { tape.watch(std::vector<Tensor>()); }),
            "watch: there is no tensor; only tensors of " + kFloats + " have");
}

TEST(TapeRefuses, TensorsThatHoldNothing) {
  GradientTape tape;
  tape.watch(kTwo);
  EXPECT_EQ(refusal([&] { return tape.gradient(Tensor(), kTwo); }),
            "gradient: the target holds nothing: it was made by default or moved from; assign one first");
  EXPECT_EQ(refusal([&] { return tape.gradient(kTwo, Tensor()); }),
            "gradient: the source holds nothing: it was made by default or moved from; assign one first");
}

TEST(TapeRefuses, OutputGradientsThatDoNotFit) {
  GradientTape tape;
  tape.watch(kTwo);
  const Tensor y = kTwo * 2;
  EXPECT_EQ(refusal([&] { return tape.gradient(y, kTwo, kThree); }),
            "gradient: the output gradient of the target is f32[3], but the target is f32[2]");
  EXPECT_EQ(refusal([&] { return tape.gradient(y, kTwo, std::vector<Tensor>{y, y}); }),
            "gradient: 2 output gradients are given for 1 targets");
}

TEST(TapeRefuses, ToGiveNoGradientAtAll) {
  const auto none_of = [](auto f) {
    GradientTape tape;
    tape.watch(kTwo);
    return without_lines(refusal([&] { return tape.gradient(f(kTwo), kTwo); }));
  };
  const std::string way_out = "; ask for {.unconnected = Unconnected::zeros} where that is meant";
  EXPECT_EQ(none_of([](Tensor x) { return floor(x) * 2; }),
            "gradient: there is none: floor (tape_errors_test.cc:LINE) is constant between jumps" + way_out);
  EXPECT_EQ(none_of([](Tensor x) { return where(x > 0, Tensor({5.f, 6.f}), 1); }),
            "gradient: there is none: greater (tape_errors_test.cc:LINE) is true or false" + way_out);
  EXPECT_EQ(none_of([](Tensor x) { return cast(cast(x, DType::i32), DType::f32); }),
            "gradient: there is none: cast (tape_errors_test.cc:LINE) gives i32" + way_out);
  EXPECT_EQ(none_of([](Tensor x) { return stop_gradient(x); }),
            "gradient: there is none: stop_gradient (tape_errors_test.cc:LINE) stops the gradient" + way_out);
  EXPECT_EQ(none_of([](Tensor) { return kThree + 1; }), "gradient: there is none: no target depends on it" + way_out);
}

TEST(TapeRefuses, ToGiveNoGradientAtAllInATraceWithTheSameText) {
  auto f = function([](Tensor x) {
    GradientTape tape;
    tape.watch(x);
    return tape.gradient(floor(x), x);
  });
  EXPECT_EQ(refusal([&] { return f(kTwo); }),
            "gradient: there is none: floor (tape_errors_test.cc:LINE) is constant between jumps; ask for {.unconnected ="
            " Unconnected::zeros} where that is meant");
}

TEST(TapeRefuses, ToCrossTheBordersOfTraces) {
  GradientTape tape;
  tape.watch(kTwo);
  auto inside = function([&](Tensor x) { return tape.gradient(x, x); }, {.name = "f"});
  EXPECT_EQ(refusal([&] { return inside(kTwo); }),
            "gradient: the tape was made outside of the trace of function f, which it does not record; make it inside");
  std::optional<GradientTape> escaped;
  function([&](Tensor x) {
    escaped.emplace();
    escaped->watch(x);
    return x * 2;
  })(kTwo);
  EXPECT_EQ(refusal([&] { return escaped->gradient(kTwo, kTwo); }),
            "gradient: the tape was made in a trace that has ended or is not the innermost one");
}

TEST(TapeRefuses, AnotherThread) {
  GradientTape tape;
  tape.watch(kTwo);
  std::string text;
  std::thread([&] { text = refusal([&] { return tape.gradient(kTwo, kTwo); }); }).join();
  EXPECT_EQ(text, "gradient: the tape belongs to another thread, which made it");
}

TEST(TapeRefuses, CallIntoOfWhatItRecords) {
  auto f = function([](Tensor x) { return x * 2; }, {.name = "f"});
  Tensor y = zeros(2);
  GradientTape tape;
  tape.watch(kTwo);
  EXPECT_EQ(refusal([&] { f.call_into(y, kTwo); }),
            "call_into of function f cannot be recorded by a tape: it writes to memory; call the function, or"
            " stop_recording()");
  f.call_into(y, Tensor({3.f, 4.f}));
  EXPECT_EQ(y.to_vector<float>(), (std::vector<float>{6, 8}));
}

TEST(WhyNoGradient, NamesTheEdgesThatBreakTheWay) {
  GradientTape tape({.persistent = true});
  tape.watch({kTwo, kThree});
  const Tensor first = floor(kTwo);
  const Tensor y = first + sign(kTwo);
  EXPECT_EQ(without_lines(tape.why_no_gradient(y, kTwo)),
            "floor (tape_errors_test.cc:LINE) is constant between jumps; sign (tape_errors_test.cc:LINE) is constant but for"
            " a jump at 0");
  EXPECT_EQ(tape.why_no_gradient(y, kThree), "no target depends on it");
  EXPECT_EQ(tape.why_no_gradient(y, kInts),
            "the tape does not know the source: it was neither watched nor computed from what was");
  EXPECT_EQ(tape.why_no_gradient(kTwo * 2, kTwo), "") << "there is one";
}

TEST(WhyNoGradient, SaysWhatATapeDidNotRecordInATrace) {
  std::string why;
  function([&](Tensor x) {
    GradientTape tape;
    tape.watch(x);
    Tensor y;
    {
      const auto pause = tape.stop_recording();
      y = exp(x);
    }
    why = without_lines(tape.why_no_gradient(y, x));
    return y;
  })(kTwo);
  EXPECT_EQ(why, "exp (tape_errors_test.cc:LINE) was not recorded");
}

TEST(WhyNoGradient, LooksIntoCalledFunctions) {
  auto f = function([](Tensor x) { return round(x) * 2; });
  GradientTape tape;
  tape.watch(kTwo);
  EXPECT_EQ(without_lines(tape.why_no_gradient(f(kTwo), kTwo)),
            "round (tape_errors_test.cc:LINE) is constant between jumps");
}

TEST(GradRefuses, WithThePlaceWhereItWasMade) {
  EXPECT_EQ(refusal([] { return grad([](Tensor x) { return floor(x); })(kTwo); }),
            "gradient: there is none: floor (tape_errors_test.cc:LINE) is constant between jumps; ask for {.unconnected ="
            " Unconnected::zeros} where that is meant");
}

TEST(CheckGradientsRefuses, WrongOnes) {
  EXPECT_EQ(refusal([] { check_gradients([](Tensor x) { return x * stop_gradient(x); }, Tensor({3.0})); }),
            "check_gradients: element 0 of tensor 1 of 1 has the gradient 4.26220647721185, but central differences"
            " give 8.52441295443818");
}

}  // namespace
}  // namespace etch
