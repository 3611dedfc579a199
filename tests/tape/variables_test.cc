// Gradients where variables are read and assigned: in eager code, in traces, and in calls that a tape records.
#include <atomic>
#include <cstring>
#include <thread>

#include "tests/tape/modes.h"

namespace etch {
namespace {

using Floats = std::vector<float>;

Floats floats(const Tensor& x) { return x.to_vector<float>(); }

/// Runs a function with its gradients, traced and eager, on variables that hold {2, 3}.
void expect_in_both_modes(const std::function<TensorList(const Variable&)>& program, const TensorList& expected) {
  const Variable eager(Tensor({2.0f, 3.0f})), traced(Tensor({2.0f, 3.0f}));
  EXPECT_TRUE(same_bits(program(eager), expected)) << "eager";
  EXPECT_TRUE(same_bits(function([&] { return program(traced); })(), expected)) << "traced";
  EXPECT_TRUE(same_bits({traced.value()}, {eager.value()})) << "what the variable holds then";
}

TEST(VariableGradients, AWatchedReadGivesTheSumOverAllReads) {
  expect_in_both_modes(
      [](const Variable& v) {
        const Tensor before = v;
        GradientTape tape;
        const Tensor read = v;
        tape.watch(read);
        const Tensor y = before * v.value() * v.value();
        return TensorList{tape.gradient(y, read)};
      },
      {Tensor({12.0f, 27.0f})});
}

TEST(VariableGradients, SeveralReadsAddInTheOrderOfOne) {
  const Variable v(cos(linspace(0, 9, 64)));
  const auto gradient_of_reads = [&] {
    const Tensor x = v;
    GradientTape tape;
    tape.watch(x);
    const Tensor a = v, first = sin(a) * 1.3f + cos(a) * 0.7f;
    const Tensor b = v, second = tanh(b) * 3.3f + exp(b) / 7;
    return tape.gradient(first + second, x);
  };
  EXPECT_TRUE(same_bits({function(gradient_of_reads)()}, {gradient_of_reads()}));
}

TEST(VariableGradients, AReadWhileTheTapeIsStoppedIsStillTheWatchedValue) {
  expect_in_both_modes(
      [](const Variable& v) {
        const Tensor x = v;
        GradientTape tape;
        tape.watch(x);
        Tensor read;
        {
          const auto stopped = tape.stop_recording();
          read = v;
        }
        return TensorList{tape.gradient(read * read, x)};
      },
      {Tensor({4.0f, 6.0f})});
}

TEST(VariableGradients, PassThroughAnAssignment) {
  expect_in_both_modes(
      [](const Variable& v) {
        const Tensor x = v;
        GradientTape tape;
        tape.watch(x);
        v.assign(x * x);
        return TensorList{tape.gradient(v.value() * 3, x)};
      },
      {Tensor({12.0f, 18.0f})});
}

TEST(VariableGradients, ATrainingStepAssignsInsideOfTheTrace) {
  expect_in_both_modes(
      [](const Variable& v) {
        const Tensor x = v;
        GradientTape tape;
        tape.watch(x);
        const Tensor loss = sum(square(v.value()));
        v.assign_sub(0.25f * tape.gradient(loss, x));
        return TensorList{loss};
      },
      {Tensor(13.0f)});
}

TEST(VariableGradients, ARecordedCallTakesWhatStandsInItsVariables) {
  const Variable v(Tensor({2.0f, 3.0f}));
  auto f = function([&](Tensor x) { return exp(v.value()) * x * v; });
  const Tensor x({5.0f, 7.0f}), held = v;
  GradientTape tape({.persistent = true});
  tape.watch(TensorList{x, held});
  const Tensor y = f(x);
  v.assign(Tensor({0.0f, 0.0f}));
  EXPECT_TRUE(same_bits({y}, {exp(held) * x * held}));
  EXPECT_TRUE(same_bits({tape.gradient(y, x)}, {exp(held) * held}));
  const Floats in_variable = floats(tape.gradient(y, held)), expected = floats(exp(held) * x * (held + 1));
  EXPECT_NEAR(in_variable[0], expected[0], 1e-4f * expected[0]);
  EXPECT_NEAR(in_variable[1], expected[1], 1e-4f * expected[1]);
}

TEST(VariableGradients, ARecordedCallThatAssignsPassesItsGradientsThroughTheVariable) {
  const Variable v(Tensor({2.0f, 3.0f})), total(0.0f);
  auto f = function([&](Tensor x) {
    const Tensor y = tanh(x);
    v.assign(v * y);
    total.assign_add(1.0f);
    return y;
  });
  const Tensor x({0.5f, 0.25f});
  GradientTape tape({.persistent = true});
  tape.watch(x);
  const Tensor y = f(x);
  const Tensor new_value = v;
  EXPECT_TRUE(same_bits({y, new_value}, {tanh(x), Tensor({2.0f, 3.0f}) * tanh(x)}));
  EXPECT_EQ(total.value().item<float>(), 1.0f);
  GradientTape eager;
  eager.watch(x);
  const Tensor expected = eager.gradient(Tensor({2.0f, 3.0f}) * tanh(x), x);
  EXPECT_TRUE(same_bits({tape.gradient(new_value, x)}, {expected}));
}

TEST(VariableGradients, ARecordedCallDoesNotWriteOverWhatItTook) {
  const Variable v(Tensor({2.0f, 3.0f}));
  auto f = function([&](Tensor x) { v.assign(v * x); });
  const Tensor x({5.0f, 7.0f});
  GradientTape tape({.persistent = true});
  tape.watch(x);
  f(x);
  const Tensor first = v;
  f(x);
  EXPECT_EQ(floats(v), (Floats{50, 147}));
  EXPECT_EQ(floats(tape.gradient(first, x)), (Floats{2, 3}));
  EXPECT_EQ(floats(tape.gradient(v.value(), x)), (Floats{20, 42}));
}

TEST(VariableGradients, ARecordedCallGivesAVariableItsResultAsOneTensor) {
  const Variable v(Tensor({2.0f, 3.0f}));
  auto f = function([&](Tensor x) {
    const Tensor y = exp(x);
    v.assign(y);
    return y;
  });
  const Tensor x({0.5f, 0.25f});
  GradientTape tape;
  tape.watch(x);
  const Tensor y = f(x);
  EXPECT_EQ(y.data<float>().data(), v.value().data<float>().data());
  EXPECT_TRUE(same_bits({tape.gradient(v.value() + y, x)}, {exp(x) + exp(x)}));
}

TEST(VariableGradients, ARecordedCallTakesOneMomentOfVariablesThatOthersAssign) {
  const Variable a(1.0f), b(1.0f);  // equal at every moment
  auto set = function([&](Tensor x) {
    a.assign(x);
    b.assign(x);
  });
  auto f = function([&](Tensor x) { return x * (a - b) + exp(x - x); });
  std::atomic<bool> done{false};
  std::thread other([&] {
    for (int i = 0; !done.load(); ++i) set(Tensor(static_cast<float>(i % 100)));
  });
  const Tensor x(3.0f);
  for (int i = 0; i < 200; ++i) {
    GradientTape tape;
    tape.watch(x);
    const Tensor y = f(x);
    EXPECT_EQ(y.item<float>(), 1.0f);
    EXPECT_EQ(tape.gradient(y, x).item<float>(), 0.0f);
  }
  done = true;
  other.join();
}

}  // namespace
}  // namespace etch
