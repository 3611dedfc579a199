// etch-fuzz: random graphs, run in every way and compared, or timed fused against unfused.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "compiler/ir/text.h"
#include "tools/fuzz.h"
#include "tools/fuzz_time.h"
#include "tools/large_graph.h"
#include "tools/options.h"

namespace etch {
namespace {

constexpr char kHelp[] = R"(usage: etch-fuzz [OPTION]... FIRST_SEED COUNT
Runs random graphs in every way and compares the bits; exit code 1 if any differ.
  --time            time larger random graphs fused and unfused instead; lists those where fused is slower
  --regions         random graphs with conds and loops instead, through text, passes and interpreter
  --target=NAME     the processor that code is made for: host (as it is), sse4, avx2 or avx512
  --threads=N       with --time: how many threads may run a graph (1)
)";

constexpr double kSlow = 0.95;
constexpr size_t kWorst = 15;

struct Options {
  bool time = false;
  bool regions = false;
  std::string target = "host";
  int threads = 1;
  std::vector<uint64_t> numbers;
};

Options parse_options(int argc, char** argv) {
  Options options;
  for (const Argument& argument : arguments(argc, argv)) {
    if (argument.is("help")) {
      show_help(kHelp);
    } else if (argument.is("time")) {
      options.time = true;
    } else if (argument.is("regions")) {
      options.regions = true;
    } else if (argument.takes("target")) {
      options.target = argument.value;
      target_of(options.target);
    } else if (argument.takes("threads")) {
      options.threads = static_cast<int>(argument.number(1));
    } else if (argument.name.empty()) {
      options.numbers.push_back(static_cast<uint64_t>(argument.number(0)));
    } else {
      argument.fail_unknown("etch-fuzz");
    }
  }
  if (options.numbers.size() != 2) throw BadInput("a first seed and a count, please; see etch-fuzz --help");
  return options;
}

int compare(const Options& options) {
  uint64_t failures = 0;
  for (uint64_t i = 0; i < options.numbers[1]; ++i) {
    const uint64_t seed = options.numbers[0] + i;
    std::string failure = options.regions ? fuzz_region_case(seed) : fuzz_case(seed, target_of(options.target));
    if (options.regions) failure += fuzz_rows_case(seed);
    if (failure.empty()) continue;
    ++failures;
    std::printf("%s\n", failure.c_str());
    std::fflush(stdout);
  }
  std::printf("%llu cases from seed %llu, %llu failed\n", static_cast<unsigned long long>(options.numbers[1]),
              static_cast<unsigned long long>(options.numbers[0]), static_cast<unsigned long long>(failures));
  return failures == 0 ? 0 : 1;
}

void print_time(const Options& options, const FuzzTime& time) {
  std::printf("seed %llu, %s: fused %.1f us in %d kernels, unfused %.1f us in %d, speed %.2f\n",
              static_cast<unsigned long long>(time.seed), options.target.c_str(), time.fused, time.kernels_fused,
              time.unfused, time.kernels_unfused, time.ratio());
}

int time_all(const Options& options) {
  std::vector<FuzzTime> times;
  for (uint64_t i = 0; i < options.numbers[1]; ++i) {
    const uint64_t seed = options.numbers[0] + i;
    times.push_back(time_large_graph(seed, target_of(options.target), options.threads, kSlow));
    if (times.back().ratio() >= kSlow) continue;
    print_time(options, times.back());
    std::printf("%s%s\n", print(large_graph(seed)).c_str(), times.back().costs.c_str());
    std::fflush(stdout);
  }
  if (times.empty()) return 0;
  std::sort(times.begin(), times.end(), [](const FuzzTime& a, const FuzzTime& b) { return a.ratio() < b.ratio(); });
  auto below = [&](double limit) {
    return std::count_if(times.begin(), times.end(), [&](const FuzzTime& t) { return t.ratio() < limit; });
  };
  std::printf("%zu graphs from seed %llu, %s: %td below 0.95, %td below 0.90, median %.2f; the slowest:\n", times.size(),
              static_cast<unsigned long long>(options.numbers[0]), options.target.c_str(), below(kSlow), below(0.9),
              times[times.size() / 2].ratio());
  for (size_t i = 0; i < std::min(times.size(), kWorst); ++i) print_time(options, times[i]);
  return 0;
}

}  // namespace
}  // namespace etch

int main(int argc, char** argv) {
  return etch::run_tool("etch-fuzz", [&] {
    const etch::Options options = etch::parse_options(argc, argv);
    return options.time ? etch::time_all(options) : etch::compare(options);
  });
}
