// call_into: results into existing memory, its checks, and that it and a cached call allocate no more than they must.
#include <gtest/gtest.h>

#include <sys/resource.h>


#include "etch/buffer.h"
#include "etch/function.h"
#include "etch/ops.h"
#include "tests/frontend/counting_new.h"
#include "tests/frontend/error_of.h"

namespace etch {
namespace {

using Floats = std::vector<float>;
const Tensor kTwo({1.f, 2.f});

// The place of the line above: a macro's statements stand on its first line.
#define ABOVE ("call_into_test.cc:" + std::to_string(__LINE__ - 1) + ": ")

TEST(CallInto, WritesToTheGivenTensors) {
  auto f = function([](Tensor x, Tensor y) { return std::tuple(x + y, x * y); });
  Tensor sum = zeros({2});
  Tensor product = zeros({2});
  const float* memory = sum.data<float>().data();
  f.call_into(std::tie(sum, product), kTwo, Tensor({10.f, 20.f}));
  EXPECT_EQ(sum.to_vector<float>(), (Floats{11, 22}));
  EXPECT_EQ(product.to_vector<float>(), (Floats{10, 40}));
  EXPECT_EQ(sum.data<float>().data(), memory);
}

TEST(CallInto, CopiesWhatPassesThrough) {
  auto f = function([](Tensor x) { return std::tuple(x, x + 1, x + 1); });
  Tensor a = zeros({2}), b = zeros({2}), c = zeros({2});
  f.call_into(std::tie(a, b, c), kTwo);
  EXPECT_EQ(a.to_vector<float>(), (Floats{1, 2}));
  EXPECT_EQ(b.to_vector<float>(), (Floats{2, 3}));
  EXPECT_EQ(c.to_vector<float>(), (Floats{2, 3}));
}

TEST(CallInto, OverlapsAreErrors) {
  auto f = function([](Tensor x) { return x + 1; }, {.name = "f"});
  Tensor x({1.f, 2.f});
  EXPECT_EQ(error_of([&] { f.call_into(x, x); }),
            ABOVE + "call_into of function f: output 0 overlaps input tensor 0 in memory; write to another tensor and swap the "
            "two");
  Tensor reshaped = reshape(reshape(x, {1, 2}), {2});
  EXPECT_NE(error_of([&] { f.call_into(reshaped, x); }).find("overlaps input"), std::string::npos);
  auto two = function([](Tensor x) { return std::tuple(x + 1, x + 2); }, {.name = "f"});
  Tensor out = zeros({2});
  EXPECT_NE(error_of([&] { two.call_into(std::tie(out, out), x); }).find("output 1 overlaps output 0"),
            std::string::npos);
  Tensor w({1.f, 2.f});
  auto captures = function([w](Tensor x) { return x * w; }, {.name = "f"});
  EXPECT_NE(error_of([&] { captures.call_into(w, x); }).find("overlaps a captured tensor"), std::string::npos);
  alignas(64) static float memory[8];
  const auto part = [&](int from, int n) {
    return Tensor::adopt(Buffer::wrap(memory + from, n * 4, [](void*) {}, nullptr), DType::f32, {n});
  };
  Tensor tail = part(3, 4);
  EXPECT_NE(error_of([&] { f.call_into(tail, part(0, 4)); }).find("overlaps input"), std::string::npos);
  Tensor apart = part(4, 4);
  EXPECT_EQ(error_of([&] { f.call_into(apart, part(0, 4)); }), "no error");
}

TEST(CallInto, WrongOutputsAreErrors) {
  auto f = function([](Tensor x) { return x + 1; }, {.name = "f"});
  Tensor other = zeros({3});
  EXPECT_EQ(error_of([&] { f.call_into(other, kTwo); }),
            ABOVE + "call_into of function f: output 0 is f32[3], but the result is f32[2]");
  Tensor doubles = zeros({2}, DType::f64);
  EXPECT_NE(error_of([&] { f.call_into(doubles, kTwo); }).find("output 0 is f64[2], but"), std::string::npos);
  Tensor nothing;
  EXPECT_NE(error_of([&] { f.call_into(nothing, kTwo); }).find("output 0 holds no elements; make it with zeros"),
            std::string::npos);
  Tensor a = zeros({2}), b = zeros({2});
  EXPECT_EQ(error_of([&] { f.call_into(std::tie(a, b), kTwo); }),
            ABOVE + "call_into of function f: 2 output tensors are given, but it has 1");
}

TEST(CallInto, CannotBeTraced) {
  auto f = function([](Tensor x) { return x + 1; });
  Tensor out = zeros({2});
  auto g = function([&](Tensor x) {
    f.call_into(out, x);
    return x;
  });
  EXPECT_NE(error_of([&] { g(kTwo); }).find("cannot be traced"), std::string::npos);
}

TEST(CallInto, AllocatesNothing) {
  auto f = function([](Tensor x, Tensor w) { return std::tuple(tanh(x * w) + 1, sum(x)); });
  Tensor y = zeros({8}), s = zeros({});
  const Tensor x = zeros({8}), w = ones({8});
  f.call_into(std::tie(y, s), x, w);
  const int64_t buffers = memory_stats().allocations;
  const int64_t before = num_news();
  for (int i = 0; i < 10; ++i) f.call_into(std::tie(y, s), x, w);
  EXPECT_EQ(num_news() - before, 0);
  EXPECT_EQ(memory_stats().allocations - buffers, 0);
}

TEST(CachedCall, AllocatesNothingButItsResult) {
  auto f = function([](Tensor x) { return x * 2 + 1; });
  const Tensor x = zeros({8});
  f(x);
  const int64_t buffers = memory_stats().allocations;
  const int64_t before = num_news();
  for (int i = 0; i < 10; ++i) f(x);
  EXPECT_EQ(num_news() - before, 0);  // small results are one malloc each, counted by neither
  EXPECT_EQ(memory_stats().allocations - buffers, 0);
}

/// Lets the process map no more than a few GiB more, for as long as it stands.
class AddressSpaceLimit {
 public:
  AddressSpaceLimit() {
    getrlimit(RLIMIT_AS, &before_);
    rlimit limit = before_;
    limit.rlim_cur = std::min<rlim_t>(before_.rlim_max, rlim_t{1} << 45);
    setrlimit(RLIMIT_AS, &limit);
  }
  ~AddressSpaceLimit() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_;
};

TEST(Allocation, FailureIsAnErrorAndLeavesAllUsable) {
  const AddressSpaceLimit limit;
  const std::string error = error_of([] { return zeros({int64_t{1} << 43}, DType::f64); });
  EXPECT_NE(error.find("cannot allocate 70368744177664 bytes for zeros"), std::string::npos) << error;
  auto f = function([](Tensor x) { return broadcast_to(x, {int64_t{1} << 43, 1}) + 1; });
  EXPECT_THROW(f(Tensor({{1.0f}})), Error);
  EXPECT_EQ((kTwo + 1).to_vector<float>(), (Floats{2, 3}));
}

}  // namespace
}  // namespace etch
