// Loops of 2^22 turns over scalars beside the same C++, one kernel each, and Mandelbrot's set on 1000x1000 points in lanes. What
// they come to is compared first.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "benchmarks/hand.h"
#include "compiler/compile.h"
#include "compiler/ir/text.h"
#include "etch/etch.h"

namespace {

using namespace etch;

constexpr int64_t kTurns = int64_t{1} << 22;

constexpr char kCollatz[] = R"(graph(%0: i64[]) {
  %1 = constant value=0 : i64[]
  %2, %3 = while_loop(%1, %0) : i64[], i64[] {
    test(%0: i64[], %1: i64[]) {
      %2 = constant value=0 : i64[]
      %3 = greater(%1, %2) : bool[]
      return %3, %0, %1
    }
    body(%0: i64[], %1: i64[]) {
      %2 = constant value=1 : i64[]
      %3 = add(%0, %2) : i64[]
      %4, %5 = while_loop(%3, %1) : i64[], i64[] {
        test(%0: i64[], %1: i64[]) {
          %2 = constant value=1 : i64[]
          %3 = not_equal(%0, %2) : bool[]
          return %3, %0, %1
        }
        body(%0: i64[], %1: i64[]) {
          %2 = constant value=2 : i64[]
          %3 = floor_mod(%0, %2) : i64[]
          %4 = constant value=0 : i64[]
          %5 = equal(%3, %4) : bool[]
          %6 = cond(%5; %0) : i64[] {
            then(%0: i64[]) {
              %1 = constant value=2 : i64[]
              %2 = floor_div(%0, %1) : i64[]
              return %2
            }
            otherwise(%0: i64[]) {
              %1 = constant value=3 : i64[]
              %2 = mul(%0, %1) : i64[]
              %3 = constant value=1 : i64[]
              %4 = add(%2, %3) : i64[]
              return %4
            }
          }
          %7 = constant value=1 : i64[]
          %8 = sub(%1, %7) : i64[]
          return %6, %8
        }
      }
      return %3, %5
    }
  }
  return %2
}
)";

constexpr char kNewton[] = R"(graph(%0: i64[], %1: f64[]) {
  %2 = constant value=0 : i64[]
  %3 = constant value=1.0 : f64[]
  %4, %5, %6 = while_loop(%2, %1, %3; %0) : i64[], f64[], f64[] {
    test(%0: i64[], %1: f64[], %2: f64[], %3: i64[]) {
      %4 = less(%0, %3) : bool[]
      return %4, %0, %1, %2
    }
    body(%0: i64[], %1: f64[], %2: f64[], %3: i64[]) {
      %4 = constant value=1 : i64[]
      %5 = add(%0, %4) : i64[]
      %6 = constant value=1.0 : f64[]
      %7 = add(%2, %6) : f64[]
      %8 = div(%7, %1) : f64[]
      %9 = add(%1, %8) : f64[]
      %10 = constant value=0.5 : f64[]
      %11 = mul(%9, %10) : f64[]
      return %5, %11, %7
    }
  }
  return %5
}
)";

constexpr char kCongruence[] = R"(graph(%0: i64[], %1: u64[]) {
  %2 = constant value=0 : i64[]
  %3, %4 = while_loop(%2, %1; %0) : i64[], u64[] {
    test(%0: i64[], %1: u64[], %2: i64[]) {
      %3 = less(%0, %2) : bool[]
      return %3, %0, %1
    }
    body(%0: i64[], %1: u64[], %2: i64[]) {
      %3 = constant value=1 : i64[]
      %4 = add(%0, %3) : i64[]
      %5 = constant value=6364136223846793005 : u64[]
      %6 = mul(%1, %5) : u64[]
      %7 = constant value=1442695040888963407 : u64[]
      %8 = add(%6, %7) : u64[]
      return %4, %8
    }
  }
  return %4
}
)";

/// A program on the number of turns and perhaps a start, and its one result.
class Program {
 public:
  explicit Program(const char* text) {
    absl::StatusOr<Graph> graph = parse(text);
    if (!graph.ok()) fail(graph.status());
    absl::StatusOr<Compiled> compiled = compile(*graph, {});
    if (!compiled.ok()) fail(compiled.status());
    executable_ = compiled->executable;
  }

  template <class T>
  T run(int64_t turns, T start) const {
    const void* inputs[] = {&turns, &start};
    T result{};
    void* outputs[] = {&result};
    executable_->run(inputs, outputs, {});
    return result;
  }

 private:
  [[noreturn]] static void fail(const absl::Status& status) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    std::exit(1);
  }

  std::shared_ptr<const Executable> executable_;
};

template <class T>
void etch_loop(benchmark::State& state, const char* text, T (*by_hand)(int64_t, T), T start) {
  const Program program(text);
  const T result = program.run(kTurns, start), expected = by_hand(kTurns, start);
  if (std::memcmp(&result, &expected, sizeof(T)) != 0) state.SkipWithError("it gives another result than C++");
  for (auto _ : state) benchmark::DoNotOptimize(program.run(kTurns, start));
}

template <class T>
void cpp_loop(benchmark::State& state, T (*by_hand)(int64_t, T), T start) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(start);
    benchmark::DoNotOptimize(by_hand(kTurns, start));
  }
}

/// What a first call adds for the loop.
void compile_time(benchmark::State& state, const char* text) {
  const Graph graph = parse(text).value();
  for (auto _ : state) {
    state.PauseTiming();
    trim_kernel_cache();
    state.ResumeTiming();
    benchmark::DoNotOptimize(compile(graph, {}));
  }
}

int64_t collatz_of(int64_t turns, int64_t) { return hand::collatz(turns); }

#define ETCH_LOOP(name, text, by_hand, start)                                                                    \
  BENCHMARK_CAPTURE(etch_loop, name, text, by_hand, start)->Name("loop_" #name "/fused")->Unit(benchmark::kMillisecond); \
  BENCHMARK_CAPTURE(cpp_loop, name, by_hand, start)->Name("loop_" #name "/hand")->Unit(benchmark::kMillisecond);         \
  BENCHMARK_CAPTURE(compile_time, name, text)->Name("loop_" #name "/compile")->Unit(benchmark::kMillisecond)

ETCH_LOOP(collatz, kCollatz, &collatz_of, int64_t{0});
ETCH_LOOP(newton, kNewton, &hand::newton, 2.0);
ETCH_LOOP(congruence, kCongruence, &hand::congruence, uint64_t{1});

// ---- Mandelbrot

constexpr int64_t kSide = 1000;
constexpr int kMostTurns = 100;

/// Turns until |z| > 2, of each point by itself.
std::vector<Tensor> mapped(const Tensor& re, const Tensor& im) {
  const auto point = [](const std::tuple<Tensor, Tensor>& c) {
    const Tensor zero(0.f);
    return std::get<2>(while_loop(
        [](const Tensor& x, const Tensor& y, const Tensor& turns) { return (x * x + y * y <= 4) & (turns < kMostTurns); },
        [&c](const Tensor& x, const Tensor& y, const Tensor& turns) {
          return std::tuple(x * x - y * y + std::get<0>(c), x * y + x * y + std::get<1>(c), turns + 1);
        },
        std::tuple(zero, zero, Tensor(0))));
  };
  return {map(point, std::tuple(re, im))};
}

/// The same on whole tensors.
std::vector<Tensor> while_any(const Tensor& re, const Tensor& im) {
  Tensor x = zeros_like(re), y = zeros_like(im), turns = zeros(re.shape(), DType::i32), k(0);
  Tensor active = full(re.shape(), true);
  const auto [x2, y2, turns2, active2, k2] = while_loop(
      [](const auto&, const auto&, const auto&, const Tensor& on, const Tensor& turn) { return any(on) & (turn < kMostTurns); },
      [&](const Tensor& a, const Tensor& b, const Tensor& n, const Tensor& on, const Tensor& turn) {
        const Tensor next = where(on, a * a - b * b + re, a), other = where(on, a * b + a * b + im, b);
        return std::tuple(next, other, where(on, n + 1, n), on & (next * next + other * other <= 4), turn + 1);
      },
      std::tuple(x, y, turns, active, k));
  return {turns2};
}

struct Points {
  std::vector<float> re, im;
  std::vector<int32_t> turns;

  Points() : re(kSide * kSide), im(kSide * kSide), turns(kSide * kSide) {
    for (int64_t i = 0; i < kSide * kSide; ++i) {
      re[i] = -2.0f + 2.5f * static_cast<float>(i % kSide) / kSide;
      im[i] = -1.25f + 2.5f * static_cast<float>(i / kSide) / kSide;
    }
  }
  void run_by_hand() { hand::mandelbrot(re.data(), im.data(), turns.data(), kSide * kSide, kMostTurns); }
};

void etch_mandelbrot(benchmark::State& state, std::vector<Tensor> (*program)(const Tensor&, const Tensor&), const char* flags) {
  Points points;
  points.run_by_hand();
  const ScopedFlags scoped(flags);
  auto f = etch::function([program](Tensor re, Tensor im) { return program(re, im); });
  const Tensor re = Tensor::from(points.re, {kSide * kSide}), im = Tensor::from(points.im, {kSide * kSide});
  const Tensor first = f(re, im)[0];
  if (!std::ranges::equal(first.data<int32_t>(), points.turns)) state.SkipWithError("it gives another result than C++");
  for (auto _ : state) benchmark::DoNotOptimize(f(re, im));
}

void cpp_mandelbrot(benchmark::State& state) {
  Points points;
  for (auto _ : state) {
    points.run_by_hand();
    benchmark::DoNotOptimize(points.turns.data());
    benchmark::ClobberMemory();
  }
}

BENCHMARK_CAPTURE(etch_mandelbrot, map, mapped, "threads=1")->Name("mandelbrot/fused")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(etch_mandelbrot, any, while_any, "threads=1")->Name("mandelbrot/while_any")->Unit(benchmark::kMillisecond);
BENCHMARK(cpp_mandelbrot)->Name("mandelbrot/hand")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(etch_mandelbrot, map_threads, mapped, "threads=2")->Name("mandelbrot/two_threads")->Unit(benchmark::kMillisecond);

}  // namespace
