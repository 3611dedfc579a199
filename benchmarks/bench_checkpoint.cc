// Checkpoints beside the plainest way to write and read the same bytes, and what a save costs the steps beside it.
#include <benchmark/benchmark.h>
#include <etch/buffer.h>
#include <etch/checkpoint.h>
#include <etch/function.h>
#include <etch/ops.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

using namespace etch;

/// Where files are written: ETCH_BENCH_FOLDER, or /tmp. Of a disk, to be sure of what is measured.
std::string path_of(const char* name) {
  const char* folder = std::getenv("ETCH_BENCH_FOLDER");
  return std::string(folder ? folder : "/tmp") + "/" + name;
}

struct Weights {
  std::vector<Variable> layers;
};

/// So many MiB in tensors of 4 MiB.
Weights weights_of(int64_t mebibytes) {
  Weights weights;
  for (int64_t i = 0; i < mebibytes; i += 4) weights.layers.emplace_back(full({1024, 1024}, static_cast<float>(i)));
  return weights;
}

/// write(2) in MiBs, fsync, rename: what a save cannot do without.
void plain_write(const Weights& weights, const std::string& path) {
  const std::string temporary = path + ".tmp";
  const int file = open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  constexpr size_t kChunk = size_t{1} << 20;
  for (const Variable& variable : weights.layers) {
    const Tensor value = variable.value();
    const auto bytes = std::as_bytes(value.data<float>());
    for (size_t at = 0; at < bytes.size(); at += kChunk) {
      if (write(file, bytes.data() + at, std::min(kChunk, bytes.size() - at)) < 0) std::abort();
    }
  }
  if (fsync(file) != 0) std::abort();
  close(file);
  if (std::rename(temporary.c_str(), path.c_str()) != 0) std::abort();
}

void count_bytes(benchmark::State& state) {
  state.SetBytesProcessed(state.iterations() * state.range(0) * (int64_t{1} << 20));
}

void save(benchmark::State& state) {
  const Weights weights = weights_of(state.range(0));
  const Checkpoint checkpoint(named("weights", weights));
  const std::string path = path_of("etch_bench_checkpoint");
  for (auto _ : state) checkpoint.save(path);
  count_bytes(state);
  unlink(path.c_str());
}
BENCHMARK(save)->Name("save/etch")->Arg(64)->Arg(256)->UseRealTime()->Unit(benchmark::kMillisecond);

void save_plain(benchmark::State& state) {
  const Weights weights = weights_of(state.range(0));
  const std::string path = path_of("etch_bench_plain");
  for (auto _ : state) plain_write(weights, path);
  count_bytes(state);
  unlink(path.c_str());
}
BENCHMARK(save_plain)->Name("save/plain")->Arg(64)->Arg(256)->UseRealTime()->Unit(benchmark::kMillisecond);

/// Alternates both ways, so that a disk that is slow for a while is so for both: the counter is the ratio.
void save_ratio(benchmark::State& state) {
  const Weights weights = weights_of(state.range(0));
  const Checkpoint checkpoint(named("weights", weights));
  const std::string path = path_of("etch_bench_checkpoint"), plain_path = path_of("etch_bench_plain");
  double plain = 0, etch = 0;
  const auto seconds = [] {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
  };
  for (auto _ : state) {
    const double begin = seconds();
    plain_write(weights, plain_path);
    const double middle = seconds();
    checkpoint.save(path);
    plain += middle - begin;
    etch += seconds() - middle;
  }
  state.counters["etch_by_plain"] = etch / plain;
  unlink(path.c_str());
  unlink(plain_path.c_str());
}
BENCHMARK(save_ratio)->Name("save/ratio")->Arg(64)->Arg(256)->UseRealTime()->Unit(benchmark::kMillisecond);

void restore(benchmark::State& state) {
  const Weights weights = weights_of(state.range(0));
  const Checkpoint checkpoint(named("weights", weights));
  const std::string path = path_of("etch_bench_checkpoint");
  checkpoint.save(path);
  for (auto _ : state) (void)checkpoint.restore(path);
  count_bytes(state);
  unlink(path.c_str());
}
BENCHMARK(restore)->Name("restore/etch")->Arg(64)->UseRealTime()->Unit(benchmark::kMillisecond);

/// What a save costs the thread that calls it when another one writes: the handles.
void snapshot(benchmark::State& state) {
  const Weights weights = weights_of(state.range(0));
  const Checkpoint checkpoint(named("weights", weights));
  const std::string path = path_of("etch_bench_checkpoint");
  for (auto _ : state) {
    PendingSave save = checkpoint.save_async(path);
    state.PauseTiming();
    save.wait();
    state.ResumeTiming();
  }
  unlink(path.c_str());
}
BENCHMARK(snapshot)->Name("save_async/etch")->Arg(64)->Iterations(10)->UseRealTime()->Unit(benchmark::kMicrosecond);

/// A step that assigns all weights, in place, and behind a snapshot that holds what stands there: the difference is the
/// cost of fresh buffers.
void step(benchmark::State& state, bool is_held) {
  const Weights weights = weights_of(state.range(0));
  const auto update = function([&] {
    for (const Variable& variable : weights.layers) variable.assign(variable * 0.999f);
  });
  update();
  update();
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<Tensor> held;
    if (is_held) held = get_weights(weights);
    trim_memory();
    state.ResumeTiming();
    update();
    state.PauseTiming();
    held.clear();
    state.ResumeTiming();
  }
  count_bytes(state);
}
BENCHMARK_CAPTURE(step, , false)
    ->Name("step/in_place")
    ->Arg(64)
    ->Iterations(20)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, , true)
    ->Name("step/behind_a_snapshot")
    ->Arg(64)
    ->Iterations(20)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// First touch and copy of as many bytes: what the difference is to be compared with.
void first_touch(benchmark::State& state) {
  const Weights weights = weights_of(state.range(0));
  std::vector<Tensor> from = get_weights(weights);
  for (auto _ : state) {
    for (const Tensor& tensor : from) {
      const auto bytes = std::as_bytes(tensor.data<float>());
      void* fresh = mmap(nullptr, bytes.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      std::memcpy(fresh, bytes.data(), bytes.size());
      benchmark::DoNotOptimize(fresh);
      state.PauseTiming();
      munmap(fresh, bytes.size());
      state.ResumeTiming();
    }
  }
  count_bytes(state);
}
BENCHMARK(first_touch)
    ->Name("step/first_touch_and_copy")
    ->Arg(64)
    ->Iterations(20)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
