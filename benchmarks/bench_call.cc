// The cost of a call that finds its code: eight floats through a traced function, and an eager op.
#include <benchmark/benchmark.h>
#include <etch/etch.h>

namespace {

using etch::Tensor;

Tensor eight() { return Tensor({1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f}); }

Tensor chain(Tensor x) { return tanh(x * 2.0f + 1.0f) - x; }

template <class Call>
void measure(benchmark::State& state, Call call) {
  call();
  for (auto _ : state) call();
}

void call_operator(benchmark::State& state) {
  auto f = etch::function(chain);
  Tensor x = eight();
  measure(state, [&] { benchmark::DoNotOptimize(f(x)); });
}
BENCHMARK(call_operator)->Name("call_8_floats/fused");

void call_into(benchmark::State& state) {
  auto f = etch::function(chain);
  Tensor x = eight(), y = f(x);
  measure(state, [&] { f.call_into(y, x); });
}
BENCHMARK(call_into)->Name("call_8_floats/call_into");

void call_eager(benchmark::State& state) {
  Tensor x = eight();
  measure(state, [&] { benchmark::DoNotOptimize(chain(x)); });
}
BENCHMARK(call_eager)->Name("call_8_floats/eager_4_ops");

void op_eager(benchmark::State& state) {
  Tensor x = eight(), y = eight();
  measure(state, [&] { benchmark::DoNotOptimize(x + y); });
}
BENCHMARK(op_eager)->Name("call_8_floats/eager_op");

void cast_eager(benchmark::State& state) {
  Tensor x = eight();
  measure(state, [&] { benchmark::DoNotOptimize(cast(x, etch::DType::f64)); });
}
BENCHMARK(cast_eager)->Name("call_8_floats/eager_cast");

// The kernels of both stay at the thread's hand.
void sums_eager(benchmark::State& state) {
  Tensor x = reshape(eight(), {2, 4});
  measure(state, [&] {
    benchmark::DoNotOptimize(sum(x, {0}));
    benchmark::DoNotOptimize(sum(x, {1}));
  });
}
BENCHMARK(sums_eager)->Name("call_8_floats/eager_sums_2_axes");

void call_two_shapes(benchmark::State& state) {
  auto f = etch::function(chain);
  Tensor x = eight(), z = Tensor({1.0f, 2.0f});
  f(z);
  measure(state, [&] {
    benchmark::DoNotOptimize(f(x));
    benchmark::DoNotOptimize(f(z));
  });
}
BENCHMARK(call_two_shapes)->Name("call_8_floats/two_shapes_2_calls");

// The same with its gradient: op by op, through a function that the tape calls, and as a function of its own.
template <class F>
Tensor gradient(const F& f, const Tensor& x) {
  etch::GradientTape tape;
  tape.watch(x);
  return tape.gradient(f(x), x);
}

void gradient_eager(benchmark::State& state) {
  Tensor x = eight();
  measure(state, [&] { benchmark::DoNotOptimize(gradient(chain, x)); });
}
BENCHMARK(gradient_eager)->Name("gradient_8_floats/eager_4_ops");

void gradient_through_function(benchmark::State& state) {
  auto f = etch::function(chain);
  Tensor x = eight();
  measure(state, [&] { benchmark::DoNotOptimize(gradient(f, x)); });
}
BENCHMARK(gradient_through_function)->Name("gradient_8_floats/through_function");

void gradient_traced(benchmark::State& state) {
  auto f = etch::function([](Tensor x) { return gradient(chain, x); });
  Tensor x = eight();
  measure(state, [&] { benchmark::DoNotOptimize(f(x)); });
}
BENCHMARK(gradient_traced)->Name("gradient_8_floats/fused");

}  // namespace
