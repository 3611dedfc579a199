// Why a function was traced again: the reasons, the warning and the policy.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <optional>

#include "etch/function.h"
#include "etch/ops.h"

namespace etch {
namespace {

struct Layer {
  std::vector<Tensor> weights;
  float rate = 0;
};

/// The reason that a second call gives, without what frames it.
template <class... A, class... B>
std::string reason(Function<Tensor(A...)> f, const B&... second) {
  try {
    f(second...);
  } catch (const Error& error) {
    const std::string text = error.what();
    return text.substr(text.find('\n') + 1);
  }
  return "no retrace";
}

const FunctionOptions kForbid{.name = "f", .on_retrace = Retrace::forbid};
const Tensor kTwo({1.f, 2.f});

TEST(RetraceReason, Shape) {
  auto f = function([](Tensor x) { return x; }, kForbid);
  f(kTwo);
  EXPECT_EQ(reason(f, Tensor({1.f, 2.f, 3.f})),
            "args[0] changed from f32[2] to f32[3]; pad or batch it to one shape, or accept one cheap trace per shape: "
            "kernels are shared between sizes");
}

TEST(RetraceReason, DType) {
  auto f = function([](Tensor x) { return x; }, kForbid);
  f(kTwo);
  EXPECT_EQ(reason(f, Tensor({1, 2})), "args[0] changed from f32[2] to i32[2]; cast it to one dtype before the call");
}

TEST(RetraceReason, Value) {
  auto f = function([](Tensor x, int k, std::string s, bool b) { return b ? x * k : x + static_cast<float>(s.size()); },
                    kForbid);
  f(kTwo, 3, "mean", true);
  const std::string remedy = "; pass it as a Tensor if it is data: its value is then no part of the signature";
  EXPECT_EQ(reason(f, kTwo, 4, std::string("mean"), true), "args[1] changed from 3 to 4" + remedy);
  EXPECT_EQ(reason(f, kTwo, 3, std::string("sum"), true), "args[2] changed from \"mean\" to \"sum\"" + remedy);
  EXPECT_EQ(reason(f, kTwo, 3, std::string("mean"), false), "args[3] changed from true to false" + remedy);
}

TEST(RetraceReason, PathsNameMembers) {
  auto f = function([](Tensor x, const Layer& layer, const std::map<std::string, std::pair<Tensor, float>>&) {
    return x * layer.weights[0];
  }, kForbid);
  using Map = std::map<std::string, std::pair<Tensor, float>>;
  const Tensor three({1.f, 2.f, 3.f});
  f(kTwo, Layer{{kTwo, kTwo}, 0.5f}, {{"a", {kTwo, 1.5f}}});
  EXPECT_EQ(reason(f, kTwo, Layer{{kTwo, three}, 0.5f}, Map{{"a", {kTwo, 1.5f}}}),
            "args[1].weights[1] changed from f32[2] to f32[3]; pad or batch it to one shape, or accept one cheap trace "
            "per shape: kernels are shared between sizes");
  EXPECT_EQ(reason(f, kTwo, Layer{{kTwo, kTwo}, 0.25f}, Map{{"a", {kTwo, 2.f}}}),
            "args[1].rate changed from 0.5 to 0.25; pass it as a Tensor if it is data: its value is then no part of the "
            "signature\nargs[2][0][1][1] changed from 1.5 to 2; pass it as a Tensor if it is data: its value is then no "
            "part of the signature");
}

TEST(RetraceReason, ContainersThatGrowAndShrink) {
  auto f = function([](std::vector<Tensor> xs) { return xs[0]; }, kForbid);
  f({kTwo, kTwo});
  EXPECT_EQ(reason(f, std::vector<Tensor>{kTwo, kTwo, kTwo}), "args[0][2] is new: f32[2]; pass containers of one size");
  EXPECT_EQ(reason(f, std::vector<Tensor>{kTwo}), "args[0][1] is gone: f32[2]; pass containers of one size");
}

TEST(RetraceReason, IsAgainstTheNearestSignature) {
  const FunctionOptions allow{.name = "g", .on_retrace = Retrace::allow};
  auto g = function([](Tensor x, int a, int b, int c) { return x * (a + b + c); }, allow);
  g(kTwo, 1, 1, 1);
  g(kTwo, 5, 6, 7);
  const std::string text = g.concrete(kTwo, 5, 6, 8).text("signature");
  EXPECT_NE(text.find("traced because args[3] changed from 7 to 8"), std::string::npos) << text;
}

TEST(RetracePolicy, ForbidNamesTheFunction) {
  auto f = function([](Tensor x) { return x; }, kForbid);
  f(kTwo);
  EXPECT_NO_THROW(f(kTwo));
  try {
    f(Tensor(1.f));
    FAIL();
  } catch (const Error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("function f would be traced again, which its options forbid:\nargs[0] "), text.npos) << text;
  }
  EXPECT_EQ(f.stats().traces, 1);
}

std::vector<std::string> warnings;

class Warnings : public testing::Test {
 protected:
  void SetUp() override {
    warnings.clear();
    before_ = set_warning_handler([](const std::string& message) { warnings.push_back(message); });
  }
  void TearDown() override { set_warning_handler(before_); }

 private:
  WarningHandler before_ = nullptr;
};

TEST_F(Warnings, ComeAfterFiveRetracesInTenCalls) {
  auto f = function([](Tensor x, int k) { return x * k; }, {.name = "f"});
  for (int k = 0; k < 5; ++k) f(kTwo, k);
  EXPECT_TRUE(warnings.empty());
  f(kTwo, 5);
  const std::string here = "retrace_test.cc:" + std::to_string(__LINE__ - 1) + ": ";
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings[0],
            here + "function f was traced again in 5 of its last 10 calls; the last time because args[1] changed from 4 to 5; "
            "pass it as a Tensor if it is data: its value is then no part of the signature");
}

TEST_F(Warnings, ComeOnceAFunction) {
  auto f = function([](Tensor x, int k) { return x * k; });
  for (int k = 0; k < 40; ++k) f(kTwo, k);
  EXPECT_EQ(warnings.size(), 1u);
}

TEST_F(Warnings, DoNotComeWhenRetracesAreRare) {
  auto f = function([](Tensor x, int k) { return x * k; });
  for (int k = 0; k < 20; ++k) {
    for (int i = 0; i < 3; ++i) f(kTwo, k);
  }
  EXPECT_TRUE(warnings.empty());
}

TEST_F(Warnings, DoNotComeWhenRetracesAreAllowed) {
  auto f = function([](Tensor x, int k) { return x * k; }, {.on_retrace = Retrace::allow});
  for (int k = 0; k < 20; ++k) f(kTwo, k);
  EXPECT_TRUE(warnings.empty());
}

}  // namespace
}  // namespace etch
