// Reading files: TFRecord against one pass that reads and takes CRC32C of the same bytes, CSV, PNG, JPEG. The files lie
// in a folder of the system for temporary ones (ETCH_BENCH_FILES=DIR for another), where peers/files.py finds them.
#include <benchmark/benchmark.h>
#include <etch/data/csv.h>
#include <etch/data/example.h>
#include <etch/data/files.h>
#include <etch/data/images.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "frontend/files/crc32c.h"
#include "frontend/files/file.h"
#include "frontend/files/record_format.h"
#include "frontend/files/record_reader.h"

namespace {

namespace data = etch::data;
using etch::Tensor;

const std::string& folder() {
  static const std::string folder = [] {
    const char* named = std::getenv("ETCH_BENCH_FILES");
    const std::filesystem::path path = named ? named : std::filesystem::temp_directory_path() / "etch_bench_files";
    std::filesystem::create_directories(path);
    return path.string();
  }();
  return folder;
}

/// A file that is made once.
template <class Make>
std::string made(const std::string& name, Make make) {
  const std::string path = folder() + "/" + name;
  if (!std::filesystem::exists(path)) {
    make(path + ".new");
    std::filesystem::rename(path + ".new", path);
  }
  return path;
}

constexpr int64_t kRecordBytes = 64 << 20;

std::string records_of(int64_t size) {
  return made("records_" + std::to_string(size) + ".tfrecord", [&](const std::string& path) {
    std::mt19937_64 random(1);
    data::TFRecordWriter writer(path);
    std::string record(static_cast<size_t>(size), '\0');
    for (int64_t i = 0; i < kRecordBytes / size; ++i) {
      for (size_t at = 0; at + 8 <= record.size(); at += 8) {
        const uint64_t word = random();
        std::memcpy(record.data() + at, &word, sizeof word);
      }
      writer.write(record);
    }
    writer.close();
  });
}

void count_bytes(benchmark::State& state, const std::string& path) {
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * std::filesystem::file_size(path)));
}

/// Reads a file through a buffer of 256 KiB and takes the CRC of the parts of which a TFRecord file has one.
uint32_t read_and_sum(const std::string& path, size_t size) {
  using namespace etch::detail;
  InputFile file(path);
  uint32_t sum = 0;
  const size_t whole = kRecordHeader + size + kRecordFooter;
  for (std::string_view bytes; !(bytes = file.peek(whole)).empty(); file.consume(whole)) {
    sum ^= crc32c(bytes.data(), sizeof(uint64_t)) ^ crc32c(bytes.data() + kRecordHeader, size);
  }
  return sum;
}

void pass(benchmark::State& state) {
  const std::string path = records_of(state.range(0));
  for (auto _ : state) benchmark::DoNotOptimize(read_and_sum(path, static_cast<size_t>(state.range(0))));
  count_bytes(state, path);
}
BENCHMARK(pass)->Name("tfrecord/read_and_crc")->Arg(100)->Arg(1000)->Arg(100000)->Unit(benchmark::kMillisecond);

/// The same pass in pieces of the buffer, whatever the records are.
void pass_by_buffer(benchmark::State& state) {
  const std::string path = records_of(state.range(0));
  for (auto _ : state) {
    etch::detail::InputFile file(path);
    uint32_t crc = 0;
    for (std::string_view bytes; !(bytes = file.peek(1)).empty(); file.consume(bytes.size())) {
      crc = etch::detail::extend_crc32c(crc, bytes.data(), bytes.size());
    }
    benchmark::DoNotOptimize(crc);
  }
  count_bytes(state, path);
}
BENCHMARK(pass_by_buffer)
    ->Name("tfrecord/read_and_crc_of_buffers")
    ->Arg(100)
    ->Arg(1000)
    ->Arg(100000)
    ->Unit(benchmark::kMillisecond);

void records(benchmark::State& state) {
  const std::string path = records_of(state.range(0));
  for (auto _ : state) {
    etch::detail::RecordReader reader(std::make_unique<etch::detail::InputFile>(path));
    size_t bytes = 0;
    for (std::string_view record; reader.next(record);) bytes += record.size();
    benchmark::DoNotOptimize(bytes);
  }
  count_bytes(state, path);
}
BENCHMARK(records)->Name("tfrecord/reader")->Arg(100)->Arg(1000)->Arg(100000)->Unit(benchmark::kMillisecond);

/// As elements of a data set, one by one.
void elements(benchmark::State& state) {
  const std::string path = records_of(state.range(0));
  const auto dataset = data::tfrecord(path);
  for (auto _ : state) {
    size_t bytes = 0;
    for (const std::string& record : dataset) bytes += record.size();
    benchmark::DoNotOptimize(bytes);
  }
  count_bytes(state, path);
}
BENCHMARK(elements)->Name("tfrecord/elements")->Arg(100)->Arg(1000)->Arg(100000)->Unit(benchmark::kMillisecond);

template <class Dataset>
int64_t count_batches(const Dataset& dataset) {
  int64_t count = 0;
  for (const auto& batch : dataset) {
    benchmark::DoNotOptimize(batch);
    ++count;
  }
  return count;
}

/// As tf.data is timed: in batches of 1,024.
void batches(benchmark::State& state) {
  const std::string path = records_of(state.range(0));
  const auto dataset = data::tfrecord(path).batch(1024);
  for (auto _ : state) benchmark::DoNotOptimize(count_batches(dataset));
  count_bytes(state, path);
}
BENCHMARK(batches)->Name("tfrecord/batches_of_1024")->Arg(100)->Arg(1000)->Arg(100000)->Unit(benchmark::kMillisecond);

constexpr int64_t kRows = 200000;

struct Row {
  Tensor a, b, c, d, label;
};

std::string csv_file() {
  return made("rows.csv", [](const std::string& path) {
    std::mt19937 random(1);
    std::normal_distribution<double> normal;
    std::ofstream file(path);
    file << "a,b,c,d,label\n";
    for (int64_t i = 0; i < kRows; ++i) {
      for (int column = 0; column < 4; ++column) file << normal(random) << ',';
      file << random() % 10 << '\n';
    }
  });
}

void count_rows(benchmark::State& state) { state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * kRows); }

void csv_of_structs(benchmark::State& state) {
  const auto dataset =
      data::csv<Row>(csv_file(), Row{.a = {}, .b = {}, .c = {}, .d = {}, .label = Tensor(int32_t{0})}, {}).batch(1024);
  for (auto _ : state) benchmark::DoNotOptimize(count_batches(dataset));
  count_rows(state);
}
BENCHMARK(csv_of_structs)->Name("csv/structs_of_tensors")->Unit(benchmark::kMillisecond);

void csv_of_tuples(benchmark::State& state) {
  const auto dataset = data::csv<std::tuple<float, float, float, float, int32_t>>(csv_file()).batch(1024);
  for (auto _ : state) benchmark::DoNotOptimize(count_batches(dataset));
  count_rows(state);
}
BENCHMARK(csv_of_tuples)->Name("csv/tuples_of_numbers")->Unit(benchmark::kMillisecond);

/// A smooth picture with some noise, as photographs are.
Tensor photograph(int64_t height, int64_t width) {
  std::mt19937 random(1);
  std::vector<uint8_t> pixels;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (int64_t c = 0; c < 3; ++c) {
        pixels.push_back(
            static_cast<uint8_t>((x * (c + 1) / 2 + y * (3 - c) / 3 + static_cast<int64_t>(random() % 16)) % 256));
      }
    }
  }
  return Tensor::from(pixels, {height, width, 3});
}

void decode_png(benchmark::State& state) {
  const std::string path = made("picture.png", [](const std::string& to) {
    std::ofstream(to, std::ios::binary) << data::encode_png(photograph(512, 512));
  });
  const auto dataset = data::from_range(std::vector<std::string>(32, path)).map([](const std::string& file) {
    return data::decode_png(data::read_file(file), {.channels = 3});
  });
  for (auto _ : state) benchmark::DoNotOptimize(count_batches(dataset));
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * 32);
}
BENCHMARK(decode_png)->Name("png/512x512")->Unit(benchmark::kMillisecond);

/// The JPEG is made by peers/files.py.
void decode_jpeg(benchmark::State& state) {
  const std::string path = folder() + "/picture.jpg";
  if (!std::filesystem::exists(path)) {
    state.SkipWithError("run peers/files.py first: it makes picture.jpg");
    return;
  }
  const auto dataset = data::from_range(std::vector<std::string>(32, path)).map([](const std::string& file) {
    return data::decode_jpeg(data::read_file(file), {.channels = 3});
  });
  for (auto _ : state) benchmark::DoNotOptimize(count_batches(dataset));
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * 32);
}
BENCHMARK(decode_jpeg)->Name("jpeg/512x512")->Unit(benchmark::kMillisecond);

}  // namespace
