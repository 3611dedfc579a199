// Single steps that code generation may fall from: one kernel each beside a hand-written loop, in the caches and beyond.
#include <benchmark/benchmark.h>
#include <etch/etch.h>

#include <memory>
#include <random>
#include <vector>

#include "benchmarks/hand.h"

namespace {

using etch::DType;
using etch::Slice;
using etch::Tensor;

constexpr int64_t kSmall = int64_t{64} << 10, kLarge = int64_t{16} << 20;
constexpr int64_t kPixels = kSmall;

template <class T>
const T* data() {
  static const std::vector<T> values = [] {
    std::vector<T> v(kLarge);
    std::mt19937 random(1);
    std::normal_distribution<float> normal(4, 3);
    for (T& value : v) value = static_cast<T>(std::fabs(normal(random)));
    return v;
  }();
  return values.data();
}

template <class T>
Tensor of(etch::Shape shape) {
  return Tensor::from(std::span(data<T>(), shape.product()), shape);
}

template <class T>
T* output() {
  static std::vector<T> values(kLarge);
  return values.data();
}

/// `lambda` on x, and `hand` which does the same.
template <class F, class H>
void add_case(const std::string& name, F lambda, auto input, H hand) {
  auto f = std::make_shared<decltype(etch::function(lambda))>(
      etch::function(lambda, etch::FunctionOptions{.threads = 1}));
  benchmark::RegisterBenchmark((name + "/fused").c_str(), [=](benchmark::State& state) {
    Tensor x = input();
    Tensor out = (*f)(x);
    for (auto _ : state) {
      f->call_into(out, x);
      benchmark::DoNotOptimize(out);
    }
  })->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark((name + "/handwritten").c_str(), [=](benchmark::State& state) {
    hand();
    for (auto _ : state) {
      hand();
      benchmark::ClobberMemory();
    }
  })->Unit(benchmark::kMicrosecond);
}

Tensor chain10(Tensor x) {
  Tensor a = x * 1.5f + 0.5f;
  Tensor b = a * x - 2.0f;
  Tensor c = abs(b) * 0.25f;
  Tensor d = maximum(c, x) - b;
  return sqrt(abs(d));
}

void add_masks() {
  for (int64_t n : {kSmall, kLarge}) {
    std::string size = n == kSmall ? "_64K" : "_16M";
    auto vector = [n] { return of<float>({n}); };
    add_case("add" + size, [](Tensor x) { return x + 1.0f; }, vector,
             [n] { hand::add(data<float>(), 1.0f, output<float>(), n); });
    add_case("chain10" + size, chain10, vector, [n] { hand::chain10(data<float>(), output<float>(), n); });
    int64_t rows = n / 1024;
    auto matrix = [rows] { return of<float>({rows, 1024}); };
    add_case("row_max" + size, [](Tensor x) { return max(x, {1}); }, matrix,
             [rows] { hand::row_max(data<float>(), output<float>(), rows, 1024); });
    add_case("row_argmax" + size, [](Tensor x) { return argmax(x, 1); }, matrix,
             [rows] { hand::row_argmax(data<float>(), output<int64_t>(), rows, 1024); });
    add_case("softmax" + size, [](Tensor x) { return softmax(x); }, matrix,
             [rows] { hand::softmax(data<float>(), output<float>(), rows, 1024); });
    add_case("column_max" + size, [](Tensor x) { return max(x, {0}); }, matrix,
             [rows] { hand::column_max(data<float>(), output<float>(), rows, 1024); });
    add_case("column_sum" + size, [](Tensor x) { return sum(x, {0}); }, matrix,
             [rows] { hand::column_sum(data<float>(), output<float>(), rows, 1024); });
  }
}

template <class T>
void add_strides(const std::string& name) {
  for (int64_t stride : {2, 3, 4, 5}) {
    auto pixels = [=] { return of<T>({kPixels, stride}); };
    add_case("stride" + std::to_string(stride) + "_" + name,
             [](Tensor x) { return cast(x.slice({Slice(), 1}), DType::f32) + 1.0f; }, pixels,
             [=] { hand::channel(data<T>() + 1, stride, output<float>(), kPixels); });
  }
  add_case("grey_" + name, [](Tensor x) {
    auto channel = [&](int i) { return cast(x.slice({Slice(), i}), DType::f32); };
    return 0.2f * channel(0) + 0.7f * channel(1) + 0.1f * channel(2);
  }, [] { return of<T>({kPixels, 3}); }, [] { hand::grey(data<T>(), output<float>(), kPixels); });
  add_case("interleave3_" + name, [](Tensor x) {
    return etch::stack({x, x + 1, x + 2}, 1);
  }, [] { return of<T>({kPixels}); }, [] { hand::interleave3(data<T>(), output<T>(), kPixels); });
}

template <class T>
void add_cast(const std::string& name, DType dtype) {
  auto vector = [] { return of<float>({kPixels}); };
  add_case("f32_to_" + name, [dtype](Tensor x) { return cast(x, dtype); }, vector,
           [] { hand::saturate(data<float>(), output<T>(), kPixels); });
}

template <class T>
void add_transpose(const std::string& name) {
  for (int64_t n : {256, 1024, 4096}) {
    if (n * n * sizeof(T) > kLarge * sizeof(float)) continue;
    add_case("transpose_" + name + "_" + std::to_string(n), [](Tensor x) { return transpose(x); }, [n] { return of<T>({n, n}); },
             [n] { hand::transpose(data<T>(), output<T>(), n); });
  }
}

void add_layouts() {
  add_transpose<uint8_t>("u8");
  add_transpose<float>("f32");
  add_transpose<double>("f64");
  for (int64_t n : {kSmall, kLarge}) {
    const std::string size = n == kSmall ? "_64K" : "_16M";
    const int64_t side = n == kSmall ? 256 : 4096, blocks = n / (128 * 64);
    auto square = [side] { return of<float>({side, side}); };
    add_case("add_transposed" + size, [](Tensor x) { return x + transpose(x); }, square,
             [side] { hand::add_transposed(data<float>(), data<float>(), output<float>(), side); });
    add_case("swap_outer" + size, [](Tensor x) { return transpose(x, {1, 0, 2}); }, [=] { return of<float>({128, blocks, 64}); },
             [blocks] { hand::swap_outer(data<float>(), output<float>(), 128, blocks, 64); });
    add_case("interleave2" + size, [n](Tensor x) {
      return etch::stack({x.slice({Slice(0, n / 2)}), x.slice({Slice(n / 2, n)})}, 1);
    }, [n] { return of<float>({n}); }, [n] { hand::interleave2(data<float>(), data<float>() + n / 2, output<float>(), n / 2); });
    add_case("flip" + size, [](Tensor x) { return etch::flip(x); }, [n] { return of<float>({n}); },
             [n] { hand::flip(data<float>(), output<float>(), n); });
    add_case("join_columns" + size, [side](Tensor x) {
      return etch::concat({x.slice({Slice(0, side / 2)}), x.slice({Slice(side / 2, side)})}, 1);
    }, square, [side] {
      hand::join_columns(data<float>(), data<float>() + side * side / 2, output<float>(), side / 2, side);
    });
  }
}

void add_all() {
  add_masks();
  add_layouts();
  add_strides<uint8_t>("u8");
  add_strides<float>("f32");
  add_cast<uint8_t>("u8", DType::u8);
  add_cast<int32_t>("i32", DType::i32);
  add_cast<int64_t>("i64", DType::i64);
  auto vector = [] { return of<float>({kSmall}); };
  add_case("relu_64K", [](Tensor x) { return relu(x); }, vector,
           [] { hand::clip(data<float>(), 0, INFINITY, output<float>(), kSmall); });
  add_case("clip_64K", [](Tensor x) { return clip(x, 2, 6); }, vector,
           [] { hand::clip(data<float>(), 2, 6, output<float>(), kSmall); });
  add_case("index_to_f32", [](Tensor x) { return x + etch::iota({kSmall}, 0, DType::f32); }, vector,
           [] { hand::add_index(data<float>(), output<float>(), kSmall); });
}

const bool registered = (add_all(), true);

}  // namespace
