// What cannot work is an Error that names the place: null callables, options out of range, empty functions, calls.
#include <gtest/gtest.h>

#include <functional>

#include "etch/function.h"
#include "etch/ops.h"
#include "tests/frontend/error_of.h"

namespace etch {
namespace {

const Tensor kTwo({1.f, 2.f});

// The place of this line, and of the line above: a macro's statements stand on its first line.
#define HERE ("misuse_test.cc:" + std::to_string(__LINE__) + ": ")
#define ABOVE ("misuse_test.cc:" + std::to_string(__LINE__ - 1) + ": ")

struct Model {
  Tensor weight;
  Tensor forward(Tensor x) const { return x * weight; }
};

TEST(NullCallables, AreRefused) {
  EXPECT_EQ(error_of([] { function(static_cast<Tensor (*)(Tensor)>(nullptr)); }),
            ABOVE + "etch::function: the function pointer is null, so there is nothing to call");
  EXPECT_EQ(error_of([] { function(std::function<Tensor(Tensor)>()); }),
            ABOVE + "etch::function: the callable is null, so there is nothing to call");
  EXPECT_EQ(error_of([] { function<Tensor(Tensor)>(std::function<Tensor(Tensor)>()); }),
            ABOVE + "etch::function: the callable is null, so there is nothing to call");
  EXPECT_EQ(error_of([] { function(&Model::forward, static_cast<Model*>(nullptr)); }),
            ABOVE + "etch::function: the object of the member function is null, so there is nothing to call");
  EXPECT_EQ(error_of([] {
              Model model;
              function(static_cast<Tensor (Model::*)(Tensor) const>(nullptr), &model);
            }),
            "misuse_test.cc:" + std::to_string(__LINE__ - 4) +
                ": etch::function: the function pointer is null, so there is nothing to call");
}

TEST(Options, OutOfRangeAreRefused) {
  const auto with = [](FunctionOptions options) {
    return error_of([&] { function([](Tensor x) { return x; }, options); });
  };
  const std::string here = "misuse_test.cc:" + std::to_string(__LINE__ - 2) + ": etch::function: option ";
  EXPECT_EQ(with({.threads = -5}), here + "threads is -5, but it may be 0 to 1024");
  EXPECT_EQ(with({.threads = 1025}), here + "threads is 1025, but it may be 0 to 1024");
  EXPECT_EQ(with({.max_entries = 0}), here + "max_entries is 0, but it may be 1 or more");
  EXPECT_EQ(with({.max_entries = -1}), here + "max_entries is -1, but it may be 1 or more");
  EXPECT_EQ(with({.max_bytes = -1}), here + "max_bytes is -1, but it may be 0 or more");
  EXPECT_EQ(with({.on_retrace = static_cast<Retrace>(7)}),
            here + "on_retrace is 7, but it may be Retrace::allow, warn or forbid");
  EXPECT_EQ(with({.threads = 1024, .max_entries = 1, .max_bytes = 0}), "no error");
}

TEST(EmptyFunctions, TakeAssignmentsOnly) {
  Function<Tensor(Tensor)> f;
  EXPECT_FALSE(f);
  const std::string what = "the etch::Function is empty: it was made by default or moved from; assign one made by "
                           "etch::function";
  EXPECT_EQ(error_of([&] { f(kTwo); }), HERE + what);
  EXPECT_EQ(error_of([&] { f.concrete(kTwo); }), HERE + what);
  EXPECT_EQ(error_of([&] { (void)f.explain(kTwo); }), HERE + what);
  EXPECT_EQ(error_of([&] { f.stats(); }), HERE + what);
  EXPECT_EQ(error_of([&] { (void)f.name(); }), HERE + what);
  EXPECT_EQ(error_of([&] {
              const ScopedFlags eager("eager");
              f(kTwo);
            }),
            "misuse_test.cc:" + std::to_string(__LINE__ - 4) + ": " + what);
  Tensor out = zeros({2});
  EXPECT_EQ(error_of([&] { f.call_into(out, kTwo); }), HERE + what);
  f = function([](Tensor x) { return x + 1; });
  EXPECT_TRUE(f);
  EXPECT_EQ(f(kTwo).to_vector<float>(), (std::vector<float>{2, 3}));
  auto g = std::move(f);
  EXPECT_FALSE(f);
  EXPECT_EQ(g(kTwo).to_vector<float>(), (std::vector<float>{2, 3}));
  EXPECT_NE(error_of([&] { function(f); }).find("the callable is null"), std::string::npos);
}

TEST(FunctionsOfFunctions, HaveTheirSignature) {
  auto f = function([](Tensor x, int k) { return x * k; });
  auto g = function(f);
  static_assert(std::is_same_v<decltype(g), Function<Tensor(Tensor, int)>>);
  EXPECT_EQ(g(kTwo, 3).to_vector<float>(), (std::vector<float>{3, 6}));
}

TEST(Calls, ErrorsNameTheirPlace) {
  auto f = function([](Tensor x) { return x + 1; }, {.name = "f"});
  EXPECT_EQ(error_of([&] { f(Tensor()); }), HERE + "function f: args[0] holds no tensor; assign one first");
  EXPECT_EQ(error_of([&] { f(TensorSpec{DType::f32, {2}}); }).find(HERE + "calling function f: the tensor is a TensorSpec"),
            0u);
  Tensor out = zeros({3});
  EXPECT_EQ(error_of([&] { f.call_into(out, kTwo); }),
            ABOVE + "call_into of function f: output 0 is f32[3], but the result is f32[2]");
  auto c = f.concrete(kTwo);
  EXPECT_EQ(error_of([&] { c(out); }).find(HERE + "concrete function f_0 takes args[0] f32[2], but"), 0u);
  EXPECT_EQ(error_of([&] { c(TensorSpec{DType::f32, {2}}); }).find(HERE + "calling function f: the tensor is a TensorSpec"),
            0u);
  auto once = function([](Tensor x) { return x; }, {.name = "f", .on_retrace = Retrace::forbid});
  once(kTwo);
  EXPECT_EQ(error_of([&] { once(out); }).find(HERE + "function f would be traced again"), 0u);
  auto huge = function([](Tensor x) { return broadcast_to(x, {int64_t{1} << 43, 1}) + 1; }, {.name = "f"});
  const std::string error = error_of([&] { huge(Tensor({{1.0f}})); });
  EXPECT_EQ(error.find("misuse_test.cc:" + std::to_string(__LINE__ - 1) + ": "), 0u) << error;
}

TEST(Calls, ExceptionsOfTheCallablePassAsTheyAre) {
  auto f = function([](Tensor x) {
    throw std::bad_alloc();
    return x;
  });
  EXPECT_THROW(f(kTwo), std::bad_alloc);
}

// --- check_captures ---

TEST(CheckCaptures, NamesTheTensorThatWasReplaced) {
  Tensor w({3.f, 4.f});
  auto f = function([&w](Tensor x) { return x * w; }, {.name = "f", .check_captures = true});
  const std::string captured = "misuse_test.cc:" + std::to_string(__LINE__ - 1);
  f(kTwo);
  f(kTwo);
  w = Tensor({5.f, 6.f});
  const std::string error = error_of([&] { f(kTwo); });
  EXPECT_EQ(error.find("misuse_test.cc:" + std::to_string(__LINE__ - 1) + ": function f: the tensor f32[2] that it "
                       "captured at " + captured + " was replaced since it was traced"), 0u) << error;
  EXPECT_EQ(f.stats().traces, 1);
}

TEST(CheckCaptures, NamesTheOpOfAValueThatChanged) {
  float k = 2;
  auto f = function([&k](Tensor x) { return x * k; }, {.name = "f"});
  f(kTwo);
  k = 3;
  EXPECT_EQ(f(kTwo).to_vector<float>(), (std::vector<float>{2, 4}));
  const ScopedFlags check("check_captures");
  const std::string error = error_of([&] { f(kTwo); });
  EXPECT_NE(error.find("function f: when it was traced it recorded `%1 = constant value=2"), std::string::npos) << error;
  EXPECT_NE(error.find("Captured C++ values are constants of the trace"), std::string::npos) << error;
}

TEST(CheckCaptures, TakesElementsThatChange) {
  Tensor w({3.f, 4.f});
  auto f = function([&w](Tensor x) { return x * w; }, {.check_captures = true});
  f(kTwo);
  function([](Tensor x) { return x * 10; }).call_into(w, kTwo);
  EXPECT_EQ(f(kTwo).to_vector<float>(), (std::vector<float>{10, 40}));
}

// --- Warnings ---

std::vector<std::string> warnings;

TEST(RetraceWarnings, ComeOnceAPlaceForFunctionsThatAreMadeAnew) {
  warnings.clear();
  const WarningHandler before = set_warning_handler([](const std::string& message) { warnings.push_back(message); });
  for (int i = 0; i < 3; ++i) {
    auto f = function([](Tensor x, int k) { return x * k; }, {.name = "made anew"});
    for (int k = 0; k < 20; ++k) f(kTwo, k);
  }
  set_warning_handler(before);
  EXPECT_EQ(warnings.size(), 1u);
}

TEST(FailingDumps, AreWarnings) {
  warnings.clear();
  const WarningHandler before = set_warning_handler([](const std::string& message) { warnings.push_back(message); });
  {
    const ScopedFlags dump("dump=/proc/no/such");
    auto f = function([](Tensor x) { return x + 1; }, {.name = "f"});
    EXPECT_EQ(f(kTwo).to_vector<float>(), (std::vector<float>{2, 3}));
  }
  set_warning_handler(before);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0].find("the dump of f_0 is not complete: cannot make the dump folder /proc/no/such/f_0"), 0u)
      << warnings[0];
}

}  // namespace
}  // namespace etch
