// Etch's side of the comparison with its peers: runs the workloads of benchmarks/peers/rows.py as the driver asks, by lines of JSON
// on standard input and output. benchmarks/peers/worker.py speaks the same for the other systems and says what the lines mean.
//
//   bench_rows etch|etch_unfused|etch_eager THREADS
#include <benchmark/benchmark.h>
#include <etch/etch.h>
#include <etch/npy.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "benchmarks/rows/case.h"

namespace rows {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// Keeps the microseconds of each repetition.
class Recorder final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type != Run::RT_Iteration) continue;
      const auto calls = static_cast<double>(run.iterations);
      microseconds.push_back(run.real_accumulated_time / calls * 1e6);
      iterations += run.iterations;
    }
  }
  std::vector<double> microseconds;
  int64_t iterations = 0;
};

std::unique_ptr<Case> make(const std::string& name, const Json& sizes, const std::vector<Tensor>& inputs, Way way) {
  for (Maker maker : {make_elementwise, make_reduction, make_layout, make_product, make_training, make_loop}) {
    if (auto made = maker(name, sizes, inputs, way)) return made;
  }
  return nullptr;
}

class Worker {
 public:
  explicit Worker(Way way) : way_(way) {}

  Json answer(const Json& line) {
    const std::string command = line.at("cmd");
    if (command == "prepare") return prepare(line);
    if (command == "results") return results(line.at("folder"));
    if (command == "time") return time(line.at("seconds"));
    if (command == "compile") return compile(line.at("seed"));
    if (command == "drop") return drop();
    return {{"error", "there is no command " + command}};
  }

 private:
  /// A call of this time or longer is a repetition by itself: rounds count by their median call, as those of the others do.
  static constexpr double kLongCall = 100;

  Json drop() {
    case_.reset();
    compile_.reset();
    inputs_.clear();
    benchmark::ClearRegisteredBenchmarks();
    return Json::object();
  }

  Json prepare(const Json& line) {
    drop();
    name_ = line.at("workload");
    sizes_ = line.at("sizes");
    reuse_ = line.value("outputs", "fresh") == "reused";
    for (const auto& path : line.at("inputs")) inputs_.push_back(etch::load_npy(path));
    compile_ = make_compile(name_, sizes_, inputs_, way_);
    if (compile_) return split(compile_->first_call(0));

    const Clock::time_point start = Clock::now();
    case_ = make(name_, sizes_, inputs_, way_);
    if (!case_) return {{"unsupported", "there is no workload " + name_}};
    if (reuse_ && !case_->can_reuse()) return {{"unsupported", "eager results are new ones"}};
    case_->call();
    FirstCall first{.ms = milliseconds_since(start)};
    if (const auto stats = case_->stats()) first.trace_ms = stats->trace_ms, first.compile_ms = stats->compile_ms;
    benchmark::RegisterBenchmark("row", [this](benchmark::State& state) { case_->run(state, reuse_); });
    microseconds_ = record(nullptr).microseconds.at(0);
    return split(first);
  }

  static Json split(const FirstCall& first) {
    Json parts;
    if (first.trace_ms) parts = {{"trace", *first.trace_ms}, {"compile", first.compile_ms.value_or(0)}};
    return {{"first_ms", first.ms}, {"split", parts}};
  }

  Json results(const std::string& folder) {
    const std::unique_ptr<Case> fresh = make(name_, sizes_, inputs_, way_);
    if (!fresh) return {{"results", Json::array()}};
    std::vector<Tensor> all;
    // A step of training gives its loss: three of them show that it learns.
    const int calls = name_.starts_with("train_") ? 3 : 1;
    for (int i = 0; i < calls; ++i) std::ranges::move(fresh->call(), std::back_inserter(all));
    Json paths = Json::array();
    for (size_t i = 0; i < all.size(); ++i) {
      paths.push_back(folder + "/" + std::to_string(i) + ".npy");
      etch::save_npy(paths.back(), all[i]);
    }
    return {{"results", paths}};
  }

  /// Runs the registered benchmark; how often is Google Benchmark's choice unless `calls` says it.
  Recorder record(const int64_t* calls) {
    benchmark::ClearRegisteredBenchmarks();
    auto* registered = benchmark::RegisterBenchmark("row", [this](benchmark::State& state) { case_->run(state, reuse_); });
    registered->UseRealTime();
    if (calls == nullptr) {
      registered->MinTime(0.02);
    } else if (microseconds_ >= kLongCall) {
      registered->Iterations(1)->Repetitions(static_cast<int>(*calls));
    } else {
      registered->Iterations(*calls);
    }
    Recorder recorder;
    benchmark::RunSpecifiedBenchmarks(&recorder, "row");
    return recorder;
  }

  Json time(double seconds) {
    if (!case_) return {{"error", "prepare comes first"}};
    const int64_t first = 1, calls = std::max<int64_t>(1, static_cast<int64_t>(seconds * 1e6 / microseconds_));
    // A call that brings back what the systems before it have put out of the caches: worker.py has the same.
    if (microseconds_ < seconds * 1e6) record(&first);
    const Recorder recorder = record(&calls);
    return {{"us", recorder.microseconds}, {"calls", recorder.iterations}};
  }

  Json compile(unsigned seed) {
    if (!compile_) return {{"error", name_ + " is not a workload whose first call is timed"}};
    Json answer = split(compile_->first_call(seed));
    answer["ms"] = answer["first_ms"];
    return answer;
  }

  Way way_;
  std::string name_;
  Json sizes_;
  bool reuse_ = false;
  std::vector<Tensor> inputs_;
  std::unique_ptr<Case> case_;
  std::unique_ptr<CompileCase> compile_;
  double microseconds_ = 1;
};

double empty_call_us() {
  auto f = etch::function([](Tensor x) { return x + 1.0f; });
  const Tensor x(1.0f);
  benchmark::DoNotOptimize(f(x));
  std::vector<double> rounds;
  for (int round = 0; round < 21; ++round) {
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < 1000; ++i) benchmark::DoNotOptimize(f(x));
    rounds.push_back(milliseconds_since(start));
  }
  std::ranges::sort(rounds);
  return rounds[10];
}

int serve(const std::string& system, Way way, const std::string& threads) {
  const std::string flags = "threads=" + threads;
  const etch::ScopedFlags scoped(flags);
  const std::string settings = "ETCH_FLAGS=" + flags + (way == Way::unfused ? ", a kernel for each op" : way == Way::eager ? ", eager ops" : "");
  std::cout << Json{{"ready", {{"system", system}, {"version", ETCH_VERSION}, {"settings", settings}, {"empty_call_us", empty_call_us()}}}}
            << std::endl;
  Worker worker(way);
  for (std::string line; std::getline(std::cin, line);) {
    Json answer;
    try {
      const Json asked = Json::parse(line);
      if (asked.value("cmd", "") == "quit") break;
      answer = worker.answer(asked);
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace rows

int main(int count, char** arguments) {
  const std::map<std::string, rows::Way> ways{
      {"etch", rows::Way::fused}, {"etch_unfused", rows::Way::unfused}, {"etch_eager", rows::Way::eager}};
  if (count != 3 || !ways.contains(arguments[1])) {
    std::fprintf(stderr, "usage: bench_rows etch|etch_unfused|etch_eager THREADS\n");
    return 2;
  }
  return rows::serve(arguments[1], ways.at(arguments[1]), arguments[2]);
}
