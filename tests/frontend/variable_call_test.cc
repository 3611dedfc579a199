// Variables in traced functions: program order, hidden inputs and outputs, writing in place, what a call that throws leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "etch/buffer.h"
#include "etch/function.h"
#include "etch/ops.h"
#include "etch/variable.h"
#include "tests/frontend/counting_new.h"
#include "tests/frontend/error_of.h"

namespace etch {
namespace {

using Floats = std::vector<float>;
using testing::HasSubstr;

Floats floats(const Variable& v) { return v.value().to_vector<float>(); }
const void* memory(const Variable& v) { return v.value().data<float>().data(); }

// The place of the line above.
#define ABOVE ("variable_call_test.cc:" + std::to_string(__LINE__ - 1) + ": ")

/// Every way of running a function: eager, and traced with each of these options.
struct Way {
  const char* name;
  bool eager;
  FunctionOptions options;
};
class InEveryWay : public testing::TestWithParam<Way> {
 protected:
  template <class F>
  auto function(F f) {
    return etch::function(std::move(f), GetParam().options);
  }

 private:
  ScopedFlags flags_{GetParam().eager ? "eager" : ""};
};
INSTANTIATE_TEST_SUITE_P(Ways, InEveryWay,
                         testing::Values(Way{"eager", true, {}}, Way{"fused", false, {}},
                                         Way{"unfused", false, {.fuse = false}},
                                         Way{"unsimplified", false, {.simplify = false}}),
                         [](const auto& info) { return info.param.name; });

TEST_P(InEveryWay, IsReadAtEveryCall) {
  const Variable v({1.f, 2.f});
  auto f = function([&v](Tensor x) { return x * v; });
  EXPECT_EQ(f(ones(2)).to_vector<float>(), (Floats{1, 2}));
  v.assign(Tensor({3.f, 4.f}));
  EXPECT_EQ(f(ones(2)).to_vector<float>(), (Floats{3, 4}));
}

TEST_P(InEveryWay, IsChangedByEveryCall) {
  const Variable v({1.f, 2.f});
  auto f = function([&v](Tensor x) { v += x; });
  f(ones(2));
  f(ones(2));
  EXPECT_EQ(floats(v), (Floats{3, 4}));
}

TEST_P(InEveryWay, AReadAfterAnAssignmentSeesIt) {
  const Variable v({1.f, 2.f});
  auto f = function([&v](Tensor x) {
    const Tensor before = v;
    v.assign(x);
    const Tensor between = v;
    v -= 1;
    return std::tuple(before, between, v.value(), before + between + v);
  });
  const Tensor x({10.f, 20.f});
  for (const Floats& before : {Floats{1, 2}, Floats{9, 19}}) {
    const auto [first, second, third, sum] = f(x);
    EXPECT_EQ(first.to_vector<float>(), before);
    EXPECT_EQ(second.to_vector<float>(), (Floats{10, 20}));
    EXPECT_EQ(third.to_vector<float>(), (Floats{9, 19}));
    EXPECT_EQ(sum.to_vector<float>(), (Floats{before[0] + 19, before[1] + 39}));
  }
}

TEST_P(InEveryWay, ProgramOrderHoldsThroughNestedFunctions) {
  const Variable v({1.f, 2.f});
  auto twice = function([&v] { v.assign(v * 2); });
  auto f = function([&](Tensor x) {
    v += x;
    twice();
    const Tensor y = v;
    twice();
    return y;
  });
  EXPECT_EQ(f(ones(2)).to_vector<float>(), (Floats{4, 6}));
  EXPECT_EQ(floats(v), (Floats{8, 12}));
  EXPECT_EQ(f(ones(2)).to_vector<float>(), (Floats{18, 26}));
}

TEST_P(InEveryWay, TwoVariablesChangePlaces) {
  const Variable a({1.f, 2.f}), b({3.f, 4.f});
  auto f = function([&] {
    const Tensor kept = a;
    a.assign(b);
    b.assign(kept);
  });
  f();
  EXPECT_EQ(floats(a), (Floats{3, 4}));
  EXPECT_EQ(floats(b), (Floats{1, 2}));
  f();
  a += 1;
  EXPECT_EQ(floats(a), (Floats{2, 3}));
  EXPECT_EQ(floats(b), (Floats{3, 4}));
}

TEST_P(InEveryWay, ATensorThatWasReadOrReturnedNeverChanges) {
  const Variable v({1.f, 2.f});
  auto f = function([&v] {
    const Tensor before = v;
    v += 1;
    return std::pair(before, v.value());
  });
  const Tensor read = v;
  const auto [before, after] = f();
  f();
  f();
  EXPECT_EQ(read.to_vector<float>(), (Floats{1, 2}));
  EXPECT_EQ(before.to_vector<float>(), (Floats{1, 2}));
  EXPECT_EQ(after.to_vector<float>(), (Floats{2, 3}));
  EXPECT_EQ(floats(v), (Floats{4, 5}));
}

TEST_P(InEveryWay, TwoVariablesMayTakeOneValue) {
  const Variable a(zeros(2)), b(zeros(2)), c(zeros({2, 1}));
  auto f = function([&](Tensor x) {
    const Tensor y = x + a;
    a.assign(y);
    b.assign(y);
    c.assign(reshape(y, {2, 1}));
  });
  const Tensor x({1.f, 2.f});
  f(x);
  f(x);
  b += 1;
  for (const Variable& v : {a, c}) EXPECT_EQ(floats(v), (Floats{2, 4}));
  EXPECT_EQ(floats(b), (Floats{3, 5}));
}

TEST_P(InEveryWay, AnArgumentAndACaptureThatAreAssignedStayAsTheyAre) {
  const Variable a(zeros(2)), b(zeros(2));
  const Tensor captured({5.f, 6.f}), given({1.f, 2.f});
  auto f = function([&](Tensor x) {
    a.assign(x);
    b.assign(captured);
  });
  auto g = function([&] {
    a += 1;
    b += 1;
  });
  f(given);
  g();
  g();
  EXPECT_EQ(floats(a), (Floats{3, 4}));
  EXPECT_EQ(floats(b), (Floats{7, 8}));
  EXPECT_EQ(given.to_vector<float>(), (Floats{1, 2}));
  EXPECT_EQ(captured.to_vector<float>(), (Floats{5, 6}));
}

TEST_P(InEveryWay, AResultThatARuleFindsEqualToTheOldValueIsTheOldValue) {
  const Variable v({1.f, 2.f});
  auto f = function([&v] {
    const Tensor same = v * 1.0f;
    v += 1;
    return same;
  });
  EXPECT_EQ(f().to_vector<float>(), (Floats{1, 2}));
  EXPECT_EQ(f().to_vector<float>(), (Floats{2, 3}));
}

/// Adam as TensorFlow writes it, on a weight matrix that is read before and after.
struct Step {
  Variable w{reshape(linspace(-1, 1, 12), {4, 3})}, m{zeros({4, 3})}, v{zeros({4, 3})}, count{0.f};
  Tensor operator()(const Tensor& x) const {
    count += 1;
    const Tensor g = matmul(transpose(x), matmul(x, w)) * 0.01f;
    m.assign(m * 0.9f + g * 0.1f);
    v.assign(v * 0.999f + g * g * 0.001f);
    w -= 0.1f * m / (sqrt(v) + 1e-7f) / (1 + count);
    return sum(matmul(x, w));
  }
};

TEST(VariableBits, AreThoseOfEagerInEveryWay) {
  const Tensor x = reshape(linspace(-2, 2, 20), {5, 4});
  Step eager;
  Floats losses;
  for (int i = 0; i < 10; ++i) losses.push_back(eager(x).item<float>());
  for (const FunctionOptions& options :
       {FunctionOptions{}, {.fuse = false}, {.simplify = false}, {.threads = 1}, {.threads = 2}}) {
    const ScopedFlags split("grain=1");
    Step traced;
    auto f = function([&traced](Tensor y) { return traced(y); }, options);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(f(x).item<float>(), losses[i]);
    EXPECT_EQ(floats(traced.w), floats(eager.w));
    EXPECT_EQ(floats(traced.m), floats(eager.m));
    EXPECT_EQ(floats(traced.v), floats(eager.v));
  }
}

TEST(VariableInPlace, NothingIsCopiedOrAllocatedInAHundredSteps) {
  for (const bool fuse : {true, false}) {
    const Variable w(ones({128, 128})), m(zeros({128, 128})), v(zeros({128, 128}));
    auto step = function([&](Tensor g) {
      m.assign(m * 0.9f + g * 0.1f);
      v.assign(v * 0.999f + g * g * 0.001f);
      w -= 0.1f * m / (sqrt(v) + 1e-7f);
    }, {.fuse = fuse});
    const Tensor g = full({128, 128}, 0.5f);
    step(g);
    step(g);
    const void* where[] = {memory(w), memory(m), memory(v)};
    const MemoryStats before = memory_stats();
    const int64_t news = num_news();
    for (int i = 0; i < 100; ++i) step(g);
    EXPECT_EQ(num_news(), news);
    EXPECT_EQ(memory_stats().copied_bytes, before.copied_bytes);
    EXPECT_EQ(memory_stats().allocations, before.allocations);
    EXPECT_EQ(memory(w), where[0]);
    EXPECT_EQ(memory(m), where[1]);
    EXPECT_EQ(memory(v), where[2]);
  }
}

TEST(VariableInPlace, AHandleElsewhereTurnsItOffForOneCall) {
  const Variable v(zeros(1000));
  auto f = function([&v] { v += 1; });
  f();
  const void* at_first = memory(v);
  f();
  EXPECT_EQ(memory(v), at_first);
  {
    const Tensor held = v;
    f();
    EXPECT_NE(memory(v), at_first);
    EXPECT_EQ(held.to_vector<float>(), Floats(1000, 2));
  }
  const void* afterwards = memory(v);
  f();
  EXPECT_EQ(memory(v), afterwards);
  EXPECT_EQ(floats(v), Floats(1000, 4));
}

TEST(VariableInPlace, AViewAndACaptureOfTheValueTurnItOff) {
  const Variable v({1.f, 2.f}), w({1.f, 2.f});
  auto f = function([&] {
    v += 1;
    w += 1;
  });
  const Tensor view = reshape(v, {2, 1});
  auto captures = function([kept = w.value()](Tensor x) { return x + kept; });
  EXPECT_EQ(captures(zeros(2)).to_vector<float>(), (Floats{1, 2}));
  f();
  EXPECT_EQ(view.to_vector<float>(), (Floats{1, 2}));
  EXPECT_EQ(captures(zeros(2)).to_vector<float>(), (Floats{1, 2}));
}

TEST(VariableInPlace, AValueThatIsReadAfterTheNewOneIsBegunTakesASecondBuffer) {
  const Variable v(ones({8, 8}), {.name = "v"});
  auto f = function([&v] { v.assign(matmul(v, v)); });
  EXPECT_THAT(f.explain(), HasSubstr("variable v f32[8,8] is read and assigned, in a second buffer: its old value is read "
                                     "after the new one is begun"));
  f();
  f();
  EXPECT_EQ(floats(v), Floats(64, 512));
}

TEST(VariableInPlace, AReportNamesWhatIsReadAndAssigned) {
  const Variable a({1.f, 2.f}, {.name = "a"}), b(0.f, {.name = "b"}), c({1.f, 2.f}, {.name = "c"}), d({1.f, 2.f}, {.name = "d"});
  auto f = function([&](Tensor x) {
    a += x * b;
    c.assign(x);
    d.assign(x + 1);
    return d.value();
  });
  const std::string text = f.concrete(ones(2)).text("signature");
  EXPECT_THAT(text, HasSubstr("  variable a f32[2] is read and assigned, in place\n"));
  EXPECT_THAT(text, HasSubstr("  variable b f32[] is read\n"));
  EXPECT_THAT(text, HasSubstr("  variable c f32[2] is assigned, it takes over the tensor that it is given\n"));
  EXPECT_THAT(text, HasSubstr("  variable d f32[2] is assigned, one tensor with result[0]\n"));
}

TEST(VariableCall, ValuesAreInputsAndNotConstants) {
  const Variable v({1.f, 2.f});
  auto f = function([&v](Tensor x) { return x + v + v; });
  const auto concrete = f.concrete(ones(2));
  EXPECT_THAT(concrete.text("trace"), HasSubstr("graph(%0: f32[2], %1: f32[2])"));
  EXPECT_EQ(concrete.num_captures(), 0);
}

TEST(VariableCall, AssigningWhatWasReadChangesNothing) {
  const Variable v({1.f, 2.f}, {.name = "v"});
  auto f = function([&v] { v.assign(v); });
  EXPECT_THAT(f.concrete().text("signature"), HasSubstr("variable v f32[2] is read\n"));
}

TEST(VariableCall, CallIntoUpdatesVariablesToo) {
  const Variable v({1.f, 2.f});
  auto f = function([&v](Tensor x) {
    v += x;
    return v.value();
  });
  Tensor out = zeros(2);
  for (int i = 0; i < 3; ++i) f.call_into(out, ones(2));
  EXPECT_EQ(out.to_vector<float>(), (Floats{4, 5}));
  EXPECT_EQ(floats(v), (Floats{4, 5}));
}

TEST(VariableCall, ACallThatIsRefusedChangesNothing) {
  const Variable v({1.f, 2.f});
  auto f = function([&v](Tensor x) {
    v += 1;
    return x + v;
  });
  f(ones(2));
  Tensor wrong = zeros(3);
  EXPECT_THROW(f.call_into(wrong, ones(2)), Error);
  EXPECT_EQ(floats(v), (Floats{2, 3}));
}

TEST(VariableCall, ATraceThatThrowsChangesNothing) {
  const Variable v({1.f, 2.f});
  auto f = function([&v](Tensor x) {
    v.assign(x);
    v += 1;
    return x + ones(3);
  });
  EXPECT_THROW(f(ones(2)), Error);
  EXPECT_EQ(floats(v), (Floats{1, 2}));
}

TEST(VariableCall, AConcreteFunctionWithVariablesIsNotForTraces) {
  const Variable v({1.f, 2.f}, {.name = "v"});
  auto inner = function([&v] { v += 1; }, {.name = "inner"}).concrete();
  auto outer = function([&](Tensor x) {
    inner();
    return x;
  });
  EXPECT_EQ(error_of([&] { outer(ones(2)); }),
            "variable_call_test.cc:" + std::to_string(__LINE__ - 4) + ": concrete function inner_0 uses variable v f32[2], so a "
            "trace cannot run it: that would happen once; call the function, which is traced too");
  inner();
  EXPECT_EQ(floats(v), (Floats{2, 3}));
}

TEST(VariableCall, AValueOfATraceCannotBeAssignedOutside) {
  const Variable v({1.f, 2.f}, {.name = "v"});
  Tensor escaped;
  auto f = function([&](Tensor x) { return escaped = x + 1; }, {.name = "f"});
  f(ones(2));
  EXPECT_THAT(error_of([&] { v.assign(escaped); }),
              HasSubstr("assigning to variable v f32[2]: the tensor is a traced f32[2], the result of add at "
                        "variable_call_test.cc:"));
  EXPECT_THAT(error_of([&] { v.assign(escaped); }), HasSubstr(", and it escaped: its trace has ended or runs in another thread"));
  EXPECT_EQ(floats(v), (Floats{1, 2}));
}

TEST(VariableCall, ReplacedHandlesAreFoundByCheckCaptures) {
  Variable v({1.f, 2.f}, {.name = "v"});
  auto f = function([&v](Tensor x) { return x * v; }, {.name = "f", .check_captures = true});
  f(ones(2));
  v.assign(zeros(2));
  EXPECT_EQ(f(ones(2)).to_vector<float>(), (Floats{0, 0}));
  v = Variable({3.f, 4.f});
  EXPECT_THAT(error_of([&] { f(ones(2)); }), HasSubstr("function f: the variable v f32[2] that it used at variable_call_test"));
}

// --- Variables as arguments and members ---

TEST(VariableArgument, EachVariableIsASignatureOfItsOwn) {
  const Variable a({1.f, 2.f}), b({3.f, 4.f});
  auto f = function([](Variable v, Tensor x) { v += x; });
  f(a, ones(2));
  f(b, ones(2));
  f(a, ones(2));
  EXPECT_EQ(f.stats().traces, 2);
  EXPECT_EQ(floats(a), (Floats{3, 4}));
  EXPECT_EQ(floats(b), (Floats{4, 5}));
}

TEST(VariableArgument, StandsInStructsAndResults) {
  struct Layer {
    Variable weight;
    float factor = 1;
  };
  auto f = function([](const std::vector<Layer>& layers, Tensor x) {
    for (const Layer& layer : layers) x = x * layer.weight * layer.factor;
    return std::pair(layers[0].weight, x);
  });
  const std::vector<Layer> layers{{Variable({1.f, 2.f}), 2}, {Variable({3.f, 4.f})}};
  const auto [weight, y] = f(layers, ones(2));
  EXPECT_EQ(y.to_vector<float>(), (Floats{6, 16}));
  weight.assign(zeros(2));
  EXPECT_EQ(floats(layers[0].weight), (Floats{0, 0}));
}

struct Model {
  Variable weight{Tensor({1.f, 2.f}), {.name = "weight"}};
  Variable later{};
  Tensor forward(Tensor x) {
    if (!later.defined()) later = Variable([] { return full(2, 10.f); }, {.name = "later"});
    return x * weight + later;
  }
};

TEST(VariableMember, AReplacedHandleIsFollowed) {
  Model model;
  auto f = function(&Model::forward, &model);
  f(ones(2));
  model.weight = Variable({5.f, 6.f});
  EXPECT_EQ(f(ones(2)).to_vector<float>(), (Floats{15, 16}));
  EXPECT_EQ(f.stats().traces, 2);
}

TEST(VariableMember, OneThatTheTraceMakesBelongsToTheSignature) {
  Model model;
  auto f = function(&Model::forward, &model, {.on_retrace = Retrace::forbid});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(f(ones(2)).to_vector<float>(), (Floats{11, 12}));
  EXPECT_EQ(f.stats().traces, 1);
  EXPECT_THAT(f.concrete(ones(2)).text("signature"), HasSubstr("this.later variable later f32[2] #"));
  model.later.assign(zeros(2));
  EXPECT_EQ(f(ones(2)).to_vector<float>(), (Floats{1, 2}));
}

// --- Made while a function is traced ---

TEST(VariableMade, OnceAndEagerly) {
  Variable v;
  int initialised = 0, traced = 0;
  auto f = function([&](Tensor x) {
    ++traced;
    if (!v.defined()) {
      v = Variable([&] {
        ++initialised;
        const Tensor start = ones(2) * 3;
        EXPECT_TRUE(start.is_eager());
        return start;
      });
    }
    v += x;
    return v.value();
  });
  EXPECT_EQ(f(ones(2)).to_vector<float>(), (Floats{4, 4}));
  EXPECT_EQ(f(ones(2)).to_vector<float>(), (Floats{5, 5}));
  EXPECT_EQ(initialised, 1);
  EXPECT_EQ(traced, 2);
}

TEST(VariableMade, EachTimeIsAnError) {
  auto f = function([](Tensor x) {
    const Variable v(0.f);
    return x + v;
  }, {.name = "f"});
  EXPECT_EQ(error_of([&] { f(ones(2)); }),
            "variable_call_test.cc:" + std::to_string(__LINE__ - 4) + ": function f makes a variable each time it is traced, so "
            "that no two traces have the same ones; make it before the function is called, or only where there is none yet: if "
            "(!v.defined()) v = Variable(...), with v kept outside of the function");
}

TEST(VariableMade, OfAValueOfTheTraceIsAnError) {
  auto f = function([](Tensor x) {
    const Variable v(x * 2, {.name = "v"});
    return x + v;
  }, {.name = "f"});
  const std::string place = "variable_call_test.cc:" + std::to_string(__LINE__ - 3);
  EXPECT_EQ(error_of([&] { f(ones(2)); }),
            place + ": variable v: its initial value is a traced f32[2], the result of mul at " + place + ", which has no "
            "elements yet; give a callable that makes it, which runs at once: Variable([&] { return zeros(3); })");
}

TEST(VariableMade, AnInitialiserCannotUseValuesOfTheTrace) {
  auto f = function([](Tensor x) {
    const Variable v([&] { return x * 2; });
    return x + v;
  }, {.name = "f"});
  EXPECT_THAT(error_of([&] { f(ones(2)); }), HasSubstr("an init_scope can only use what is there before the function is called"));
}

// --- init_scope ---

TEST(InitScope, RunsOnceAndEagerlyInsideOfATrace) {
  const Variable v(0.f);
  auto other = function([&v](Tensor x) {
    v += 1;
    return x * 2;
  });
  auto f = function([&](Tensor x) {
    const Tensor y = init_scope([&] {
      v += 10;
      return other(ones(2));
    });
    EXPECT_TRUE(y.is_eager());
    return x + y;
  });
  for (int i = 0; i < 2; ++i) EXPECT_EQ(f(ones(2)).to_vector<float>(), (Floats{3, 3}));
  EXPECT_EQ(v.value().item<float>(), 11);
  EXPECT_EQ(other.stats().traces, 1);
}

TEST(InitScope, IsNothingOutsideOfATrace) {
  EXPECT_EQ(init_scope([] { return ones(2); }).to_vector<float>(), (Floats{1, 1}));
}

TEST(InitScope, AFunctionMayCallItselfThere) {
  Function<Tensor(Tensor)> f;
  Variable v;
  f = function([&](Tensor x) {
    if (!v.defined()) {
      v = Variable([] { return ones(2); });
      EXPECT_EQ(init_scope([&] { return f(zeros(2)); }).to_vector<float>(), (Floats{1, 1}));
    }
    return x + v;
  });
  EXPECT_EQ(f(ones(2)).to_vector<float>(), (Floats{2, 2}));
}

}  // namespace
}  // namespace etch
