// Examples: TensorFlow's are read into structs and maps, ours are the same bytes, what does not fit is an Error.
#include "etch/data/example.h"

#include <array>
#include <limits>
#include <optional>

#include "tests/files/files.h"

namespace etch::data {
namespace {

using testing::ElementsAre;

struct Sample {
  int64_t label;
  float weight;
  std::string name;
  std::vector<float> scores;
  std::array<int64_t, 2> ids;
  Tensor pixels;
  std::vector<std::string> tags;
  std::optional<int32_t> missing;
};

const ExampleOptions kShape = {.tensors = {{"pixels", {DType::f32, {2, 3}}}}};

std::vector<std::string> made() { return tfrecord(kMade + "examples.tfrecord").to_vector(); }

template <class T>
std::string error_in(const Example& example, const ExampleOptions& options = {}) {
  const std::string bytes = serialize_example(example);
  return error_of([&] { parse_example<T>(bytes, options); });
}

TEST(Examples, AreReadAsTensorFlowWroteThem) {
  const auto samples = examples<Sample>(kMade + "examples.tfrecord", kShape).to_vector();
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0].label, 3);
  EXPECT_EQ(samples[0].weight, 0.5f);
  EXPECT_EQ(samples[0].name, "café");
  EXPECT_THAT(samples[0].scores, ElementsAre(1.5f, -2.25f));
  EXPECT_THAT(samples[0].ids, ElementsAre(7, -8));
  EXPECT_EQ(to_string(samples[0].pixels.shape()), "[2,3]");
  EXPECT_EQ(samples[0].pixels.to_vector<float>(), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_THAT(samples[0].tags, ElementsAre("a", "", "ccc"));
  EXPECT_EQ(samples[0].missing, std::nullopt);
  EXPECT_EQ(samples[1].label, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(samples[1].weight, 1e-40f);
  EXPECT_TRUE(samples[1].scores.empty());
  EXPECT_EQ(samples[1].ids[1], std::numeric_limits<int64_t>::max());
}

TEST(Examples, AreReadAsMaps) {
  const Example example = parse_example(made()[0]);
  EXPECT_EQ(example.size(), 7u);
  EXPECT_EQ(std::get<std::vector<int64_t>>(example.at("label")), std::vector<int64_t>{3});
  EXPECT_THAT(std::get<std::vector<std::string>>(example.at("tags")), ElementsAre("a", "", "ccc"));
}

TEST(Examples, AreWrittenAsTensorFlowWritesThem) {
  // An empty feature of TensorFlow's has no list, one of ours is left out; all else is the same bytes.
  Example example = parse_example(made()[0]);
  EXPECT_EQ(parse_example(serialize_example(example)), example);
  const std::string unused("\n\x0a\n\x06unused\x12\x00", 12);
  std::string theirs = made()[0];
  const size_t at = theirs.find(unused);
  ASSERT_NE(at, theirs.npos);
  theirs.erase(at, unused.size());
  // The length of the whole, two bytes behind the first tag.
  const auto length = static_cast<size_t>(theirs[1] & 0x7f) + (static_cast<size_t>(theirs[2]) << 7) - unused.size();
  theirs[1] = static_cast<char>((length & 0x7f) | 0x80);
  theirs[2] = static_cast<char>(length >> 7);
  EXPECT_EQ(serialize_example(example), theirs);
}

TEST(Examples, OfStructsAreWrittenByMemberNames) {
  const auto sample = parse_example<Sample>(made()[0], kShape);
  EXPECT_EQ(serialize_example(sample), serialize_example(parse_example(made()[0])));
}

TEST(Examples, StateTheirTypesWhereTensorsHaveThem) {
  EXPECT_EQ(to_string(examples<Sample>("a", kShape).element_spec().at(0)), "f32[2,3]");
  EXPECT_TRUE(examples<Sample>("a").element_spec().empty());
}

TEST(Examples, TensorsWithoutSpecHaveOneAxis) {
  struct Row {
    Tensor floats;
    Tensor integers;
  };
  const auto row = parse_example<Row>(
      serialize_example({{"floats", std::vector<float>{1, 2}}, {"integers", std::vector<int64_t>{3}}}));
  EXPECT_EQ(row.floats.to_vector<float>(), (std::vector<float>{1, 2}));
  EXPECT_EQ(row.integers.to_vector<int64_t>(), (std::vector<int64_t>{3}));
}

TEST(Examples, NumbersAreConvertedWhereTheyFit) {
  struct Row {
    uint8_t small;
    bool flag;
    double wide;
    Tensor bytes;
  };
  const Example example = {{"small", std::vector<int64_t>{255}},
                           {"flag", std::vector<int64_t>{1}},
                           {"wide", std::vector<float>{0.1f}},
                           {"bytes", std::vector<int64_t>{1, 2}}};
  const ExampleOptions options = {.tensors = {{"bytes", {DType::u8, {2}}}}};
  const auto row = parse_example<Row>(serialize_example(example), options);
  EXPECT_EQ(row.small, 255);
  EXPECT_TRUE(row.flag);
  EXPECT_EQ(row.wide, double{0.1f});
  EXPECT_EQ(row.bytes.to_vector<uint8_t>(), (std::vector<uint8_t>{1, 2}));
}

TEST(Examples, WhatDoesNotFitIsAnError) {
  struct Number {
    int8_t x;
  };
  struct Text {
    std::string x;
  };
  struct Image {
    Tensor x;
  };
  const ExampleOptions options = {.tensors = {{"x", {DType::f32, {2, 2}}}}};
  EXPECT_EQ(error_in<Number>({}),
            "parse_example: the feature 'x' is missing; give a default, or make the member a std::optional");
  EXPECT_EQ(error_in<Number>({{"x", std::vector<float>{1}}}),
            "parse_example: the feature 'x' holds floats, but the member integers (i8)");
  EXPECT_EQ(error_in<Number>({{"x", std::vector<int64_t>{1, 2}}}),
            "parse_example: the feature 'x' has 2 elements, but the member takes 1");
  EXPECT_EQ(error_in<Number>({{"x", std::vector<int64_t>{128}}}),
            "parse_example: the feature 'x' holds 128, which is beyond the range of i8");
  EXPECT_EQ(error_in<Text>({{"x", std::vector<int64_t>{1}}}),
            "parse_example: the feature 'x' holds integers, but the member texts");
  EXPECT_EQ(
      error_in<Image>({{"x", std::vector<std::string>{"a"}}}),
      "parse_example: the feature 'x' holds texts, which are no tensor; make the member a std::string and decode it");
  EXPECT_EQ(error_in<Image>({{"x", std::vector<float>{1}}}, options),
            "parse_example: the feature 'x' has 1 elements, but f32[2,2] takes 4");
  EXPECT_THAT(
      error_of([&] { examples<Number>("a", options); }),
      testing::EndsWith("examples: a dtype and shape is stated for 'x', but the struct has no Tensor of that name"));
}

TEST(Examples, MissingFeaturesTakeDefaults) {
  struct Row {
    int32_t x;
    Tensor y;
    std::vector<float> z;
  };
  const std::string bytes = serialize_example(Example{});
  const auto row = parse_example<Row>(bytes, Row{7, Tensor(2.0f), {1}}, {});
  EXPECT_EQ(row.x, 7);
  EXPECT_EQ(row.y.item<float>(), 2.0f);
  EXPECT_THAT(row.z, ElementsAre(1));
  EXPECT_EQ(error_of([&] { parse_example<Row>(bytes, Row{7, {}, {}}, {}); }),
            "parse_example: the feature 'y' is missing; give a default, or make the member a std::optional");
}

TEST(Examples, MalformedBytesAreErrorsWithTheByte) {
  EXPECT_EQ(error_of([] { parse_example("\x0a\x05"); }),
            "parse_example: the Example is malformed at byte 2: a field has 5 bytes, but 0 are left");
  EXPECT_EQ(
      error_of([] { parse_example("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x0f"); }),
      "parse_example: the Example is malformed at byte 10: a field has 1152921504606846975 bytes, but 0 are left");
  EXPECT_EQ(error_of([] { parse_example("\x0b"); }),
            "parse_example: the Example is malformed at byte 1: a field has the unknown type 3");
}

TEST_F(Files, AnExampleThatDoesNotFitIsOneErrorWithItsPlace) {
  struct Row {
    int64_t x;
  };
  TFRecordWriter writer(path("a"));
  for (int64_t x : {1, 2, 3}) {
    writer.write(serialize_example(x == 2 ? Example{} : Example{{"x", std::vector<int64_t>{x}}}));
  }
  writer.close();
  const auto walked = walk(examples<Row>(path("a")));
  EXPECT_EQ(walked.elements.size(), 2u);
  EXPECT_THAT(walked.errors,
              ElementsAre("cannot read a: the record at byte 30: the feature 'x' is missing; give a default, or make "
                          "the member a std::optional"));
}

}  // namespace
}  // namespace etch::data
