// Products with the weights of a model: of f32 in a variable, packed by the second call or copied by every call; of one byte with
// scales and of bf16, widened while they are read; and widened to memory first. Rows x steps x columns, one thread; `turned` weights
// have their steps beside each other.
#include <benchmark/benchmark.h>
#include <etch/etch.h>

#include <functional>
#include <string>

namespace {

using namespace etch;

struct Sizes {
  int64_t rows, steps, columns;
};

Tensor numbers(const Shape& shape, DType dtype) {
  return cast(floor_mod(range(shape.product(), DType::i32) * 37, 101) - 50, dtype);
}

Variable weights(const Sizes& s, DType dtype, bool turned) {
  const Shape shape = turned ? Shape{s.columns, s.steps} : Shape{s.steps, s.columns};
  return Variable(reshape(numbers(shape, dtype), shape));
}

void run(benchmark::State& state, const Sizes& s, const std::string& flags, const std::function<Tensor(Tensor)>& product) {
  ScopedFlags scoped("threads=1" + flags);
  auto f = function(product);
  const Tensor x = reshape(numbers({s.rows, s.steps}, DType::f32), {s.rows, s.steps});
  Tensor y = f(x);
  f.call_into(y, x);
  for (auto _ : state) f.call_into(y, x);
  state.counters["flops"] = benchmark::Counter(2.0 * static_cast<double>(s.rows * s.steps * s.columns),
                                               benchmark::Counter::kIsIterationInvariantRate);
}

void wide(benchmark::State& state, Sizes s, bool turned, bool packs) {
  const Variable w = weights(s, DType::f32, turned);
  run(state, s, packs ? "" : ",packs=0", [&](Tensor x) { return matmul(x, turned ? transpose(w.value()) : w.value()); });
}

void narrow(benchmark::State& state, Sizes s, bool turned, DType dtype, bool fuse) {
  const Variable w = weights(s, dtype, turned);
  const Variable scale(turned ? ones({s.columns, 1}) : ones({1, s.columns}));
  run(state, s, fuse ? "" : ",fuse=0", [&](Tensor x) {
    Tensor values = cast(w.value(), DType::f32);
    if (dtype == DType::i8) values = values * scale;
    return matmul(x, turned ? transpose(values) : values);
  });
}

void add(const Sizes& s, bool turned) {
  const std::string name = "weights" + std::string(turned ? " turned " : " ") + std::to_string(s.rows) + "x" +
                           std::to_string(s.steps) + "x" + std::to_string(s.columns);
  benchmark::RegisterBenchmark((name + "/fused").c_str(), wide, s, turned, true);
  benchmark::RegisterBenchmark((name + "/copied").c_str(), wide, s, turned, false);
  benchmark::RegisterBenchmark((name + "/i8").c_str(), narrow, s, turned, DType::i8, true);
  benchmark::RegisterBenchmark((name + "/i8_unfused").c_str(), narrow, s, turned, DType::i8, false);
  benchmark::RegisterBenchmark((name + "/bf16").c_str(), narrow, s, turned, DType::bf16, true);
}

}  // namespace

int main(int argc, char** argv) {
  for (const bool turned : {false, true}) {
    for (const int64_t rows : {1, 2, 8, 14, 32, 64, 128, 256}) {
      for (const Sizes& s : {Sizes{rows, 784, 512}, Sizes{rows, 1024, 1024}, Sizes{rows, 4096, 4096}}) add(s, turned);
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
