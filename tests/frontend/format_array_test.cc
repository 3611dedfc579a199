// format_array against the texts that NumPy prints (format_expected.txt, made by make_format_expected.py).
#include "frontend/format_array.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace etch::detail {
namespace {

struct Case {
  std::string header;  // `dtype extents : values`
  std::string text;
};

std::vector<Case> read_cases() {
  std::ifstream file(ETCH_SOURCE_DIR "/tests/frontend/format_expected.txt");
  std::vector<Case> cases;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    if (!line.starts_with('|')) {
      cases.push_back({line, ""});
      continue;
    }
    Case& current = cases.back();
    if (!current.text.empty()) current.text += '\n';
    current.text += line.substr(1);
  }
  return cases;
}

DType dtype_named(std::string_view text) {
  for (int i = 0; i < kNumDTypes; ++i) {
    if (name(DType(i)) == text) return DType(i);
  }
  ADD_FAILURE() << "no dtype " << text;
  return DType::f32;
}

Shape parse_shape(const std::string& text) {
  Shape shape;
  if (text == "-") return shape;
  std::istringstream stream(text);
  for (std::string extent; std::getline(stream, extent, 'x');) shape.push_back(std::stoll(extent));
  return shape;
}

/// The array that a header describes, as text.
std::string format(const std::string& header) {
  std::istringstream stream(header);
  std::string dtype_name, extents, colon;
  stream >> dtype_name >> extents >> colon;
  const DType dtype = dtype_named(dtype_name);
  const Shape shape = parse_shape(extents);
  std::vector<uint64_t> values;
  for (std::string bits; stream >> bits;) values.push_back(std::stoull(bits, nullptr, 16));
  const size_t size = size_of(dtype);
  std::vector<char> data(shape.product() * size);
  for (int64_t i = 0; i < shape.product(); ++i) std::memcpy(&data[i * size], &values[i % values.size()], size);
  return format_array(dtype, data.data(), shape);
}

TEST(FormatArray, PrintsWhatNumPyPrints) {
  const std::vector<Case> cases = read_cases();
  ASSERT_GT(cases.size(), 400u);
  for (const Case& c : cases) EXPECT_EQ(format(c.header), c.text) << c.header;
}

}  // namespace
}  // namespace etch::detail
