// Control flow
//
// C++'s own `if`, `while` and `for` on tensors are captured: the compiled function takes the way that its data tells.
#include <etch/etch.h>

#include <cstdio>

using namespace etch;

namespace {

/// The steps of Collatz' rule until n is 1.
Tensor collatz_steps(Tensor n) {
  Tensor steps(0);
  while (n > 1) {
    if (n % 2 == 0) n = floor_div(n, 2);
    else n = 3 * n + 1;
    ++steps;
  }
  return steps;
}

/// The sum of the rows up to the first one below 0.
Tensor sum_until_negative(const Tensor& rows) {
  Tensor sum(0.0f);
  for (Tensor row : rows) {
    if (row < 0) break;
    sum = sum + row;
  }
  return sum;
}

}  // namespace

int main() {
  auto steps = function(collatz_steps);
  auto sum = function(sum_until_negative);

  bool is_right = true;
  for (const int n : {1, 6, 27, 97}) {
    const int compiled = steps(Tensor(n)).item<int>();
    std::printf("collatz of %d: %d steps\n", n, compiled);
    is_right &= compiled == collatz_steps(Tensor(n)).item<int>();
  }
  const Tensor rows({1.0f, 2.5f, 4.0f, -1.0f, 8.0f});
  std::printf("sum until below 0: %g\n", sum(rows).item<float>());
  std::printf("traced %d time: one graph for all numbers\n", static_cast<int>(steps.stats().traces));
  return is_right && sum(rows).item<float>() == 7.5f && steps.stats().traces == 1 ? 0 : 1;
}
