// Tensors as text; format_array_test.cc compares the text of elements with NumPy's.
#include <gtest/gtest.h>

#include <sstream>

#include "etch/tensor.h"

namespace etch {
namespace {

TEST(Print, StreamsTheTextOfTheElements) {
  std::ostringstream stream;
  stream << Tensor({{1.5f, 2.0f}});
  EXPECT_EQ(stream.str(), "[[1.5 2. ]]");
}

TEST(Print, NothingHasAText) { EXPECT_EQ(to_string(Tensor()), "<no tensor>"); }

}  // namespace
}  // namespace etch
