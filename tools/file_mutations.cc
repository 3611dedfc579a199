// Files that are mutated and read.
#include "tools/file_mutations.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <tuple>

#include "absl/strings/str_format.h"
#include "compiler/ir/cat.h"
#include "etch/checkpoint.h"
#include "etch/data/csv.h"
#include "etch/data/example.h"
#include "etch/data/files.h"
#include "etch/npy.h"
#include "etch/optimizers.h"
#include "frontend/checkpoint/layout.h"
#include "frontend/files/crc32c.h"
#include "frontend/files/picture.h"
#include "frontend/files/record_format.h"

namespace etch {
namespace {

constexpr int64_t kMostElements = 100000;

/// Goes on behind errors of single elements, and throws the last one at the end. Rows without elements may be any
/// number.
template <class T>
int64_t read_all_elements(const data::Dataset<T>& dataset) {
  if (dataset.cardinality() > kMostElements) return kMostElements;
  data::Cancellation cancellation;
  data::OpenContext context;
  context.cancellation = &cancellation;
  const auto cursor = dataset.stage()->open(context);
  std::string error;
  int64_t count = 0;
  for (bool more = true; more;) {
    if (++count > kMostElements) throw std::runtime_error("it does not end");
    try {
      T element{};
      more = cursor->next(element);
    } catch (const Error& thrown) {
      error = thrown.what();
    }
  }
  if (!error.empty()) throw Error(error);
  return count - 1;
}

struct ExampleRow {
  std::optional<int64_t> label;
  float weight;
  std::string name;
  std::vector<float> scores;
  std::vector<int64_t> ids;
  Tensor pixels;
  std::vector<std::string> tags;
};

struct CsvRow {
  int64_t id;
  std::string text;
  std::optional<float> score;
};

int64_t read_records(const std::string& path) { return read_all_elements(data::tfrecord(path)); }
int64_t read_packed_records(const std::string& path) {
  return read_all_elements(data::tfrecord(path, {.compression = data::Compression::gzip}));
}
int64_t read_examples(const std::string& path) {
  data::tfrecord(path)
      .map([](const std::string& record) { return data::parse_example(record); })
      .ignore_errors()
      .to_vector();
  return read_all_elements(data::examples<ExampleRow>(path, {.tensors = {{"pixels", {DType::f32, {2, 3}}}}}));
}
int64_t read_csv(const std::string& path) {
  return read_all_elements(data::csv<CsvRow>(path)) +
         read_all_elements(data::csv<std::tuple<std::string, std::string, std::string>>(path, {.header = false}));
}
int64_t read_picture(const std::string& path) {
  const std::string bytes = data::read_file(path);
  data::detail::decode_picture(bytes, {.most_pixels = 1 << 20}, cat("cannot read ", path), {});
  data::detail::decode_picture(bytes, {.channels = 1, .most_pixels = 1 << 20}, cat("cannot read ", path), {});
  return 1;
}
int64_t read_npy(const std::string& path) {
  load_npy(path);
  return read_all_elements(data::npy_rows(path));
}
int64_t read_idx(const std::string& path) {
  data::load_idx(path);
  return read_all_elements(data::idx(path));
}

struct HostState {
  SavedState state;
  SavedState save_state() const { return state; }
  void restore_state(const SavedState& other) { state = other; }
};

int64_t read_safetensors(const std::string& path) { return static_cast<int64_t>(load_safetensors(path).size()); }
/// Restores what tests/checkpoint/sample_test.cc wrote.
int64_t read_checkpoint(const std::string& path) {
  struct Tied {
    Variable first, second;
  };
  const Tied model{Variable(zeros({3, 2})), Variable(zeros({3, 2}))};
  const Variable step(int64_t{0});
  const optimizers::Adam optimizer;
  HostState data;
  const RestoreStatus status =
      Checkpoint(named("model", model), named("optimizer", optimizer), named("step", step), named("data", data)).restore(path);
  return static_cast<int64_t>(status.expect_partial().values().size());
}

/// Puts the right checksums into a checkpoint whose header is JSON.
void repair_checkpoint(std::string& bytes) {
  using nlohmann::json;
  try {
    constexpr size_t kLength = 8;
    uint64_t length = 0;
    if (bytes.size() < kLength) return;
    std::memcpy(&length, bytes.data(), kLength);
    if (length > bytes.size() - kLength) return;
    json header = json::parse(bytes.substr(kLength, length));
    const std::string elements = bytes.substr(kLength + length);
    const auto hex = [](uint32_t crc) { return absl::StrFormat("%08x", crc); };
    const etch::detail::FileLayout layout = etch::detail::read_layout(bytes.substr(kLength, length), elements.size());
    json metadata = json::parse(header.at("__metadata__").at("etch").get<std::string>());
    metadata["layout"] = hex(etch::detail::crc32c(etch::detail::text_of_places(layout.tensors)));
    for (const etch::detail::StoredTensor& tensor : layout.tensors) {
      metadata["checksums"][tensor.name] = hex(etch::detail::crc32c(elements.data() + tensor.begin, tensor.end - tensor.begin));
    }
    metadata.erase("crc32c");
    const std::string rest = "\"," + metadata.dump().substr(1);
    header["__metadata__"]["etch"] = "{\"crc32c\":\"" + hex(etch::detail::crc32c(rest)) + rest;
    std::string text = header.dump();
    text.resize((kLength + text.size() + 63) / 64 * 64 - kLength, ' ');
    length = text.size();
    bytes = std::string(reinterpret_cast<const char*>(&length), kLength) + text + elements;
  } catch (const std::exception&) {  // then it stays as it is
  }
}

/// Walks over the records as their lengths say.
void repair_records(std::string& bytes) {
  using etch::detail::kRecordFooter;
  using etch::detail::kRecordHeader;
  const auto store = [&](size_t at, size_t from, size_t length) {
    const uint32_t crc = etch::detail::mask_crc32c(etch::detail::crc32c(bytes.data() + from, length));
    std::memcpy(bytes.data() + at, &crc, sizeof crc);
  };
  for (size_t at = 0; bytes.size() - at >= kRecordHeader;) {
    uint64_t length = 0;
    std::memcpy(&length, bytes.data() + at, sizeof length);
    store(at + sizeof length, at, sizeof length);
    const size_t left = bytes.size() - at - kRecordHeader;
    if (left < kRecordFooter || length > left - kRecordFooter) return;
    store(at + kRecordHeader + length, at + kRecordHeader, length);
    at += kRecordHeader + length + kRecordFooter;
  }
}

/// Puts the checksum of the unpacked bytes behind a zlib stream (RFC 1950) that can be unpacked.
void repair_zlib(Bytef* stream, size_t size) {
  constexpr size_t kHeader = 2;
  if (size <= kHeader) return;
  z_stream inflater{};
  if (inflateInit2(&inflater, -MAX_WBITS) != Z_OK) return;
  inflater.next_in = stream + kHeader;
  inflater.avail_in = static_cast<uInt>(size - kHeader);
  uLong checksum = adler32(0, nullptr, 0);
  int result = Z_OK;
  for (int64_t left = 1 << 24; result == Z_OK && left > 0;) {
    Bytef unpacked[4096];
    inflater.next_out = unpacked;
    inflater.avail_out = sizeof unpacked;
    result = inflate(&inflater, Z_NO_FLUSH);
    const uInt got = sizeof unpacked - inflater.avail_out;
    checksum = adler32(checksum, unpacked, got);
    left -= got;
  }
  const uint32_t stored = __builtin_bswap32(static_cast<uint32_t>(checksum));
  if (result == Z_STREAM_END && inflater.avail_in >= sizeof stored)
    std::memcpy(inflater.next_in, &stored, sizeof stored);
  inflateEnd(&inflater);
}

/// Walks over the chunks as their lengths say.
void repair_png(std::string& bytes) {
  constexpr size_t kSignature = 8;
  constexpr size_t kFrame = 12;  // length, kind and CRC
  for (size_t at = kSignature; at + kFrame <= bytes.size();) {
    uint32_t length = 0;
    std::memcpy(&length, bytes.data() + at, sizeof length);
    length = __builtin_bswap32(length);
    if (length > bytes.size() - at - kFrame) return;
    auto* chunk = reinterpret_cast<Bytef*>(bytes.data() + at + 4);
    if (bytes.compare(at + 4, 4, "IDAT") == 0) repair_zlib(chunk + 4, length);
    const uint32_t crc = __builtin_bswap32(static_cast<uint32_t>(crc32(0, chunk, length + 4)));
    std::memcpy(bytes.data() + at + 8 + length, &crc, sizeof crc);
    at += kFrame + length;
  }
}

std::string bytes_of(const std::string& path) { return data::read_file(path, uint64_t{1} << 20); }

/// Draws what a mutation needs.
class Chance {
 public:
  explicit Chance(uint64_t seed) : random_(seed) {}
  size_t below(size_t n) { return n == 0 ? 0 : random_() % n; }
  uint64_t word() { return random_(); }

 private:
  std::mt19937_64 random_;
};

uint64_t hostile_number(Chance& chance, size_t size) {
  const uint64_t numbers[] = {0,
                              1,
                              UINT64_MAX,
                              uint64_t{1} << 63,
                              INT64_MAX,
                              uint64_t{1} << 60,
                              uint64_t{1} << 32,
                              UINT32_MAX,
                              INT32_MAX,
                              0xffff,
                              0x7f7f7f7f7f7f7f7f,
                              size,
                              size + 1,
                              size - 1,
                              chance.word()};
  return numbers[chance.below(std::size(numbers))];
}

void overwrite_number(std::string& bytes, Chance& chance) {
  uint64_t number = hostile_number(chance, bytes.size());
  if (chance.below(2) == 0) number = __builtin_bswap64(number);
  const size_t at = chance.below(bytes.size());
  const size_t width = std::min(size_t{1} << chance.below(4), bytes.size() - at);
  // Of big endian numbers the last bytes are the low ones.
  const char* from = reinterpret_cast<const char*>(&number) + (chance.below(2) == 0 ? 0 : sizeof number - width);
  std::memcpy(bytes.data() + at, from, width);
}

void mutate_once(std::string& bytes, std::string_view other, Chance& chance) {
  if (bytes.empty()) {
    bytes = other.substr(0, 1 + chance.below(16));
    return;
  }
  const size_t at = chance.below(bytes.size());
  const size_t length = 1 + chance.below(std::min<size_t>(bytes.size() - at, 64));
  switch (chance.below(8)) {
    case 0:
    case 1: bytes[at] = static_cast<char>(bytes[at] ^ 1 << chance.below(8)); return;
    case 2: bytes.resize(at); return;
    case 3:
    case 4: overwrite_number(bytes, chance); return;
    case 5: bytes.erase(at, length); return;
    case 6: bytes.insert(at, bytes.substr(chance.below(bytes.size()), length)); return;
    default: {
      const size_t from = chance.below(other.size());
      bytes.replace(at, length, other.substr(from, length));
      return;
    }
  }
}

}  // namespace

std::vector<FileSample> file_samples(const std::string& made) {
  std::vector<FileSample> samples = {
      {"TFRecord", {}, read_records, repair_records},       {"TFRecord.gz", {}, read_packed_records},
      {"Example", {}, read_examples, repair_records},       {"CSV", {}, read_csv},
      {"PNG", {}, read_picture, repair_png},                {"PNG palette", {}, read_picture, repair_png},
      {"PNG interlaced", {}, read_picture, repair_png},     {"PNG 16 bits", {}, read_picture, repair_png},
      {"JPEG", {}, read_picture},                           {"JPEG progressive", {}, read_picture},
      {"npy", {}, read_npy},                                {"idx", {}, read_idx},
      {"idx.gz", {}, read_idx},                             {"safetensors", {}, read_safetensors},
      {"checkpoint", {}, read_checkpoint, repair_checkpoint}};
  constexpr std::string_view kNames[] = {"records.tfrecord", "records.tfrecord.gz", "examples.tfrecord", "quoted.csv",
                                         "rgb.png",          "palette_alpha.png",   "interlaced.png",    "deep.png",
                                         "rgb.jpg",          "progressive.jpg",     "rows.npy",          "int16.idx",
                                         "uint8.idx.gz",     "../../checkpoint/samples/python.safetensors",
                                         "../../checkpoint/samples/etch.safetensors"};
  for (size_t i = 0; i < samples.size(); ++i) samples[i].bytes = bytes_of(cat(made, "/", kNames[i]));
  return samples;
}

std::string mutate(std::string bytes, std::string_view other, uint64_t seed) {
  Chance chance(seed);
  const size_t times = 1 + chance.below(4);
  for (size_t i = 0; i < times; ++i) mutate_once(bytes, other, chance);
  return bytes;
}

std::string try_mutation(const FileSample& sample, std::string_view other, uint64_t seed, const std::string& path,
                         MutationCounts& counts) {
  std::string bytes = mutate(sample.bytes, other, seed);
  if (sample.repair != nullptr && seed % 2 == 0) sample.repair(bytes);
  std::filesystem::remove(path);  // some systems flush a file that is written anew to the disk
  std::ofstream(path, std::ios::binary) << bytes;
  try {
    sample.read(path);
    ++counts.read;
  } catch (const Error& error) {
    ++counts.refused;
    if (std::string_view(error.what()).find(path) != std::string_view::npos) return "";
    return cat("an Error without the path: ", error.what());
  } catch (const std::exception& error) {
    return cat("an exception that is no Error: ", error.what());
  }
  return "";
}

}  // namespace etch
