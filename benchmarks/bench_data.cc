// Data sets: what an element costs in a pipeline, with and without threads, and batches of MNIST's size beside a loop
// by hand. The cases that end in 1024 are those of benchmarks/peers/data.py, which times tf.data.
#include <benchmark/benchmark.h>
#include <etch/data.h>
#include <etch/etch.h>
#include <etch/random.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

namespace {

using namespace etch;

struct Two {
  Tensor a, b;
};

data::Dataset<Two> source(int64_t n) { return data::from_tensor_slices(Two{zeros({n, 4}), zeros({n})}); }
Two swap(const Two& x) { return {x.b, x.a}; }

/// Time per element, of wall and of all threads together.
template <class T>
void walk(benchmark::State& state, const data::Dataset<T>& dataset, int64_t elements) {
  for (auto _ : state) {
    data::Iterator<T> iterator = dataset.iterator();
    T element{};
    while (iterator.next(element)) benchmark::DoNotOptimize(element);
  }
  state.SetItemsProcessed(state.iterations() * elements);
  state.counters["ns/element"] = benchmark::Counter(static_cast<double>(state.iterations() * elements) * 1e-9,
                                                    benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

constexpr int64_t kMany = 200'000;

void struct_source(benchmark::State& state) { walk(state, source(kMany), kMany); }
void struct_map(benchmark::State& state) { walk(state, source(kMany).map(swap), kMany); }
void struct_map_parallel_prefetch(benchmark::State& state) {
  walk(state, source(kMany).map(swap, {.parallel = 2}).prefetch(), kMany);
}
/// The same by hand: a loop that takes rows and calls.
void struct_map_hand(benchmark::State& state) {
  const Two all{zeros({kMany, 4}), zeros({kMany})};
  for (auto _ : state) {
    for (int64_t i = 0; i < kMany; ++i) {
      Two element = swap(Two{data::detail::row_of(all.a, i), data::detail::row_of(all.b, i)});
      benchmark::DoNotOptimize(element);
    }
  }
  state.counters["ns/element"] = benchmark::Counter(static_cast<double>(state.iterations() * kMany) * 1e-9,
                                                    benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(struct_source)->Name("struct/source")->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();
BENCHMARK(struct_map)->Name("struct/map")->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();
BENCHMARK(struct_map_hand)->Name("struct/map_hand")->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();
BENCHMARK(struct_map_parallel_prefetch)
    ->Name("struct/map_parallel_prefetch")
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

/// Host code of so many microseconds.
void work(benchmark::State& state) {
  const auto threads = static_cast<int>(state.range(1));
  const int64_t turns = state.range(0) * 330, elements = 2'000'000 / (state.range(0) * 10);
  const auto f = [turns](int64_t x) {
    double value = static_cast<double>(x);
    for (int64_t i = 0; i < turns; ++i) value = value * 0.5 + 1.0;
    benchmark::DoNotOptimize(value);
    return x;
  };
  walk(state, data::range(elements).map(f, {.parallel = threads}), elements);
}
BENCHMARK(work)
    ->Name("work_us")
    ->ArgsProduct({{2, 10, 100}, {1, 2}})
    ->Unit(benchmark::kMillisecond)
    ->MeasureProcessCPUTime()
    ->UseRealTime();

/// A source that waits a millisecond, and a consumer that does.
void hidden(benchmark::State& state) {
  const auto wait = [] { std::this_thread::sleep_for(std::chrono::milliseconds(1)); };
  auto dataset = data::range(200).map([wait](int64_t x) { return wait(), x; });
  if (state.range(0)) dataset = dataset.prefetch(2);
  for (auto _ : state) {
    for (int64_t x : dataset) {
      wait();
      benchmark::DoNotOptimize(x);
    }
  }
}
BENCHMARK(hidden)->Name("wait_1ms/prefetch")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->UseRealTime();

// ---- MNIST: 60,000 images of 784 numbers and labels, shuffled, in batches of 128.

constexpr int64_t kImages = 60'000, kPixels = 784, kBatch = 128;

struct Mnist {
  Tensor images = zeros({kImages, kPixels}) + 1.f;
  Tensor labels = range(kImages, DType::i64);
};
const Mnist& mnist() {
  static const Mnist all;
  return all;
}

void mnist_dataset(benchmark::State& state) {
  const auto dataset =
      data::from_tensor_slices(std::pair(mnist().images, mnist().labels)).shuffle(kImages, {.seed = 1}).batch(kBatch);
  uint64_t epoch = 0;
  for (auto _ : state) {
    for (auto& [x, y] : dataset.epoch(epoch++)) {
      benchmark::DoNotOptimize(x);
      benchmark::DoNotOptimize(y);
    }
  }
}
void mnist_hand(benchmark::State& state) {
  const auto images = mnist().images.data<float>();
  const auto labels = mnist().labels.data<int64_t>();
  uint64_t epoch = 0;
  for (auto _ : state) {
    const std::vector<int64_t> order =
        random::permutation(Tensor(std::vector<uint64_t>{0, epoch++, 1}), kImages).to_vector<int64_t>();
    for (int64_t first = 0; first < kImages; first += kBatch) {
      const int64_t count = std::min(kBatch, kImages - first);
      const Buffer x = Buffer::allocate(count * kPixels * 4), y = Buffer::allocate(count * 8);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t row = order[static_cast<size_t>(first + i)];
        std::memcpy(static_cast<float*>(x.data()) + i * kPixels, images.data() + row * kPixels, kPixels * 4);
        static_cast<int64_t*>(y.data())[i] = labels[static_cast<size_t>(row)];
      }
      const Tensor batch_x = Tensor::adopt(x, DType::f32, {count, kPixels});
      const Tensor batch_y = Tensor::adopt(y, DType::i64, {count});
      benchmark::DoNotOptimize(batch_x);
      benchmark::DoNotOptimize(batch_y);
    }
  }
}
BENCHMARK(mnist_hand)->Name("mnist/hand")->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();
BENCHMARK(mnist_dataset)->Name("mnist/dataset")->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();

// ---- Beside tf.data: consumed in batches of 1,024.

constexpr int64_t kPeer = 1'000'000;

void peer_map(benchmark::State& state) {
  walk(state, data::range(kPeer).map([](int64_t x) { return 3 * x + 1; }).batch(1024), kPeer);
}
/// As an etch::function, per element, as tf.data runs its.
void peer_map_function(benchmark::State& state) {
  const auto f = function([](Tensor x) { return 3 * x + 1; });
  walk(state, data::range(kPeer / 10).as_tensors().map(f).batch(1024), kPeer / 10);
}
void peer_map_struct(benchmark::State& state) {
  const auto rows = data::from_tensor_slices(std::pair(zeros({kPeer / 4, 4}), zeros({kPeer / 4})));
  walk(state, rows.map([](Tensor a, Tensor b) { return std::pair(b, a); }).batch(1024), kPeer / 4);
}
void peer_shuffle(benchmark::State& state) {
  walk(state, data::range(kPeer).shuffle(10'000, {.seed = 1}).batch(1024), kPeer);
}
/// Elements that were mapped, so that the buffer holds them.
void peer_shuffle_mapped(benchmark::State& state) {
  walk(state, data::range(kPeer).map([](int64_t x) { return 3 * x + 1; }).shuffle(10'000, {.seed = 1}).batch(1024),
       kPeer);
}
BENCHMARK(peer_map)->Name("map/1024")->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(peer_map_function)->Name("map_function/1024")->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(peer_map_struct)->Name("map_struct/1024")->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(peer_shuffle)->Name("shuffle/1024")->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(peer_shuffle_mapped)->Name("shuffle_mapped/1024")->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
