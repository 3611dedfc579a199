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
#include <optional>
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

/// Keeps what Google Benchmark finds: the microseconds of a call on average, and how many calls there were.
class Recorder final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      calls = run.iterations;
      microseconds = run.real_accumulated_time / static_cast<double>(run.iterations) * 1e6;
    }
  }
  double microseconds = 0;
  int64_t calls = 0;
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
  /// Calls of this time or longer are timed one by one, shorter ones in batches, as worker.py does for the others.
  static constexpr double kShortestTimed = 20;

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
    CallTimes none(0);
    microseconds_ = record(std::nullopt, none).microseconds;
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

  /// Google Benchmark's loop, of so many calls or of as many as it chooses.
  Recorder record(std::optional<int64_t> calls, CallTimes& times) {
    benchmark::ClearRegisteredBenchmarks();
    auto* registered = benchmark::RegisterBenchmark("row", [&](benchmark::State& state) { case_->run(state, reuse_, times); });
    registered->UseRealTime();
    if (calls) {
      registered->Iterations(*calls);
    } else {
      registered->MinTime(0.02);
    }
    Recorder recorder;
    benchmark::RunSpecifiedBenchmarks(&recorder, "row");
    return recorder;
  }

  Json time(double seconds) {
    if (!case_) return {{"error", "prepare comes first"}};
    const auto batch = std::max<int64_t>(1, static_cast<int64_t>(kShortestTimed / microseconds_) + (microseconds_ < kShortestTimed));
    const auto batches = std::max<int64_t>(1, static_cast<int64_t>(seconds * 1e6 / microseconds_) / batch);
    // The first calls bring back what the systems before have put out of the caches, and do not count.
    const int64_t first = microseconds_ < seconds * 1e6 ? 1 : 0;
    CallTimes times(batch);
    const int64_t calls = record((first + batches) * batch, times).calls;
    std::vector<double> microseconds = times.microseconds();
    microseconds.erase(microseconds.begin(), microseconds.begin() + first);
    return {{"us", microseconds}, {"calls", calls}};
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
