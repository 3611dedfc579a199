// TFRecord files: TensorFlow's are read, ours are the same, broken ones are Errors.
#include <sys/resource.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "etch/data/files.h"
#include "frontend/files/crc32c.h"
#include "frontend/files/record_writer.h"
#include "tests/files/files.h"

namespace etch::data {
namespace {

using testing::ElementsAre;

class TFRecord : public Files {
 protected:
  /// The frame of a length and data, with right checksums.
  static std::string frame(uint64_t length, std::string_view data) {
    std::string record;
    etch::detail::append_record(record, data);
    std::memcpy(record.data(), &length, sizeof length);
    const uint32_t crc = etch::detail::mask_crc32c(etch::detail::crc32c(record.data(), sizeof length));
    std::memcpy(record.data() + sizeof length, &crc, sizeof crc);
    return record;
  }
  static std::string three() {
    std::string bytes;
    for (std::string_view record : {"one", "two", "three"}) etch::detail::append_record(bytes, record);
    return bytes;
  }
};

std::vector<std::string> made_records() {
  std::string bytes;
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  return {"first", "", bytes, "last"};
}

std::string large_record() {
  std::string bytes;
  for (int64_t i = 0; i < 300000; ++i) bytes += static_cast<char>(i * i % 251);
  return bytes;
}

TEST_F(TFRecord, ReadsWhatTensorFlowWrote) {
  EXPECT_EQ(tfrecord(kMade + "records.tfrecord").to_vector(), made_records());
}

TEST_F(TFRecord, ReadsWhatTensorFlowPacked) {
  std::vector<std::string> expected = made_records();
  expected.push_back(large_record());
  EXPECT_EQ(tfrecord(kMade + "records.tfrecord.gz", {.compression = Compression::gzip}).to_vector(), expected);
}

TEST_F(TFRecord, WritesTheBytesThatTensorFlowWrites) {
  TFRecordWriter writer(path("a"));
  for (const std::string& record : made_records()) writer.write(record);
  writer.close();
  EXPECT_EQ(read_file(path("a")), read_file(kMade + "records.tfrecord"));
}

TEST_F(TFRecord, WritesPackedFiles) {
  const std::vector<std::string> records = {"a", "", large_record(), "z"};
  {
    TFRecordWriter writer(path("a.gz"), Compression::gzip);
    for (const std::string& record : records) writer.write(record);
  }
  EXPECT_EQ(tfrecord(path("a.gz"), {.compression = Compression::gzip}).to_vector(), records);
}

TEST_F(TFRecord, FlushedRecordsAreInTheFile) {
  TFRecordWriter writer(path("a"));
  writer.write("x");
  EXPECT_EQ(read_file(path("a")), "");
  writer.flush();
  EXPECT_THAT(tfrecord(path("a")).to_vector(), ElementsAre("x"));
}

TEST_F(TFRecord, AnIteratorGoesOnInTheMiddle) {
  expect_resumes(tfrecord({kMade + "records.tfrecord", write("b", three())}));
  expect_resumes(tfrecord(kMade + "records.tfrecord.gz", {.compression = Compression::gzip}));
}

TEST_F(TFRecord, AStateHoldsFileAndByte) {
  auto iterator = tfrecord({kMade + "records.tfrecord", write("b", three())}).iterator();
  for (int i = 0; i < 5; ++i) iterator.next();
  const SavedState state = iterator.state().part("walk");
  EXPECT_EQ(state.get<int64_t>("next_file"), 2);
  EXPECT_EQ(state.get<uint64_t>("file/byte"), 19u);
}

TEST_F(TFRecord, BehindACorruptRecordTheNextOneFollows) {
  std::string bytes = three();
  bytes[19 + 12] ^= 1;
  const auto walked = walk(tfrecord(write("a", bytes)));
  EXPECT_THAT(walked.elements, ElementsAre("one", "three"));
  EXPECT_THAT(walked.errors,
              ElementsAre("cannot read a: the record at byte 19 is corrupt: its checksum is another one"));
}

TEST_F(TFRecord, BehindACorruptLengthTheNextFileFollows) {
  std::string bytes = three();
  bytes[19] ^= 1;
  const auto walked = walk(tfrecord({write("a", bytes), write("b", three())}));
  EXPECT_THAT(walked.elements, ElementsAre("one", "one", "two", "three"));
  EXPECT_THAT(
      walked.errors,
      ElementsAre("cannot read a: the length of the record at byte 19 is corrupt: its checksum is another one"));
}

TEST_F(TFRecord, ACutOffTailIsAnErrorAtEachByte) {
  const std::string bytes = three();
  for (size_t size = 39; size < bytes.size(); ++size) {
    const auto walked = walk(tfrecord(write("a", bytes.substr(0, size))));
    EXPECT_THAT(walked.elements, ElementsAre("one", "two"));
    ASSERT_EQ(walked.errors.size(), 1u) << size;
    EXPECT_THAT(walked.errors[0], testing::StartsWith("cannot read a: the record at byte 38 is cut off: ")) << size;
  }
  EXPECT_EQ(first_error(tfrecord(write("a", bytes.substr(0, 40)))),
            "cannot read a: the record at byte 38 is cut off: the file ends at byte 40");
  EXPECT_EQ(first_error(tfrecord(write("a", bytes.substr(0, 55)))),
            "cannot read a: the record at byte 38 is cut off: it has 5 bytes, and no more than 1 are left");
}

TEST_F(TFRecord, AHostileLengthTakesNoMemory) {
  const std::string bytes = frame(uint64_t{1} << 60, "abc");
  EXPECT_EQ(
      first_error(tfrecord(write("a", bytes))),
      "cannot read a: the record at byte 0 is cut off: it has 1152921504606846976 bytes, and no more than 3 are left");
}

TEST_F(TFRecord, ALongerRecordThanAllowedIsRefused) {
  EXPECT_EQ(first_error(tfrecord(write("a", three()), {.most_record_bytes = 4})),
            "cannot read a: the record at byte 38 has 5 bytes, more than the limit of 4");
}

TEST_F(TFRecord, APackedFileThatIsCutOffIsAnError) {
  const std::string bytes = read_file(kMade + "records.tfrecord.gz");
  for (size_t size = 1; size < bytes.size(); size += 97) {
    const std::string cut = write("a.gz", bytes.substr(0, size));
    EXPECT_EQ(walk(tfrecord(cut, {.compression = Compression::gzip})).errors.size(), 1u) << size;
  }
}

TEST_F(TFRecord, APlainFileIsNoPackedOne) {
  EXPECT_EQ(first_error(tfrecord(write("a", three()), {.compression = Compression::gzip})),
            "cannot read a: its gzip stream is corrupt near byte 2 (incorrect header check)");
}

TEST_F(TFRecord, FilesThatCannotBeReadAreErrors) {
  const auto walked = walk(tfrecord({path("missing"), folder_.string(), write("a", three())}));
  EXPECT_EQ(walked.elements.size(), 3u);
  EXPECT_THAT(walked.errors,
              ElementsAre("cannot read missing: No such file or directory",
                          "cannot read " + folder_.filename().string() + ": it is a directory"));
}

TEST_F(TFRecord, AFullDiskIsAnErrorAtFlush) {
  TFRecordWriter writer("/dev/full");
  writer.write("x");
  EXPECT_EQ(error_of([&] { writer.flush(); }), "cannot write /dev/full: No space left on device");
}

TEST_F(TFRecord, WhereTheDiskIsFullTheFileEndsWithAWholeRecord) {
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, SIG_IGN);
  TFRecordWriter writer(path("a"));
  writer.write("kept");
  writer.flush();
  const rlimit limit{100, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limit);
  writer.write(std::string(300, 'x'));
  EXPECT_EQ(short_text(error_of([&] { writer.flush(); })), "cannot write a: File too large");
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(tfrecord(path("a")).to_vector(), ElementsAre("kept"));
  writer.close();
  EXPECT_THAT(tfrecord(path("a")).to_vector(), ElementsAre("kept", std::string(300, 'x')));
}

TEST_F(TFRecord, AWriterSaysWhatItCannotOpen) {
  EXPECT_EQ(short_text(error_of([&] { TFRecordWriter writer(path("no/a")); })),
            "cannot write a: No such file or directory");
}

TEST_F(TFRecord, AClosedWriterTakesNothing) {
  TFRecordWriter writer(path("a"));
  writer.close();
  writer.close();
  EXPECT_EQ(short_text(error_of([&] { writer.write("x"); })), "cannot write a: the writer is closed");
}

}  // namespace
}  // namespace etch::data
