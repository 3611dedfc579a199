// Random programs on tensors: captured and compiled against eager runs, to the bit.
#include <cstdlib>
#include <iostream>

#include <gmock/gmock.h>

#include "tests/capture/programs.h"
#include "tests/capture/tensor_run.h"

namespace etch::capture {
namespace {

/// What an event computes: integers, so that every bit of every operand counts.
Tensor mixed(Kind kind, const std::vector<Tensor>& operands) {
  Tensor value(static_cast<int32_t>(static_cast<uint32_t>(kind) * 7919u + 12345u));
  for (const Tensor& operand : operands) value = value * 31 + operand;
  value = value ^ (value >> 7);
  if (kind >= kTests) value = ((value >> 3) & 3) != 0;
  return value;
}

TEST(Fuzz, RandomPrograms) {
  const char* given = std::getenv("ETCH_PROGRAMS");
  const int count = given ? std::atoi(given) : 40;
  int captured = 0, refused = 0, calls = 0;
  int64_t audits = 0;
  const char* first_given = std::getenv("ETCH_FIRST");
  const int first = 5000 + (first_given ? std::atoi(first_given) : 0);
  for (int seed = first; seed < first + count; ++seed) {
    const Lambda program = RandomProgram(static_cast<uint64_t>(seed), 6 + seed % 15).lambda();
    const Level& level = kLevels[seed % std::size(kLevels)];
    const ScopedFlags flags(level.flags);
    const std::vector<Tensor> initial = {Tensor(17), Tensor(-5)};
    const std::vector<Variable> plain_variables(initial.begin(), initial.end()), variables(initial.begin(), initial.end());
    const auto on = [&program](const std::vector<Variable>& variables) {
      return [&program, variables](Tensor a, Tensor b, Tensor c) { return TensorRun({a, b, c}, variables, mixed).results(program); };
    };
    const auto plain_run = on(plain_variables);
    auto f = function(on(variables), {.name = "demo", .fuse = level.fuse, .trust_loops = level.trusts, .audit = !level.trusts});
    std::mt19937 random(static_cast<uint32_t>(seed));
    for (int call = 0; call < 25; ++call) {
      const Tensor a(static_cast<int32_t>(random())), b(static_cast<int32_t>(random())), c(static_cast<int32_t>(random()));
      std::vector<Tensor> plain, compiled;
      try {
        plain = plain_run(a, b, c);
      } catch (const TooLong&) {
        for (size_t i = 0; i < variables.size(); ++i) plain_variables[i].assign(variables[i].value());
        continue;
      }
      try {
        compiled = f(a, b, c);
      } catch (const Error& error) {
        ++refused;
        EXPECT_THAT(error.what(), testing::AnyOf(testing::HasSubstr("too large"), testing::HasSubstr("states"),
                                                 testing::HasSubstr("turn"), testing::HasSubstr("no decisions")));
        break;
      }
      captured += call == 0;
      ++calls;
      for (size_t i = 0; i < variables.size(); ++i) {
        plain.push_back(plain_variables[i].value());
        compiled.push_back(variables[i].value());
      }
      bool same = plain.size() == compiled.size();
      for (size_t i = 0; same && i < plain.size(); ++i) same = same_bits(plain[i], compiled[i]);
      EXPECT_TRUE(same) << "seed " << seed << ": eagerly " << values_text(plain) << ", captured " << values_text(compiled);
      if (!same) break;
    }
    audits += f.stats().audits;
  }
  std::cout << captured << " captured, " << refused << " refused, " << calls << " calls, " << audits << " of them audited\n";
}

}  // namespace
}  // namespace etch::capture
