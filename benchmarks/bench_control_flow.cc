// Loops of 2^22 turns over scalars beside the same C++: one kernel each. What they come to is compared first.
#include <benchmark/benchmark.h>

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

}  // namespace
