// Convolution, pooling and resizing against TensorFlow, in all ways of running, and their derivatives.
#include "etch/nn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "etch/function.h"
#include "etch/gradient_tape.h"
#include "etch/options.h"
#include "etch/random.h"
#include "tests/frontend/error_of.h"
#include "tests/keras_file.h"

namespace etch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Op = std::function<Tensor(const std::vector<Tensor>&)>;

struct Case {
  const char* name;
  Op op;
};

Op conv(int axes, ConvOptions options = {}) {
  return [=](const std::vector<Tensor>& x) { return axes == 1 ? conv1d(x[0], x[1], options) : conv2d(x[0], x[1], options); };
}
Op depthwise(DepthwiseConvOptions options = {}) {
  return [=](const std::vector<Tensor>& x) { return depthwise_conv2d(x[0], x[1], options); };
}
Op transposed(ConvTransposeOptions options = {}) {
  return [=](const std::vector<Tensor>& x) { return conv2d_transpose(x[0], x[1], options); };
}
Op max_pooling(Dims sizes, PoolOptions options = {}) {
  return [=](const std::vector<Tensor>& x) { return max_pool(x[0], sizes, options); };
}
Op avg_pooling(Dims sizes, PoolOptions options = {}) {
  return [=](const std::vector<Tensor>& x) { return avg_pool(x[0], sizes, options); };
}
Op resizing(Dims sizes, ResizeMethod method) {
  return [=](const std::vector<Tensor>& x) { return resize(x[0], sizes, method); };
}

const std::vector<Case>& cases() {
  constexpr Padding kSame = Padding::same;
  constexpr ResizeMethod kBilinear = ResizeMethod::bilinear, kNearest = ResizeMethod::nearest;
  static const std::vector<Case> all{
      {"conv1d", conv(1)},
      {"conv1d_same_stride", conv(1, {.strides = 2, .padding = kSame})},
      {"conv1d_dilated", conv(1, {.padding = kSame, .dilations = 2})},
      {"conv2d", conv(2)},
      {"conv2d_same", conv(2, {.padding = kSame})},
      {"conv2d_stride", conv(2, {.strides = {2, 3}})},
      {"conv2d_same_stride", conv(2, {.strides = 2, .padding = kSame})},
      {"conv2d_few_channels_stride", conv(2, {.strides = 2, .padding = kSame})},
      {"conv2d_stride_beyond_kernel", conv(2, {.strides = 3, .padding = kSame})},
      {"conv2d_dilated", conv(2, {.dilations = {2, 3}})},
      {"conv2d_of_one", conv(2)},
      {"conv2d_groups", conv(2, {.padding = kSame, .groups = 3})},
      {"conv2d_groups_stride", conv(2, {.strides = 2, .groups = 2})},
      {"conv2d_groups_tiles", conv(2, {.strides = 2, .groups = 2})},
      {"conv2d_long_stride", conv(2, {.strides = 4, .padding = kSame})},
      {"depthwise", depthwise()},
      {"depthwise_same_stride", depthwise({.strides = 2, .padding = kSame})},
      {"depthwise_dilated", depthwise({.padding = kSame, .dilations = 2})},
      {"transpose", transposed()},
      {"transpose_stride", transposed({.strides = 2})},
      {"transpose_same_stride", transposed({.strides = {2, 3}, .padding = kSame})},
      {"transpose_tiles", transposed({.strides = 2})},
      {"max_pool1d", max_pooling(2)},
      {"max_pool1d_same", max_pooling(3, {.strides = 2, .padding = kSame})},
      {"max_pool2d", max_pooling({2, 2})},
      {"max_pool2d_overlapping", max_pooling({3, 2}, {.strides = {1, 2}})},
      {"max_pool2d_same", max_pooling({3, 2}, {.strides = {2, 1}, .padding = kSame})},
      {"avg_pool1d", avg_pooling(2)},
      {"avg_pool1d_same", avg_pooling(3, {.strides = 2, .padding = kSame})},
      {"avg_pool2d", avg_pooling({2, 2})},
      {"avg_pool2d_overlapping", avg_pooling({3, 2}, {.strides = {1, 2}})},
      {"avg_pool2d_same", avg_pooling({3, 2}, {.strides = {2, 1}, .padding = kSame})},
      {"bilinear_twice", resizing({8, 6}, kBilinear)},
      {"bilinear_up", resizing({7, 10}, kBilinear)},
      {"bilinear_down", resizing({2, 1}, kBilinear)},
      {"bilinear_both", resizing({3, 5}, kBilinear)},
      {"bilinear_up_and_down", resizing({6, 2}, kBilinear)},
      {"nearest_twice", resizing({8, 6}, kNearest)},
      {"nearest_up", resizing({7, 10}, kNearest)},
      {"nearest_down", resizing({2, 1}, kNearest)},
      {"nearest_both", resizing({3, 5}, kNearest)},
      {"nearest_up_and_down", resizing({6, 2}, kNearest)},
  };
  return all;
}

const std::map<std::string, KerasCase>& expected() {
  static const auto all = read_keras_file(ETCH_SOURCE_DIR "/tests/nn/expected.txt");
  return all;
}

std::vector<Tensor> operands_of(const KerasCase& of) {
  std::vector<Tensor> operands{of.at("a")};
  if (of.contains("b")) operands.push_back(of.at("b"));
  return operands;
}

/// The result, and the gradients of sum(result * g) in the operands.
std::vector<Tensor> results(const Op& op, const std::vector<Tensor>& operands, const Tensor& g) {
  GradientTape tape;
  tape.watch(operands);
  std::vector<Tensor> all{op(operands)};
  for (const Tensor& gradient : tape.gradient(all[0], operands, g)) all.push_back(gradient);
  return all;
}

std::vector<Tensor> traced_results(const Op& op, const KerasCase& of, FunctionOptions options = {}) {
  auto f = function([&](const std::vector<Tensor>& x, Tensor g) { return results(op, x, g); }, options);
  return f(operands_of(of), of.at("g"));
}

TEST(Nn, EveryCaseOfTensorFlowIsTested) { EXPECT_EQ(cases().size(), expected().size()); }

TEST(Nn, ValuesAndGradientsAreTensorFlows) {
  for (const Case& one : cases()) {
    SCOPED_TRACE(one.name);
    const KerasCase& of = expected().at(one.name);
    const std::vector<Tensor> all = results(one.op, operands_of(of), of.at("g"));
    expect_near(all[0], of.at("y"), 4e-6);
    expect_near(all[1], of.at("d_a"), 4e-6);
    if (of.contains("b")) expect_near(all[2], of.at("d_b"), 4e-6);
  }
}

void expect_same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(array_equal(a[i], b[i]).item<bool>()) << "tensor " << i;
}

TEST(Nn, EagerUnfusedAndFusedOnOneThreadAndTwoGiveTheSameBits) {
  const ScopedFlags flags("grain=16");
  for (const Case& one : cases()) {
    SCOPED_TRACE(one.name);
    const KerasCase& of = expected().at(one.name);
    const std::vector<Tensor> eager = results(one.op, operands_of(of), of.at("g"));
    expect_same(traced_results(one.op, of, {.fuse = false, .threads = 1}), eager);
    expect_same(traced_results(one.op, of, {.threads = 1}), eager);
    expect_same(traced_results(one.op, of, {.threads = 2}), eager);
  }
}

TEST(Nn, NoPatchIsStored) {
  auto f = function([](Tensor x, Tensor kernel, Tensor g) {
    GradientTape tape;
    tape.watch(std::pair(x, kernel));
    const Tensor y = relu(conv2d(x, kernel) + 1);
    return std::pair(y, tape.gradient(y, std::pair(x, kernel), g));
  });
  const Tensor x = ones({2, 12, 12, 8}), kernel = ones({3, 3, 8, 16}), g = ones({2, 10, 10, 16});
  const std::string schedule = f.concrete(x, kernel, g).text("schedule");
  EXPECT_THAT(schedule, testing::Not(HasSubstr("window"))) << "a kernel copies patches";
  EXPECT_THAT(schedule, testing::Not(testing::ContainsRegex("arena [^\n]*72\\]"))) << "patches stand in memory";
}

/// A depthwise convolution of one picture with Padding::same by C++'s fma, in ascending order of a window's elements.
std::vector<float> by_fma(const Tensor& x, const Tensor& kernel, int64_t stride, int64_t dilation) {
  const std::vector<float> pixels = x.to_vector<float>(), weights = kernel.to_vector<float>();
  const int64_t h = x.shape()[1], w = x.shape()[2], c = x.shape()[3], size = kernel.shape()[0], m = kernel.shape()[3];
  const auto low = [&](int64_t extent) {
    const int64_t seen = (extent - 1) / stride * stride + (size - 1) * dilation + 1;
    return std::max<int64_t>(seen - extent, 0) / 2;
  };
  std::vector<float> result;
  for (int64_t i = -low(h); i < h - low(h); i += stride) {
    for (int64_t j = -low(w); j < w - low(w); j += stride) {
      for (int64_t channel = 0; channel < c * m; ++channel) {
        float sum = 0;
        for (int64_t element = 0; element < size * size; ++element) {
          const int64_t row = i + element / size * dilation, column = j + element % size * dilation;
          const bool inside = row >= 0 && row < h && column >= 0 && column < w;
          const float pixel = inside ? pixels[(row * w + column) * c + channel / m] : 0;
          sum = std::fma(pixel, weights[element * c * m + channel], sum);
        }
        result.push_back(sum);
      }
    }
  }
  return result;
}

TEST(Nn, ADepthwiseConvolutionIsAChainOfFma) {
  struct Sizes {
    int64_t h, w, channels, multiplier, size, stride, dilation;
  };
  for (const auto& [h, w, channels, multiplier, size, stride, dilation] :
       {Sizes{9, 12, 16, 1, 3, 1, 1}, {8, 9, 37, 1, 3, 2, 1}, {7, 7, 33, 1, 5, 1, 2}, {4, 5, 20, 1, 5, 1, 1}, {6, 7, 8, 3, 3, 1, 1},
        {1, 40, 16, 1, 3, 3, 1}, {5, 6, 3, 1, 3, 1, 1}}) {
    const Tensor x = random::normal(Tensor(uint64_t{1}), {1, h, w, channels});
    const Tensor kernel = random::normal(Tensor(uint64_t{2}), {size, size, channels, multiplier});
    auto f = function([&, stride = stride, dilation = dilation](Tensor x, Tensor kernel) {
      return depthwise_conv2d(x, kernel, {.strides = stride, .padding = Padding::same, .dilations = dilation});
    });
    EXPECT_EQ(f(x, kernel).to_vector<float>(), by_fma(x, kernel, stride, dilation)) << h << "x" << w << "x" << channels;
  }
}

TEST(Nn, ADepthwiseConvolutionReadsBeyondBordersWithoutACopy) {
  auto f = function([](Tensor x, Tensor kernel) {
    return relu(depthwise_conv2d(x, kernel, {.padding = Padding::same}) + 1);
  });
  const std::string schedule = f.concrete(ones({1, 12, 12, 32}), ones({3, 3, 32, 1})).text("schedule");
  EXPECT_THAT(schedule, HasSubstr("schedule: 1 kernel, 0 B arena"));
}

// ---- Derivatives ---------------------------------------------------------------------------------------------------

Tensor draw(const Shape& shape, uint64_t seed) { return random::normal(Tensor(seed), shape, {.dtype = DType::f64}); }

TEST(Nn, GradientsOfGradientsAreThoseOfDifferences) {
  const Tensor x = draw({1, 3, 4, 5}, 1), kernel = draw({2, 2, 5, 2}, 2);
  const auto squares = [](const Tensor& x, const Tensor& kernel) {
    return sum(square(conv2d(x, kernel, {.strides = 2, .padding = Padding::same})));
  };
  check_gradients([&](const Tensor& x, const Tensor& kernel) {
    GradientTape tape;
    tape.watch(std::pair(x, kernel));
    return tape.gradient(squares(x, kernel), std::pair(x, kernel));
  }, x, kernel);
}

TEST(Nn, ForwardModeIsThatOfTheLinearMap) {
  const Tensor x = draw({1, 4, 5, 2}, 1), kernel = draw({2, 2, 2, 3}, 2), t = draw({1, 4, 5, 2}, 3);
  const auto [value, change] = jvp([&](const Tensor& x) { return conv2d(x, kernel); }, x, t);
  expect_near(change, conv2d(t, kernel), 1e-12);
}

/// The gradient of the sum of pools of equal elements.
std::vector<float> gradient_of_ties(const Shape& shape, const Dims& sizes, PoolOptions options = {}) {
  GradientTape tape;
  const Tensor x = ones(shape);
  tape.watch(x);
  const Tensor y = max_pool(x, sizes, options);
  return tape.gradient(y, x).to_vector<float>();
}

TEST(Nn, TheFirstOfEqualElementsHasTheGradientOfAMaximum) {
  EXPECT_THAT(gradient_of_ties({1, 4, 1}, 2), ElementsAre(1, 0, 1, 0));
  EXPECT_THAT(gradient_of_ties({1, 2, 4, 1}, 2), ElementsAre(1, 0, 1, 0, 0, 0, 0, 0));
  EXPECT_THAT(gradient_of_ties({1, 5, 1}, 2), ElementsAre(1, 0, 1, 0, 0));
  EXPECT_THAT(gradient_of_ties({1, 4, 1}, 3, {.strides = 1}), ElementsAre(1, 1, 0, 0));
  EXPECT_THAT(gradient_of_ties({1, 40, 1}, 20), testing::Contains(1).Times(2));
}

TEST(Nn, GradientsOfPoolingAreLinear) {
  const Tensor x = draw({1, 4, 6, 2}, 1), g = draw({1, 2, 3, 2}, 2);
  const auto gradient = [&](const Tensor& g) {
    GradientTape tape;
    tape.watch(x);
    return tape.gradient(max_pool(x, 2), x, g);
  };
  check_gradients(gradient, g);
}

// ---- Corners -------------------------------------------------------------------------------------------------------

TEST(Nn, BeyondTheBordersNothingIsTheLargest) {
  const Tensor x = full({1, 3, 1}, -std::numeric_limits<float>::max());
  EXPECT_EQ(max(max_pool(x, 2, {.padding = Padding::same})).item<float>(), -std::numeric_limits<float>::max());
}

TEST(Nn, ABatchOfNothingGivesNothing) {
  EXPECT_EQ(conv2d(ones({0, 5, 5, 2}), ones({3, 3, 2, 4})).shape(), Shape({0, 3, 3, 4}));
  EXPECT_EQ(max_pool(ones({0, 5, 5, 2}), 2).shape(), Shape({0, 2, 2, 2}));
}

TEST(Nn, StridesBeyondTheBordersAreOneWindow) {
  GradientTape tape;
  const Tensor x = ones({1, 5, 5, 5}), kernel = ones({3, 3, 5, 1});
  tape.watch(x);
  const Tensor y = conv2d(x, kernel, {.strides = INT64_MAX});
  EXPECT_THAT(y.to_vector<float>(), ElementsAre(45));
  EXPECT_EQ(sum(tape.gradient(y, x)).item<float>(), 45);
}

TEST(Nn, HalvesAreSummedInSingles) {
  const Tensor x = full({1, 4096, 1}, 1.f, DType::bf16), kernel = ones({4096, 1, 1}, DType::bf16);
  EXPECT_EQ(cast(conv1d(x, kernel), DType::f32).item<float>(), 4096);
  EXPECT_EQ(cast(avg_pool(x, 4096), DType::f32).item<float>(), 1);
}

// ---- Bad input -----------------------------------------------------------------------------------------------------

TEST(NnErrors, NameTheOpTheTypesAndTheWayOut) {
  const Tensor x = ones({2, 5, 5, 4}), kernel = ones({3, 3, 4, 6});
  const std::pair<std::function<void()>, const char*> all[] = {
      {[&] { (void)conv2d(ones({5, 5, 4}), kernel); }, "conv2d takes [n, height, width, channels] and"},
      {[&] { (void)conv1d(x, kernel); }, "conv1d takes [n, width, channels] and"},
      {[&] { (void)conv2d(cast(x, DType::i32), kernel); }, "conv2d takes f16, bf16, f32 or f64, not i32[2,5,5,4]; cast first"},
      {[&] { (void)conv2d(cast(x, DType::f64), kernel); }, "f64[2,5,5,4] and f32[3,3,4,6]: dtypes differ; cast one"},
      {[&] { (void)conv2d(x, ones({3, 3, 3, 6})); }, "the kernel is for 3 channels, but there are 4"},
      {[&] { (void)conv2d(x, kernel, {.groups = 2}); }, "the kernel is for 4 channels a group, but there are 2"},
      {[&] { (void)conv2d(x, kernel, {.groups = 3}); }, "4 channels and 6 filters are not multiples of 3 groups"},
      {[&] { (void)conv2d(x, kernel, {.groups = 0}); }, "groups is 0, but there is 1 or more"},
      {[&] { (void)conv2d(x, kernel, {.strides = {1, 2, 3}}); }, "stride has 3 entries; give one, or one for each of 2 axes"},
      {[&] { (void)conv2d(x, kernel, {.strides = 0}); }, "stride 0 is not positive"},
      {[&] { (void)conv2d(x, kernel, {.dilations = 3}); },
       "a window of 3 elements, 3 apart, does not fit into axis 1 of f32[2,5,5,4]; Padding::same pads"},
      {[&] { (void)conv2d(x, ones({0, 3, 4, 6})); }, "the kernel f32[0,3,4,6] has no elements"},
      {[&] { (void)depthwise_conv2d(x, ones({3, 3, 3, 1})); }, "the kernel is for 3 channels, but there are 4"},
      {[&] { (void)conv2d_transpose(x, kernel); }, "the kernel is for 6 channels, but there are 4"},
      {[&] { (void)conv2d_transpose(x, ones({3, 3, 6, 4}), {.strides = int64_t{1} << 40}); }, "conv2d_transpose"},
      {[&] { (void)conv2d(x, kernel, {.dilations = INT64_MAX}); }, "does not fit into axis 1"},
      {[&] { (void)max_pool(ones({5, 5}), 2); }, "max_pool takes [n, width, channels] or [n, height, width, channels], not"},
      {[&] { (void)max_pool(x, {2, 2, 2}); }, "size has 3 entries; give one, or one for each of 2 axes"},
      {[&] { (void)avg_pool(x, 6); }, "a window of 6 elements, 1 apart, does not fit into axis 1"},
      {[&] { (void)resize(ones({5, 5, 4}), 3); }, "resize takes [n, height, width, channels], not f32[5,5,4]"},
      {[&] { (void)resize(x, {3, 0}); }, "size 0 is not positive"},
      {[&] { (void)resize(ones({2, 0, 5, 4}), 3); }, "axis 1 of f32[2,0,5,4] has no elements"},
  };
  for (const auto& [misuse, message] : all) {
    EXPECT_THAT(error_of(misuse), HasSubstr(message));
    EXPECT_THAT(error_of(misuse), testing::StartsWith("nn_test.cc:"));
  }
}

}  // namespace
}  // namespace etch
