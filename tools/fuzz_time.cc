// The time of random graphs, fused against unfused.
#include "tools/fuzz_time.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>
#include <stdexcept>
#include <vector>

#include "compiler/kernel_costs.h"
#include "etch/buffer.h"
#include "tools/harness.h"
#include "tools/large_graph.h"

namespace etch {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

/// Memory for the inputs and outputs of a graph, as tensors have it.
class Memory {
 public:
  explicit Memory(const Graph& graph, std::mt19937_64& random) {
    for (const Literal& input : random_inputs(graph, Draw::plain, random)) {
      Buffer buffer = Buffer::allocate(static_cast<int64_t>(input.bytes.size()));
      std::memcpy(buffer.data(), input.bytes.data(), input.bytes.size());
      inputs_.push_back(buffer.data());
      buffers_.push_back(std::move(buffer));
    }
  }

  void run(const Executable& executable, int threads) {
    while (outputs_.size() < executable.outputs.size()) {
      buffers_.push_back(Buffer::allocate(executable.outputs[outputs_.size()].bytes));
      outputs_.push_back(buffers_.back().data());
    }
    executable.run(inputs_.data(), outputs_.data(), {.threads = threads});
  }
  std::vector<double> profile(const Executable& executable, int threads) {
    return executable.profile(inputs_.data(), outputs_.data(), {.threads = threads}, 5);
  }

 private:
  std::vector<Buffer> buffers_;
  std::vector<const void*> inputs_;
  std::vector<void*> outputs_;
};

Compiled compiled(const Graph& graph, const Target& target, bool fuse) {
  absl::StatusOr<Compiled> result = compile(graph, {.fuse = fuse, .target = target});
  if (!result.ok()) throw std::runtime_error(std::string(result.status().message()));
  return *std::move(result);
}

}  // namespace

FuzzTime time_large_graph(uint64_t seed, const Target& target, int threads, double suspicious) {
  const Graph graph = large_graph(seed);
  const Compiled fused = compiled(graph, target, true), unfused = compiled(graph, target, false);
  FuzzTime time;
  time.seed = seed;
  time.kernels_fused = static_cast<int>(fused.schedule.kernels.size());
  time.kernels_unfused = static_cast<int>(unfused.schedule.kernels.size());
  std::mt19937_64 random(seed);
  Memory memory(graph, random);
  memory.run(*fused.executable, threads);
  memory.run(*unfused.executable, threads);
  auto measure = [&](int least, double budget) {
    std::vector<double> of_fused, of_unfused;
    const Clock::time_point begin = Clock::now();
    while (static_cast<int>(of_fused.size()) < least || microseconds_since(begin) < budget) {
      Clock::time_point start = Clock::now();
      memory.run(*fused.executable, threads);
      of_fused.push_back(microseconds_since(start));
      start = Clock::now();
      memory.run(*unfused.executable, threads);
      of_unfused.push_back(microseconds_since(start));
    }
    time.fused = median(std::move(of_fused));
    time.unfused = median(std::move(of_unfused));
  };
  measure(5, 20e3);
  if (time.ratio() >= suspicious) return time;
  measure(15, 150e3);
  if (time.ratio() >= suspicious) return time;
  const MachinePeaks peaks = machine_peaks(threads);
  auto costs = [&](const Compiled& of) {
    return kernel_costs(of.schedule, of.graph, memory.profile(*of.executable, threads), peaks);
  };
  time.costs = "fused:\n" + costs(fused) + "unfused:\n" + costs(unfused);
  return time;
}

}  // namespace etch
