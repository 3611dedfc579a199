// etch::function: what it wraps, how often it traces, what it captures, and what it refuses.
#include "etch/function.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <map>
#include <optional>

#include "etch/ops.h"
#include "tests/frontend/error_of.h"

namespace etch {
namespace {

std::vector<float> values_of(const Tensor& x) { return x.to_vector<float>(); }
using Floats = std::vector<float>;

const Tensor kTwo({1.f, 2.f});
const Tensor kThree({1.f, 2.f, 3.f});

// --- Callables ---

Tensor doubled(Tensor x) { return x * 2; }
Tensor tripled(const Tensor& x) noexcept { return x * 3; }

struct Adder {
  Tensor offset;
  Tensor operator()(Tensor x) const { return x + offset; }
};

struct Model {
  Tensor weight;
  Tensor forward(Tensor x) { return x * weight; }
  Tensor scaled(Tensor x, int factor) const { return x * weight * factor; }
};

TEST(FunctionWraps, Lambdas) {
  EXPECT_EQ(values_of(function([](Tensor x) { return x + 1; })(kTwo)), (Floats{2, 3}));
}
TEST(FunctionWraps, MutableLambdas) {
  auto f = function([count = 0](Tensor x) mutable { return x + ++count; });
  EXPECT_EQ(values_of(f(kTwo)), (Floats{2, 3}));
  EXPECT_EQ(values_of(f(kTwo)), (Floats{2, 3}));
}
TEST(FunctionWraps, FunctionPointers) {
  EXPECT_EQ(values_of(function(doubled)(kTwo)), (Floats{2, 4}));
  EXPECT_EQ(values_of(function(tripled)(kTwo)), (Floats{3, 6}));
}
TEST(FunctionWraps, Functors) { EXPECT_EQ(values_of(function(Adder{kTwo})(kTwo)), (Floats{2, 4})); }
TEST(FunctionWraps, MemberFunctions) {
  Model model{Tensor({2.f, 3.f})};
  auto f = function(&Model::forward, &model);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{2, 6}));
  EXPECT_EQ(values_of(function(&Model::scaled, &model)(kTwo, 10)), (Floats{20, 60}));
}
TEST(FunctionWraps, BoundCallsAndGenericLambdasWithANamedSignature) {
  Model model{Tensor({2.f, 3.f})};
  EXPECT_EQ(values_of(function<Tensor(Tensor)>(std::bind_front(&Model::forward, &model))(kTwo)), (Floats{2, 6}));
  EXPECT_EQ(values_of(function<Tensor(Tensor)>([](auto x) { return x + x; })(kTwo)), (Floats{2, 4}));
}

// --- Arguments and results ---

enum class Mode { add, multiply };
struct Layer {
  Tensor weight;
  Mode mode = Mode::add;
};
struct Network {
  std::vector<Layer> layers;
  std::string name;
  std::optional<Tensor> bias;
  std::map<std::string, Tensor> extra;
};

TEST(FunctionArguments, AggregatesAndContainers) {
  int traces = 0;
  auto f = function([&traces](const Network& net, Tensor x, std::pair<int, double> pair, std::array<Tensor, 2> two) {
    ++traces;
    for (const Layer& layer : net.layers) x = layer.mode == Mode::add ? x + layer.weight : x * layer.weight;
    if (net.bias) x = x + *net.bias;
    for (const auto& [key, tensor] : net.extra) x = x + tensor * static_cast<float>(key.size());
    return x * pair.first + pair.second + two[0] - two[1];
  });
  Network net{{{kTwo, Mode::add}, {kTwo, Mode::multiply}}, "net", kTwo, {{"abc", kTwo}}};
  // ((x + w) * w + b + 3 e) * 2 + 0.5 + 1 - 2 at x = w = b = e = (1, 2)
  const Floats expected{(2 * 1 + 1 + 3) * 2 - 0.5f, (4 * 2 + 2 + 6) * 2 - 0.5f};
  EXPECT_EQ(values_of(f(net, kTwo, {2, 0.5}, {Tensor(1.f), Tensor(2.f)})), expected);
  net.layers[0].weight = Tensor({5.f, 6.f});
  f(net, kTwo, {2, 0.5}, {Tensor(1.f), Tensor(2.f)});
  EXPECT_EQ(traces, 1);
  net.layers[0].mode = Mode::multiply;
  f(net, kTwo, {2, 0.5}, {Tensor(1.f), Tensor(2.f)});
  EXPECT_EQ(traces, 2);
  net.name = "other";
  f(net, kTwo, {2, 0.5}, {Tensor(1.f), Tensor(2.f)});
  EXPECT_EQ(traces, 3);
  net.bias.reset();
  f(net, kTwo, {2, 0.5}, {Tensor(1.f), Tensor(2.f)});
  EXPECT_EQ(traces, 4);
}

TEST(FunctionResults, AnyStructureComesBack) {
  struct Result {
    Tensor sum;
    std::vector<Tensor> parts;
    std::map<std::string, Tensor> named;
    std::optional<Tensor> none;
    int number;
    std::string text;
  };
  auto f = function([](Tensor x, Tensor y) {
    return Result{x + y, {x, y * 2}, {{"difference", x - y}}, std::nullopt, 7, "seven"};
  });
  for (int i = 0; i < 2; ++i) {
    const Result r = f(kTwo, Tensor({10.f, 20.f}));
    EXPECT_EQ(values_of(r.sum), (Floats{11, 22}));
    EXPECT_EQ(values_of(r.parts.at(0)), (Floats{1, 2}));
    EXPECT_EQ(values_of(r.parts.at(1)), (Floats{20, 40}));
    EXPECT_EQ(values_of(r.named.at("difference")), (Floats{-9, -18}));
    EXPECT_FALSE(r.none.has_value());
    EXPECT_EQ(r.number, 7);
    EXPECT_EQ(r.text, "seven");
  }
}

TEST(FunctionResults, TuplesNumbersAndNothing) {
  const auto [a, b] = function([](Tensor x) { return std::tuple(x + 1, x + 1); })(kTwo);
  EXPECT_EQ(values_of(a), values_of(b));
  EXPECT_EQ(function([](Tensor, int k) { return k + 1; })(kTwo, 4), 5);
  int runs = 0;
  auto nothing = function([&runs](Tensor) { ++runs; });
  nothing(kTwo);
  nothing(kTwo);
  EXPECT_EQ(runs, 1);
}

TEST(FunctionResults, OfAnOpWithTwoResults) {
  const Tensor x({{3.f, 9.f, 4.f, 9.f}, {1.f, 0.f, 2.f, 5.f}});
  const auto [values, indices] = top_k(x, 2);
  EXPECT_EQ(values_of(values), (Floats{9, 9, 5, 2}));
  EXPECT_EQ(indices.to_vector<int64_t>(), (std::vector<int64_t>{1, 3, 3, 2}));

  auto best = function([](Tensor x) { return top_k(x + 1, 2); });
  const auto [traced_values, traced_indices] = best(x);
  EXPECT_EQ(values_of(traced_values), (Floats{10, 10, 6, 3}));
  EXPECT_EQ(traced_indices.to_vector<int64_t>(), indices.to_vector<int64_t>());
  EXPECT_NE(best.explain(x).find("call_1_top_k of f32, sizes [4,2], 2 iterations"), std::string::npos) << best.explain(x);
  EXPECT_NE(best.concrete(x).text("steps").find("call call_1_top_k("), std::string::npos);

  // One result alone, and the same one twice.
  auto places = function([](Tensor x) { return std::pair(top_k(x, 1).indices, top_k(x, 1).indices); });
  const auto [first, second] = places(x);
  EXPECT_EQ(first.to_vector<int64_t>(), (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(second.to_vector<int64_t>(), (std::vector<int64_t>{1, 3}));
}

TEST(FunctionResults, ArgumentsAndCapturesPassThrough) {
  const Tensor captured({5.f, 6.f});
  const auto [x, c] = function([&](Tensor x) { return std::pair(x, captured); })(kTwo);
  EXPECT_EQ(x.data<float>().data(), kTwo.data<float>().data());
  EXPECT_EQ(c.data<float>().data(), captured.data<float>().data());
}

// --- Signatures ---

TEST(FunctionSignatures, OneTracePerDTypeAndShape) {
  auto f = function([](Tensor x) { return x + x; });
  f(kTwo);
  f(Tensor({7.f, 8.f}));
  EXPECT_EQ(f.stats().traces, 1);
  f(kThree);
  f(Tensor({1, 2}));
  EXPECT_EQ(f.stats().traces, 3);
  EXPECT_EQ(f.stats().hits, 1);
  EXPECT_EQ(f.stats().entries, 3);
}

TEST(FunctionSignatures, NumbersForTensorsNeverRetrace) {
  auto f = function([](Tensor x, Tensor scale) { return x * scale; });
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(values_of(f(kTwo, static_cast<float>(i))), (Floats{1.f * i, 2.f * i}));
  }
  EXPECT_EQ(f.stats().traces, 1);
}

TEST(FunctionSignatures, OtherValuesAreByBits) {
  auto f = function([](Tensor x, double k) { return x * k; });
  f(kTwo, 0.0);
  f(kTwo, -0.0);
  f(kTwo, NAN);
  f(kTwo, NAN);
  EXPECT_EQ(f.stats().traces, 3);
}

TEST(FunctionSignatures, EqualBytesInOtherPlacesDiffer) {
  auto f = function([](std::string a, std::string b, Tensor x) {
    return x * static_cast<float>(a.size()) + static_cast<float>(b.size());
  });
  EXPECT_EQ(values_of(f("ab", "c", kTwo)), (Floats{3, 5}));
  EXPECT_EQ(values_of(f("a", "bc", kTwo)), (Floats{3, 4}));
}

TEST(FunctionSignatures, ManyTensorsFit) {
  auto f = function([](std::vector<Tensor> xs) {
    Tensor total = xs[0];
    for (size_t i = 1; i < xs.size(); ++i) total += xs[i];
    return total;
  });
  EXPECT_EQ(values_of(f(std::vector<Tensor>(100, kTwo))), (Floats{100, 200}));
  EXPECT_EQ(values_of(f(std::vector<Tensor>(100, kTwo))), (Floats{100, 200}));
}

TEST(FunctionSignatures, CopiesShareTraces) {
  auto f = function([](Tensor x) { return x + 1; });
  auto g = f;
  f(kTwo);
  g(kTwo);
  EXPECT_EQ(g.stats().traces, 1);
}

// --- Captures ---

TEST(FunctionCaptures, EagerTensorsAreHiddenInputsOnce) {
  Tensor w({3.f, 4.f});
  auto f = function([&w](Tensor x) { return x * w + w; });
  EXPECT_EQ(f.concrete(kTwo).num_captures(), 1);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{6, 12}));
}

TEST(FunctionCaptures, AreReadAtTheTimeOfTheCall) {
  Tensor w({3.f, 4.f});
  auto f = function([&w](Tensor x) { return x * w; });
  EXPECT_EQ(values_of(f(kTwo)), (Floats{3, 8}));
  auto fill = function([](Tensor x) { return x * 0 + 10; });
  fill.call_into(w, kTwo);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{10, 20}));
}

TEST(FunctionCaptures, LiveAsLongAsTheConcreteFunction) {
  auto f = function([w = Tensor({3.f, 4.f})](Tensor x) mutable {
    Tensor result = x * w;
    w = Tensor();
    return result;
  });
  f(kTwo);
  EXPECT_EQ(values_of(f(kTwo)), (Floats{3, 8}));
}

TEST(FunctionCaptures, CppValuesAreConstants) {
  int k = 2;
  auto f = function([&k](Tensor x) { return x * k; });
  f(kTwo);
  k = 100;
  EXPECT_EQ(values_of(f(kTwo)), (Floats{2, 4}));
}

// --- Nesting ---

TEST(FunctionNesting, InnerFunctionsAreInlined) {
  auto inner = function([](Tensor x) { return x + 1; }, {.name = "inner"});
  auto outer = function([&](Tensor x) { return inner(x) * inner(x * 2); });
  EXPECT_EQ(values_of(outer(kTwo)), (Floats{6, 15}));
  EXPECT_EQ(inner.stats().traces, 0);
  EXPECT_NE(outer.concrete(kTwo).text("trace").find("in inner"), std::string::npos);
}

TEST(FunctionNesting, RecursionByCppValuesEnds) {
  std::function<Tensor(Tensor, int)> body;
  auto f = function<Tensor(Tensor, int)>([&body](Tensor x, int n) { return body(x, n); });
  body = [&f](Tensor x, int n) { return n == 0 ? x : f(x * 2, n - 1); };
  EXPECT_EQ(values_of(f(kTwo, 5)), (Floats{32, 64}));
  EXPECT_EQ(f.stats().traces, 1);
}

TEST(FunctionNesting, EndlessRecursionIsAnError) {
  std::function<Tensor(Tensor)> body;
  auto f = function<Tensor(Tensor)>([&body](Tensor x) { return body(x); });
  body = [&f](Tensor x) { return f(x); };
  EXPECT_NE(error_of([&] { f(kTwo); }).find("calls itself 256 deep"), std::string::npos);
}

TEST(FunctionNesting, ConcreteInsideATraceIsAFunctionOfItsOwn) {
  auto inner = function([](Tensor x) { return x + 1; });
  auto outer = function([&](Tensor x) { return x * inner.concrete(TensorSpec{DType::f32, {2}}).num_kernels(); });
  EXPECT_EQ(values_of(outer(kTwo)), (Floats{1, 2}));
}

// --- Errors and policies ---

TEST(FunctionErrors, AThrowingTraceLeavesTheCacheClean) {
  bool fails = true;
  auto f = function([&fails](Tensor x) {
    if (fails) throw std::logic_error("user");
    return x + 1;
  });
  EXPECT_THROW(f(kTwo), std::logic_error);
  EXPECT_EQ(f.stats().entries, 0);
  fails = false;
  EXPECT_EQ(values_of(f(kTwo)), (Floats{2, 3}));
  EXPECT_EQ(values_of(kTwo + 1), (Floats{2, 3}));  // no trace is left on the thread
}

TEST(FunctionErrors, EscapedTensorsSayWhereTheyWereMade) {
  Tensor escaped;
  auto f = function([&escaped](Tensor x) { return escaped = x + 1; });
  const int line = __LINE__ - 1;
  f(kTwo);
  const std::string error = error_of([&] { return escaped * 2; });
  EXPECT_NE(error.find("it escaped"), std::string::npos) << error;
  EXPECT_NE(error.find("add at function_test.cc:" + std::to_string(line)), std::string::npos) << error;
  EXPECT_NE(error_of([&] { escaped.item<float>(); }).find("it escaped"), std::string::npos);
  auto g = function([&escaped](Tensor x) { return x + escaped; });
  EXPECT_NE(error_of([&] { g(kTwo); }).find("it escaped"), std::string::npos);
}

TEST(FunctionErrors, OpsNameTheCallSite) {
  auto f = function([](Tensor x, Tensor y) { return x + y; });
  const int line = __LINE__ - 1;
  const std::string error = error_of([&] { f(kTwo, kThree); });
  EXPECT_EQ(error.find("function_test.cc:" + std::to_string(line) + ": add(f32[2], f32[3])"), 0u) << error;
}

TEST(FunctionErrors, CompositesNameTheUsersCallSite) {
  const std::string error = error_of([] { return softmax(Tensor({1.f, 2.f}), 5); });
  const int line = __LINE__ - 1;
  EXPECT_EQ(error.find("function_test.cc:" + std::to_string(line) + ": "), 0u) << error;
}

TEST(FunctionErrors, TensorsOfTwoTracesDoNotMix) {
  Tensor outer_value;
  auto inner = function([&](Tensor x) { return x + outer_value; }, {.name = "inner"});
  auto outer = function([&](Tensor x) {
    outer_value = x * 2;
    inner.concrete(TensorSpec{DType::f32, {2}});
    return x;
  }, {.name = "outer"});
  const std::string error = error_of([&] { outer(kTwo); });
  EXPECT_NE(error.find("function inner uses a traced f32[2], the result of mul"), std::string::npos) << error;
  EXPECT_NE(error.find("another trace, that of function outer"), std::string::npos) << error;
}

TEST(FunctionErrors, ReadingInsideATraceIsAnError) {
  auto reads = function([](Tensor x) { return x * x.item<float>(); });
  EXPECT_NE(error_of([&] { reads(Tensor(1.f)); }).find("is being traced"), std::string::npos);
  auto decides = function([](Tensor x) { return x > 0 ? x : -x; }, {.control_flow = false});
  EXPECT_NE(error_of([&] { decides(Tensor(1.f)); }).find("is being traced"), std::string::npos);
}

TEST(FunctionErrors, ASpecIsNoArgumentOfACall) {
  auto f = function([](Tensor x) { return x; });
  EXPECT_NE(error_of([&] { f(TensorSpec{DType::f32, {2}}); }).find("TensorSpec"), std::string::npos);
}

TEST(FunctionErrors, AnEmptyTensorHandleIsNamed) {
  auto f = function([](Network net) { return net.layers[0].weight; });
  EXPECT_NE(error_of([&] { f(Network{{Layer{}}, "", {}, {}}); }).find("args[0].layers[0].weight holds no tensor"),
            std::string::npos);
  auto g = function([](Tensor) { return Tensor(); });
  EXPECT_NE(error_of([&] { g(kTwo); }).find("returns a Tensor that holds nothing"), std::string::npos);
}

TEST(FunctionErrors, TraceTwiceFindsCallablesThatChange) {
  int count = 0;
  auto f = function([&count](Tensor x) { return x * ++count; }, {.trace_twice = true});
  const std::string error = error_of([&] { f(kTwo); });
  EXPECT_NE(error.find("behaved differently when it was traced a second time"), std::string::npos) << error;
  EXPECT_NE(error.find("function_test.cc:"), std::string::npos) << error;
  auto steady = function([](Tensor x) { return x * Tensor({1.f, 2.f}); }, {.trace_twice = true});
  EXPECT_EQ(values_of(steady(kTwo)), (Floats{1, 4}));
}

TEST(FunctionErrors, TraceTwiceSeesOtherCapturesAndValues) {
  float element = 0;
  auto captures = function([&element](Tensor x) { return x * Tensor({++element, 2.f}); }, {.trace_twice = true});
  EXPECT_NE(error_of([&] { captures(kTwo); }).find("eager tensors with other elements"), std::string::npos);
  int value = 0;
  auto values = function([&value](Tensor) { return ++value; }, {.trace_twice = true});
  EXPECT_NE(error_of([&] { values(kTwo); }).find("other values beside its tensors"), std::string::npos);
}

TEST(FunctionEagerly, RunsTheCallableEachTime) {
  int runs = 0;
  auto f = function([&runs](Tensor x) {
    ++runs;
    return x.item<float>() > 0 ? x : -x;
  });
  run_functions_eagerly(true);
  EXPECT_EQ(f(Tensor(-2.f)).item<float>(), 2.f);
  EXPECT_EQ(f(Tensor(3.f)).item<float>(), 3.f);
  run_functions_eagerly(false);
  EXPECT_EQ(runs, 2);
  EXPECT_THROW(f(Tensor(-2.f)), Error);
}

// --- Bounds ---

TEST(FunctionCache, DropsTheEntryUsedLongestAgo) {
  auto f = function([](Tensor x, int k) { return x * k; }, {.on_retrace = Retrace::allow, .max_entries = 3});
  for (int k : {1, 2, 3}) f(kTwo, k);
  f(kTwo, 1);
  f(kTwo, 4);  // drops 2
  EXPECT_EQ(f.stats().evictions, 1);
  f(kTwo, 1);
  f(kTwo, 3);
  EXPECT_EQ(f.stats().traces, 4);
  f(kTwo, 2);
  EXPECT_EQ(f.stats().traces, 5);
  EXPECT_EQ(f.stats().entries, 3);
}

TEST(FunctionCache, IsBoundedByBytes) {
  auto f = function([](Tensor x, int k) { return x * k; }, {.on_retrace = Retrace::allow, .max_bytes = 20000});
  for (int k = 0; k < 50; ++k) f(kTwo, k);
  EXPECT_LE(f.stats().bytes, 20000);
  EXPECT_GT(f.stats().evictions, 0);
  EXPECT_EQ(f.stats().entries + f.stats().evictions, 50);
}

// --- Concrete functions ---

TEST(Concrete, ComesFromSpecsOrExamples) {
  auto f = function([](Tensor x, int k) { return x * k; });
  auto c = f.concrete(TensorSpec{DType::f32, {2}}, 3);
  EXPECT_EQ(values_of(c(kTwo, 3)), (Floats{3, 6}));
  f(kTwo, 3);
  EXPECT_EQ(f.stats().traces, 1);
  EXPECT_NE(error_of([&] { c(kThree, 3); }).find("takes args[0] f32[2], args[1] 3, but"), std::string::npos);
  EXPECT_NE(error_of([&] { c(kTwo, 4); }).find("another signature"), std::string::npos);
}

TEST(Concrete, OutlivesItsFunction) {
  auto c = function([](Tensor x) { return x + 1; }).concrete(kTwo);
  EXPECT_EQ(values_of(c(kTwo)), (Floats{2, 3}));
}

TEST(Concrete, EveryStagePrints) {
  auto c = function([](Tensor x) { return softmax(x) * 1 + 0; }, {.name = "stages"}).concrete(kTwo);
  for (const std::string& stage : c.stages()) EXPECT_FALSE(c.text(stage).empty()) << stage;
  EXPECT_EQ(c.stages().front(), "signature");
  EXPECT_EQ(c.stages().back(), "cost");
  EXPECT_NE(c.text("cost").find(" iterations of about "), std::string::npos) << c.text("cost");
  EXPECT_NE(c.text("trace").find("in softmax"), std::string::npos);
  EXPECT_NE(error_of([&] { c.text("nonsense"); }).find("has no stage 'nonsense'; it has signature, trace, "),
            std::string::npos);
}

TEST(Concrete, ExplainTellsEverySection) {
  auto f = function([](Tensor x) { return tanh(x) * 1; }, {.name = "told"});
  const std::string text = f.explain(kTwo);
  for (const char* part : {"Signature\n  function told\n    args[0] f32[2]\n",
                           "traced because it is the first signature", "Trace\n", "Pass ", "Graph after the passes\n", "Schedule\n", "Kernels\n", "Times\n"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << "\n" << text;
  }
}

TEST(Function, TheCallableMayDropTheCallersTensors) {
  Tensor state({1.0f, 2.0f, 3.0f});
  auto f = function([&](Tensor x) {
    state = Tensor();
    return x * 2;
  });
  EXPECT_EQ(f(state).to_vector<float>(), (std::vector<float>{2, 4, 6}));
}

TEST(Function, AskingForItsOwnConcreteFunctionWhileTracedIsAnError) {
  std::function<void()> again;
  auto f = function([&](Tensor x) {
    again();
    return x;
  });
  again = [&] { f.concrete(Tensor({1.0f})); };
  EXPECT_THROW(f(Tensor({1.0f})), Error);
  again = [] {};
  EXPECT_EQ(f(Tensor({1.0f})).item<float>(), 1.0f);
}

}  // namespace
}  // namespace etch
