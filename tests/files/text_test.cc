// Text lines, fixed-length records, lists of files, raw bytes.
#include <fstream>

#include "etch/data/files.h"
#include "tests/files/files.h"

namespace etch::data {
namespace {

using testing::ElementsAre;

class TextLines : public Files {};
class FixedLengthRecords : public Files {};
class ListFiles : public Files {};

TEST_F(TextLines, EndWithLineEndsOrTheFile) {
  const auto lines = [&](std::string_view bytes) { return text_lines(write("a", bytes)).to_vector(); };
  EXPECT_THAT(lines(""), ElementsAre());
  EXPECT_THAT(lines("\n"), ElementsAre(""));
  EXPECT_THAT(lines("a\nb"), ElementsAre("a", "b"));
  EXPECT_THAT(lines("a\r\n\r\nb\n"), ElementsAre("a", "", "b"));
  EXPECT_THAT(lines("a\rb\r"), ElementsAre("a\rb\r"));
}

TEST_F(TextLines, MayBeLongerThanTheBuffer) {
  const std::string longest(700000, 'x');
  EXPECT_THAT(text_lines(write("a", "first\n" + longest + "\r\n" + longest)).to_vector(),
              ElementsAre("first", longest, longest));
  for (size_t length : {262143, 262144, 262145}) {
    const std::string line(length, 'y');
    EXPECT_THAT(text_lines(write("a", line + "\nz")).to_vector(), ElementsAre(line, "z")) << length;
  }
}

TEST_F(TextLines, ALongerLineThanAllowedIsAnErrorAndTheNextFollows) {
  const std::string longest(700000, 'x');
  const auto walked = walk(text_lines(write("a", "1\n" + longest + "\n3\n"), {.most_line_bytes = 300000}));
  EXPECT_THAT(walked.elements, ElementsAre("1", "3"));
  EXPECT_THAT(walked.errors, ElementsAre("cannot read a: line 2 is longer than the limit of 300000 bytes"));
}

TEST_F(TextLines, OfSeveralFilesFollowEachOther) {
  expect_resumes(text_lines({write("a", "1\n2\r\n3"), write("b", ""), write("c", "\n4\n")}));
}

TEST_F(TextLines, ArePackedToo) {
  const std::string packed(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\xe4\x4a\xe2\x02\x00\xea\x2b\x8e\x10\x04\x00\x00\x00", 24);
  EXPECT_EQ(walk(text_lines(write("a.gz", packed), {.compression = Compression::gzip})).errors.size(),
            1u);  // a false CRC
}

TEST_F(FixedLengthRecords, StandBetweenHeaderAndFooter) {
  const auto records = fixed_length_records({write("a", "HHabcdefF"), write("b", "HHghiF"), write("c", "HHF")}, 3,
                                            {.header_bytes = 2, .footer_bytes = 1});
  EXPECT_THAT(records.to_vector(), ElementsAre("abc", "def", "ghi"));
  expect_resumes(records);
}

TEST_F(FixedLengthRecords, ABodyThatIsNoWholeNumberOfThemIsAnError) {
  EXPECT_EQ(first_error(fixed_length_records(write("a", "HHabcdF"), 3, {.header_bytes = 2, .footer_bytes = 1})),
            "cannot read a: its body of 4 bytes holds no whole number of records of 3");
  EXPECT_EQ(first_error(fixed_length_records(write("a", "H"), 3, {.header_bytes = 2})),
            "cannot read a: its 1 bytes are fewer than header and footer take, 2 and 0");
}

TEST_F(FixedLengthRecords, AFileThatBecomesShorterIsAnError) {
  const std::string file = write("a", std::string(600000, 'x'));
  auto iterator = fixed_length_records(file, 100000).iterator();
  iterator.next();
  std::filesystem::resize_file(file, 350000);
  EXPECT_EQ(short_text(error_of([&] {
              while (iterator.next()) {
              }
            })),
            "cannot read a: it became shorter: it ends within the record at byte 300000");
}

TEST_F(FixedLengthRecords, MustHaveALength) {
  EXPECT_THAT(error_of([&] { fixed_length_records("a", 0); }),
              testing::EndsWith("fixed_length_records: records of 0 bytes"));
}

TEST_F(ListFiles, AreSortedByBytesAndFilesOnly) {
  for (std::string_view name : {"b.txt", "B.txt", "a.txt", "c.png"}) write(name, "");
  std::filesystem::create_directories(folder_ / "d.txt");
  const auto names = [&](Paths patterns) {
    std::vector<std::string> found = list_files(std::move(patterns)).to_vector();
    for (std::string& name : found) name.erase(0, name.rfind('/') + 1);
    return found;
  };
  EXPECT_THAT(names(path("*.txt")), ElementsAre("B.txt", "a.txt", "b.txt"));
  EXPECT_THAT(names({path("?.png"), path("[ab].txt"), path("a.txt")}), ElementsAre("a.txt", "b.txt", "c.png"));
}

TEST_F(ListFiles, AreShuffledByASeedAndByEpoch) {
  for (char c = 'a'; c <= 'z'; ++c) write(std::string(1, c), "");
  const auto files = list_files(path("*"), {.shuffle = 7});
  const std::vector<std::string> first = files.to_vector();
  EXPECT_EQ(list_files(path("*"), {.shuffle = 7}).to_vector(), first);
  EXPECT_NE(files.to_vector({.epoch = 1}), first);
  EXPECT_NE(list_files(path("*")).to_vector(), first);
  EXPECT_THAT(list_files(path("*")).to_vector(), testing::UnorderedElementsAreArray(first));
}

TEST_F(ListFiles, APatternWithoutMatchIsAnError) {
  EXPECT_THAT(error_of([&] { list_files(path("*.none")); }), testing::EndsWith("/*.none: no file matches"));
}

TEST(DecodeRaw, TakesElementsAsTheyLie) {
  const Tensor x = decode_raw(std::string_view("\1\0\2\0\3\0\4\0", 8), DType::i16, Shape{2, 2});
  EXPECT_EQ(x.to_vector<int16_t>(), (std::vector<int16_t>{1, 2, 3, 4}));
  EXPECT_EQ(to_string(x.shape()), "[2,2]");
  EXPECT_EQ(to_string(decode_raw("abcd", DType::u8).shape()), "[4]");
  EXPECT_THAT(error_of([] { decode_raw("abc", DType::i16); }),
              testing::EndsWith("decode_raw: 3 bytes are no whole number of elements of i16"));
  EXPECT_THAT(error_of([] { decode_raw("abcd", DType::i16, Shape{3}); }),
              testing::EndsWith("decode_raw: i16[3] takes 6 bytes, but there are 4"));
  EXPECT_THAT(error_of([] { decode_raw("\2", DType::boolean); }),
              testing::EndsWith("decode_raw: a bool is neither 0 nor 1"));
}

TEST_F(TextLines, ReadFileIsBounded) {
  EXPECT_EQ(read_file(write("a", "abc")), "abc");
  EXPECT_EQ(short_text(error_of([&] { read_file(path("a"), 2); })),
            "cannot read a: it has 3 bytes, more than the limit of 2");
}

}  // namespace
}  // namespace etch::data
