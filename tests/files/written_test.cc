// The files in tests/files/written are the bytes that we write; check_written.py reads them with TensorFlow and PIL,
// and what it found stands in written/read_back.txt. ETCH_UPDATE_GOLDENS=1 writes them anew.
#include <array>
#include <cstdlib>
#include <fstream>

#include "etch/data/example.h"
#include "etch/data/images.h"
#include "etch/npy.h"
#include "tests/files/files.h"

namespace etch::data {
namespace {

const std::string kWritten = ETCH_SOURCE_DIR "/tests/files/written/";

struct Sample {
  int64_t label;
  std::vector<float> scores;
  std::array<int64_t, 3> ids;
  std::string name;
  std::vector<std::string> tags;
  Tensor pixels;
  bool flag;
};

class Written : public Files {
 protected:
  /// The committed file holds what the one of this test does; `contents` unpacks both, since packers differ from
  /// version to version.
  void expect_same(const std::string& name, std::string (*contents)(const std::string& path)) const {
    if (std::getenv("ETCH_UPDATE_GOLDENS") != nullptr) {
      std::filesystem::copy_file(path(name), kWritten + name, std::filesystem::copy_options::overwrite_existing);
    }
    EXPECT_EQ(contents(kWritten + name), contents(path(name)))
        << "run ETCH_UPDATE_GOLDENS=1 test_files, then check_written.py";
  }
  void write_examples(TFRecordWriter writer) const {
    writer.write(serialize_example(
        Sample{-5, {0.5f, -1e-40f}, {1, -1, INT64_MAX}, "café", {"a", ""}, Tensor({{1.0f, 2.0f}}), true}));
    writer.write(serialize_example(Sample{7, {}, {0, 0, 0}, "", {}, Tensor({3, 4, 5}), false}));
    writer.write("");
    writer.write(std::string(300000, 'x'));
    writer.close();
  }
};

TEST_F(Written, TFRecordsOfExamples) {
  write_examples(TFRecordWriter(path("examples.tfrecord")));
  const std::string bytes = read_file(path("examples.tfrecord"));
  // The record of 300,000 bytes is left out of the committed file: that file is cut behind the empty one.
  std::filesystem::resize_file(path("examples.tfrecord"), bytes.size() - 300016);
  expect_same("examples.tfrecord", [](const std::string& file) { return read_file(file); });
}

TEST_F(Written, PackedTFRecords) {
  write_examples(TFRecordWriter(path("examples.tfrecord.gz"), Compression::gzip));
  expect_same("examples.tfrecord.gz", [](const std::string& file) {
    std::string records;
    for (const std::string& record : tfrecord(file, {.compression = Compression::gzip})) records += record + "|";
    return records;
  });
}

TEST_F(Written, Pngs) {
  for (const std::string name : {"grey", "grey_alpha", "rgb", "rgba"}) {
    write(name + ".png", encode_png(load_npy(kMade + name + ".png.npy")));
    expect_same(name + ".png", [](const std::string& file) {
      const std::vector<uint8_t> pixels = decode_png(read_file(file)).to_vector<uint8_t>();
      return std::string(pixels.begin(), pixels.end());
    });
  }
}

}  // namespace
}  // namespace etch::data
