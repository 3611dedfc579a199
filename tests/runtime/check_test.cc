// The text of a bug.
#include "runtime/check.h"

#include <gtest/gtest.h>

#include <string>

namespace etch {
namespace {

TEST(Check, ThrowsWhatTellsHowToReport) {
  const int kernels = 3;
  EXPECT_NO_THROW(ETCH_CHECK(kernels == 3, "never"));
  try {
    ETCH_CHECK(kernels == 4, "there are " + std::to_string(kernels) + " kernels");
    FAIL();
  } catch (const InternalError& error) {
    EXPECT_EQ(std::string(error.what()),
              "tests/runtime/check_test.cc:" + std::to_string(__LINE__ - 4) +
                  ": internal error: `kernels == 4` does not hold: there are 3 kernels; this is a bug of Etch: please run"
                  " again with ETCH_FLAGS=\"dump=DIR,verify\" and report it with the files in DIR");
  }
}

TEST(Check, AnUnreachablePlaceSaysSo) {
  EXPECT_THROW(ETCH_UNREACHABLE("no such kind"), InternalError);
}

}  // namespace
}  // namespace etch
