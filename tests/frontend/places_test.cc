// Where results begin in a page beside what they are computed from: closely behind an operand, loops would wait for their own stores.
#include <gtest/gtest.h>

#include <span>
#include <vector>

#include "etch/function.h"
#include "etch/ops.h"
#include "etch/variable.h"

namespace etch {
namespace {

constexpr uintptr_t kPage = 4096;
constexpr int64_t kElements = 30'000;  // as large as blocks whose place is chosen

/// Calls `check` with tensors that begin at every line of a page.
template <class Check>
void for_places(Check check) {
  std::vector<float> memory(kElements + 2 * kPage / sizeof(float), 1.0f);
  const uintptr_t off = reinterpret_cast<uintptr_t>(memory.data()) % kPage;
  float* page = memory.data() + (kPage - off) / sizeof(float);
  for (size_t place = 0; place < kPage; place += 64) {
    const std::span<float> elements(page + place / sizeof(float), kElements);
    check(Tensor::borrow(elements, {kElements}));
  }
}

uintptr_t distance(const Tensor& from, const Tensor& to) {
  const auto place = [](const Tensor& x) { return reinterpret_cast<uintptr_t>(x.data<float>().data()); };
  return (place(to) - place(from)) % kPage;
}

TEST(Places, AnEagerResultDoesNotBeginCloselyBehindAnOperand) {
  for_places([](const Tensor& x) { EXPECT_GE(distance(x, sqrt(x)), 1024u); });
}

TEST(Places, AResultOfAFunctionDoesNotBeginCloselyBehindAnArgument) {
  auto f = function([](Tensor x) { return x + 1; });
  for_places([&](const Tensor& x) { EXPECT_GE(distance(x, f(x)), 1024u); });
}

TEST(Places, AVariablesNewValueDoesNotBeginCloselyBehindAnArgument) {
  Variable v(zeros({kElements}));
  auto f = function([&](Tensor x) { v.assign(x + 1); });
  for_places([&](const Tensor& x) {
    const Tensor old = v.value();  // so the new value takes a block of its own
    f(x);
    EXPECT_GE(distance(x, v.value()), 1024u);
  });
}

}  // namespace
}  // namespace etch
