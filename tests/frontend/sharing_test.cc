// Which results share memory: what the callable returned as it got it, never what a rule found equal (D20).
#include <gtest/gtest.h>

#include <optional>

#include "etch/buffer.h"
#include "etch/function.h"
#include "etch/ops.h"
#include "tests/frontend/error_of.h"

namespace etch {
namespace {

using Floats = std::vector<float>;

const void* memory(const Tensor& x) { return x.data<float>().data(); }

Tensor two() { return Tensor({1.f, 2.f}); }

/// Each test runs with and without the passes that find values equal.
class Sharing : public testing::TestWithParam<bool> {
 protected:
  FunctionOptions options() const { return {.name = "f", .simplify = GetParam()}; }
};
INSTANTIATE_TEST_SUITE_P(Simplify, Sharing, testing::Bool(),
                         [](const auto& info) { return info.param ? "on" : "off"; });

TEST_P(Sharing, AResultThatARuleFindsEqualToAnArgumentIsATensorOfItsOwn) {
  auto f = function([](Tensor x) { return x * 1.0f; }, options());
  auto g = function([](Tensor x) { return x + 100.0f; }, options());
  const Tensor x = two();
  Tensor out = f(x);
  g.call_into(out, Tensor({5.f, 6.f}));
  EXPECT_EQ(x.to_vector<float>(), (Floats{1, 2}));
  EXPECT_EQ(out.to_vector<float>(), (Floats{105, 106}));
}

TEST_P(Sharing, AResultThatARuleFindsEqualToACaptureIsATensorOfItsOwn) {
  const Tensor w = two();
  auto f = function([&w](Tensor x) { return std::pair(x + w, w - 0.0f); }, options());
  const auto [sum, same] = f(two());
  EXPECT_EQ(same.to_vector<float>(), (Floats{1, 2}));
  EXPECT_NE(memory(same), memory(w));
}

TEST_P(Sharing, AWholeSliceAndTransposesBackAreTensorsOfTheirOwn) {
  auto f = function([](Tensor x) { return transpose(transpose(x)); }, options());
  const Tensor x({{1.f, 2.f}, {3.f, 4.f}});
  const Tensor y = f(x);
  EXPECT_EQ(y.to_vector<float>(), x.to_vector<float>());
  EXPECT_NE(memory(y), memory(x));
}

TEST_P(Sharing, AnArgumentThatIsReturnedIsThatTensor) {
  auto f = function([](Tensor x) { return std::pair(x, reshape(reshape(x, {2, 1}), {1, 2})); }, options());
  const Tensor x = two();
  const auto [same, reshaped] = f(x);
  EXPECT_EQ(memory(same), memory(x));
  EXPECT_EQ(memory(reshaped), memory(x));
  EXPECT_EQ(reshaped.shape(), (Shape{1, 2}));
}

TEST_P(Sharing, ACaptureThatIsReturnedIsThatTensor) {
  const Tensor w = two();
  auto f = function([&w](Tensor) { return w; }, options());
  EXPECT_EQ(memory(f(two())), memory(w));
}

TEST_P(Sharing, OneValueReturnedTwiceIsOneTensor) {
  auto f = function([](Tensor x) {
    const Tensor y = x + 1;
    return std::tuple(y, y, reshape(y, {2, 1}));
  }, options());
  const auto [a, b, c] = f(two());
  EXPECT_EQ(a.to_vector<float>(), (Floats{2, 3}));
  EXPECT_EQ(memory(a), memory(b));
  EXPECT_EQ(memory(a), memory(c));
}

TEST_P(Sharing, OneConstantReturnedUnderTwoShapesIsOneTensor) {
  auto f = function([](Tensor) {
    const Tensor y = zeros({2}) + 1.0f;
    return std::pair(y, reshape(y, {2, 1}));
  }, options());
  const auto [a, b] = f(two());
  EXPECT_EQ(b.to_vector<float>(), (Floats{1, 1}));
  EXPECT_EQ(memory(a), memory(b));
}

TEST_P(Sharing, ResultsThatARuleFindsEqualAreTwoTensors) {
  auto f = function([](Tensor x) {
    const Tensor y = x + 1;
    return std::pair(y, y * 1.0f);
  }, options());
  const auto [a, b] = f(two());
  EXPECT_EQ(b.to_vector<float>(), (Floats{2, 3}));
  EXPECT_NE(memory(a), memory(b));
}

TEST_P(Sharing, OneExpressionWrittenTwiceIsTwoTensors) {
  auto f = function([](Tensor x) { return std::pair(x + 1, x + 1); }, options());
  auto concrete = f.concrete(two());
  EXPECT_EQ(concrete.num_traced_ops(), 1);  // merged when the trace is closed
  const auto [a, b] = f(two());
  EXPECT_EQ(b.to_vector<float>(), (Floats{2, 3}));
  EXPECT_NE(memory(a), memory(b));
}

TEST_P(Sharing, AResultEqualToAnArgumentThatIsReturnedTooIsATensorOfItsOwn) {
  auto f = function([](Tensor x) { return std::pair(x, x * 1.0f); }, options());
  const Tensor x = two();
  const auto [a, b] = f(x);
  EXPECT_EQ(memory(a), memory(x));
  EXPECT_NE(memory(b), memory(x));
  EXPECT_EQ(b.to_vector<float>(), (Floats{1, 2}));
}

TEST_P(Sharing, CallIntoCopiesWhatIsEqual) {
  auto f = function([](Tensor x) {
    const Tensor y = x + 1;
    return std::tuple(x, x * 1.0f, y, y, y * 1.0f);
  }, options());
  std::array<Tensor, 5> out{zeros({2}), zeros({2}), zeros({2}), zeros({2}), zeros({2})};
  f.call_into(out, two());
  for (int i : {0, 1}) EXPECT_EQ(out[i].to_vector<float>(), (Floats{1, 2})) << i;
  for (int i : {2, 3, 4}) EXPECT_EQ(out[i].to_vector<float>(), (Floats{2, 3})) << i;
}

TEST(SharingOfLongResults, IsACopyToo) {
  auto f = function([](Tensor x) { return x * 1.0f; });
  const Tensor x = etch::iota({3 << 20}, 0, DType::f32);
  const Tensor y = f(x);
  EXPECT_NE(memory(y), memory(x));
  EXPECT_EQ(y.to_vector<float>(), x.to_vector<float>());
}

TEST(SharingOfEagerOps, OnlyReshapesAreViews) {
  const Tensor x({{1.f, 2.f}});
  EXPECT_EQ(memory(reshape(x, {2})), memory(x));
  EXPECT_NE(memory(x * 1.0f), memory(x));
  EXPECT_NE(memory(transpose(x)), memory(x));  // moves no element: the compiler sees a reshape
  EXPECT_NE(memory(sum(x, 0)), memory(x));
  EXPECT_NE(memory(etch::concat({x}, 0)), memory(x));
  EXPECT_EQ(etch::concat({x}, 0).to_vector<float>(), (Floats{1, 2}));
}

// --- Destinations of call_into ---

const char* const kShared = "output 0 shares its memory with another tensor, which would change with it; write to a "
                            "tensor that nothing else holds, such as zeros(shape, dtype) for f32[2]";

TEST(CallIntoRefuses, ATensorWithAnotherHandle) {
  auto f = function([](Tensor x) { return x + 1; }, {.name = "f"});
  Tensor out = zeros({2});
  std::optional<Tensor> copy = out;
  EXPECT_NE(error_of([&] { f.call_into(out, two()); }).find(kShared), std::string::npos);
  EXPECT_EQ(out.to_vector<float>(), (Floats{0, 0}));
  copy.reset();
  f.call_into(out, two());
  EXPECT_EQ(out.to_vector<float>(), (Floats{2, 3}));
}

TEST(CallIntoRefuses, ATensorWithAReshapeAndTheReshape) {
  auto f = function([](Tensor x) { return x + 1; });
  for (int64_t n : {2, 1000}) {  // elements behind the tensor, and in a buffer
    Tensor out = zeros({n});
    std::optional<Tensor> view = reshape(out, {n, 1});
    EXPECT_NE(error_of([&] { f.call_into(out, ones({n})); }).find("shares its memory"), std::string::npos);
    EXPECT_NE(error_of([&] { f.call_into(*view, ones({n, 1})); }).find("shares its memory"), std::string::npos);
    out = Tensor();
    f.call_into(*view, ones({n, 1}));
    EXPECT_EQ(view->to_vector<float>(), Floats(n, 2));
  }
}

TEST(CallIntoRefuses, ABufferThatItsOwnerStillHolds) {
  auto f = function([](Tensor x) { return x + 1; });
  std::optional<Buffer> buffer = Buffer::allocate(8);
  Tensor out = Tensor::adopt(*buffer, DType::f32, {2});
  EXPECT_NE(error_of([&] { f.call_into(out, two()); }).find("shares its memory"), std::string::npos);
  buffer.reset();
  f.call_into(out, two());
  EXPECT_EQ(out.to_vector<float>(), (Floats{2, 3}));
}

TEST(CallIntoRefuses, AResultThatIsAnArgument) {
  auto same = function([](Tensor x) { return x; });
  auto f = function([](Tensor x) { return x + 1; });
  const Tensor x = two();
  Tensor out = same(x);
  EXPECT_NE(error_of([&] { f.call_into(out, two()); }).find("shares its memory"), std::string::npos);
}

TEST(CallIntoTakes, ATensorThatAFunctionCaptured) {
  Tensor w = two();
  auto f = function([&w](Tensor x) { return x * w; }, {.trace_twice = true});
  f(two());
  auto update = function([](Tensor x) { return x * 10; });
  update.call_into(w, two());
  EXPECT_EQ(f(two()).to_vector<float>(), (Floats{10, 40}));
}

}  // namespace
}  // namespace etch
