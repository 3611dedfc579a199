// Calls of functions may drop their result, to warm up or for what they print: that is no warning. Dropped results of ops
// are, as tests/compile_fail shows.
#include <gtest/gtest.h>

#include "etch/etch.h"

#pragma GCC diagnostic error "-Wunused-result"

namespace etch {
namespace {

TEST(DroppedResults, OfFunctionCallsAreFine) {
  auto f = function([](Tensor x) { return relu(x); });
  const Tensor x({1.f, -1.f});
  f(x);
  f(x);
  EXPECT_EQ(f.stats().hits, 1);
}

}  // namespace
}  // namespace etch
