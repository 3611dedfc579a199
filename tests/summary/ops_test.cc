// Every kind of summary, as TensorBoard's own writer makes it (make_expected.py), and its Errors.
#include <gmock/gmock.h>
#include <png.h>

#include "etch/etch.h"
#include "etch/summary.h"
#include "frontend/files/record_writer.h"
#include "tests/frontend/error_of.h"
#include "tests/summary/event_reader.h"

namespace etch {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string expected_path() { return std::string(ETCH_SOURCE_DIR) + "/tests/summary/expected.tfevents"; }

/// What make_expected.py writes.
void write_expected() {
  summary::scalar("loss", 0.1, 0);
  summary::scalar("train/loss", -3e38f, int64_t{1} << 40, {.description = "the *loss*"});
  summary::scalar("zero", 0, -1);
  const auto third = [](std::vector<float> values) { return Tensor(values) / 3.0f; };
  summary::histogram("thirds", third({0, 1, 2, 3, 3.5, 6, 9, 9, 8.25, -3}), 7, {.buckets = 5});
  summary::histogram("equal", full({7}, -2.5f), 7);
  summary::histogram("none", zeros({0}), 7);
  const Tensor i = range(-50, 51);
  summary::histogram("integers", i * i * i, 7);
  summary::histogram("halves", Tensor({{0.5, 1.5}, {2.5, 1.0}}), 7);
  summary::histogram("large", Tensor(std::vector<double>{-1e308, 0, 3e307, 1e308, -1e308 / 3}) / 2.0, 7);
  summary::histogram("wave", cast(floor_mod(range(1000, DType::i64) * 7919, 1000), DType::f32) / 1000.0f, 7);
  summary::text("note", "**bold** \u00fc", 2);
  summary::text("table", std::vector<std::string>{"a", "", "c"}, 3);
}

void expect_as_tensorboard(const std::string& path) {
  const std::vector<std::string> expected = records_of(file_bytes(expected_path())), found = records_of(file_bytes(path));
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(without_time(found[i]), without_time(expected[i])) << "record " << i << ", " << seen(expected[i]).tag;
  }
}

TEST(Summary, BytesAreThoseOfTensorBoardsWriter) {
  const auto writer = summary::create_file_writer(test_folder());
  {
    const auto as = writer.as_default();
    write_expected();
  }
  writer.flush();
  expect_as_tensorboard(writer.path());
}

TEST(Summary, ATracedFunctionWritesTheSameBytes) {
  const auto writer = summary::create_file_writer(test_folder());
  auto f = function([](Tensor x) {
    write_expected();
    return x;
  });
  const auto as = writer.as_default();
  (void)f(Tensor(1.0f));
  writer.flush();
  expect_as_tensorboard(writer.path());
}

TEST(Summary, TheFrameIsThatOfTensorBoardsWriter) {
  const std::string expected = file_bytes(expected_path());
  std::string framed;
  for (const std::string& record : records_of(expected)) detail::append_record(framed, record);
  EXPECT_EQ(framed, expected);
}

TEST(Summary, AnEventHasTheTimeOfItsWriting) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  const auto now = [] { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); };
  const double before = now();
  summary::scalar("x", 1, 0);
  const double after = now();
  writer.flush();
  const double time = events_in(writer.path()).at(0).wall_time;
  EXPECT_GE(time, before);
  EXPECT_LE(time, after);
}

TEST(Summary, ScalarsOfAnyDtypeAreF32) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  summary::scalar("f64", Tensor(0.1), 0);
  summary::scalar("i64", Tensor(int64_t{1} << 40), 0);
  summary::scalar("bool", Tensor(true), 0);
  summary::scalar("bf16", cast(Tensor(2.5f), DType::bf16), 0);
  summary::scalar("of one element", Tensor({{3.0f}}), 0);
  summary::scalar("a variable", Variable(Tensor(4.0f)), 0);
  writer.flush();
  std::vector<float> values;
  for (const SeenEvent& event : events_in(writer.path())) values.push_back(event.scalar());
  EXPECT_THAT(values, ElementsAre(0.1f, 1099511627776.0f, 1, 2.5f, 3, 4));
}

TEST(Summary, StepsAreIntegersTensorsOrVariables) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  Variable step(Tensor(int64_t{5}));
  summary::scalar("x", 1, 3);
  summary::scalar("x", 1, uint8_t{4});
  summary::scalar("x", 1, step);
  summary::scalar("x", 1, Tensor(6));
  summary::scalar("x", 1, Tensor(std::vector<uint8_t>{7}));
  writer.flush();
  EXPECT_THAT(tags_in(writer.path()), ElementsAre("x@3", "x@4", "x@5", "x@6", "x@7"));
}

/// The pixels of a PNG file as libpng reads them in a format.
std::vector<uint8_t> pixels_of(const std::string& file, png_uint_32 format) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  EXPECT_EQ(png_image_begin_read_from_memory(&image, file.data(), file.size()), 1);
  EXPECT_EQ(image.format, format);
  std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(image));
  EXPECT_EQ(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr), 1);
  return pixels;
}

std::vector<std::string> strings_of_image(const Tensor& images, const summary::ImageOptions& options = {}) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  summary::image("picture", images, 0, options);
  writer.flush();
  const SeenEvent event = events_in(writer.path()).at(0);
  EXPECT_EQ(event.plugin, "images");
  EXPECT_THAT(event.shape(), ElementsAre(static_cast<int64_t>(event.strings().size())));
  return event.strings();
}

TEST(Summary, ImagesOfEveryNumberOfChannels) {
  const png_uint_32 formats[] = {PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB, PNG_FORMAT_RGBA};
  for (int64_t channels = 1; channels <= 4; ++channels) {
    const Tensor images = cast(reshape(range(2 * 3 * 5 * channels), {2, 3, 5, channels}) * 2, DType::u8);
    const std::vector<std::string> strings = strings_of_image(images);
    ASSERT_EQ(strings.size(), 4u);
    EXPECT_EQ(strings[0], "5");
    EXPECT_EQ(strings[1], "3");
    const std::vector<uint8_t> all = images.to_vector<uint8_t>();
    std::vector<uint8_t> found = pixels_of(strings[2], formats[channels - 1]);
    const std::vector<uint8_t> second = pixels_of(strings[3], formats[channels - 1]);
    found.insert(found.end(), second.begin(), second.end());
    EXPECT_EQ(found, all) << channels << " channels";
  }
}

TEST(Summary, AnImagesFloatsAreClippedAndScaled) {
  // tf.image.convert_image_dtype(x, tf.uint8, saturate=True); NaN is 0 here.
  const std::vector<float> values{-1, 0, 0.001f, 0.00393f, 0.5f, 0.999f, 1, 7, std::numeric_limits<float>::quiet_NaN()};
  const std::vector<uint8_t> expected{0, 0, 0, 1, 127, 255, 255, 255, 0};
  const Tensor image = reshape(Tensor(values), {1, 3, 3, 1});
  EXPECT_EQ(pixels_of(strings_of_image(image).at(2), PNG_FORMAT_GRAY), expected);
  const std::vector<uint8_t> halves{0, 63, 127, 255};
  const Tensor half = cast(reshape(Tensor({0.0f, 0.25f, 0.5f, 1.0f}), {1, 2, 2, 1}), DType::f16);
  EXPECT_EQ(pixels_of(strings_of_image(half).at(2), PNG_FORMAT_GRAY), halves);
}

TEST(Summary, TheFirstImagesAreWritten) {
  const Tensor images = zeros({7, 2, 2, 1}, DType::u8);
  EXPECT_EQ(strings_of_image(images).size(), 2u + 3);
  EXPECT_EQ(strings_of_image(images, {.max_outputs = 9}).size(), 2u + 7);
  EXPECT_EQ(strings_of_image(images, {.max_outputs = 0}).size(), 2u);
}

std::string warned;

TEST(Summary, AHistogramLeavesOutWhatIsNotFinite) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  const float infinite = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  warned.clear();
  const WarningHandler before = set_warning_handler([](const std::string& message) { warned += message + "\n"; });
  summary::histogram("w", Tensor({1.0f, nan, 3.0f, -infinite, infinite, 2.0f}), 4, {.buckets = 2});
  summary::histogram("v", Tensor({nan, nan}), 4, {.buckets = 2});
  set_warning_handler(before);
  writer.flush();
  EXPECT_THAT(events_in(writer.path()).at(0).rows(), ElementsAre(1, 2, 1, 2, 3, 2));
  EXPECT_THAT(events_in(writer.path()).at(1).rows(), ElementsAre(0, 0, 0, 0, 0, 0));
  EXPECT_EQ(warned, "summary: histogram w at step 4 leaves out 3 of 6 elements, which are not finite\n"
                    "summary: histogram v at step 4 leaves out 2 of 2 elements, which are not finite\n");
}

TEST(Summary, TheGraphOfAFunctionHasItsScopesRegionsAndVariables) {
  const auto writer = summary::create_file_writer(test_folder());
  Variable w(ones({3}), {.name = "weights"});
  auto f = function([&](Tensor x) {
    Tensor y = softmax(x * w);
    w -= y;
    return cond(sum(y) > 0.5f, [&] { return y + 1.0f; }, [&] { return tanh(y); });
  });
  summary::graph(f.concrete(TensorSpec{DType::f32, {3}}), writer);
  writer.flush();
  const SeenEvent event = events_in(writer.path()).at(0);
  std::map<std::string, Message> nodes;
  const Message graph(event.graph);
  for (const std::string& bytes : graph.all(1)) {
    const Message node(bytes);
    EXPECT_TRUE(nodes.emplace(node.bytes(1), node).second) << node.bytes(1) << " stands twice";
  }
  for (const auto& [name, node] : nodes) {
    for (std::string input : node.all(3)) {
      EXPECT_TRUE(nodes.contains(input.substr(0, input.find(':')))) << name << " takes " << input << ", which there is not";
    }
  }
  EXPECT_EQ(nodes.at("args_0").bytes(2), "Argument");
  EXPECT_EQ(nodes.at("variables/weights").bytes(2), "Variable");
  EXPECT_EQ(nodes.at("assign/weights").bytes(2), "NewValue");
  EXPECT_EQ(nodes.at("result").bytes(2), "Result");
  EXPECT_EQ(nodes.at("result").bytes(3), "cond/results");
  EXPECT_EQ(nodes.at("cond/otherwise/tanh").bytes(2), "tanh");
  EXPECT_TRUE(std::ranges::any_of(nodes, [](const auto& node) { return node.first.starts_with("softmax/exp"); }));
  EXPECT_THAT(nodes.at("mul").all(3), ElementsAre("args_0", "variables/weights"));
  const auto attributes = nodes.at("mul").all(5);
  const auto attribute = [&](std::string_view key) {
    for (const std::string& one : attributes) {
      if (Message(one).bytes(1) == key) return Message(one).message(2);
    }
    return Message();
  };
  EXPECT_THAT(attribute("place").bytes(2), HasSubstr("ops_test.cc:"));
  EXPECT_EQ(attribute("dtype").integer(6), 1);
  EXPECT_EQ(Message(attribute("_output_shapes").message(1).message(7).bytes(2)).integer(1), 3);
}

TEST(Summary, AnExplicitWriterComesBeforeTheDefault) {
  const auto one = summary::create_file_writer(test_folder("1")), two = summary::create_file_writer(test_folder("2"));
  const auto as = one.as_default();
  summary::scalar("x", 1, 0, {.writer = two});
  summary::text("note", "y", 1, {.writer = two});
  one.flush();
  two.flush();
  EXPECT_THAT(tags_in(one.path()), ElementsAre());
  EXPECT_THAT(tags_in(two.path()), ElementsAre("x@0", "note@1"));
}

TEST(Summary, DefaultWritersNestAndNoneIsOne) {
  const auto one = summary::create_file_writer(test_folder("1")), two = summary::create_file_writer(test_folder("2"));
  summary::scalar("nowhere", 1, 0);
  {
    const summary::As outer(one);
    {
      const summary::As inner(two);
      summary::scalar("two", 1, 0);
      const summary::As none{summary::FileWriter()};
      EXPECT_FALSE(summary::has_default_writer());
      summary::scalar("none", 1, 0);
    }
    summary::scalar("one", 1, 0);
  }
  EXPECT_FALSE(summary::has_default_writer());
  one.flush();
  two.flush();
  EXPECT_THAT(tags_in(one.path()), ElementsAre("one@0"));
  EXPECT_THAT(tags_in(two.path()), ElementsAre("two@0"));
}

TEST(Summary, TheDefaultStepIsANumberOrAVariable) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  summary::set_step(3);
  summary::scalar("x", 1);
  Variable step(Tensor(int64_t{8}));
  summary::set_step(step);
  summary::scalar("x", 1);
  step += int64_t{1};
  summary::text("note", "y");
  summary::scalar("x", 1, 1);
  summary::clear_step();
  EXPECT_THAT(error_of([] { summary::scalar("x", 1); }),
              HasSubstr("summary x: there is no step: give one, or set the default of this thread by summary::set_step"));
  writer.flush();
  EXPECT_THAT(tags_in(writer.path()), ElementsAre("x@3", "x@8", "note@9", "x@1"));
}

TEST(Summary, ErrorsNameTheSummaryAndItsPlace) {
  const auto writer = summary::create_file_writer(test_folder());
  const auto as = writer.as_default();
  const auto says = [](const auto& f, std::string_view text) {
    EXPECT_THAT(error_of(f), testing::AllOf(HasSubstr("ops_test.cc:"), HasSubstr(std::string(text))));
  };
  says([] { summary::scalar("x", Tensor({1.0f, 2.0f}), 0); }, "summary x: the value is f32[2], not one element");
  says([] { summary::scalar("x", 1.0f, Tensor(1.5f)); }, "summary x: the step is f32[], not one integer");
  says([] { summary::scalar("x", 1.0f, Tensor({1, 2})); }, "summary x: the step is i32[2], not one integer");
  says([] { summary::histogram("h", zeros({2}), 0, {.buckets = 0}); }, "summary h: buckets is 0; it is 1 to 16777216");
  says([] { summary::image("p", zeros({2, 2}), 0); }, "summary p: the images are f32[2,2], not [count, height, width, 1 to 4]");
  says([] { summary::image("p", zeros({1, 2, 2, 5}), 0); }, "summary p: the images are f32[1,2,2,5], not");
  says([] { summary::image("p", zeros({1, 0, 2, 3}), 0); }, "summary p: the images are f32[1,0,2,3], not");
  says([] { summary::image("p", zeros({1, 2, 2, 1}, DType::i32), 0); },
       "summary p: the images are i32[1,2,2,1]; cast them to u8, or to floats from 0 to 1");
  says([] { summary::image("p", zeros({1, 2, 2, 1}), 0, {.max_outputs = -1}); }, "summary p: max_outputs is -1; it is 0 or more");
}

}  // namespace
}  // namespace etch
