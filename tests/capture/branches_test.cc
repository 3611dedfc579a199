// Programs with `if`, eagerly and captured.
#include "tests/capture/programs.h"

namespace etch {
namespace {

auto one(std::mt19937& random) { return std::tuple(random_scalar(random)); }
auto two(std::mt19937& random) { return std::tuple(random_scalar(random), random_scalar(random)); }

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

TEST(Branches, if_else) {
  const Outcome outcome = compare([](Tensor x) {
    Tensor y;
    if (x > 0) {
      y = x * 2;
    } else {
      y = -x;
    }
    return y + 1;
  }, one);
  EXPECT_EQ(outcome.runs, 4);
  EXPECT_EQ(outcome.graph, "");
}

TEST(Branches, if_no_else) {
  const Outcome outcome = compare([](Tensor x) {
    if (x > 0) x = x * 2;
    return x + 1;
  }, one);
  EXPECT_EQ(outcome.runs, 4);
  EXPECT_EQ(count(outcome.graph, "add("), 1);
}

}  // namespace
}  // namespace etch
